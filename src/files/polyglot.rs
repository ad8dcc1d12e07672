//! Whether an image is an image alone: its blocks are walked from its first byte to its end, as they come, and what hides in it or follows it is
//! told. Never decodes, and never says whether the image can be decoded: one that ends early is good here.
//!
//! What is compressed may be anything, so it is not searched for scripts: random bytes would be taken for one now and then. The same holds for the
//! `mdat` box of the film behind a phone's JPEG.

use std::fmt;

use memchr::memmem::Finder;
use memchr::{memchr, memchr_iter, memmem};

use super::image_type::ImageType;

#[cfg(test)]
mod tests;

/// The readers of PDF look for its start in so many bytes.
const PDF_HEAD_BYTES: u64 = 1024;
const PDF_HEAD: &[u8] = b"%PDF-";
/// What an archive's last record starts with, and how many bytes it has without its comment.
const ARCHIVE_END: &[u8] = b"PK\x05\x06";
const ARCHIVE_END_BYTES: usize = 22;
/// So many last records may wait for the end of the file to prove them. By chance there is hardly ever one; who sends more tries to hide one.
const MAX_ARCHIVE_ENDS: usize = 16;
/// What starts a script, wherever it stands in a file that is taken for a page.
const SCRIPTS: [&str; 2] = [PHP, "<script"];
const PHP: &str = "<?php";
/// An archive's last record in what is not compressed: of a single file, whose numbers of disks are 0. Lenient readers look for it far from the
/// end.
const ARCHIVE_IN_TEXT: &[u8] = b"PK\x05\x06\0\0\0\0";
/// The longest of them.
const SCRIPT_BYTES: usize = 8;
/// The shortest `ftyp` box: head, brand, version. A shorter size means "to the end" or a long size, which hide anything.
const MIN_FTYP_BYTES: u64 = 16;
/// So many bytes of a tail tell whether a film starts there: a box's size and type.
const TRAILER_HEAD_BYTES: u64 = 8;
/// How the tail ends that Samsung's cameras append.
const SAMSUNG_END: &[u8] = b"SEFT";

/// What an image is besides an image. `Display` completes "the file is not only an image: …".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolyglotError {
    /// Behind the image's end are so many bytes that no camera appends, counted from the first that is not padding.
    TrailingData(u64),
    /// It ends as a ZIP archive does (so do JAR, APK, DOCX).
    Archive,
    /// It starts as a PDF may.
    Pdf,
    /// What is not compressed in it, or follows it, holds this start of a script.
    Script(&'static str),
    /// At this byte, counted from 0, stands what no image of its kind holds there.
    Broken(u64),
}

impl fmt::Display for PolyglotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TrailingData(bytes) => write!(f, "{} of something else follows the image's end", Size(*bytes)),
            Self::Archive => f.write_str("it is an archive (ZIP) too"),
            Self::Pdf => f.write_str("it is a PDF too"),
            Self::Script(script) => write!(f, "it holds a script ({script}) outside its pixels"),
            Self::Broken(at) => write!(f, "its blocks are broken at byte {at}"),
        }
    }
}

impl std::error::Error for PolyglotError {}

/// A number of bytes as people say it, rounded down.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("1 byte"),
            bytes @ ..0x400 => write!(f, "{bytes} bytes"),
            bytes @ ..0x10_0000 => write!(f, "{} KiB", bytes >> 10),
            bytes => write!(f, "{} MiB", bytes >> 20),
        }
    }
}

impl ImageType {
    const fn start(self) -> Part {
        match self {
            Self::Jpeg => Part::JpegStart,
            Self::Png => Part::PngStart,
            Self::Gif => Part::GifStart,
            Self::WebP => Part::WebpStart,
        }
    }

    /// Whether nothing is said by `byte` behind the image's end.
    const fn pads_with(self, byte: u8) -> bool {
        matches!(byte, 0 | b'\n' | b'\r' | b' ') || matches!((self, byte), (Self::Jpeg, 0xff))
    }
}

/// A walk along an image that comes in chunks of any size. It holds some hundred bytes, whatever the image's size.
#[derive(Debug)]
pub struct ContainerScanner {
    kind: ImageType,
    /// The place of the next byte.
    at: u64,
    /// So many bytes belong to the block whose head was read.
    pass: u64,
    /// Whether they are searched for scripts.
    searched: bool,
    /// What comes behind them, and what has come of it.
    part: Part,
    held: Vec<u8>,
    tail: TrailingData,
    scripts: Scripts,
    signatures: SignatureScanner,
}

