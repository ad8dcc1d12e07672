//! Makes images, good ones and bad ones.

use mozjpeg::{ColorSpace, Compress, Decompress, Marker};

/// Red, green, blue.
pub type Rgb = [u8; 3];

/// An image by a rule.
pub fn rgb(width: u32, height: u32, color: impl Fn(u32, u32) -> Rgb) -> Vec<u8> {
    (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).flat_map(|(x, y)| color(x, y)).collect()
}

/// Soft colours, so that JPEG loses little.
pub fn soft(width: u32, height: u32) -> Vec<u8> {
    rgb(width, height, |x, y| [u8::try_from(x * 255 / width).unwrap(), u8::try_from(y * 255 / height).unwrap(), 90])
}

/// How a JPEG is made.
#[derive(Clone, Default)]
pub struct Jpeg {
    pub progressive: bool,
    pub exif: Option<Vec<u8>>,
    pub profile: Option<Vec<u8>>,
}

impl Jpeg {
    pub fn encode(&self, width: u32, height: u32, space: ColorSpace, data: &[u8]) -> Vec<u8> {
        let mut encoder = Compress::new(space);
        encoder.set_size(width as usize, height as usize);
        encoder.set_fastest_defaults();
        encoder.set_quality(95.0);
        encoder.set_optimize_scans(false);
        if self.progressive {
            encoder.set_progressive_mode();
        }
        let mut started = encoder.start_compress(Vec::new()).unwrap();
        if let Some(exif) = &self.exif {
            started.write_marker(Marker::APP(1), exif);
        }
        if let Some(profile) = &self.profile {
            started.write_icc_profile(profile);
        }
        started.write_scanlines(data).unwrap();
        started.finish().unwrap()
    }

    pub fn rgb(&self, width: u32, height: u32, data: &[u8]) -> Vec<u8> {
        self.encode(width, height, ColorSpace::JCS_RGB, data)
    }
}

/// A plain JPEG.
pub fn jpeg(width: u32, height: u32) -> Vec<u8> {
    Jpeg::default().rgb(width, height, &soft(width, height))
}

/// EXIF data that says which way up.
pub fn exif(orientation: u8, is_big: bool) -> Vec<u8> {
    let mut data = b"Exif\0\0".to_vec();
    if is_big {
        data.extend(b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0");
        data.extend([orientation, 0, 0, 0, 0, 0, 0]);
    } else {
        data.extend(b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0");
        data.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    }
    data
}

/// A PNG of any sort of pixel.
pub fn png(width: u32, height: u32, color: png::ColorType, depth: png::BitDepth, data: &[u8]) -> Vec<u8> {
    png_with(png::Info::with_size(width, height), color, depth, data)
}

/// The same, with what the header holds.
pub fn png_with(mut info: png::Info<'_>, color: png::ColorType, depth: png::BitDepth, data: &[u8]) -> Vec<u8> {
    (info.color_type, info.bit_depth) = (color, depth);
    let mut made = Vec::new();
    let mut writer = png::Encoder::with_info(&mut made, info).unwrap().write_header().unwrap();
    writer.write_image_data(data).unwrap();
    writer.finish().unwrap();
    made
}

/// A plain PNG.
pub fn plain_png(width: u32, height: u32) -> Vec<u8> {
    png(width, height, png::ColorType::Rgb, png::BitDepth::Eight, &soft(width, height))
}

/// The bytes of a PNG's chunk.
pub fn chunk(name: [u8; 4], data: &[u8]) -> Vec<u8> {
    let mut made = u32::try_from(data.len()).unwrap().to_be_bytes().to_vec();
    made.extend(name);
    made.extend(data);
    let sum = crc32(&made[4..]);
    made.extend(sum.to_be_bytes());
    made
}

/// A PNG with a chunk put in behind its header.
pub fn with_chunk(png: &[u8], name: [u8; 4], data: &[u8]) -> Vec<u8> {
    [&png[..33], &chunk(name, data), &png[33..]].concat()
}

/// A PNG that claims another size.
pub fn png_claiming(png: &[u8], width: u32, height: u32) -> Vec<u8> {
    let mut header = png[16..29].to_vec();
    header[..4].copy_from_slice(&width.to_be_bytes());
    header[4..8].copy_from_slice(&height.to_be_bytes());
    [&png[..8], &chunk(*b"IHDR", &header), &png[33..]].concat()
}

fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 })
    })
}

/// So many megabytes of zeros, packed as PNG packs, in a thousandth of the size.
pub fn packed_zeros(megabytes: usize) -> Vec<u8> {
    let mut made = Vec::new();
    let mut plain = png::Encoder::new(&mut made, 1_000_000, u32::try_from(megabytes).unwrap());
    plain.set_color(png::ColorType::Grayscale);
    plain.set_filter(png::Filter::NoFilter);
    let mut writer = plain.write_header().unwrap();
    writer.write_image_data(&vec![0; 1_000_000 * megabytes]).unwrap();
    writer.finish().unwrap();
    let mut packed = Vec::new();
    let mut at = 8;
    while at + 12 <= made.len() {
        let length = u32::from_be_bytes(made[at..at + 4].try_into().unwrap()) as usize;
        if &made[at + 4..at + 8] == b"IDAT" {
            packed.extend(&made[at + 8..at + 8 + length]);
        }
        at += 12 + length;
    }
    packed
}

