//! What comes of good images, looked at pixel by pixel.

use legwork_image::{Animated, Fit, Format, OutputFormat};
use moxcms::ColorProfile;
use mozjpeg::ColorSpace;
use png::{BitDepth, ColorType};

use super::make::{self, Jpeg, Rgb, exif, seen};
use super::{Studio, thumbnail};

const RED: Rgb = [220, 30, 30];
const GREEN: Rgb = [30, 200, 30];
const BLUE: Rgb = [30, 30, 220];
const WHITE: Rgb = [240, 240, 240];

/// 64 × 32 when upright: red and green above blue and white.
fn upright(x: u32, y: u32) -> Rgb {
    match (x < 32, y < 16) {
        (true, true) => RED,
        (false, true) => GREEN,
        (true, false) => BLUE,
        (false, false) => WHITE,
    }
}

/// A pixel as it is stored under an orientation, by the words of the EXIF standard: where the first row and the first column are.
fn stored(orientation: u8, column: u32, row: u32) -> Rgb {
    let (x, y) = match orientation {
        1 => (column, row),
        2 => (63 - column, row),
        3 => (63 - column, 31 - row),
        4 => (column, 31 - row),
        5 => (row, column),
        6 => (63 - row, column),
        7 => (63 - row, 31 - column),
        _ => (row, 31 - column),
    };
    upright(x, y)
}

#[tokio::test]
async fn each_of_the_eight_orientations_comes_out_upright_with_its_thumbnails() {
    let studio = Studio::new();
    for orientation in 1..=8 {
        let (width, height) = if orientation < 5 { (64, 32) } else { (32, 64) };
        let data = make::rgb(width, height, |x, y| stored(orientation, x, y));
        let jpeg = Jpeg { exif: Some(exif(orientation, orientation % 2 == 0)), ..Jpeg::default() }.rgb(width, height, &data);
        let mut recipe = studio.recipe(&jpeg);
        recipe.thumbnails = vec![thumbnail(&studio, 16, Fit::Crop), thumbnail(&studio, 16, Fit::Fit)];
        let (image, bytes) = studio.made(&recipe).await;
        assert_eq!((image.size.width, image.size.height), (40, 20), "{orientation}");
        assert_eq!((image.original.width, image.original.height), (64, 32), "{orientation}");
        let made = seen(&bytes);
        for (x, y, color) in [(8, 4, RED), (32, 4, GREEN), (8, 15, BLUE), (32, 15, WHITE)] {
            assert!(made.is_near(x, y, &color, 12), "{orientation}: {:?} at {x}, {y}", made.at(x, y));
        }
        for (thumbnail, (width, height)) in recipe.thumbnails.iter().zip([(16, 16), (16, 8)]) {
            let made = seen(&std::fs::read(&thumbnail.output).unwrap());
            assert_eq!((made.width, made.height), (width, height), "{orientation}");
            for (x, y, color) in [(2, 1, RED), (13, 1, GREEN), (2, height - 2, BLUE), (13, height - 2, WHITE)] {
                assert!(made.is_near(x, y, &color, 30), "{orientation}: {:?} at {x}, {y}", made.at(x, y));
            }
        }
        assert!(!bytes.windows(4).any(|part| part == b"Exif"), "metadata is stripped");
    }
}

#[tokio::test]
async fn a_png_and_a_webp_are_put_upright_too() {
    let studio = Studio::new();
    let data = make::rgb(32, 64, |x, y| stored(6, x, y));
    let mut info = png::Info::with_size(32, 64);
    info.exif_metadata = Some(exif(6, false)[6..].to_vec().into());
    let turned = make::png_with(info, ColorType::Rgb, BitDepth::Eight, &data);
    let mut webp = Vec::new();
    let mut encoder = image_webp::WebPEncoder::new(&mut webp);
    encoder.set_exif_metadata(exif(6, false)[6..].to_vec());
    encoder.encode(&data, 32, 64, image_webp::ColorType::Rgb8).unwrap();
    for bytes in [turned, webp] {
        let (image, bytes) = studio.made(&studio.recipe(&bytes)).await;
        assert_eq!((image.size.width, image.size.height), (40, 20));
        let made = seen(&bytes);
        for (x, y, color) in [(8, 4, RED), (32, 4, GREEN), (8, 15, BLUE), (32, 15, WHITE)] {
            assert!(made.is_near(x, y, &color, 12), "{:?} at {x}, {y}", made.at(x, y));
        }
    }
}

