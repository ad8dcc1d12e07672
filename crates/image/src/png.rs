//! PNG. Rows are shrunk as they come, unless the image is interlaced.

use std::fs::File;
use std::io::BufReader;

use png::{BitDepth, ColorType, Compression, Decoder, DecodingError, Encoder, Filter, Limits, Reader, Transformations};

use super::exif::Orientation;
use super::raster::{Pixel, Raster};
use super::shrink::Shrinker;
use super::{Format, Header, ImageError, ImageLimits};

/// Most bytes of an unpacked profile, of unpacked EXIF data, and of a row. Text chunks are not read.
const MAX_EXTRA_BYTES: usize = 16 << 20;

pub(super) struct PngSource {
    reader: Reader<BufReader<File>>,
    header: Header,
}

fn broken(error: DecodingError) -> ImageError {
    match error {
        DecodingError::IoError(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => ImageError::Read(error),
        DecodingError::IoError(_) => ImageError::broken(Format::Png, "it is cut off"),
        DecodingError::LimitsExceeded => {
            ImageError::TooHeavy("what it holds beside its pixels unpacks to more than 16 MiB".into())
        }
        error => ImageError::broken(Format::Png, error.to_string()),
    }
}

impl PngSource {
    pub(super) fn open(file: File, limits: &ImageLimits) -> Result<Self, ImageError> {
        let mut decoder = Decoder::new_with_limits(BufReader::new(file), Limits { bytes: MAX_EXTRA_BYTES });
        decoder.set_ignore_text_chunk(true);
        // Sixteen bits become eight, palettes and lower depths become plain pixels.
        decoder.set_transformations(Transformations::normalize_to_color8());
        let info = decoder.read_header_info().map_err(broken)?;
        let (width, height) = (info.width, info.height);
        limits.check_size(width, height, 1)?;
        let reader = decoder.read_info().map_err(broken)?;
        let info = reader.info();
        let orientation = info.exif_metadata.as_ref().map_or(Orientation::Upright, |exif| Orientation::of_exif(exif));
        let frames = info.animation_control.map_or(1, |control| control.num_frames.max(1));
        Ok(Self { header: Header { width, height, frames, orientation }, reader })
    }

    pub(super) fn header(&self) -> Header {
        self.header
    }

    pub(super) fn decode(mut self, factor: f64, limits: &ImageLimits) -> Result<(Raster, Option<Vec<u8>>), ImageError> {
        let Header { width, height, .. } = self.header;
        let (color, depth) = self.reader.output_color_type();
        if depth != BitDepth::Eight {
            return Err(ImageError::Unsupported(format!("it is a PNG of {depth:?} bits that cannot be read")));
        }
        let pixel = match color {
            ColorType::Grayscale => Pixel::Gray,
            ColorType::Rgb | ColorType::Indexed => Pixel::Rgb,
            ColorType::Rgba | ColorType::GrayscaleAlpha => Pixel::Rgba,
        };
        let by = Shrinker::divisor(factor);
        let interlaced = self.reader.info().interlaced;
        let whole = if interlaced { self.reader.output_buffer_size().unwrap_or(usize::MAX) as u64 } else { 0 };
        limits.check_memory(whole.saturating_add(Shrinker::size_of(width, height, pixel, by) * 2))?;
        let mut shrinker = Shrinker::new(width, height, pixel, by);
        let mut take = |row: &[u8]| {
            if color == ColorType::GrayscaleAlpha {
                let row: Vec<u8> = row.chunks_exact(2).flat_map(|pair| [pair[0], pair[0], pair[0], pair[1]]).collect();
                shrinker.push(&row);
            } else {
                shrinker.push(row);
            }
        };
        if interlaced {
            let mut all = vec![0; usize::try_from(whole).unwrap_or(0)];
            let frame = self.reader.next_frame(&mut all).map_err(broken)?;
            all.chunks_exact(frame.line_size).take(height as usize).for_each(&mut take);
        } else {
            for _ in 0..height {
                let row = self.reader.next_row().map_err(broken)?;
                take(row.ok_or_else(|| ImageError::broken(Format::Png, "it is cut off"))?.data());
            }
        }
        let profile = self.reader.info().icc_profile.as_ref().map(|profile| profile.to_vec());
        Ok((shrinker.finish().without_idle_alpha(), profile))
    }
}

/// Encodes, without any loss.
pub(super) fn encode(raster: &Raster) -> Result<Vec<u8>, ImageError> {
    let mut made = Vec::new();
    let mut encoder = Encoder::new(&mut made, raster.width, raster.height);
    encoder.set_color(match raster.pixel {
        Pixel::Gray => ColorType::Grayscale,
        Pixel::Rgb => ColorType::Rgb,
        Pixel::Rgba | Pixel::Cmyk => ColorType::Rgba,
    });
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Balanced);
    encoder.set_filter(Filter::Adaptive);
    let failed = |error: png::EncodingError| ImageError::Write(std::io::Error::other(error));
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(&raster.data).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(made)
}
