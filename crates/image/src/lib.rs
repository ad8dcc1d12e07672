//! Images: read, fitted into a box, put upright, converted to sRGB, stripped of everything else, and written anew.
//!
//! All of it is meant for a child process ([`legwork_isolate`]): decoders of other people's files run here, some of them in C. What a file may
//! cost is checked against its header before anything is decoded; what the header does not tell is left to the child's limits.

mod animation;
#[cfg(feature = "avif")]
mod avif;
mod color;
mod encode;
mod exif;
mod gif;
mod jpeg;
mod markers;
mod png;
mod raster;
mod shrink;
mod sniff;
mod webp;

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use legwork_isolate::child::Refusal;

pub use encode::missing;
pub use raster::fitted;
pub use sniff::Format;

use animation::Frame;
use exif::Orientation;
use raster::Raster;

/// The name of this work in a child.
pub const WORK: &str = "image";

/// The longest side of anything that is written: what WebP can take.
pub const MAX_SIDE: u32 = 16_383;

/// An image to process and the files to make of it. Paths are local; outputs are overwritten.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Recipe {
    /// Path of the image to read.
    pub source: PathBuf,
    /// Path to write the result to. An existing file is overwritten.
    pub output: PathBuf,
    /// The box that it has to fit into. It is never enlarged.
    pub max_width: u32,
    /// Most pixels of height of the result.
    pub max_height: u32,
    /// 1 to 100, for JPEG, WebP and AVIF.
    pub quality: u8,
    /// The format of the result.
    pub format: OutputFormat,
    /// Whether a JPEG is written progressively, so that a preview appears while it loads.
    pub progressive: bool,
    /// How an animation is treated.
    pub animated: Animated,
    /// Smaller images to make in the same run.
    pub thumbnails: Vec<ThumbnailRecipe>,
    /// The largest image that is processed.
    pub limits: ImageLimits,
}

/// A smaller one beside the result, as a still image of the same format.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ThumbnailRecipe {
    /// The longest side, in pixels.
    pub size: u32,
    /// How the thumbnail fits into its square.
    pub fit: Fit,
    /// Path to write the thumbnail to.
    pub output: PathBuf,
}

/// How a thumbnail fits its size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ImageFit)]
pub enum Fit {
    /// A square, cut out of the middle.
    #[default]
    Crop,
    /// The whole image, scaled to fit within the square.
    Fit,
}

/// The format in which the result is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ImageFormat)]
pub enum OutputFormat {
    /// The format of the source.
    #[default]
    Keep,
    /// JPEG; what is transparent becomes white.
    Jpeg,
    /// PNG, lossless.
    Png,
    /// WebP, lossy.
    Webp,
    /// AVIF, where the program was built with it.
    Avif,
    /// What it was, or WebP: the smaller.
    Auto,
}

/// How an animation is treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ImageAnimated)]
pub enum Animated {
    /// The first frame becomes a still image.
    #[default]
    FirstFrame,
    /// The result is animated: GIF or WebP.
    Keep,
}

/// Limits on the size of an image and on the memory that it takes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ImageLimits {
    /// Bytes of its file.
    pub max_bytes: u64,
    /// Pixels, over all frames that are decoded.
    pub max_pixels: u64,
    /// Bytes of memory, for all of it.
    pub max_memory: u64,
}

/// The result of processing an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessedImage {
    /// The format of the result.
    pub format: Format,
    /// Size of the result, after the rotation that EXIF asks for.
    pub size: Size,
    /// Size of the source, after the rotation that EXIF asks for.
    pub original: Size,
    /// The format of the source.
    pub original_format: Format,
    /// Number of frames in the source; 1 for a still image.
    pub original_frames: u32,
    /// Frames that were written; 1 for a still image.
    pub frames: u32,
    /// Whether the colours were converted to sRGB.
    pub color_converted: bool,
    /// The sizes of the thumbnails, in the order of the recipe.
    pub thumbnails: Vec<Size>,
}

/// The size of an image and of its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Bytes of its file.
    pub bytes: u64,
}

/// The reasons why an image could not be processed.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The file is not an image of a supported format.
    #[error("it is not a JPEG, PNG, WebP or GIF image: {0}")]
    NotAnImage(String),
    /// The file has a supported format and is damaged.
    #[error("it is a damaged {format} image: {reason}")]
    Broken {
        /// The format that the first bytes promise.
        format: Format,
        /// What the decoder found wrong, as text.
        reason: String,
    },
    /// The image uses a feature that this build cannot read or write.
    #[error("{0}")]
    Unsupported(String),
    /// The image exceeds one of the limits.
    #[error("{0}")]
    TooHeavy(String),
    /// The source could not be read.
    #[error("it could not be read: {0}")]
    Read(std::io::Error),
    /// The result could not be written.
    #[error("the result could not be written: {0}")]
    Write(std::io::Error),
}

