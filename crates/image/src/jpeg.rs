//! JPEG, by mozjpeg's library with its fastest settings.

use std::any::Any;
use std::cell::Cell;
use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _, SeekFrom};
use std::os::raw::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use mozjpeg::{ColorSpace, Compress, Decompress};
use mozjpeg_sys::{jpeg_common_struct, jpeg_error_mgr};

use super::markers::{self, Markers};
use super::raster::{Pixel, Raster};
use super::{Format, Header, ImageError, ImageLimits};

/// Eighths of the full size that the decoder shrinks to while it decodes. Those between take it longer than the full size.
const SCALES: [u8; 5] = [1, 2, 3, 4, 8];
/// From this quality on colour is kept at its full size; below, nobody sees that it is not.
const FULL_COLOR_FROM: u8 = 91;
/// The marker of the end.
const END: &[u8] = &[0xFF, 0xD9];
/// So much of a file is held while it is read.
const BUFFER_BYTES: usize = 64 << 10;

pub(super) struct JpegSource {
    file: BufReader<File>,
    markers: Markers,
}

impl JpegSource {
    pub(super) fn open(file: File, limits: &ImageLimits) -> Result<Self, ImageError> {
        let mut file = BufReader::with_capacity(BUFFER_BYTES, file);
        let markers = markers::read(&mut file)?;
        limits.check_size(markers.width, markers.height, 1)?;
        file.seek(SeekFrom::Start(0)).map_err(ImageError::Read)?;
        Ok(Self { file, markers })
    }

    pub(super) fn header(&self) -> Header {
        let Markers { width, height, orientation, .. } = self.markers;
        Header { width, height, frames: 1, orientation }
    }

    pub(super) fn decode(self, factor: f64, limits: &ImageLimits) -> Result<(Raster, Option<Vec<u8>>), ImageError> {
        let Self { file, markers } = self;
        let scale = SCALES.into_iter().find(|&scale| f64::from(scale) / 8.0 >= factor).unwrap_or(8);
        let pixels = u64::from(markers.width) * u64::from(markers.height);
        let shrunk = pixels * u64::from(scale) * u64::from(scale) / 64 * u64::from(markers.components);
        // A progressive image comes together in memory, two bytes a coefficient.
        let coefficients = if markers.is_progressive { pixels * 2 * markers.samples / 10 } else { 0 };
        limits.check_memory(shrunk * 2 + coefficients)?;
        let decoded = catch_unwind(AssertUnwindSafe(|| decode(file, &markers, scale)));
        let raster = decoded.unwrap_or_else(resume_unless_ours)?;
        Ok((raster, markers.profile))
    }
}

/// The library's errors come as unwinding; what else panics is not for here.
fn resume_unless_ours(panic: Box<dyn Any + Send>) -> Result<Raster, ImageError> {
    if panic.is::<CannotDecode>() {
        return Err(ImageError::broken(Format::Jpeg, "the decoder gave up on it"));
    }
    resume_unwind(panic)
}

fn decode(file: BufReader<File>, markers: &Markers, scale: u8) -> Result<Raster, ImageError> {
    let broken = |error: std::io::Error| ImageError::broken(Format::Jpeg, error.to_string());
    DAMAGES.set(0);
    // Some cameras leave the end out. With an end put in, an image that was cut off ends too early, and that is told.
    let file = file.chain(END);
    let mut header = Decompress::builder().with_err(error_handler()).from_reader(file).map_err(broken)?;
    if (header.width(), header.height()) != (markers.width as usize, markers.height as usize) {
        return Err(ImageError::broken(Format::Jpeg, "it tells its size twice"));
    }
    header.scale(scale);
    let (pixel, space) = match markers.components {
        1 => (Pixel::Gray, ColorSpace::JCS_GRAYSCALE),
        3 => (Pixel::Rgb, ColorSpace::JCS_RGB),
        _ => (Pixel::Cmyk, ColorSpace::JCS_CMYK),
    };
    let mut started = header.to_colorspace(space).map_err(broken)?;
    // Warnings before the first line of a baseline image are about its form, not its content.
    if !markers.is_progressive {
        DAMAGES.set(0);
    }
    let (width, height) = (started.width(), started.height());
    let mut data: Vec<u8> = started.read_scanlines().map_err(broken)?;
    let damages = DAMAGES.get();
    if damages > 0 || data.len() < width * height * pixel.channels() {
        return Err(ImageError::broken(Format::Jpeg, "it is cut off, or its data is damaged"));
    }
    if pixel == Pixel::Cmyk && markers.has_adobe_mark {
        // Adobe's programs store what is left of the paper, not the ink.
        for value in &mut data {
            *value = u8::MAX - *value;
        }
    }
    let side = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    let covered = |length: u32| f64::from(length) * f64::from(scale) / 8.0;
    Ok(Raster::new(side(width), side(height), pixel, data).covering(covered(markers.width), covered(markers.height)))
}

/// Encodes; what is transparent becomes white.
pub(super) fn encode(raster: &Raster, quality: u8, progressive: bool) -> Result<Vec<u8>, ImageError> {
    let failed = |error: std::io::Error| ImageError::Write(error);
    let flattened = (raster.pixel == Pixel::Rgba).then(|| raster.flattened());
    let data = flattened.as_ref().unwrap_or(&raster.data);
    let is_gray = raster.pixel == Pixel::Gray;
    let mut encoder = Compress::new(if is_gray { ColorSpace::JCS_GRAYSCALE } else { ColorSpace::JCS_RGB });
    encoder.set_size(raster.width as usize, raster.height as usize);
    encoder.set_fastest_defaults();
    encoder.set_quality(f32::from(quality));
    encoder.set_optimize_coding(true);
    encoder.set_optimize_scans(false);
    if !is_gray {
        let size = if quality >= FULL_COLOR_FROM { 1 } else { 2 };
        encoder.set_chroma_sampling_pixel_sizes((size, size), (size, size));
    }
    if progressive {
        // After set_optimize_scans, which takes the scans away again.
        encoder.set_progressive_mode();
    }
    let mut started = encoder.start_compress(Vec::new()).map_err(failed)?;
    started.write_scanlines(data).map_err(failed)?;
    started.finish().map_err(failed)
}

/// The payload with which a fatal error of the library unwinds.
struct CannotDecode;

thread_local! {
    /// Warnings about corrupt data in the image that this thread decodes.
    static DAMAGES: Cell<u32> = const { Cell::new(0) };
}

/// Counts what the library would only print: an image that is half grey is not the image.
fn error_handler() -> jpeg_error_mgr {
    jpeg_error_mgr {
        error_exit: Some(on_error),
        emit_message: Some(on_message),
        output_message: Some(on_nothing),
        format_message: None,
        reset_error_mgr: Some(on_nothing),
        msg_code: 0,
        msg_parm: mozjpeg_sys::msg_parm_union { _bindgen_data_: [0; 20] },
        trace_level: 0,
        num_warnings: 0,
        jpeg_message_table: std::ptr::null(),
        last_jpeg_message: 0,
        addon_message_table: std::ptr::null(),
        first_addon_message: 0,
        last_addon_message: 0,
    }
}

extern "C-unwind" fn on_error(_: &mut jpeg_common_struct) {
    resume_unwind(Box::new(CannotDecode));
}

extern "C-unwind" fn on_message(_: &mut jpeg_common_struct, level: c_int) {
    if level < 0 {
        DAMAGES.set(DAMAGES.get().saturating_add(1));
    }
}

extern "C-unwind" fn on_nothing(_: &mut jpeg_common_struct) {}
