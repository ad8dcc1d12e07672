//! GIF: its first frame, or all of them, drawn upon each other as a browser does.

use std::fs::File;
use std::io::{BufReader, Seek as _, SeekFrom};
use std::num::NonZeroU64;

use gif::{ColorOutput, DecodeOptions, Decoder, DecodingError, DisposalMethod, Encoder, MemoryLimit, Repeat};

use super::animation::Frame;
use super::exif::Orientation;
use super::raster::{Pixel, Raster};
use super::{Format, Header, ImageError, ImageLimits};

/// Frames are counted up to here.
const MAX_FRAMES: u32 = 10_000;
/// Effort of the palette search, 1 (best) to 30 (fastest); the crate calls 10 a good compromise.
const PALETTE_SPEED: i32 = 10;

pub(super) struct GifSource {
    decoder: Decoder<BufReader<File>>,
    header: Header,
}

fn broken(error: DecodingError) -> ImageError {
    match error {
        DecodingError::MemoryLimit | DecodingError::OutOfMemory => {
            ImageError::TooHeavy("a frame of it is larger than may be decoded".into())
        }
        DecodingError::Io(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => ImageError::Read(error),
        DecodingError::Io(_) => ImageError::broken(Format::Gif, "it is cut off"),
        error => ImageError::broken(Format::Gif, error.to_string()),
    }
}

impl GifSource {
    /// `counts_all`: whether all frames are going to be decoded, and so have to be paid for.
    pub(super) fn open(mut file: File, limits: &ImageLimits, counts_all: bool) -> Result<Self, ImageError> {
        let mut counting = DecodeOptions::new();
        counting.skip_frame_decoding(true);
        let mut counter = counting.read_info(BufReader::new(&mut file)).map_err(broken)?;
        let (width, height) = (u32::from(counter.width()), u32::from(counter.height()));
        if width == 0 || height == 0 {
            return Err(ImageError::broken(Format::Gif, "it has no width or no height"));
        }
        limits.check_size(width, height, 1)?;
        let mut frames = 0;
        // Damage behind the first frame is told when, and only when, that frame is wanted.
        while frames < MAX_FRAMES && counter.next_frame_info().is_ok_and(|frame| frame.is_some()) {
            frames += 1;
        }
        if counts_all {
            limits.check_size(width, height, frames)?;
        }
        drop(counter);
        file.seek(SeekFrom::Start(0)).map_err(ImageError::Read)?;
        let mut options = DecodeOptions::new();
        options.set_color_output(ColorOutput::RGBA);
        options.set_memory_limit(MemoryLimit::Bytes(NonZeroU64::new(limits.max_memory / 3).unwrap_or(NonZeroU64::MIN)));
        let decoder = options.read_info(BufReader::new(file)).map_err(broken)?;
        Ok(Self { decoder, header: Header { width, height, frames: frames.max(1), orientation: Orientation::Upright } })
    }

    pub(super) fn header(&self) -> Header {
        self.header
    }

    pub(super) fn decode(mut self, limits: &ImageLimits) -> Result<(Raster, Option<Vec<u8>>), ImageError> {
        let mut canvas = self.canvas(limits)?;
        let frame = self.decoder.read_next_frame().map_err(broken)?;
        let frame = frame.ok_or_else(|| ImageError::broken(Format::Gif, "it has no frame"))?;
        draw(&mut canvas, frame);
        let profile = self.decoder.icc_profile().map(<[u8]>::to_vec);
        Ok((canvas.without_idle_alpha(), profile))
    }

    pub(super) fn decode_all(mut self, width: u32, height: u32, limits: &ImageLimits) -> Result<Vec<Frame>, ImageError> {
        let mut canvas = self.canvas(limits)?;
        let mut frames = Vec::new();
        while let Some(frame) = self.decoder.read_next_frame().map_err(broken)? {
            let before = (frame.dispose == DisposalMethod::Previous).then(|| canvas.clone());
            draw(&mut canvas, frame);
            frames.push(Frame { raster: canvas.resized(width, height)?, milliseconds: u32::from(frame.delay) * 10 });
            match (frame.dispose, before) {
                (DisposalMethod::Previous, Some(before)) => canvas = before,
                (DisposalMethod::Background, _) => wipe(&mut canvas, frame),
                _ => {}
            }
            if frames.len() >= MAX_FRAMES as usize {
                return Err(ImageError::TooHeavy(format!("it has more than {MAX_FRAMES} frames")));
            }
        }
        Ok(frames)
    }

    fn canvas(&self, limits: &ImageLimits) -> Result<Raster, ImageError> {
        let Header { width, height, .. } = self.header;
        let bytes = u64::from(width) * u64::from(height) * 4;
        // The canvas, the frame, and what is put back after it.
        limits.check_memory(bytes * 3)?;
        Ok(Raster::new(width, height, Pixel::Rgba, vec![0; usize::try_from(bytes).unwrap_or(0)]))
    }
}

/// The rows of the canvas that a frame covers, each with its place in the frame.
fn covered(canvas: &Raster, frame: &gif::Frame<'_>) -> impl Iterator<Item = (usize, usize, usize)> + use<> {
    let (width, height) = (canvas.width as usize, canvas.height as usize);
    let (left, top) = (usize::from(frame.left), usize::from(frame.top));
    let (across, down, row_bytes) = (
        usize::from(frame.width).min(width.saturating_sub(left)),
        usize::from(frame.height).min(height.saturating_sub(top)),
        usize::from(frame.width) * 4,
    );
    (0..down).map(move |row| (((top + row) * width + left) * 4, row * row_bytes, across * 4))
}

fn draw(canvas: &mut Raster, frame: &gif::Frame<'_>) {
    for (at, from, bytes) in covered(canvas, frame) {
        let Some(row) = frame.buffer.get(from..from + bytes) else { return };
        for (below, above) in canvas.data[at..at + bytes].chunks_exact_mut(4).zip(row.chunks_exact(4)) {
            if above[3] != 0 {
                below.copy_from_slice(above);
            }
        }
    }
}

fn wipe(canvas: &mut Raster, frame: &gif::Frame<'_>) {
    for (at, _, bytes) in covered(canvas, frame) {
        canvas.data[at..at + bytes].fill(0);
    }
}

/// Encodes frames of one size; one frame is a still image.
pub(super) fn encode(frames: &[Frame]) -> Result<Vec<u8>, ImageError> {
    let failed = |error: gif::EncodingError| ImageError::Write(std::io::Error::other(error));
    let Some(first) = frames.first() else { return Err(ImageError::broken(Format::Gif, "it has no frame")) };
    let side = |length: u32| u16::try_from(length).unwrap_or(u16::MAX);
    let (width, height) = (side(first.raster.width), side(first.raster.height));
    let mut made = Vec::new();
    let mut encoder = Encoder::new(&mut made, width, height, &[]).map_err(failed)?;
    if frames.len() > 1 {
        encoder.set_repeat(Repeat::Infinite).map_err(failed)?;
    }
    for frame in frames {
        let mut pixels = frame.raster.to_rgba();
        // Half-transparent edges would come out as opaque ones.
        for pixel in pixels.chunks_exact_mut(4).filter(|pixel| pixel[3] < 128) {
            pixel.fill(0);
        }
        let mut drawn = gif::Frame::from_rgba_speed(width, height, &mut pixels, PALETTE_SPEED);
        drawn.delay = u16::try_from(frame.milliseconds / 10).unwrap_or(u16::MAX);
        drawn.dispose = DisposalMethod::Background;
        encoder.write_frame(&drawn).map_err(failed)?;
    }
    drop(encoder);
    Ok(made)
}
