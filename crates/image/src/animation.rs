//! Animations that stay animations.

use super::raster::{Raster, fitted};
use super::{Fit, Format, ImageError, MAX_SIDE, OutputFormat, ProcessedImage, Recipe, Size, Source, encode, gif, webp, write};

/// One frame of an animation and its duration.
pub(super) struct Frame {
    pub(super) raster: Raster,
    pub(super) milliseconds: u32,
}

/// Makes what the recipe says, frame by frame. Thumbnails are of the first frame. Profiles of animations are passed over: nobody writes them.
pub(super) fn process(
    recipe: &Recipe,
    source: Source,
    original_format: Format,
    bytes: u64,
) -> Result<ProcessedImage, ImageError> {
    let format = match recipe.format {
        OutputFormat::Keep => original_format,
        OutputFormat::Webp | OutputFormat::Auto => Format::Webp,
        OutputFormat::Jpeg | OutputFormat::Png | OutputFormat::Avif => {
            return Err(ImageError::Unsupported(
                "an animation is kept as GIF or WebP; for another format say first_frame".into(),
            ));
        }
    };
    let header = source.header();
    let (width, height) = fitted(header.width, header.height, recipe.max_width.min(MAX_SIDE), recipe.max_height.min(MAX_SIDE));
    // All frames are held in memory, and once more in the encoder.
    let held = u64::from(width) * u64::from(height) * 4 * u64::from(header.frames) * 2;
    recipe.limits.check_memory(held)?;
    let frames = source.decode_all(width, height, &recipe.limits)?;
    let Some(first) = frames.first() else { return Err(ImageError::broken(original_format, "it has no frame")) };
    let encoded = if format == Format::Gif { gif::encode(&frames)? } else { webp::encode_all(&frames, recipe.quality)? };
    let size = write(&recipe.output, &first.raster, &encoded)?;
    let mut thumbnails = Vec::with_capacity(recipe.thumbnails.len());
    for wanted in &recipe.thumbnails {
        let raster = match wanted.fit {
            Fit::Crop => first.raster.cropped(wanted.size.min(width).min(height))?,
            Fit::Fit => {
                let (width, height) = fitted(width, height, wanted.size, wanted.size);
                first.raster.resized(width, height)?
            }
        };
        let encoded = encode::encode(&raster, format, recipe.quality, false)?;
        thumbnails.push(write(&wanted.output, &raster, &encoded)?);
    }
    Ok(ProcessedImage {
        format,
        size,
        original: Size { width: header.width, height: header.height, bytes },
        original_format,
        original_frames: header.frames,
        frames: u32::try_from(frames.len()).unwrap_or(u32::MAX),
        color_converted: false,
        thumbnails,
    })
}
