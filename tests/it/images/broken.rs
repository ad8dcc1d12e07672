//! Bad images: each gets a clear final failure, or the right image; none brings anything down.

use legwork_image::{Animated, OutputFormat, ProcessedImage};
use legwork_isolate::IsolateError;
use png::{BitDepth, ColorType};

use super::Studio;
use super::make::{self, Jpeg, chunk, exif, seen, with_chunk};

/// What may be said of a bad image.
const WORDS: [&str; 4] = ["NotAnImage", "BrokenImage", "UnsupportedImage", "ImageTooHeavy"];

fn patched(mut bytes: Vec<u8>, at: usize, with: &[u8]) -> Vec<u8> {
    bytes[at..at + with.len()].copy_from_slice(with);
    bytes
}

/// Where a JPEG tells its size: behind the marker of its frame, its length and its precision.
fn jpeg_frame(bytes: &[u8]) -> usize {
    bytes.windows(2).position(|pair| pair[0] == 0xFF && (0xC0..=0xC2).contains(&pair[1])).unwrap()
}

fn jpeg_claiming(width: u16, height: u16) -> Vec<u8> {
    let jpeg = make::jpeg(64, 48);
    let at = jpeg_frame(&jpeg) + 5;
    patched(jpeg, at, &[height.to_be_bytes(), width.to_be_bytes()].concat())
}

/// A progressive JPEG whose last scan comes again and again.
fn jpeg_of_many_scans(scans: usize) -> Vec<u8> {
    let jpeg = Jpeg { progressive: true, ..Jpeg::default() }.rgb(64, 48, &make::soft(64, 48));
    let last = jpeg.windows(2).rposition(|pair| pair == [0xFF, 0xDA]).unwrap();
    let scan = &jpeg[last..jpeg.len() - 2];
    [&jpeg[..last], &scan.repeat(scans), &[0xFF, 0xD9]].concat()
}

/// An extended WebP that claims a size, with nothing behind it that is of that size.
fn webp_claiming(width: u32, height: u32) -> Vec<u8> {
    let plain = make::webp(64, 48);
    let mut header = vec![0, 0, 0, 0];
    header.extend(&(width - 1).to_le_bytes()[..3]);
    header.extend(&(height - 1).to_le_bytes()[..3]);
    let body = [b"WEBPVP8X\x0a\0\0\0".as_slice(), &header, &plain[12..]].concat();
    [b"RIFF".as_slice(), &u32::try_from(body.len()).unwrap().to_le_bytes(), &body].concat()
}