impl ContainerScanner {
    /// A walk from the first byte of an image of this kind.
    pub fn new(kind: ImageType) -> Self {
        Self {
            kind,
            at: 0,
            pass: 0,
            searched: false,
            part: kind.start(),
            held: Vec::new(),
            tail: TrailingData::default(),
            scripts: Scripts(OverlapBuffer::new(SCRIPT_BYTES)),
            signatures: SignatureScanner::new(),
        }
    }

    /// Takes the next bytes. After an error the walk can only be dropped. What follows the image's end is told by `finish`, with its size.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), PolyglotError> {
        self.signatures.take(bytes)?;
        let mut rest = bytes;
        while !rest.is_empty() {
            let taken = self.step(rest)?;
            self.at += taken as u64;
            rest = rest.get(taken..).unwrap_or_default();
        }
        Ok(())
    }

    /// Checks the end of the file, after all bytes were written.
    pub fn finish(self) -> Result<(), PolyglotError> {
        self.signatures.finish()?;
        let samsung = self.kind == ImageType::Jpeg && self.signatures.overlap.kept.ends_with(SAMSUNG_END);
        match (self.part, self.tail.strange_from) {
            (Part::TrailingData | Part::UnknownTrailer, Some(from)) if !samsung => {
                Err(PolyglotError::TrailingData(self.at - from))
            }
            _ => Ok(()),
        }
    }

    /// Takes at least one byte of `bytes`, which are not empty; says how many.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, PolyglotError> {
        if self.pass > 0 {
            return self.pass_by(bytes);
        }
        match self.part {
            Part::JpegScan => {
                self.scripts.forget();
                let Some(index) = memchr(0xff, bytes) else { return Ok(bytes.len()) };
                self.part = Part::JpegScanCode;
                Ok(index + 1)
            }
            Part::TrailingData => {
                let (taken, next) = self.tail.take(self.kind, self.at, bytes);
                self.scripts.take(bytes.get(..taken).unwrap_or(bytes))?;
                if let Some(next) = next {
                    self.go(next, self.at + taken as u64);
                }
                Ok(taken)
            }
            Part::UnknownTrailer => self.scripts.take(bytes).map(|()| bytes.len()),
            part => self.gather(part, bytes),
        }
    }

    fn pass_by(&mut self, bytes: &[u8]) -> Result<usize, PolyglotError> {
        let piece = usize::try_from(self.pass).ok().and_then(|pass| bytes.get(..pass)).unwrap_or(bytes);
        if self.searched {
            self.scripts.take(piece)?;
        } else {
            self.scripts.forget();
        }
        self.pass -= piece.len() as u64;
        if self.pass == 0 && self.part == Part::TrailingData {
            self.tail = TrailingData::behind(self.at + piece.len() as u64);
        }
        Ok(piece.len())
    }

    /// Takes bytes of a head, which are searched too: a length may be the first letters of a script. When they are all there, they are read.
    fn gather(&mut self, part: Part, bytes: &[u8]) -> Result<usize, PolyglotError> {
        let piece = bytes.get(..part.head_bytes().saturating_sub(self.held.len())).unwrap_or(bytes);
        if part != Part::JpegScanCode {
            self.scripts.take(piece)?;
        }
        let from = self.at - self.held.len() as u64;
        self.held.extend_from_slice(piece);
        if self.held.len() >= part.head_bytes() {
            let next = part.read(&self.held).ok_or(PolyglotError::Broken(from))?;
            self.held.clear();
            self.go(next, self.at + piece.len() as u64);
        }
        Ok(piece.len())
    }

    fn go(&mut self, next: Next, at: u64) {
        (self.pass, self.searched, self.part) = (next.pass, next.searched, next.part);
        if next.part == Part::TrailingData && next.pass == 0 {
            self.tail = TrailingData::behind(at);
        }
    }
}

/// What the walk meets next. Those that have a head are named by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    JpegStart,
    /// The `FF` that starts a segment.
    JpegMarker,
    /// What follows that `FF`: the segment's code, or another `FF`.
    JpegCode,
    /// The length of the segment of this code.
    JpegLength(u8),
    /// Entropy-coded data, up to the next `FF`.
    JpegScan,
    /// What follows that `FF`: part of the data, or a code.
    JpegScanCode,
    PngStart,
    PngChunk,
    /// The header and the logical screen.
    GifStart,
    GifBlock,
    GifExtension,
    GifImage,
    /// The size of the first codes of the image's data.
    GifCodeSize,
    /// The length of a sub-block, and whether that is searched.
    GifData(bool),
    WebpStart,
    /// A chunk, where so many bytes are left of the file.
    WebpChunk(u64),
    /// A box of a film.
    Box,
    /// The long size of such a box, and whether that is searched.
    BoxSize(bool),
    /// What is behind the image's end, as long as nobody knows what it is.
    TrailingData,
    /// A tail that is nothing known.
    UnknownTrailer,
}

