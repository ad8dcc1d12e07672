//! The settings of work that is kept apart, and of images.

use std::path::{Path, PathBuf};
use std::time::Duration;

use legwork_isolate::IsolateConfig;

use super::parse::Reader;

/// What an image may cost.
#[derive(Clone, Copy, Debug)]
pub struct ImageConfig {
    /// Bytes of its file.
    pub max_bytes: u64,
    /// Pixels, over all frames that are decoded.
    pub max_pixels: u64,
    /// How long images are kept that were made; `None` for good.
    pub retention: Option<Duration>,
}

pub(super) fn isolate_config(reader: &mut Reader) -> IsolateConfig {
    IsolateConfig {
        program: own_program(),
        children: reader.children("CHILDREN"),
        max_memory: reader.bytes("CHILD_MAX_MEMORY") as u64,
        requests_per_child: reader.at_least("CHILD_REQUESTS", 1),
        time_limit: reader.duration("CHILD_TIME_LIMIT"),
        keep: reader.duration("CHILD_KEEP"),
    }
}

/// This program's file. By the kernel's own link to it where there is one, which stays right when the file is replaced by an update.
fn own_program() -> PathBuf {
    let link = Path::new("/proc/self/exe");
    if link.exists() { link.to_owned() } else { std::env::current_exe().unwrap_or_else(|_| "legwork".into()) }
}