impl ImageError {
    fn broken(format: Format, reason: impl Into<String>) -> Self {
        Self::Broken { format, reason: reason.into() }
    }

    /// A stable machine-readable code of the error, for example `BrokenImage`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::NotAnImage(_) => "NotAnImage",
            Self::Broken { .. } => "BrokenImage",
            Self::Unsupported(_) => "UnsupportedImage",
            Self::TooHeavy(_) => "ImageTooHeavy",
            Self::Read(error) if error.kind() == std::io::ErrorKind::NotFound => "FileMissing",
            Self::Read(_) => "FileUnreadable",
            Self::Write(_) => "FileUnwritable",
        }
    }

    /// Whether every further attempt would fail in the same way.
    pub fn is_final(&self) -> bool {
        !matches!(self.word(), "FileUnreadable" | "FileUnwritable")
    }
}

impl ImageLimits {
    /// Refuses dimensions and frames that are too much, by the header alone.
    fn check_size(&self, width: u32, height: u32, frames: u32) -> Result<(), ImageError> {
        let pixels = u64::from(width) * u64::from(height) * u64::from(frames);
        if pixels <= self.max_pixels {
            return Ok(());
        }
        let of = if frames > 1 { format!(" in {frames} frames") } else { String::new() };
        Err(ImageError::TooHeavy(format!(
            "{width} × {height}{of} are {pixels} pixels; IMAGE_MAX_PIXELS allows {}",
            self.max_pixels
        )))
    }

    /// Refuses what would not fit into memory, so that the user is told so and no child dies of it.
    fn check_memory(&self, bytes: u64) -> Result<(), ImageError> {
        // The program itself, tables, buffers for reading and writing.
        let rest = self.max_memory / 8;
        if bytes.saturating_add(rest) <= self.max_memory {
            return Ok(());
        }
        let (needed, allowed) = (bytes.saturating_add(rest) >> 20, self.max_memory >> 20);
        Err(ImageError::TooHeavy(format!("it takes about {needed} MiB of memory; CHILD_MAX_MEMORY allows {allowed} MiB")))
    }
}

/// Facts from an image's header.
#[derive(Clone, Copy, Debug)]
struct Header {
    /// As stored, before it is put upright.
    width: u32,
    height: u32,
    frames: u32,
    orientation: Orientation,
}

impl Header {
    fn upright(&self) -> (u32, u32) {
        if self.orientation.swaps_sides() { (self.height, self.width) } else { (self.width, self.height) }
    }
}

/// An opened image, of which nothing but the header was read.
enum Source {
    Jpeg(jpeg::JpegSource),
    Png(Box<png::PngSource>),
    Gif(Box<gif::GifSource>),
    Webp(Box<webp::WebpSource>),
}

impl Source {
    fn open(file: File, format: Format, recipe: &Recipe) -> Result<Self, ImageError> {
        let (limits, keeps) = (&recipe.limits, recipe.animated == Animated::Keep);
        match format {
            Format::Jpeg => jpeg::JpegSource::open(file, limits).map(Self::Jpeg),
            Format::Png => png::PngSource::open(file, limits).map(|source| Self::Png(Box::new(source))),
            Format::Gif => gif::GifSource::open(file, limits, keeps).map(|source| Self::Gif(Box::new(source))),
            Format::Webp => webp::WebpSource::open(file, limits, keeps).map(|source| Self::Webp(Box::new(source))),
            Format::Avif => Err(ImageError::Unsupported("AVIF images cannot be read".into())),
        }
    }

    fn header(&self) -> Header {
        match self {
            Self::Jpeg(source) => source.header(),
            Self::Png(source) => source.header(),
            Self::Gif(source) => source.header(),
            Self::Webp(source) => source.header(),
        }
    }

    /// Decodes the first frame, at no less than `factor` of its size.
    fn decode(self, factor: f64, limits: &ImageLimits) -> Result<(Raster, Option<Vec<u8>>), ImageError> {
        match self {
            Self::Jpeg(source) => source.decode(factor, limits),
            Self::Png(source) => source.decode(factor, limits),
            Self::Gif(source) => source.decode(limits),
            Self::Webp(source) => source.decode(limits),
        }
    }

    /// Decodes every frame, each fitted at once.
    fn decode_all(self, width: u32, height: u32, limits: &ImageLimits) -> Result<Vec<Frame>, ImageError> {
        match self {
            Self::Gif(source) => source.decode_all(width, height, limits),
            Self::Webp(source) => source.decode_all(width, height, limits),
            Self::Jpeg(_) | Self::Png(_) => Err(ImageError::Unsupported("only GIF and WebP animations are kept".into())),
        }
    }
}

