//! Loads packs: reads each, then checks all of them together.

use std::path::PathBuf;

use crate::check;
use crate::fault::{Fault, Faults, Place};
use crate::files::{DECLARATION, PackFiles};
use crate::host::Host;
use crate::kind::Kind;
use crate::pack::{Pack, Schedule};
use crate::read::read;

/// The packs of a process, found right together.
#[derive(Clone, Debug, Default)]
pub struct PackSet {
    packs: Vec<Pack>,
}

impl PackSet {
    /// Loads the packs of some folders. All faults of all packs are told at once.
    pub fn load(folders: &[PathBuf], host: &Host) -> Result<Self, Faults> {
        let mut files = Vec::new();
        let mut faults = Vec::new();
        for folder in folders {
            match PackFiles::read(folder) {
                Ok(read) => files.push(read),
                Err(error) => {
                    let file = folder.join(DECLARATION).display().to_string();
                    faults.push(Fault {
                        place: Place { file, line: 1, column: 1 },
                        field: String::new(),
                        message: error.to_string(),
                    });
                }
            }
        }
        Self::of(&files, host, faults)
    }

    /// Loads packs whose files are in memory.
    pub fn from_files(files: &[PackFiles], host: &Host) -> Result<Self, Faults> {
        Self::of(files, host, Vec::new())
    }

    fn of(files: &[PackFiles], host: &Host, mut faults: Vec<Fault>) -> Result<Self, Faults> {
        let mut packs = Vec::new();
        let mut is_whole = true;
        for files in files {
            let read = read(files, host);
            faults.extend(read.faults);
            is_whole &= read.pack.is_some();
            packs.extend(read.pack);
        }
        // Where a pack could not be read, kinds of others that it declares would be told to be unknown.
        if is_whole {
            faults.extend(check::check(&packs, host));
        }
        Faults::of(faults).map_or(Ok(Self { packs }), Err)
    }

    /// The packs, in the order in which they were given.
    pub fn packs(&self) -> &[Pack] {
        &self.packs
    }

    /// All kinds, each with its pack.
    pub fn kinds(&self) -> impl Iterator<Item = (&Pack, &Kind)> {
        self.packs.iter().flat_map(|pack| pack.kinds.iter().map(move |kind| (pack, kind)))
    }

    /// A kind by name, with its pack.
    pub fn kind(&self, name: &str) -> Option<(&Pack, &Kind)> {
        self.kinds().find(|(_, kind)| kind.name == name)
    }

    /// All schedules, each with its pack.
    pub fn schedules(&self) -> impl Iterator<Item = (&Pack, &Schedule)> {
        self.packs.iter().flat_map(|pack| pack.schedules.iter().map(move |schedule| (pack, schedule)))
    }
}
