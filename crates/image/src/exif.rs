//! Reads the orientation of an image from its EXIF data, and nothing else of it.

use super::raster::Raster;

/// The tag of the orientation in the first directory.
const ORIENTATION_TAG: u16 = 0x0112;
/// Directories of more entries are rubbish.
const MAX_ENTRIES: u16 = 1_000;

/// The rotation and mirroring that make the stored image upright, 1 to 8 in EXIF.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Orientation {
    #[default]
    Upright,
    Mirrored,
    UpsideDown,
    Flipped,
    Transposed,
    TurnRight,
    Transversed,
    TurnLeft,
}

impl Orientation {
    /// Reads the orientation from EXIF data, with or without the `Exif` mark. Data that makes no sense means upright.
    pub(super) fn of_exif(data: &[u8]) -> Self {
        let tiff = data.strip_prefix(b"Exif\0\0").unwrap_or(data);
        match orientation_of(tiff) {
            Some(2) => Self::Mirrored,
            Some(3) => Self::UpsideDown,
            Some(4) => Self::Flipped,
            Some(5) => Self::Transposed,
            Some(6) => Self::TurnRight,
            Some(7) => Self::Transversed,
            Some(8) => Self::TurnLeft,
            _ => Self::Upright,
        }
    }

    /// Whether the rotation exchanges width and height.
    pub(super) fn swaps_sides(self) -> bool {
        matches!(self, Self::Transposed | Self::TurnRight | Self::Transversed | Self::TurnLeft)
    }

    /// Rotates and mirrors the image so that it is upright.
    pub(super) fn apply(self, raster: Raster) -> Raster {
        if self == Self::Upright {
            return raster;
        }
        let (width, height) = (raster.width as usize, raster.height as usize);
        let channels = raster.pixel.channels();
        let (to_width, to_height) = if self.swaps_sides() { (height, width) } else { (width, height) };
        let mut data = Vec::with_capacity(raster.data.len());
        for y in 0..to_height {
            for x in 0..to_width {
                let (from_x, from_y) = match self {
                    Self::Upright => (x, y),
                    Self::Mirrored => (width - 1 - x, y),
                    Self::UpsideDown => (width - 1 - x, height - 1 - y),
                    Self::Flipped => (x, height - 1 - y),
                    Self::Transposed => (y, x),
                    Self::TurnRight => (y, height - 1 - x),
                    Self::Transversed => (width - 1 - y, height - 1 - x),
                    Self::TurnLeft => (width - 1 - y, x),
                };
                let at = (from_y * width + from_x) * channels;
                data.extend_from_slice(&raster.data[at..at + channels]);
            }
        }
        let (to_width, to_height) =
            if self.swaps_sides() { (raster.height, raster.width) } else { (raster.width, raster.height) };
        Raster::new(to_width, to_height, raster.pixel, data)
    }
}

fn orientation_of(tiff: &[u8]) -> Option<u16> {
    let is_big = match tiff.get(..4)? {
        b"II*\0" => false,
        b"MM\0*" => true,
        _ => return None,
    };
    let short = |at: usize| -> Option<u16> {
        let bytes: [u8; 2] = tiff.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if is_big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    };
    let long = |at: usize| -> Option<u32> {
        let bytes: [u8; 4] = tiff.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if is_big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    };
    let directory = usize::try_from(long(4)?).ok()?;
    let entries = short(directory)?.min(MAX_ENTRIES);
    (0..usize::from(entries)).find_map(|index| {
        let at = directory.checked_add(2)?.checked_add(index * 12)?;
        (short(at)? == ORIENTATION_TAG).then(|| short(at + 8)).flatten()
    })
}
