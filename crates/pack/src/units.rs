//! Durations and rates as users write them.

use std::fmt;
use std::time::Duration;

/// The suffixes of durations, longest first, with their milliseconds.
const UNITS: [(&str, u64); 6] =
    [("ms", 1), ("w", 7 * 86_400_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];

/// Parses `90s`, `5m`, `4m30s`, `1h`, `2d`, `1w` or `500ms`: whole numbers with units, the larger before the smaller.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total: u64 = 0;
    let mut last_unit = u64::MAX;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let number: u64 = number.parse().ok()?;
        let (suffix, unit) = UNITS.into_iter().find(|(suffix, _)| after.starts_with(suffix))?;
        if unit >= last_unit {
            return None;
        }
        last_unit = unit;
        total = total.checked_add(number.checked_mul(unit)?)?;
        rest = after[suffix.len()..].trim_start();
    }
    Some(Duration::from_millis(total))
}

/// At most so many starts in any span of a length, over all workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The starts, at least 1.
    pub starts: u32,
    /// The span: a second, a minute, an hour or a day.
    pub per: Duration,
}

impl Rate {
    /// Parses `10/m`; the units are `s`, `m`, `h` and `d`, as in Celery, which has no `d`.
    pub fn parse(text: &str) -> Option<Self> {
        let (starts, unit) = text.trim().split_once('/')?;
        let starts = starts.trim().parse().ok().filter(|starts| *starts > 0)?;
        let per = match unit.trim() {
            "s" => Duration::from_secs(1),
            "m" => Duration::from_mins(1),
            "h" => Duration::from_hours(1),
            "d" => Duration::from_hours(24),
            _ => return None,
        };
        Some(Self { starts, per })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.per.as_secs() {
            1 => "s",
            60 => "m",
            3_600 => "h",
            _ => "d",
        };
        write!(f, "{}/{unit}", self.starts)
    }
}
