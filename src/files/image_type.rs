//! What sort of image some bytes are: by what they say themselves, whatever their name. These are the sorts that `image.process` reads.

/// A sort of image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageType {
    /// JPEG, which begins with `FF D8 FF`.
    Jpeg,
    /// PNG, which begins with `89 50 4E 47`.
    Png,
    /// WebP, a RIFF container.
    WebP,
    /// GIF, version 87a or 89a.
    Gif,
}

impl ImageType {
    /// So many bytes from the start tell the sort.
    pub const HEAD_BYTES: usize = 64;

    /// The sort that `head`, the start of a file, says it is; `None` for anything else.
    pub fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Self::Gif),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', b'V', b'P', b'8', ..] => Some(Self::WebP),
            _ => None,
        }
    }

    /// The media type, for example `image/png`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::WebP => "image/webp",
            Self::Gif => "image/gif",
        }
    }

    /// The end of its file names, without the dot.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::WebP => "webp",
            Self::Gif => "gif",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_what_its_bytes_say() {
        for (head, sort) in [
            (b"\xff\xd8\xff\xe0\0\x10JFIF".as_slice(), ImageType::Jpeg),
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", ImageType::Png),
            (b"GIF87a", ImageType::Gif),
            (b"GIF89a....", ImageType::Gif),
            (b"RIFF\x10\0\0\0WEBPVP8 ", ImageType::WebP),
            (b"RIFF\x10\0\0\0WEBPVP8X", ImageType::WebP),
        ] {
            assert_eq!(ImageType::of(head), Some(sort), "{head:?}");
        }
    }

    #[test]
    fn what_is_no_image_of_ours_is_none() {
        for head in [
            b"".as_slice(),
            b"\xff\xd8",
            b"<svg xmlns",
            b"<!doctype html>",
            b"%PDF-1.7",
            b"PK\x03\x04",
            b"MZ",
            b"\x89PNG",
            b"GIF88a",
            b"RIFF\x10\0\0\0WAVEfmt ",
            b"\0\0\0\x18ftypmp42\0\0\0\0isom",
            b"\0\0\0\x18ftypheic\0\0\0\0mif1",
            // No kind reads AVIF.
            b"\0\0\0\x1cftypavif\0\0\0\0mif1miaf",
            b"BM",
            b"II*\0",
        ] {
            assert_eq!(ImageType::of(head), None, "{head:?}");
        }
    }
}
