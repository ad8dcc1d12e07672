//! Recognizes the format of a file by its content. The file's name is not used.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};

use serde::{Deserialize, Serialize};

use super::ImageError;

/// The format of an image, recognized by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// JPEG, baseline or progressive.
    Jpeg,
    /// PNG, always lossless.
    Png,
    /// WebP, still or animated.
    Webp,
    /// GIF, still or animated.
    Gif,
    /// AVIF; written, never read.
    Avif,
}

impl Format {
    /// As in results: `jpeg`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Png => "png",
            Self::Webp => "webp",
            Self::Gif => "gif",
            Self::Avif => "avif",
        }
    }

    /// The end of a file's name, without the dot.
    pub fn extension(self) -> &'static str {
        if self == Self::Jpeg { "jpg" } else { self.as_str() }
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::Webp => "WebP",
            Self::Gif => "GIF",
            Self::Avif => "AVIF",
        })
    }
}

/// The format of a file, which is left at its start.
pub(super) fn format_of(file: &mut File) -> Result<Format, ImageError> {
    let mut head = Vec::with_capacity(16);
    file.by_ref().take(16).read_to_end(&mut head).map_err(ImageError::Read)?;
    file.seek(SeekFrom::Start(0)).map_err(ImageError::Read)?;
    let is_riff = head.starts_with(b"RIFF");
    match head.as_slice() {
        [] => Err(ImageError::NotAnImage("it is empty".into())),
        [0xFF, 0xD8, 0xFF, ..] => Ok(Format::Jpeg),
        [0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A, ..] => Ok(Format::Png),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Ok(Format::Gif),
        [_, _, _, _, _, _, _, _, b'W', b'E', b'B', b'P', ..] if is_riff => Ok(Format::Webp),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => Err(ImageError::NotAnImage("AVIF, HEIC and films cannot be read".into())),
        _ => Err(ImageError::NotAnImage("its first bytes are those of no such format".into())),
    }
}
