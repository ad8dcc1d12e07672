//! Colours: what a profile says becomes sRGB, which is what an image without a profile is taken for.

use std::panic::{AssertUnwindSafe, catch_unwind};

use moxcms::{ColorProfile, DataColorSpace, Layout, TransformOptions};

use super::raster::{Pixel, Raster};

/// Larger profiles are passed over.
const MAX_PROFILE_BYTES: usize = 4 << 20;
/// Steps along each edge of the cube of colours by which a profile is compared with sRGB.
const STEPS: usize = 6;
/// A profile that moves no colour further than this is sRGB.
const SAME: u8 = 2;

/// Converts to sRGB, and tells whether there was anything to convert. A profile that makes no sense is passed over.
pub(super) fn to_srgb(raster: Raster, profile: Option<&[u8]>) -> (Raster, bool) {
    let converted = profile.filter(|bytes| bytes.len() <= MAX_PROFILE_BYTES).and_then(|bytes| {
        // A stranger's profile; the image is not worth less for a bad one.
        catch_unwind(AssertUnwindSafe(|| by_profile(&raster, bytes))).ok().flatten()
    });
    match converted {
        Some(converted) => (converted, true),
        None if raster.pixel == Pixel::Cmyk => (by_rule(&raster), true),
        None => (raster, false),
    }
}

/// `None` where the profile does not fit the pixels, cannot be used, or is sRGB anyway.
fn by_profile(raster: &Raster, bytes: &[u8]) -> Option<Raster> {
    let profile = ColorProfile::new_from_slice(bytes).ok()?;
    let (from, to, pixel) = match (raster.pixel, profile.color_space) {
        (Pixel::Gray, DataColorSpace::Gray) => (Layout::Gray, Layout::Rgb, Pixel::Rgb),
        (Pixel::Rgb, DataColorSpace::Rgb) => (Layout::Rgb, Layout::Rgb, Pixel::Rgb),
        (Pixel::Rgba, DataColorSpace::Rgb) => (Layout::Rgba, Layout::Rgba, Pixel::Rgba),
        (Pixel::Cmyk, DataColorSpace::Cmyk) => (Layout::Rgba, Layout::Rgb, Pixel::Rgb),
        _ => return None,
    };
    let transform = profile.create_transform_8bit(from, &ColorProfile::new_srgb(), to, TransformOptions::default()).ok()?;
    let convert = |data: &[u8]| {
        let mut made = vec![0; data.len() / raster.pixel.channels() * pixel.channels()];
        transform.transform(data, &mut made).ok().map(|()| made)
    };
    if matches!(raster.pixel, Pixel::Rgb | Pixel::Rgba) {
        let cube = cube(raster.pixel);
        let moved = convert(&cube)?;
        if cube.iter().zip(&moved).all(|(before, after)| before.abs_diff(*after) <= SAME) {
            return None;
        }
    }
    let data = convert(&raster.data)?;
    if raster.pixel == Pixel::Gray {
        // Grey stays grey, in a third of the bytes.
        let gray = data.chunks_exact(3).map(|pixel| pixel[1]).collect();
        return Some(Raster::new(raster.width, raster.height, Pixel::Gray, gray));
    }
    Some(Raster::new(raster.width, raster.height, pixel, data))
}

fn cube(pixel: Pixel) -> Vec<u8> {
    let step = |index: usize| u8::try_from(index * 255 / (STEPS - 1)).unwrap_or(u8::MAX);
    let mut colors = Vec::with_capacity(STEPS.pow(3) * pixel.channels());
    for index in 0..STEPS.pow(3) {
        colors.extend([step(index % STEPS), step(index / STEPS % STEPS), step(index / STEPS / STEPS)]);
        if pixel == Pixel::Rgba {
            colors.push(u8::MAX);
        }
    }
    colors
}

/// Inks to light without a profile: what every ink leaves over, times what black leaves over.
fn by_rule(raster: &Raster) -> Raster {
    let mut data = Vec::with_capacity(raster.data.len() / 4 * 3);
    for inks in raster.data.chunks_exact(4) {
        let left = u32::from(255 - inks[3]);
        data.extend(inks[..3].iter().map(|&ink| u8::try_from((u32::from(255 - ink) * left + 127) / 255).unwrap_or(u8::MAX)));
    }
    Raster::new(raster.width, raster.height, Pixel::Rgb, data)
}