/// A GIF of so many frames of one colour each, 100 ms apart, upon a palette of 256.
pub fn gif(width: u16, height: u16, frames: &[u8]) -> Vec<u8> {
    let palette: Vec<u8> = (0..=255).flat_map(|value| [value, 255 - value, 128]).collect();
    let mut made = Vec::new();
    let mut encoder = gif::Encoder::new(&mut made, width, height, &palette).unwrap();
    let mut packed = std::collections::BTreeMap::new();
    for &color in frames {
        let frame = packed.entry(color).or_insert_with(|| {
            let pixels = vec![color; usize::from(width) * usize::from(height)];
            let mut frame = gif::Frame::from_indexed_pixels(width, height, pixels, None);
            frame.delay = 10;
            frame.make_lzw_pre_encoded();
            frame
        });
        encoder.write_lzw_pre_encoded_frame(frame).unwrap();
    }
    drop(encoder);
    made
}

/// A GIF that takes long: so many frames of a thousand by a thousand pixels whose colours are hard to put into a palette once they are
/// mixed, in a file that is small for that.
pub fn slow_gif(frames: usize) -> Vec<u8> {
    let palette: Vec<u8> = (0..=255).flat_map(|value| [value, 255 - value, 128]).collect();
    let squares =
        (0..1_000_000_u32).map(|at| u8::try_from((at % 1_000 / 5 * 7 + at / 5_000 * 31) % 256).unwrap()).collect::<Vec<u8>>();
    let mut frame = gif::Frame::from_indexed_pixels(1_000, 1_000, squares, None);
    frame.make_lzw_pre_encoded();
    let mut made = Vec::new();
    let mut encoder = gif::Encoder::new(&mut made, 1_000, 1_000, &palette).unwrap();
    for _ in 0..frames {
        encoder.write_lzw_pre_encoded_frame(&frame).unwrap();
    }
    drop(encoder);
    made
}

/// A WebP without loss.
pub fn webp(width: u32, height: u32) -> Vec<u8> {
    let mut made = Vec::new();
    let encoder = image_webp::WebPEncoder::new(&mut made);
    encoder.encode(&soft(width, height), width, height, image_webp::ColorType::Rgb8).unwrap();
    made
}

/// An image as its pixels: what was written is read by others than those who read it in the program, where there are others.
pub struct Seen {
    pub width: u32,
    pub height: u32,
    pub channels: usize,
    pub data: Vec<u8>,
}

impl Seen {
    pub fn at(&self, x: u32, y: u32) -> Vec<u8> {
        let at = (y * self.width + x) as usize * self.channels;
        self.data[at..at + self.channels].to_vec()
    }

    /// Whether a pixel has a colour, as far as the format can keep it.
    pub fn is_near(&self, x: u32, y: u32, color: &[u8], by: u8) -> bool {
        self.at(x, y).iter().zip(color).all(|(a, b)| a.abs_diff(*b) <= by)
    }
}

pub fn seen(bytes: &[u8]) -> Seen {
    let side = |length: usize| u32::try_from(length).unwrap();
    match bytes {
        [0xFF, 0xD8, ..] => {
            let mut started = Decompress::new_mem(bytes).unwrap().rgb().unwrap();
            let (width, height) = (side(started.width()), side(started.height()));
            Seen { width, height, channels: 3, data: started.read_scanlines().unwrap() }
        }
        [0x89, ..] => {
            let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
            let mut data = vec![0; reader.output_buffer_size().unwrap()];
            let info = reader.next_frame(&mut data).unwrap();
            Seen { width: info.width, height: info.height, channels: info.color_type.samples(), data }
        }
        [b'G', ..] => {
            let mut options = gif::DecodeOptions::new();
            options.set_color_output(gif::ColorOutput::RGBA);
            let mut decoder = options.read_info(bytes).unwrap();
            let frame = decoder.read_next_frame().unwrap().unwrap();
            Seen { width: frame.width.into(), height: frame.height.into(), channels: 4, data: frame.buffer.to_vec() }
        }
        _ => {
            let mut decoder = image_webp::WebPDecoder::new(std::io::Cursor::new(bytes)).unwrap();
            let (width, height) = decoder.dimensions();
            let mut data = vec![0; decoder.output_buffer_size().unwrap()];
            decoder.read_image(&mut data).unwrap();
            Seen { width, height, channels: if decoder.has_alpha() { 4 } else { 3 }, data }
        }
    }
}
