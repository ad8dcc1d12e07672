//! Chooses the format of the result and its encoder.

use super::animation::Frame;
use super::raster::Raster;
use super::{Format, ImageError, OutputFormat, Recipe, gif, jpeg, png, webp};

#[cfg(not(feature = "webp"))]
pub(super) const NO_WEBP: &str = "this program was built without WebP as an output";
#[cfg(not(feature = "avif"))]
const NO_AVIF: &str = "this program was built without AVIF as an output; build it with --features avif";

/// The reason why this build cannot write `format`; `None` if it can.
pub fn missing(format: OutputFormat) -> Option<&'static str> {
    match format {
        #[cfg(not(feature = "webp"))]
        OutputFormat::Webp => Some(NO_WEBP),
        #[cfg(not(feature = "avif"))]
        OutputFormat::Avif => Some(NO_AVIF),
        _ => None,
    }
}

/// Encodes as the recipe says.
pub(super) fn encode_output(recipe: &Recipe, original: Format, raster: &Raster) -> Result<(Format, Vec<u8>), ImageError> {
    let with = |format: Format| Ok((format, encode(raster, format, recipe.quality, recipe.progressive)?));
    match recipe.format {
        OutputFormat::Keep => with(original),
        OutputFormat::Jpeg => with(Format::Jpeg),
        OutputFormat::Png => with(Format::Png),
        OutputFormat::Webp => with(Format::Webp),
        OutputFormat::Avif => with(Format::Avif),
        OutputFormat::Auto => {
            let kept = with(original)?;
            if original == Format::Webp || missing(OutputFormat::Webp).is_some() {
                return Ok(kept);
            }
            let as_webp = with(Format::Webp)?;
            Ok(if as_webp.1.len() < kept.1.len() { as_webp } else { kept })
        }
    }
}

/// Encodes a still image.
pub(super) fn encode(raster: &Raster, format: Format, quality: u8, progressive: bool) -> Result<Vec<u8>, ImageError> {
    match format {
        Format::Jpeg => jpeg::encode(raster, quality, progressive),
        Format::Png => png::encode(raster),
        Format::Gif => gif::encode(&[Frame { raster: raster.clone(), milliseconds: 0 }]),
        Format::Webp => webp::encode(raster, quality),
        #[cfg(feature = "avif")]
        Format::Avif => super::avif::encode(raster, quality),
        #[cfg(not(feature = "avif"))]
        Format::Avif => Err(ImageError::Unsupported(NO_AVIF.into())),
    }
}
