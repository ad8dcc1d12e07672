//! The protocol between the server and a child: requests and answers, each with its length before it.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::child::Refusal;

/// The longest request or answer, in bytes; paths and figures take a few hundred.
pub(super) const MAX_BYTES: usize = 1 << 20;

/// One request, as the server writes it to the child's standard input.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request<W, A> {
    /// The work to do, in the types of the crate that uses this one.
    pub(super) work: W,
    /// Seconds on the processor that it may take.
    pub(super) cpu_seconds: u64,
    /// The arguments of the work.
    pub(super) args: A,
}

/// The child's answer to one request.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    /// Bytes of memory of its own that the child holds now.
    pub(super) resident: u64,
    /// The result of the work as JSON, or the reason why the child refused it.
    pub(super) outcome: Result<Box<RawValue>, Refusal>,
}

/// Reads one; `None` at the end.
pub(super) fn read(from: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        done => done?,
    }
    let mut bytes = vec![0; checked(length)?];
    from.read_exact(&mut bytes)?;
    Ok(Some(bytes))
}

/// Writes one frame: the length of `bytes` as a prefix, then `bytes`.
pub(super) fn write(to: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    to.write_all(&prefix(bytes)?)?;
    to.write_all(bytes)?;
    to.flush()
}

/// The length prefix of a frame: four bytes, little-endian.
pub(super) fn prefix(bytes: &[u8]) -> io::Result<[u8; 4]> {
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    checked(length.to_le_bytes())?;
    Ok(length.to_le_bytes())
}

/// The length, where it is one.
pub(super) fn checked(length: [u8; 4]) -> io::Result<usize> {
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_BYTES { Err(io::Error::other(format!("a message of {length} bytes is too long"))) } else { Ok(length) }
}
