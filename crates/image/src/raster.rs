//! Pixels in memory, and what is done to them whatever file they came from.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use super::ImageError;

/// The channels of a pixel, one byte each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pixel {
    /// One channel: grey.
    Gray,
    /// Three channels: red, green, blue.
    Rgb,
    /// Four channels: red, green, blue and opacity, not premultiplied.
    Rgba,
    /// Cyan, magenta, yellow, black; 255 is all of the ink.
    Cmyk,
}

impl Pixel {
    pub(super) fn channels(self) -> usize {
        match self {
            Self::Gray => 1,
            Self::Rgb => 3,
            Self::Rgba | Self::Cmyk => 4,
        }
    }

    fn for_resizer(self) -> PixelType {
        match self {
            Self::Gray => PixelType::U8,
            Self::Rgb => PixelType::U8x3,
            Self::Rgba | Self::Cmyk => PixelType::U8x4,
        }
    }
}

/// An image, row by row, without padding.
#[derive(Clone, Debug)]
pub(super) struct Raster {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) pixel: Pixel,
    pub(super) data: Vec<u8>,
    /// The width and height that the image covers, from the upper left corner: a decoder that shrinks fills the last column and row.
    extent: (f64, f64),
}

impl Raster {
    pub(super) fn new(width: u32, height: u32, pixel: Pixel, data: Vec<u8>) -> Self {
        Self { width, height, pixel, data, extent: (f64::from(width), f64::from(height)) }
    }

    /// The same raster, of which the image covers only this width and height.
    pub(super) fn covering(mut self, width: f64, height: f64) -> Self {
        self.extent = (width.clamp(1.0, f64::from(self.width)), height.clamp(1.0, f64::from(self.height)));
        self
    }

    /// The whole image, scaled to another size.
    pub(super) fn resized(&self, width: u32, height: u32) -> Result<Self, ImageError> {
        let is_same = (width, height) == (self.width, self.height) && self.extent == (f64::from(width), f64::from(height));
        if is_same {
            return Ok(self.clone());
        }
        self.cut(0.0, 0.0, self.extent.0, self.extent.1, (width, height))
    }

    /// The square in the middle, in another size.
    pub(super) fn cropped(&self, side: u32) -> Result<Self, ImageError> {
        let (width, height) = self.extent;
        let from = width.min(height);
        self.cut((width - from) / 2.0, (height - from) / 2.0, from, from, (side, side))
    }

    fn cut(&self, left: f64, top: f64, width: f64, height: f64, to: (u32, u32)) -> Result<Self, ImageError> {
        let failed = |error: &dyn std::fmt::Display| ImageError::Unsupported(format!("it cannot be resized: {error}"));
        let kind = self.pixel.for_resizer();
        let source = ImageRef::new(self.width, self.height, &self.data, kind).map_err(|error| failed(&error))?;
        let mut made = Image::new(to.0, to.1, kind);
        let options = ResizeOptions::new()
            .resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3))
            .crop(left, top, width, height)
            .use_alpha(self.pixel == Pixel::Rgba);
        Resizer::new().resize(&source, &mut made, Some(&options)).map_err(|error| failed(&error))?;
        Ok(Self::new(to.0, to.1, self.pixel, made.into_vec()))
    }

    /// Without the opacity, where every pixel is opaque.
    pub(super) fn without_idle_alpha(self) -> Self {
        let is_idle = self.pixel == Pixel::Rgba && self.data.chunks_exact(4).all(|pixel| pixel[3] == u8::MAX);
        if !is_idle {
            return self;
        }
        let data = self.data.chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
        Self { data, pixel: Pixel::Rgb, ..self }
    }

    /// As red, green and blue; what is transparent becomes white.
    pub(super) fn flattened(&self) -> Vec<u8> {
        match self.pixel {
            Pixel::Rgba => self
                .data
                .chunks_exact(4)
                .flat_map(|pixel| {
                    let over_white = |value: u8| {
                        let (value, alpha) = (u32::from(value), u32::from(pixel[3]));
                        u8::try_from((value * alpha + 255 * (255 - alpha) + 127) / 255).unwrap_or(u8::MAX)
                    };
                    [over_white(pixel[0]), over_white(pixel[1]), over_white(pixel[2])]
                })
                .collect(),
            Pixel::Gray => self.data.iter().flat_map(|&value| [value; 3]).collect(),
            Pixel::Rgb | Pixel::Cmyk => self.data.clone(),
        }
    }

    /// As red, green, blue and opacity.
    pub(super) fn to_rgba(&self) -> Vec<u8> {
        match self.pixel {
            Pixel::Rgba | Pixel::Cmyk => self.data.clone(),
            Pixel::Gray => self.data.iter().flat_map(|&value| [value, value, value, u8::MAX]).collect(),
            Pixel::Rgb => self.data.chunks_exact(3).flat_map(|pixel| [pixel[0], pixel[1], pixel[2], u8::MAX]).collect(),
        }
    }
}

/// The largest size of the same shape that fits into a box, and is no larger than it was. No side is less than a pixel.
pub fn fitted(width: u32, height: u32, max_width: u32, max_height: u32) -> (u32, u32) {
    if width <= max_width && height <= max_height {
        return (width, height);
    }
    // Whole numbers, so that the side that decides comes out exactly: `of * to / from`, rounded.
    let scaled = |of: u32, to: u32, from: u32| {
        let (of, to, from) = (u64::from(of), u64::from(to), u64::from(from.max(1)));
        u32::try_from((2 * of * to + from) / (2 * from)).unwrap_or(u32::MAX).max(1)
    };
    let width_decides = u64::from(width) * u64::from(max_height) >= u64::from(height) * u64::from(max_width);
    if width_decides {
        (max_width, scaled(height, max_width, width).min(max_height))
    } else {
        (scaled(width, max_height, height).min(max_width), max_height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_fits_its_box_keeps_its_shape_and_never_grows() {
        for ((width, height), (max_width, max_height), fits) in [
            ((4000, 3000), (1200, 800), (1067, 800)),
            ((4000, 2000), (1200, 800), (1200, 600)),
            ((640, 480), (1200, 800), (640, 480)),
            ((1200, 800), (1200, 800), (1200, 800)),
            ((100_000, 1), (1200, 800), (1200, 1)),
            ((1, 100_000), (1200, 800), (1, 800)),
            ((65_535, 65_535), (1, 1), (1, 1)),
        ] {
            assert_eq!(fitted(width, height, max_width, max_height), fits, "{width} × {height}");
        }
    }

    #[test]
    fn transparent_pixels_do_not_bleed_their_colour_when_resized() {
        let red_or_hidden_green: Vec<u8> =
            (0..64).flat_map(|x| if x % 2 == 0 { [255, 0, 0, 255] } else { [0, 255, 0, 0] }).collect();
        let small = Raster::new(8, 8, Pixel::Rgba, red_or_hidden_green).resized(2, 2).unwrap();
        assert!(small.data.chunks_exact(4).all(|pixel| pixel[0] > 250 && pixel[1] < 5), "{:?}", small.data);
    }
}
