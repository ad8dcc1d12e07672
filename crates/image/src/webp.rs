//! WebP: read in Rust; written by libwebp, where the program was built with it.

use std::fs::File;
use std::io::BufReader;

use image_webp::{DecodingError, WebPDecoder};

use super::animation::Frame;
use super::exif::Orientation;
use super::raster::{Pixel, Raster};
use super::{Format, Header, ImageError, ImageLimits};

pub(super) struct WebpSource {
    decoder: WebPDecoder<BufReader<File>>,
    header: Header,
}

fn broken(error: DecodingError) -> ImageError {
    match error {
        DecodingError::IoError(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => ImageError::Read(error),
        DecodingError::IoError(_) => ImageError::broken(Format::Webp, "it is cut off"),
        DecodingError::MemoryLimitExceeded | DecodingError::ImageTooLarge => {
            ImageError::TooHeavy("a part of it is larger than may be decoded".into())
        }
        error => ImageError::broken(Format::Webp, error.to_string()),
    }
}

impl WebpSource {
    /// `counts_all`: whether all frames are going to be decoded, and so have to be paid for.
    pub(super) fn open(file: File, limits: &ImageLimits, counts_all: bool) -> Result<Self, ImageError> {
        let mut decoder = WebPDecoder::new(BufReader::new(file)).map_err(broken)?;
        let (width, height) = decoder.dimensions();
        let frames = if decoder.is_animated() { decoder.num_frames().max(1) } else { 1 };
        limits.check_size(width, height, if counts_all { frames } else { 1 })?;
        decoder.set_memory_limit(usize::try_from(limits.max_memory / 3).unwrap_or(usize::MAX));
        let exif = decoder.exif_metadata().map_err(broken)?;
        let orientation = exif.map_or(Orientation::Upright, |exif| Orientation::of_exif(&exif));
        Ok(Self { decoder, header: Header { width, height, frames, orientation } })
    }

    pub(super) fn header(&self) -> Header {
        self.header
    }

    pub(super) fn decode(mut self, limits: &ImageLimits) -> Result<(Raster, Option<Vec<u8>>), ImageError> {
        let mut raster = self.canvas(limits)?;
        self.decoder.read_image(&mut raster.data).map_err(broken)?;
        let profile = self.decoder.icc_profile().ok().flatten();
        Ok((raster.without_idle_alpha(), profile))
    }

    pub(super) fn decode_all(mut self, width: u32, height: u32, limits: &ImageLimits) -> Result<Vec<Frame>, ImageError> {
        let mut canvas = self.canvas(limits)?;
        let mut frames = Vec::new();
        for _ in 0..self.header.frames {
            let milliseconds = self.decoder.read_frame(&mut canvas.data).map_err(broken)?;
            frames.push(Frame { raster: canvas.resized(width, height)?, milliseconds });
        }
        Ok(frames)
    }

    fn canvas(&self, limits: &ImageLimits) -> Result<Raster, ImageError> {
        let Header { width, height, .. } = self.header;
        // The memory of the result, and about as much again while it is made.
        limits.check_memory(u64::from(width) * u64::from(height) * 9)?;
        let bytes = self.decoder.output_buffer_size().ok_or_else(|| ImageError::TooHeavy("it is too large".into()))?;
        let pixel = if self.decoder.has_alpha() { Pixel::Rgba } else { Pixel::Rgb };
        Ok(Raster::new(width, height, pixel, vec![0; bytes]))
    }
}

/// Encodes one still image lossily. `quality` is 1 to 100.
#[cfg(feature = "webp")]
pub(super) fn encode(raster: &Raster, quality: u8) -> Result<Vec<u8>, ImageError> {
    let flattened;
    let encoder = match raster.pixel {
        Pixel::Rgba => webp::Encoder::from_rgba(&raster.data, raster.width, raster.height),
        Pixel::Gray => {
            flattened = raster.flattened();
            webp::Encoder::from_rgb(&flattened, raster.width, raster.height)
        }
        Pixel::Rgb | Pixel::Cmyk => webp::Encoder::from_rgb(&raster.data, raster.width, raster.height),
    };
    let made = encoder.encode_simple(false, f32::from(quality));
    made.map(|memory| memory.to_vec()).map_err(|error| ImageError::Write(std::io::Error::other(format!("libwebp: {error:?}"))))
}

/// Encodes an animation, with loss.
#[cfg(feature = "webp")]
pub(super) fn encode_all(frames: &[Frame], quality: u8) -> Result<Vec<u8>, ImageError> {
    let failed = |reason: String| ImageError::Write(std::io::Error::other(format!("libwebp: {reason}")));
    let Some(first) = frames.first() else { return Err(ImageError::broken(Format::Webp, "it has no frame")) };
    let mut config = webp::WebPConfig::new().map_err(|()| failed("it has no configuration".into()))?;
    config.quality = f32::from(quality);
    let rasters: Vec<Vec<u8>> = frames.iter().map(|frame| frame.raster.to_rgba()).collect();
    let mut encoder = webp::AnimEncoder::new(first.raster.width, first.raster.height, &config);
    let mut at = 0_i32;
    for (frame, data) in frames.iter().zip(&rasters) {
        encoder.add_frame(webp::AnimFrame::from_rgba(data, first.raster.width, first.raster.height, at));
        at = at.saturating_add(i32::try_from(frame.milliseconds).unwrap_or(i32::MAX));
    }
    encoder.try_encode().map(|memory| memory.to_vec()).map_err(|error| failed(format!("{error:?}")))
}

/// Refuses to encode, because this build has no libwebp.
#[cfg(not(feature = "webp"))]
pub(super) fn encode(_raster: &Raster, _quality: u8) -> Result<Vec<u8>, ImageError> {
    Err(ImageError::Unsupported(super::encode::NO_WEBP.into()))
}

/// Refuses to encode, because this build has no libwebp.
#[cfg(not(feature = "webp"))]
pub(super) fn encode_all(_frames: &[Frame], _quality: u8) -> Result<Vec<u8>, ImageError> {
    Err(ImageError::Unsupported(super::encode::NO_WEBP.into()))
}