#[tokio::test]
async fn nothing_is_ever_enlarged_and_small_images_make_small_thumbnails() {
    let studio = Studio::new();
    for bytes in [make::jpeg(20, 10), make::plain_png(20, 10), make::gif(20, 10, &[5]), make::webp(20, 10)] {
        let mut recipe = studio.recipe(&bytes);
        recipe.thumbnails = vec![thumbnail(&studio, 300, Fit::Crop), thumbnail(&studio, 15, Fit::Fit)];
        let (image, bytes) = studio.made(&recipe).await;
        assert_eq!((image.size.width, image.size.height), (20, 10));
        assert_eq!(image.size.bytes, bytes.len() as u64);
        let sizes: Vec<(u32, u32)> = image.thumbnails.iter().map(|size| (size.width, size.height)).collect();
        assert_eq!(sizes, [(10, 10), (15, 8)]);
        assert_eq!(image.format, image.original_format);
    }
}

#[tokio::test]
async fn thumbnails_larger_than_the_result_are_made_of_the_original() {
    let studio = Studio::new();
    let mut recipe = studio.recipe(&make::jpeg(400, 300));
    recipe.thumbnails = vec![thumbnail(&studio, 200, Fit::Crop)];
    let (image, _) = studio.made(&recipe).await;
    assert_eq!((image.size.width, image.size.height), (40, 30));
    let made = seen(&std::fs::read(&recipe.thumbnails[0].output).unwrap());
    assert_eq!((made.width, made.height), (200, 200));
    assert!(made.is_near(100, 100, &[127, 127, 90], 4), "{:?}", made.at(100, 100));
}

#[tokio::test]
async fn a_jpeg_is_shrunk_while_it_is_decoded_and_stays_in_its_place() {
    let studio = Studio::new();
    // Sides that no eighth divides.
    for (width, height) in [(401, 303), (399, 1201), (1003, 77)] {
        let mut recipe = studio.recipe(&make::jpeg(width, height));
        (recipe.max_width, recipe.max_height) = (100, 100);
        let (image, bytes) = studio.made(&recipe).await;
        let made = seen(&bytes);
        for (x, y) in [(3, 3), (made.width / 2, made.height / 2), (made.width - 4, made.height - 4)] {
            let value = |at: u32, of: u32| u8::try_from((2 * at + 1) * 255 / (2 * of)).unwrap();
            let color = [value(x, made.width), value(y, made.height), 90];
            assert!(made.is_near(x, y, &color, 5), "{width}: {:?} and not {color:?}", made.at(x, y));
        }
        assert_eq!(image.original.width, width);
    }
}

#[tokio::test]
async fn a_jpeg_is_progressive_or_not_as_it_was_asked_for() {
    let studio = Studio::new();
    for progressive in [true, false] {
        let mut recipe = studio.recipe(&make::jpeg(80, 60));
        recipe.progressive = progressive;
        let (_, bytes) = studio.made(&recipe).await;
        let frame = |marker: u8| bytes.windows(2).any(|pair| pair == [0xFF, marker]);
        assert_eq!((frame(0xC0), frame(0xC2)), (!progressive, progressive));
    }
}

/// Display P3 to sRGB by the book.
fn from_p3(color: Rgb) -> Rgb {
    let linear = color.map(|value| {
        let value = f64::from(value) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    });
    let matrix = [[1.224_94, -0.224_94, 0.0], [-0.042_06, 1.042_06, 0.0], [-0.019_64, -0.078_64, 1.098_28]];
    matrix.map(|row: [f64; 3]| {
        let value: f64 = row.iter().zip(linear).map(|(a, b)| a * b).sum::<f64>().clamp(0.0, 1.0);
        let value = if value <= 0.003_130_8 { value * 12.92 } else { 1.055 * value.powf(1.0 / 2.4) - 0.055 };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 255")]
        let byte = (value * 255.0).round() as u8;
        byte
    })
}

#[tokio::test]
async fn a_profile_is_converted_to_srgb_and_left_out() {
    let studio = Studio::new();
    let profile = ColorProfile::new_display_p3().encode().unwrap();
    for color in [[200, 100, 50], [60, 180, 90], [120, 120, 120]] {
        let data = make::rgb(16, 16, |_, _| color);
        let mut info = png::Info::with_size(16, 16);
        info.icc_profile = Some(profile.clone().into());
        let png = make::png_with(info, ColorType::Rgb, BitDepth::Eight, &data);
        let jpeg = Jpeg { profile: Some(profile.clone()), ..Jpeg::default() }.rgb(16, 16, &data);
        for (bytes, by) in [(png, 1), (jpeg, 3)] {
            let (image, bytes) = studio.made(&studio.recipe(&bytes)).await;
            assert!(image.color_converted);
            let (made, wanted) = (seen(&bytes), from_p3(color));
            assert!(made.is_near(8, 8, &wanted, by), "{color:?}: {:?} and not {wanted:?}", made.at(8, 8));
            assert!(!bytes.windows(4).any(|part| part == b"iCCP" || part == b"ICC_"), "the profile is left out");
        }
    }
}