/// What a head says: so many bytes to pass, whether to search them, and what comes then.
#[derive(Debug, Clone, Copy)]
struct Next {
    pass: u64,
    searched: bool,
    part: Part,
}

impl Next {
    const fn at_once(part: Part) -> Self {
        Self { pass: 0, searched: true, part }
    }

    const fn after(pass: u64, part: Part) -> Self {
        Self { pass, searched: true, part }
    }

    const fn searched(self, searched: bool) -> Self {
        Self { searched, ..self }
    }
}

impl Part {
    const fn head_bytes(self) -> usize {
        match self {
            Self::JpegStart | Self::JpegLength(_) => 2,
            Self::PngStart | Self::PngChunk | Self::WebpChunk(_) | Self::Box | Self::BoxSize(_) => 8,
            Self::GifStart => 13,
            Self::GifImage => 9,
            Self::WebpStart => 12,
            _ => 1,
        }
    }

    /// What `head`, all of it, says. `None`: no image holds this here.
    fn read(self, head: &[u8]) -> Option<Next> {
        match self {
            Self::PngStart | Self::PngChunk => self.read_png(head),
            Self::WebpStart | Self::WebpChunk(_) => self.read_webp(head),
            // A tail that starts as a film and goes on as something else may still be Samsung's.
            Self::Box | Self::BoxSize(_) => Some(self.read_film(head).unwrap_or(Next::at_once(Self::UnknownTrailer))),
            Self::GifStart | Self::GifBlock | Self::GifExtension | Self::GifImage | Self::GifCodeSize | Self::GifData(_) => {
                self.read_gif(head)
            }
            _ => self.read_jpeg(head),
        }
    }

    fn read_jpeg(self, head: &[u8]) -> Option<Next> {
        match (self, head) {
            (Self::JpegStart, [0xff, 0xd8]) => Some(Next::at_once(Self::JpegMarker)),
            (Self::JpegMarker, [0xff]) => Some(Next::at_once(Self::JpegCode)),
            (Self::JpegScanCode, [0 | 0xd0..=0xd7]) => Some(Next::at_once(Self::JpegScan)),
            (Self::JpegCode | Self::JpegScanCode, [code]) => match code {
                0 | 0xd8 => None,
                0xff => Some(Next::at_once(self)),
                0xd9 => Some(Next::at_once(Self::TrailingData)),
                // These have no length.
                0x01 | 0xd0..=0xd7 => Some(Next::at_once(Self::JpegMarker)),
                code => Some(Next::at_once(Self::JpegLength(*code))),
            },
            (Self::JpegLength(code), &[high, low]) => {
                let pass = u64::from(u16::from_be_bytes([high, low])).checked_sub(2)?;
                Some(Next::after(pass, if code == 0xda { Self::JpegScan } else { Self::JpegMarker }))
            }
            _ => None,
        }
    }

    fn read_png(self, head: &[u8]) -> Option<Next> {
        match (self, head) {
            (Self::PngStart, b"\x89PNG\r\n\x1a\n") => Some(Next::at_once(Self::PngChunk)),
            (Self::PngChunk, &[a, b, c, d, ref name @ ..]) => {
                let length = u32::from_be_bytes([a, b, c, d]);
                if length > u32::MAX / 2 || !name.iter().all(u8::is_ascii_alphabetic) {
                    return None;
                }
                let part = if name == b"IEND" { Self::TrailingData } else { Self::PngChunk };
                // Four bytes of checksum follow.
                Some(Next::after(u64::from(length) + 4, part).searched(!matches!(name, b"IDAT" | b"fdAT")))
            }
            _ => None,
        }
    }

    fn read_gif(self, head: &[u8]) -> Option<Next> {
        match (self, head) {
            (Self::GifStart, &[b'G', b'I', b'F', b'8', b'7' | b'9', b'a', _, _, _, _, flags, _, _]) => {
                Some(Next::after(gif_colors(flags), Self::GifBlock))
            }
            (Self::GifBlock, [0x21]) => Some(Next::at_once(Self::GifExtension)),
            (Self::GifBlock, [0x2c]) => Some(Next::at_once(Self::GifImage)),
            (Self::GifBlock, [0x3b]) => Some(Next::at_once(Self::TrailingData)),
            (Self::GifExtension, _) => Some(Next::at_once(Self::GifData(true))),
            (Self::GifImage, &[.., flags]) => Some(Next::after(gif_colors(flags), Self::GifCodeSize)),
            (Self::GifCodeSize, _) => Some(Next::at_once(Self::GifData(false))),
            (Self::GifData(_), [0]) => Some(Next::at_once(Self::GifBlock)),
            (Self::GifData(searched), &[length]) => Some(Next::after(u64::from(length), self).searched(searched)),
            _ => None,
        }
    }

