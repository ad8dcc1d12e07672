//! AVIF, written by rav1e. Slow: about a second for a megapixel.

use ravif::{Encoder, Img, RGBA8};

use super::ImageError;
use super::raster::Raster;

/// 1 is the slowest and smallest, 10 the fastest. Below 8 an image takes several seconds.
const SPEED: u8 = 8;

/// Encodes the image lossily. `quality` is 1 to 100.
pub(super) fn encode(raster: &Raster, quality: u8) -> Result<Vec<u8>, ImageError> {
    let rgba = raster.to_rgba();
    let pixels: Vec<RGBA8> = rgba.chunks_exact(4).map(|pixel| RGBA8::new(pixel[0], pixel[1], pixel[2], pixel[3])).collect();
    let image = Img::new(pixels.as_slice(), raster.width as usize, raster.height as usize);
    let encoder = Encoder::new().with_quality(f32::from(quality)).with_alpha_quality(f32::from(quality)).with_speed(SPEED);
    let made = encoder.encode_rgba(image).map_err(|error| ImageError::Write(std::io::Error::other(error)))?;
    Ok(made.avif_file)
}
