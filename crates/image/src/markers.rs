//! What stands before the pixels of a JPEG, read by hand: its size, how it is coded, its profile and which way up it is.
//!
//! The decoder is only asked once this has found nothing wrong: it would start to allocate by the header's word.

use std::io::{BufRead, Read as _};

use super::exif::Orientation;
use super::{Format, ImageError};

/// A progressive image of more scans than this is made to keep a decoder busy; cameras and tools write ten or so.
const MAX_SCANS: u32 = 100;
/// Segments before the first scan.
const MAX_SEGMENTS: u32 = 2_000;
const PROFILE_MARK: &[u8] = b"ICC_PROFILE\0";

/// What the markers say about the image.
#[derive(Clone, Debug, Default)]
pub(super) struct Markers {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) components: u8,
    /// Samples a pixel over all components, in tenths: 15 where colour is stored at a quarter of the size.
    pub(super) samples: u64,
    pub(super) is_progressive: bool,
    pub(super) has_adobe_mark: bool,
    pub(super) orientation: Orientation,
    pub(super) profile: Option<Vec<u8>>,
}

fn broken(reason: impl Into<String>) -> ImageError {
    ImageError::broken(Format::Jpeg, reason)
}

/// Reads up to the first scan; of a progressive image all of it, to count the scans.
pub(super) fn read(file: &mut impl BufRead) -> Result<Markers, ImageError> {
    let mut found = Markers::default();
    let mut pieces: Vec<(u8, Vec<u8>)> = Vec::new();
    let mut mark = [0; 2];
    exact(file, &mut mark)?;
    for _ in 0..MAX_SEGMENTS {
        let marker = next_marker(file)?;
        match marker {
            0xD8 | 0x01 | 0xD0..=0xD7 => continue,
            0xD9 => return Err(broken("it ends before its first pixel")),
            _ => {}
        }
        let segment = segment(file)?;
        match marker {
            0xC0..=0xC2 => found.frame(marker, &segment)?,
            0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF => {
                return Err(ImageError::Unsupported(
                    "it is a lossless, hierarchical or arithmetic JPEG, which cannot be read".into(),
                ));
            }
            0xE1 if segment.starts_with(b"Exif\0\0") => found.orientation = Orientation::of_exif(&segment),
            0xE2 if segment.starts_with(PROFILE_MARK) && segment.len() > 14 => pieces.push((segment[12], segment[14..].to_vec())),
            0xEE => found.has_adobe_mark |= segment.starts_with(b"Adobe"),
            0xDA => {
                if found.width == 0 {
                    return Err(broken("its pixels start before its size is told"));
                }
                pieces.sort_by_key(|(number, _)| *number);
                found.profile =
                    Some(pieces.into_iter().flat_map(|(_, piece)| piece).collect()).filter(|all: &Vec<u8>| !all.is_empty());
                if found.is_progressive {
                    check_scans(file)?;
                }
                return Ok(found);
            }
            _ => {}
        }
    }
    Err(broken(format!("it has more than {MAX_SEGMENTS} segments before its first pixel")))
}

impl Markers {
    fn frame(&mut self, marker: u8, segment: &[u8]) -> Result<(), ImageError> {
        let [precision, h1, h0, w1, w0, components, rest @ ..] = segment else { return Err(broken("its header is cut off")) };
        if self.width != 0 {
            return Err(broken("it tells its size twice"));
        }
        if *precision != 8 {
            return Err(ImageError::Unsupported(format!("it is a JPEG of {precision} bits a sample; 8 can be read")));
        }
        if !matches!(components, 1 | 3 | 4) || rest.len() < usize::from(*components) * 3 {
            return Err(broken(format!("it claims {components} colour components")));
        }
        self.width = u32::from(u16::from_be_bytes([*w1, *w0]));
        self.height = u32::from(u16::from_be_bytes([*h1, *h0]));
        if self.width == 0 || self.height == 0 {
            return Err(broken("it has no width or no height"));
        }
        let areas: Vec<u64> =
            rest.chunks_exact(3).take(usize::from(*components)).map(|c| u64::from(c[1] >> 4) * u64::from(c[1] & 15)).collect();
        let largest = areas.iter().copied().max().unwrap_or(1).max(1);
        self.samples = areas.iter().map(|area| area * 10 / largest).sum::<u64>().max(10);
        self.components = *components;
        self.is_progressive = marker == 0xC2;
        Ok(())
    }
}

/// Counts the scans that are left.
fn check_scans(file: &mut impl BufRead) -> Result<(), ImageError> {
    let mut scans = 1;
    let mut after_ff = false;
    loop {
        let buffer = file.fill_buf().map_err(ImageError::Read)?;
        if buffer.is_empty() {
            return Ok(());
        }
        for &byte in buffer {
            if after_ff && byte == 0xDA {
                scans += 1;
            }
            after_ff = byte == 0xFF;
        }
        let length = buffer.len();
        file.consume(length);
        if scans > MAX_SCANS {
            return Err(ImageError::TooHeavy(format!("it is drawn in more than {MAX_SCANS} scans")));
        }
    }
}

fn next_marker(file: &mut impl BufRead) -> Result<u8, ImageError> {
    let mut byte = [0];
    // Rubbish between segments is passed over, as every decoder does.
    while byte[0] != 0xFF {
        exact(file, &mut byte)?;
    }
    while byte[0] == 0xFF {
        exact(file, &mut byte)?;
    }
    Ok(byte[0])
}

fn segment(file: &mut impl BufRead) -> Result<Vec<u8>, ImageError> {
    let mut length = [0; 2];
    exact(file, &mut length)?;
    let length = u16::from_be_bytes(length).checked_sub(2).ok_or_else(|| broken("a segment is shorter than its own length"))?;
    let mut segment = Vec::with_capacity(usize::from(length));
    file.take(u64::from(length)).read_to_end(&mut segment).map_err(ImageError::Read)?;
    if segment.len() < usize::from(length) { Err(broken("it is cut off")) } else { Ok(segment) }
}

fn exact(file: &mut impl BufRead, buffer: &mut [u8]) -> Result<(), ImageError> {
    file.read_exact(buffer).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => broken("it is cut off"),
        _ => ImageError::Read(error),
    })
}