#[tokio::test]
async fn srgb_and_nonsense_for_a_profile_leave_the_colours_alone() {
    let studio = Studio::new();
    let srgb = ColorProfile::new_srgb().encode().unwrap();
    for profile in [srgb, b"this is no profile at all, and long enough to be looked at".repeat(10)] {
        let mut info = png::Info::with_size(16, 16);
        info.icc_profile = Some(profile.into());
        let png = make::png_with(info, ColorType::Rgb, BitDepth::Eight, &make::rgb(16, 16, |_, _| [200, 100, 50]));
        let (image, bytes) = studio.made(&studio.recipe(&png)).await;
        assert!(!image.color_converted);
        assert!(seen(&bytes).is_near(8, 8, &[200, 100, 50], 0));
    }
}

#[tokio::test]
async fn a_cmyk_jpeg_becomes_what_it_looks_like() {
    let studio = Studio::new();
    for (inks, color) in [([0, 255, 255, 0], [255, 0, 0]), ([255, 0, 0, 0], [0, 255, 255]), ([0, 0, 0, 128], [127, 127, 127])] {
        // Stored as what is left of the paper, with Adobe's mark, as all programs do.
        let data: Vec<u8> = inks.map(|ink: u8| 255 - ink).repeat(16 * 16);
        let jpeg = Jpeg::default().encode(16, 16, ColorSpace::JCS_CMYK, &data);
        let (_, bytes) = studio.made(&studio.recipe(&jpeg)).await;
        let made = seen(&bytes);
        assert!(made.is_near(8, 8, &color, 3), "{inks:?}: {:?}", made.at(8, 8));
    }
}

#[tokio::test]
async fn every_sort_of_png_comes_out_with_its_colours() {
    let studio = Studio::new();
    let sixteen: Vec<u8> = [0xC84D_u16, 0x6405, 0x3200].map(u16::to_be_bytes).concat().repeat(64 * 48);
    let gray_alpha = [90, 255].repeat(64 * 48);
    let see_through = [200, 100, 50, 128].repeat(64 * 48);
    let mut palette = png::Info::with_size(64, 48);
    palette.palette = Some(vec![0, 0, 0, 200, 100, 50].into());
    let color = [200, 100, 50];
    for (name, bytes, wanted) in [
        ("16 bits", make::png(64, 48, ColorType::Rgb, BitDepth::Sixteen, &sixteen), color.to_vec()),
        ("grey", make::png(64, 48, ColorType::Grayscale, BitDepth::Eight, &[90; 64 * 48]), vec![90]),
        ("grey, 1 bit", make::png(64, 48, ColorType::Grayscale, BitDepth::One, &[255; 8 * 48]), vec![255]),
        ("grey with opacity", make::png(64, 48, ColorType::GrayscaleAlpha, BitDepth::Eight, &gray_alpha), vec![90, 90, 90]),
        ("with opacity", make::png(64, 48, ColorType::Rgba, BitDepth::Eight, &see_through), vec![200, 100, 50, 128]),
        ("by a palette", make::png_with(palette, ColorType::Indexed, BitDepth::Eight, &[1; 64 * 48]), color.to_vec()),
    ] {
        let (image, bytes) = studio.made(&studio.recipe(&bytes)).await;
        assert_eq!((image.format, image.size.width, image.size.height), (Format::Png, 40, 30), "{name}");
        let made = seen(&bytes);
        assert_eq!(made.channels, wanted.len(), "{name}");
        assert!(made.is_near(20, 15, &wanted, 1), "{name}: {:?}", made.at(20, 15));
    }
}

#[tokio::test]
async fn what_is_transparent_becomes_white_in_a_jpeg_and_stays_transparent_elsewhere() {
    let studio = Studio::new();
    let clear = make::png(64, 48, ColorType::Rgba, BitDepth::Eight, &[0, 0, 0, 0].repeat(64 * 48));
    let mut recipe = studio.recipe(&clear);
    recipe.format = OutputFormat::Jpeg;
    assert!(seen(&studio.made(&recipe).await.1).is_near(20, 15, &[255, 255, 255], 1));
    recipe.format = OutputFormat::Webp;
    assert_eq!(seen(&studio.made(&recipe).await.1).at(20, 15)[3], 0);
}

