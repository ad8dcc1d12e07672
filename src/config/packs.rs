//! The settings of packs.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::parse::Reader;

/// The pack that is loaded where nothing is configured; it is part of the program.
const DEFAULT: &str = "au-vlp";
/// The value of `PACKS` that loads none.
const NONE: &str = "none";

/// Ends a path in `PACKS` where the paths may hold commas: the unit separator of ASCII, which no path has.
const END: char = '\u{1f}';

/// Which packs are loaded, and what they are given.
#[derive(Clone)]
pub struct PacksConfig {
    /// Their folders.
    pub folders: Vec<PathBuf>,
    /// Whether a source that is not configured may be the pack's own demonstration.
    pub allows_demo: bool,
    /// Where the files of demonstrations are made.
    pub data_dir: PathBuf,
    /// The environment, from which packs take their settings and the addresses of their databases.
    pub vars: BTreeMap<String, String>,
}

impl fmt::Debug for PacksConfig {
    /// Without the environment, which holds secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PacksConfig")
            .field("folders", &self.folders)
            .field("allows_demo", &self.allows_demo)
            .finish_non_exhaustive()
    }
}

/// The value of `PACKS` for folders that were given one by one: their paths may hold commas.
pub fn packs_value(folders: &[String]) -> String {
    folders.iter().flat_map(|folder| [folder.as_str(), "\u{1f}"]).collect()
}

fn separator_of(list: &str) -> char {
    if list.contains(END) { END } else { ',' }
}

/// Reads them. `is_embedded` says whether the store is the file of this process.
pub(super) fn packs_config(reader: &mut Reader, data_dir: &Path, is_embedded: bool) -> PacksConfig {
    let folders = match reader.optional("PACKS").as_deref() {
        Some(NONE) => Vec::new(),
        Some(list) => {
            list.split(separator_of(list)).map(str::trim).filter(|folder| !folder.is_empty()).map(PathBuf::from).collect()
        }
        None if is_embedded => vec![PathBuf::from(DEFAULT)],
        None => Vec::new(),
    };
    PacksConfig {
        folders,
        allows_demo: is_embedded || reader.switch("DEMO"),
        data_dir: data_dir.to_owned(),
        vars: reader.vars.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::{packs_value, separator_of};

    #[test]
    fn a_path_that_is_given_alone_may_hold_commas() {
        let folders =
            |list: &str| list.split(separator_of(list)).filter(|path| !path.is_empty()).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(folders("a, b"), ["a", " b"]);
        assert_eq!(folders(packs_value(&["a,b".into()]).trim()), ["a,b"]);
        assert_eq!(folders(packs_value(&["a,b".into(), "c".into()]).trim()), ["a,b", "c"]);
    }
}
