//! Faults: what is wrong with a pack, and where.

use std::fmt;

/// A position in a file of a pack.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, as the loader was told to call it: the pack's folder, and the path inside it.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, in characters, from 1.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// One thing that is wrong: the place, and a message that says what is wrong, what is allowed and what to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// The file, the line and the column.
    pub place: Place,
    /// The field, as in `kinds."x.y".steps[0].sql`; empty where the file as a whole is meant.
    pub field: String,
    /// The message, in full sentences.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)
    }
}

/// All faults of the packs that were loaded, sorted by place; never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// `None` where there are no faults.
    pub(crate) fn of(mut faults: Vec<Fault>) -> Option<Self> {
        faults.sort();
        faults.dedup();
        (!faults.is_empty()).then_some(Self(faults))
    }

    /// The faults, sorted by place.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter()
    }
}

impl fmt::Display for Faults {
    /// One fault a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

/// The known name that `wrong` was probably meant to be.
pub(crate) fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let longest_distance = (wrong.chars().count() / 3).clamp(1, 3);
    let distance = |name: &str| strsim::damerau_levenshtein(wrong, name);
    known
        .into_iter()
        .map(|name| (distance(name), name))
        .filter(|(distance, name)| *distance <= longest_distance || name.split(['_', '.', '-']).any(|part| part == wrong))
        .min()
        .map(|(_, name)| name)
}

/// ` Allowed are a, b. Did you mean "b"?`, for the end of a message about the unknown name `wrong`.
pub(crate) fn allowed<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    const MOST_SHOWN: usize = 40;
    let known: Vec<&str> = known.into_iter().collect();
    if known.is_empty() {
        return String::new();
    }
    let more = if known.len() > MOST_SHOWN { ", …" } else { "" };
    let shown: Vec<&str> = known.iter().copied().take(MOST_SHOWN).collect();
    let meant = nearest(wrong, known).map_or_else(String::new, |name| format!(" Did you mean {name:?}?"));
    format!(" Allowed are {}{more}.{meant}", shown.join(", "))
}