#[tokio::test]
async fn every_format_is_written_when_it_is_asked_for() {
    let studio = Studio::new();
    for source in [make::jpeg(64, 48), make::plain_png(64, 48), make::webp(64, 48)] {
        for (wanted, format) in
            [(OutputFormat::Jpeg, Format::Jpeg), (OutputFormat::Png, Format::Png), (OutputFormat::Webp, Format::Webp)]
        {
            let mut recipe = studio.recipe(&source);
            recipe.format = wanted;
            let (image, bytes) = studio.made(&recipe).await;
            assert_eq!(image.format, format);
            let made = seen(&bytes);
            assert!(made.is_near(20, 15, &[130, 131, 90], 8), "{format}: {:?}", made.at(20, 15));
        }
    }
}

#[tokio::test]
async fn auto_writes_the_smaller_of_what_it_was_and_webp() {
    let studio = Studio::new();
    let mut random = fastrand::Rng::with_seed(3);
    let noise: Vec<u8> = (0..100 * 100 * 3).map(|_| random.u8(..)).collect();
    let grainy = make::png(100, 100, ColorType::Rgb, BitDepth::Eight, &noise);
    let two_colors = make::rgb(100, 100, |x, _| if x < 50 { RED } else { BLUE });
    let plain = make::png(100, 100, ColorType::Rgb, BitDepth::Eight, &two_colors);
    let mut recipe = studio.recipe(&grainy);
    recipe.format = OutputFormat::Auto;
    assert_eq!(studio.made(&recipe).await.0.format, Format::Webp);
    for bytes in [grainy, plain] {
        let mut recipe = studio.recipe(&bytes);
        (recipe.max_width, recipe.max_height) = (100, 100);
        let mut sizes = Vec::new();
        for format in [OutputFormat::Auto, OutputFormat::Keep, OutputFormat::Webp] {
            recipe.format = format;
            sizes.push(studio.made(&recipe).await.0.size.bytes);
        }
        assert_eq!(sizes[0], sizes[1].min(sizes[2]));
    }
}

#[tokio::test]
async fn an_animation_becomes_its_first_frame_or_stays_one() {
    let studio = Studio::new();
    let gif = make::gif(80, 60, &[10, 120, 240]);
    let mut recipe = studio.recipe(&gif);
    let (image, bytes) = studio.made(&recipe).await;
    assert_eq!((image.format, image.original_frames, image.frames), (Format::Gif, 3, 1));
    assert!(seen(&bytes).is_near(20, 15, &[10, 245, 128], 2));

    recipe.animated = Animated::Keep;
    let (image, bytes) = studio.made(&recipe).await;
    assert_eq!((image.format, image.original_frames, image.frames), (Format::Gif, 3, 3));
    let mut decoder = gif::DecodeOptions::new().read_info(bytes.as_slice()).unwrap();
    let mut frames = 0;
    while let Some(frame) = decoder.read_next_frame().unwrap() {
        assert_eq!((frame.width, frame.height, frame.delay), (40, 30, 10));
        frames += 1;
    }
    assert_eq!(frames, 3);

    recipe.format = OutputFormat::Webp;
    let (image, animated) = studio.made(&recipe).await;
    assert_eq!((image.format, image.frames), (Format::Webp, 3));
    let decoder = image_webp::WebPDecoder::new(std::io::Cursor::new(&animated)).unwrap();
    assert_eq!((decoder.is_animated(), decoder.num_frames(), decoder.dimensions()), (true, 3, (40, 30)));

    // And from there back to one frame, which is the first.
    let recipe = studio.recipe(&animated);
    let (image, bytes) = studio.made(&recipe).await;
    assert_eq!((image.original_frames, image.frames), (3, 1));
    assert!(seen(&bytes).is_near(20, 15, &[10, 245, 128], 12), "{:?}", seen(&bytes).at(20, 15));
}

#[tokio::test]
async fn a_huge_png_passes_through_a_small_memory() {
    let studio = Studio::new();
    let huge = make::png(4_000, 4_000, ColorType::Rgb, BitDepth::Eight, &[70, 80, 90].repeat(16_000_000));
    let mut recipe = studio.recipe(&huge);
    recipe.limits.max_memory = 40 << 20;
    let (image, bytes) = studio.made(&recipe).await;
    assert_eq!((image.original.width, image.size.width), (4_000, 40));
    assert!(seen(&bytes).is_near(20, 20, &[70, 80, 90], 1));
}