    fn read_webp(self, head: &[u8]) -> Option<Next> {
        match (self, head) {
            (Self::WebpStart, &[b'R', b'I', b'F', b'F', a, b, c, d, b'W', b'E', b'B', b'P']) => {
                let left = u64::from(u32::from_le_bytes([a, b, c, d])).checked_sub(4)?;
                Some(Next::at_once(Self::webp_chunk_or_end(left)))
            }
            (Self::WebpChunk(left), &[ref name @ .., a, b, c, d]) => {
                let length = u64::from(u32::from_le_bytes([a, b, c, d]));
                let left = left.checked_sub(8)?.checked_sub(length)?;
                if !is_printable(name) {
                    return None;
                }
                // Some writers leave the last chunk's padding out of the size of the file.
                let padding = length % 2;
                let part = Self::webp_chunk_or_end(left.saturating_sub(padding));
                Some(Next::after(length + padding, part).searched(!matches!(name, b"VP8 " | b"VP8L" | b"ALPH" | b"ANMF")))
            }
            _ => None,
        }
    }

    /// Less than the head of a chunk is no chunk; what stands there is looked at as a tail is.
    const fn webp_chunk_or_end(left: u64) -> Self {
        if left < 8 { Self::TrailingData } else { Self::WebpChunk(left) }
    }

    fn read_film(self, head: &[u8]) -> Option<Next> {
        match (self, head) {
            (Self::Box, &[a, b, c, d, ref name @ ..]) if is_printable(name) => {
                let searched = name != b"mdat";
                match u32::from_be_bytes([a, b, c, d]) {
                    0 => Some(Next::after(u64::MAX, Self::Box).searched(searched)),
                    1 => Some(Next::at_once(Self::BoxSize(searched))),
                    size => Some(Next::after(u64::from(size).checked_sub(8)?, Self::Box).searched(searched)),
                }
            }
            (Self::BoxSize(searched), size) => {
                let size = u64::from_be_bytes(size.try_into().ok()?);
                Some(Next::after(size.checked_sub(16)?, Self::Box).searched(searched))
            }
            _ => None,
        }
    }
}

/// The bytes of the colour table that `flags`, of the screen or of an image, announce.
const fn gif_colors(flags: u8) -> u64 {
    if flags & 0x80 == 0 { 0 } else { 6 << (flags & 7) }
}

fn is_printable(name: &[u8]) -> bool {
    name.iter().all(|byte| matches!(byte, b' '..=b'~'))
}

/// The start of what follows an image.
#[derive(Debug, Default)]
struct TrailingData {
    /// The place behind the image.
    from: u64,
    /// The place of the first byte that is not padding.
    strange_from: Option<u64>,
    /// The last eight bytes.
    last: u64,
}

impl TrailingData {
    fn behind(from: u64) -> Self {
        Self { from, ..Self::default() }
    }

    /// Takes bytes from the place `at` on: how many, and what starts behind them, once that is known. A film's first bytes, its size, look like padding;
    /// so it is known by its type, with a look back.
    fn take(&mut self, kind: ImageType, at: u64, bytes: &[u8]) -> (usize, Option<Next>) {
        for (index, &byte) in bytes.iter().enumerate() {
            let at = at + index as u64;
            self.last = self.last << 8 | u64::from(byte);
            if self.strange_from.is_none() && kind.pads_with(byte) {
                continue;
            }
            let strange_from = *self.strange_from.get_or_insert(at);
            let next = match self.last.to_be_bytes() {
                _ if kind != ImageType::Jpeg => Next::at_once(Part::UnknownTrailer),
                [.., 0xff, 0xd8] if at == strange_from => Next::at_once(Part::JpegMarker),
                head @ [.., b'f', b't', b'y', b'p'] if at - self.from >= 7 && self.last >> 32 >= MIN_FTYP_BYTES => {
                    Part::Box.read(&head).unwrap_or(Next::at_once(Part::UnknownTrailer))
                }
                _ if at - strange_from + 1 >= TRAILER_HEAD_BYTES => Next::at_once(Part::UnknownTrailer),
                _ => continue,
            };
            return (index + 1, Some(next));
        }
        (bytes.len(), None)
    }
}

