//! Stored files: the storage, its links, and what the kinds see of it.

#[cfg(feature = "s3")]
mod bucket;
mod file_service;
mod folder;

use std::fs;
use std::path::Path;

use futures_util::TryStreamExt as _;
use legwork::files::{FileReader, Files};
use legwork_engine::domain::FilePath;

/// SHA-256 of `abc`, the example of FIPS 180-2.
const ABC: [u8; 32] = [
    0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96,
    0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad,
];

async fn put(files: &Files, path: &FilePath, bytes: &[u8]) {
    let mut writer = files.create(path, None).await.unwrap();
    writer.write(bytes).await.unwrap();
    writer.finish().await.unwrap();
}

async fn bytes_of(reader: FileReader) -> Vec<u8> {
    reader.into_stream().try_fold(Vec::new(), async |all, chunk| Ok([&all[..], &chunk].concat())).await.unwrap()
}

/// Every file below `folder`, scratch files included.
fn all_files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path.strip_prefix(folder).unwrap().display().to_string()) }
        }
    }
    found.sort();
    found
}