/// The work as a child does it: a [`Recipe`] in, a [`ProcessedImage`] out.
pub fn handle(args: &RawValue) -> Result<Value, Refusal> {
    let refused = |word: &str, message: String, is_final| Refusal { word: word.to_owned(), message, is_final };
    let recipe: Recipe = serde_json::from_str(args.get()).map_err(|error| refused("BadRequest", error.to_string(), true))?;
    let image = process(&recipe).map_err(|error| refused(error.word(), error.to_string(), error.is_final()))?;
    serde_json::to_value(image).map_err(|error| refused("BadResult", error.to_string(), true))
}

/// Makes what the recipe says.
pub fn process(recipe: &Recipe) -> Result<ProcessedImage, ImageError> {
    // A link is not followed, and a pipe does not keep us waiting.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let mut file = File::options().read(true).custom_flags(flags).open(&recipe.source).map_err(ImageError::Read)?;
    let metadata = file.metadata().map_err(ImageError::Read)?;
    if !metadata.is_file() {
        return Err(ImageError::NotAnImage("it is not a file".into()));
    }
    let bytes = metadata.len();
    if bytes > recipe.limits.max_bytes {
        let allowed = recipe.limits.max_bytes;
        return Err(ImageError::TooHeavy(format!("its file has {bytes} bytes; IMAGE_MAX_BYTES allows {allowed}")));
    }
    let original_format = sniff::format_of(&mut file)?;
    let source = Source::open(file, original_format, recipe)?;
    let header = source.header();
    let (width, height) = header.upright();
    if header.frames > 1 && recipe.animated == Animated::Keep && matches!(original_format, Format::Gif | Format::Webp) {
        return animation::process(recipe, source, original_format, bytes);
    }
    let target = fitted(width, height, recipe.max_width.min(MAX_SIDE), recipe.max_height.min(MAX_SIDE));
    let made = make(recipe, source, header, target)?;
    let (format, encoded) = encode::encode_output(recipe, original_format, &made.main)?;
    let size = write(&recipe.output, &made.main, &encoded)?;
    let mut thumbnails = Vec::with_capacity(made.thumbnails.len());
    for (wanted, thumbnail) in recipe.thumbnails.iter().zip(&made.thumbnails) {
        let encoded = encode::encode(thumbnail, format, recipe.quality, false)?;
        thumbnails.push(write(&wanted.output, thumbnail, &encoded)?);
    }
    Ok(ProcessedImage {
        format,
        size,
        original: Size { width, height, bytes },
        original_format,
        original_frames: header.frames,
        frames: 1,
        color_converted: made.color_converted,
        thumbnails,
    })
}

struct Made {
    main: Raster,
    thumbnails: Vec<Raster>,
    color_converted: bool,
}

/// Decodes once, as small as serves, and makes everything of that. Turned upright last, when there is least to turn.
fn make(recipe: &Recipe, source: Source, header: Header, target: (u32, u32)) -> Result<Made, ImageError> {
    let upright = header.upright();
    let side = |out: u32, of: u32| f64::from(out) / f64::from(of);
    let main_factor = side(target.0, upright.0).max(side(target.1, upright.1));
    let factor_of = |thumbnail: &ThumbnailRecipe| {
        let (cropped, whole) = (upright.0.min(upright.1), upright.0.max(upright.1));
        side(thumbnail.size, if thumbnail.fit == Fit::Crop { cropped } else { whole }).min(1.0)
    };
    let factor = recipe.thumbnails.iter().map(factor_of).fold(main_factor, f64::max);
    let (decoded, profile) = source.decode(factor, &recipe.limits)?;
    let stored = if header.orientation.swaps_sides() { (target.1, target.0) } else { target };
    let (main, color_converted) = color::to_srgb(decoded.resized(stored.0, stored.1)?, profile.as_deref());
    let mut thumbnails = Vec::with_capacity(recipe.thumbnails.len());
    for wanted in &recipe.thumbnails {
        let cut = |raster: &Raster| match wanted.fit {
            Fit::Crop => raster.cropped(wanted.size.min(upright.0).min(upright.1)),
            Fit::Fit => {
                let (width, height) = fitted(header.width, header.height, wanted.size, wanted.size);
                raster.resized(width, height)
            }
        };
        let thumbnail =
            if factor_of(wanted) <= main_factor { cut(&main)? } else { color::to_srgb(cut(&decoded)?, profile.as_deref()).0 };
        thumbnails.push(header.orientation.apply(thumbnail));
    }
    Ok(Made { main: header.orientation.apply(main), thumbnails, color_converted })
}

fn write(path: &Path, raster: &Raster, encoded: &[u8]) -> Result<Size, ImageError> {
    let mut file = File::create(path).map_err(ImageError::Write)?;
    file.write_all(encoded).map_err(ImageError::Write)?;
    Ok(Size { width: raster.width, height: raster.height, bytes: encoded.len() as u64 })
}