/// By hand: a name, the file, and the word that is said of it.
fn by_hand() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let (jpeg, png, gif, webp) = (make::jpeg(64, 48), make::plain_png(64, 48), make::gif(64, 48, &[5]), make::webp(64, 48));
    let frame = jpeg_frame(&jpeg);
    let scan = jpeg.windows(2).position(|pair| pair == [0xFF, 0xDA]).unwrap();
    let tables = jpeg.windows(2).position(|pair| pair == [0xFF, 0xC4]).unwrap();
    let data = png.windows(4).position(|part| part == b"IDAT").unwrap() - 4;
    vec![
        ("nothing", Vec::new(), "NotAnImage"),
        ("one byte", vec![0xFF], "NotAnImage"),
        ("text", b"this is a text that calls itself an image".to_vec(), "NotAnImage"),
        ("HTML", b"<!DOCTYPE html><img src=x>".to_vec(), "NotAnImage"),
        ("SVG", b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec(), "NotAnImage"),
        ("PDF", b"%PDF-1.7 and so on and so forth".to_vec(), "NotAnImage"),
        ("a program", b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\0\0".to_vec(), "NotAnImage"),
        ("BMP", b"BM\x36\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec(), "NotAnImage"),
        ("TIFF", b"II*\0\x08\0\0\0\0\0\0\0\0\0\0\0\0".to_vec(), "NotAnImage"),
        ("HEIC", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic".to_vec(), "NotAnImage"),
        ("AVIF", b"\0\0\0\x1cftypavif\0\0\0\0avifmif1".to_vec(), "NotAnImage"),
        ("a WAV in RIFF", b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0".to_vec(), "NotAnImage"),
        ("only the mark of a JPEG", vec![0xFF, 0xD8, 0xFF], "BrokenImage"),
        ("only the mark of a PNG", png[..8].to_vec(), "BrokenImage"),
        ("only the mark of a GIF", gif[..6].to_vec(), "BrokenImage"),
        ("only the mark of a WebP", webp[..12].to_vec(), "BrokenImage"),
        ("a JPEG cut in its pixels", jpeg[..scan + (jpeg.len() - scan) / 2].to_vec(), "BrokenImage"),
        ("a JPEG cut in its tables", jpeg[..tables + 20].to_vec(), "BrokenImage"),
        ("a progressive JPEG that draws a scan 40 times", jpeg_of_many_scans(40), "BrokenImage"),
        ("a JPEG without a frame", [&jpeg[..frame], &jpeg[tables..]].concat(), "BrokenImage"),
        ("a JPEG that ends at once", [&jpeg[..frame], &[0xFF, 0xD9]].concat(), "BrokenImage"),
        ("a JPEG with two frames", [&jpeg[..tables], &jpeg[frame..]].concat(), "BrokenImage"),
        ("a JPEG with a segment of no length", patched(jpeg.clone(), frame + 2, &[0, 1]), "BrokenImage"),
        ("a JPEG of no width", jpeg_claiming(0, 48), "BrokenImage"),
        ("a JPEG of no height", jpeg_claiming(64, 0), "BrokenImage"),
        ("a JPEG of 50,000 × 50,000", jpeg_claiming(50_000, 50_000), "ImageTooHeavy"),
        ("a JPEG larger than its pixels", jpeg_claiming(640, 480), "BrokenImage"),
        ("a JPEG of 12 bits", patched(jpeg.clone(), frame + 4, &[12]), "UnsupportedImage"),
        ("a JPEG without loss", patched(jpeg.clone(), frame + 1, &[0xC3]), "UnsupportedImage"),
        ("an arithmetic JPEG", patched(jpeg.clone(), frame + 1, &[0xC9]), "UnsupportedImage"),
        ("a JPEG of two components", patched(jpeg.clone(), frame + 9, &[2]), "BrokenImage"),
        ("a JPEG of 200 scans", jpeg_of_many_scans(200), "ImageTooHeavy"),
        ("a PNG of 50,000 × 50,000", make::png_claiming(&png, 50_000, 50_000), "ImageTooHeavy"),
        ("a PNG of the largest size there is", make::png_claiming(&png, 0x7FFF_FFFF, 0x7FFF_FFFF), "ImageTooHeavy"),
        ("a PNG of no width", make::png_claiming(&png, 0, 48), "BrokenImage"),
        ("a PNG larger than its pixels", make::png_claiming(&png, 640, 480), "BrokenImage"),
        ("a PNG cut in its pixels", png[..data + (png.len() - data) / 2].to_vec(), "BrokenImage"),
        ("a PNG without pixels", [&png[..data], &chunk(*b"IEND", b"")].concat(), "BrokenImage"),
        ("a PNG with a wrong sum", patched(png.clone(), 30, &[1, 2]), "BrokenImage"),
        (
            "a PNG whose pixels are rubbish",
            [&png[..data], &chunk(*b"IDAT", &[7; 200]), &chunk(*b"IEND", b"")].concat(),
            "BrokenImage",
        ),
        ("a PNG by a palette it does not have", make_without_palette(), "BrokenImage"),
        ("a GIF of 65,535 × 65,535", patched(gif.clone(), 6, &[0xFF; 4]), "ImageTooHeavy"),
        ("a GIF of no width", patched(gif.clone(), 6, &[0, 0]), "BrokenImage"),
        ("a GIF without a frame", [&gif[..13 + 768], &[0x3B]].concat(), "BrokenImage"),
        ("a GIF cut in its palette", gif[..100].to_vec(), "BrokenImage"),
        ("a script that calls itself a GIF", b"GIF89a/*\0\0\0\0*/=1;alert(1);//".to_vec(), "BrokenImage"),
        ("a WebP of 16,000,000 × 16,000", webp_claiming(16_000_000, 16_000), "ImageTooHeavy"),
        ("a WebP cut in its pixels", webp[..webp.len() / 2].to_vec(), "BrokenImage"),
        ("a WebP of rubbish", [&webp[..20], [9; 400].as_slice()].concat(), "BrokenImage"),
    ]
}

fn make_without_palette() -> Vec<u8> {
    let mut info = png::Info::with_size(8, 8);
    info.palette = Some(vec![0; 6].into());
    let png = make::png_with(info, ColorType::Indexed, BitDepth::Eight, &[1; 64]);
    let at = png.windows(4).position(|part| part == b"PLTE").unwrap() - 4;
    [&png[..at], &png[at + 12 + 6..]].concat()
}

fn without_tables(jpeg: &[u8]) -> Vec<u8> {
    let [tables, scan] = [0xC4, 0xDA].map(|marker| jpeg.windows(2).position(|pair| pair == [0xFF, marker]).unwrap());
    [&jpeg[..tables], &jpeg[scan..]].concat()
}

#[tokio::test]
async fn fifty_bad_files_each_get_their_word() {
    let studio = Studio::new();
    let mut field_errors = Vec::new();
    for (name, bytes, word) in by_hand() {
        match studio.run(&studio.recipe(&bytes)).await {
            Err(IsolateError::Refused { word: said, is_final: true, .. }) if said == word => {}
            other => field_errors.push(format!("{name}: {other:?}")),
        }
    }
    assert!(field_errors.is_empty(), "{}", field_errors.join("\n"));
    assert_eq!(studio.isolate.children().borrow().len(), 1, "one child has outlived them all");
}

#[tokio::test]
async fn what_is_odd_and_not_broken_is_the_right_image() {
    let studio = Studio::new();
    let (jpeg, png, gif) = (make::jpeg(64, 48), make::plain_png(64, 48), make::gif(64, 48, &[5]));
    let zip = b"PK\x03\x04\x14\0\0\0\0\0 and the rest of an archive".as_slice();
    let wrong_exif: Vec<u8> = [b"Exif\0\0II*\0\xFF\xFF\xFF\x7F".as_slice(), &[0xFF; 40]].concat();
    let unknown_turn = Jpeg { exif: Some(exif(9, true)), ..Jpeg::default() }.rgb(64, 48, &make::soft(64, 48));
    let bad_exif = Jpeg { exif: Some(wrong_exif), ..Jpeg::default() }.rgb(64, 48, &make::soft(64, 48));
    for (name, bytes) in [
        ("a JPEG with an archive behind it", [&jpeg, zip].concat()),
        ("a JPEG without its end", jpeg[..jpeg.len() - 2].to_vec()),
        ("a PNG with a page behind it", [&png, b"<script>alert(1)</script>".as_slice()].concat()),
        ("a PNG without its end", png[..png.len() - 12].to_vec()),
        ("a PNG with a script in a text", with_chunk(&png, *b"tEXt", b"Comment\0<script>alert(1)</script>")),
        ("a GIF with an archive behind it", [&gif, zip].concat()),
        ("a JPEG turned in a way there is none", unknown_turn),
        ("a JPEG whose EXIF data leads nowhere", bad_exif),
        ("a JPEG without tables, which has the usual ones", without_tables(&jpeg)),
    ] {
        let (image, bytes) = studio.made(&studio.recipe(&bytes)).await;
        assert_eq!((image.size.width, image.size.height), (40, 30), "{name}");
        assert!(!bytes.windows(8).any(|part| part == b"<script>"), "{name}");
        let made = seen(&bytes);
        let color: &[u8] = if name.contains("GIF") { &[5, 250, 128] } else { &[130, 130, 90] };
        assert!(made.is_near(20, 15, color, 6), "{name}: {:?}", made.at(20, 15));
    }
}

#[tokio::test]
async fn a_file_is_what_it_holds_and_not_what_it_is_called() {
    let studio = Studio::new();
    let source = studio.path("called.jpg");
    std::fs::write(&source, make::plain_png(64, 48)).unwrap();
    let (image, _) = studio.made(&super::recipe(&source, &studio.path("output"))).await;
    assert_eq!(image.original_format.as_str(), "png");
}

#[tokio::test]
async fn bombs_are_refused_or_pass_and_memory_stays_bounded() {
    let studio = Studio::new();
    let png = make::plain_png(64, 48);
    let packed = make::packed_zeros(20);
    let text = [b"Comment\0\0".as_slice(), &packed].concat();
    let profile = [b"profile\0\0".as_slice(), &packed].concat();
    let (_, bytes) = studio.made(&studio.recipe(&with_chunk(&png, *b"zTXt", &text))).await;
    assert!(seen(&bytes).is_near(20, 15, &[130, 130, 90], 6), "a text is not unpacked");
    let international = [b"Comment\0\x01\0\0\0".as_slice(), &packed].concat();
    studio.made(&studio.recipe(&with_chunk(&png, *b"iTXt", &international))).await;
    match studio.run(&studio.recipe(&with_chunk(&png, *b"iCCP", &profile))).await {
        Ok(ProcessedImage { color_converted: false, .. }) => {}
        Err(IsolateError::Refused { word, is_final: true, .. }) if word == "ImageTooHeavy" => {}
        other => panic!("{other:?}"),
    }
    // Twenty million pixels in twenty kilobytes: as many as are allowed.
    let header = [1_000_000_u32.to_be_bytes(), 20_u32.to_be_bytes()].concat();
    let header = [header.as_slice(), &[8, 0, 0, 0, 0]].concat();
    let bomb = [&png[..8], &chunk(*b"IHDR", &header), &chunk(*b"IDAT", &packed), &chunk(*b"IEND", b"")].concat();
    let mut recipe = studio.recipe(&bomb);
    recipe.limits.max_pixels = 20_000_000;
    let (image, _) = studio.made(&recipe).await;
    assert_eq!((image.size.width, image.size.height), (40, 1));
    // Every frame counts where every frame is decoded.
    let animation = make::gif(1_000, 1_000, &[3; 120]);
    let mut recipe = studio.recipe(&animation);
    assert_eq!(studio.made(&recipe).await.0.original_frames, 120);
    recipe.animated = Animated::Keep;
    let (word, message) = studio.refused(&recipe).await;
    assert_eq!(word, "ImageTooHeavy");
    assert_eq!(message, "1000 × 1000 in 120 frames are 120000000 pixels; IMAGE_MAX_PIXELS allows 100000000");

    let child = studio.isolate.children().borrow()[0];
    let status = std::fs::read_to_string(format!("/proc/{child}/status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kilobytes: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kilobytes < 150 << 10, "{peak}");
}

#[tokio::test]
async fn what_asks_for_more_than_it_may_have_is_told_the_setting() {
    let studio = Studio::new();
    let mut recipe = studio.recipe(&make::jpeg(400, 300));
    recipe.limits.max_pixels = 100_000;
    assert_eq!(studio.refused(&recipe).await.1, "400 × 300 are 120000 pixels; IMAGE_MAX_PIXELS allows 100000");
    recipe.limits.max_bytes = 100;
    let (word, message) = studio.refused(&recipe).await;
    assert_eq!(word, "ImageTooHeavy");
    assert!(message.ends_with("bytes; IMAGE_MAX_BYTES allows 100"), "{message}");

    let mut recipe = studio.recipe(&make::jpeg(4_000, 4_000));
    (recipe.max_width, recipe.max_height) = (4_000, 4_000);
    recipe.limits.max_memory = 64 << 20;
    let (word, message) = studio.refused(&recipe).await;
    assert_eq!(
        (word.as_str(), message.as_str()),
        ("ImageTooHeavy", "it takes about 99 MiB of memory; CHILD_MAX_MEMORY allows 64 MiB")
    );
}

#[tokio::test]
async fn an_animation_is_not_kept_in_a_format_that_cannot_hold_it() {
    let studio = Studio::new();
    let mut recipe = studio.recipe(&make::gif(64, 48, &[1, 2]));
    (recipe.animated, recipe.format) = (Animated::Keep, OutputFormat::Jpeg);
    let (word, message) = studio.refused(&recipe).await;
    assert_eq!(
        (word.as_str(), message.as_str()),
        ("UnsupportedImage", "an animation is kept as GIF or WebP; for another format say first_frame")
    );
}

#[tokio::test]
async fn hundreds_of_mutations_bring_nothing_down() {
    let studio = Studio::new();
    let progressive = Jpeg { progressive: true, exif: Some(exif(6, true)), ..Jpeg::default() };
    let mut random = fastrand::Rng::with_seed(11);
    for (name, good) in [
        ("JPEG", make::jpeg(64, 48)),
        ("progressive JPEG", progressive.rgb(64, 48, &make::soft(64, 48))),
        ("PNG", make::plain_png(64, 48)),
        ("GIF", make::gif(64, 48, &[1, 2, 3])),
        ("WebP", make::webp(64, 48)),
    ] {
        let mut bad: Vec<Vec<u8>> = (1..16).map(|part| good[..good.len() * part / 16].to_vec()).collect();
        bad.extend((0..60).map(|_| {
            let mut bytes = good.clone();
            for _ in 0..=random.usize(..4) {
                let at = random.usize(..bytes.len());
                bytes[at] = random.u8(..);
            }
            bytes
        }));
        for (index, bytes) in bad.iter().enumerate() {
            let mut recipe = studio.recipe(bytes);
            recipe.animated = if index % 2 == 0 { Animated::Keep } else { Animated::FirstFrame };
            match studio.run(&recipe).await {
                Ok(image) => assert!(image.size.width <= 40 && image.size.height <= 40, "{name} {index}: {image:?}"),
                Err(IsolateError::Refused { word, is_final: true, .. }) if WORDS.contains(&word.as_str()) => {}
                Err(error) => panic!("{name} {index}: {error:?}"),
            }
        }
    }
    assert_eq!(studio.isolate.children().borrow().len(), 1, "one child has outlived them all");
}