/// Looks for scripts and archives in bytes that follow each other.
#[derive(Debug)]
struct Scripts(OverlapBuffer);

impl Scripts {
    fn take(&mut self, bytes: &[u8]) -> Result<(), PolyglotError> {
        self.0.take(bytes, |_, piece| {
            if memmem::find(piece, ARCHIVE_IN_TEXT).is_some() {
                return Err(PolyglotError::Archive);
            }
            for rest in memchr_iter(b'<', piece).filter_map(|index| piece.get(index..)) {
                // PHP wants a space behind it; so random bytes are hardly ever taken for it.
                let is_apart = rest.get(PHP.len()).is_some_and(u8::is_ascii_whitespace);
                let starts = |script: &&str| {
                    let is_it = rest.get(..script.len()).is_some_and(|head| head.eq_ignore_ascii_case(script.as_bytes()));
                    is_it && (is_apart || *script != PHP)
                };
                if let Some(script) = SCRIPTS.into_iter().find(starts) {
                    return Err(PolyglotError::Script(script));
                }
            }
            Ok(())
        })
    }

    /// What comes next does not follow what came.
    fn forget(&mut self) {
        self.0.kept.clear();
    }
}

/// Looks for what makes the whole file something else, whatever its blocks are.
#[derive(Debug)]
struct SignatureScanner {
    overlap: OverlapBuffer,
    archive_end: Finder<'static>,
    /// Where the file must end for a last record that was found to be one. A comment of the length that it gives has to fill the file exactly; without
    /// that, random bytes would be an archive now and then.
    ends: Vec<u64>,
}

impl SignatureScanner {
    fn new() -> Self {
        Self { overlap: OverlapBuffer::new(ARCHIVE_END_BYTES), archive_end: Finder::new(ARCHIVE_END), ends: Vec::new() }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), PolyglotError> {
        let Self { overlap, archive_end, ends } = self;
        let now = overlap.at + bytes.len() as u64;
        ends.retain(|end| *end >= now);
        overlap.take(bytes, |from, piece| {
            if from < PDF_HEAD_BYTES && memmem::find(piece, PDF_HEAD).is_some_and(|index| from + (index as u64) < PDF_HEAD_BYTES)
            {
                return Err(PolyglotError::Pdf);
            }
            for index in archive_end.find_iter(piece) {
                let record = piece.get(index..).and_then(|rest| rest.get(..ARCHIVE_END_BYTES));
                let Some([.., low, high]) = record else { continue };
                let end = from + (index + ARCHIVE_END_BYTES) as u64 + u64::from(u16::from_le_bytes([*low, *high]));
                if end >= now && !ends.contains(&end) {
                    ends.push(end);
                }
                if ends.len() > MAX_ARCHIVE_ENDS {
                    return Err(PolyglotError::Archive);
                }
            }
            Ok(())
        })
    }

    fn finish(&self) -> Result<(), PolyglotError> {
        if self.ends.contains(&self.overlap.at) { Err(PolyglotError::Archive) } else { Ok(()) }
    }
}

/// Joins chunks for a search: what lies across two of them is found as well.
#[derive(Debug)]
struct OverlapBuffer {
    /// The last bytes that came, one less than the longest that is looked for.
    kept: Vec<u8>,
    reach: usize,
    /// The place of the next byte.
    at: u64,
}

impl OverlapBuffer {
    const fn new(longest: usize) -> Self {
        Self { kept: Vec::new(), reach: longest - 1, at: 0 }
    }

    /// Shows `look` pieces, each with its place, so that all of at most the longest length are whole in one of them; some are in two.
    fn take(&mut self, bytes: &[u8], mut look: impl FnMut(u64, &[u8]) -> Result<(), PolyglotError>) -> Result<(), PolyglotError> {
        let kept_from = self.at - self.kept.len() as u64;
        self.kept.extend_from_slice(bytes.get(..self.reach).unwrap_or(bytes));
        look(kept_from, &self.kept)?;
        if let Some((_, last)) = bytes.len().checked_sub(self.reach).and_then(|middle| bytes.split_at_checked(middle)) {
            look(self.at, bytes)?;
            self.kept.clear();
            self.kept.extend_from_slice(last);
        } else {
            self.kept.drain(..self.kept.len().saturating_sub(self.reach));
        }
        self.at += bytes.len() as u64;
        Ok(())
    }
}
