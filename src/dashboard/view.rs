//! Parts of view-models that several pages use. The templates document what each page takes by using it.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::format;

/// A moment in three forms: for the script, relative for the eye, exact for the title.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Moment {
    /// The time in RFC 3339, in UTC, for scripts.
    pub(super) at: String,
    /// Relative to now: `3 min ago`, `in 2 h`.
    pub(super) text: String,
    /// The time in full, for example `2026-11-28 23:18:18 UTC`.
    pub(super) exact: String,
    /// The time of the day with milliseconds, for log lines.
    pub(super) clock: String,
}

impl Moment {
    /// A moment as seen at `now`.
    pub(super) fn new(at: Timestamp, now: Timestamp) -> Self {
        let zoned = at.to_zoned(TimeZone::UTC);
        Self {
            at: at.to_string(),
            text: relative(now.duration_since(at)),
            exact: zoned.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
            clock: zoned.strftime("%H:%M:%S%.3f").to_string(),
        }
    }

    /// A moment that may be missing.
    pub(super) fn maybe(at: Option<Timestamp>, now: Timestamp) -> Option<Self> {
        at.map(|at| Self::new(at, now))
    }
}

fn relative(since: SignedDuration) -> String {
    let distance = since.unsigned_abs().as_secs();
    let text = match distance {
        0..5 => return "now".into(),
        5..60 => format!("{distance} s"),
        60..3_600 => format!("{} min", distance / 60),
        3_600..86_400 => format!("{} h", distance / 3_600),
        _ => format!("{} d", distance / 86_400),
    };
    if since.is_negative() { format!("in {text}") } else { format!("{text} ago") }
}

/// Seconds between two moments, 0 where the second is not after the first.
pub(super) fn seconds_between(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64().max(0.0)
}

/// A colour by meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Tone {
    /// It succeeded.
    Ok,
    /// Failed, or needs somebody.
    Bad,
    /// Is late, retried or paused.
    Warn,
    /// It is running.
    Info,
    /// It is waiting.
    Idle,
    /// Was called off, or is unknown.
    Off,
    /// The first colour of charts.
    C1,
    /// The second colour of charts.
    C2,
}

/// A share of a bar, in percent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Segment {
    /// Distance of the left edge from the start of the bar, in percent.
    pub(super) x: f64,
    /// How wide it is.
    pub(super) w: f64,
    /// The colour of the segment.
    pub(super) tone: Tone,
}

/// Lays parts of a whole side by side; parts of 0 are left out.
pub(super) fn segments(parts: impl IntoIterator<Item = (f64, Tone)>) -> Vec<Segment> {
    let parts: Vec<_> = parts.into_iter().filter(|(size, _)| *size > 0.0).collect();
    let whole: f64 = parts.iter().map(|(size, _)| size).sum();
    let mut x = 0.0;
    let mut laid = Vec::with_capacity(parts.len());
    for (size, tone) in parts {
        let w = size / whole * 100.0;
        laid.push(Segment { x: hundredths(x), w: hundredths(w), tone });
        x += w;
    }
    laid
}

/// One segment from the left, of so many percent.
pub(super) fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// A share of a whole in percent, from 0 to 100.
#[expect(clippy::cast_precision_loss, reason = "a percentage is shown with two digits")]
pub(super) fn percent_of(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { hundredths((part as f64 / whole as f64 * 100.0).min(100.0)) }
}

/// How far a task is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct ProgressView {
    /// From 0 to 100.
    pub(super) percent: f64,
    /// `6,412 of 10,000`, with what it is doing.
    pub(super) text: String,
}

impl ProgressView {
    /// Of units done, units in all where known, and a message.
    pub(super) fn new(done: u64, total: Option<u64>, message: Option<&str>) -> Self {
        let percent = total.map_or(0.0, |total| percent_of(done, total));
        let units = match total {
            Some(total) => format!("{} of {}", format::number(done), format::number(total)),
            None => format::number(done),
        };
        let text = message.map_or(units.clone(), |message| format!("{units}, {message}"));
        Self { percent, text }
    }
}

/// A figure of a page.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Stat {
    /// The name of the figure.
    pub(super) label: &'static str,
    /// The figure, formatted.
    pub(super) value: String,
    /// What it relates to.
    pub(super) note: String,
    /// The page that the figure links to, if any.
    pub(super) url: Option<String>,
    /// Whether it needs attention.
    pub(super) tone: Option<Tone>,
}

/// A fact in a list of facts: a value, a moment, or a duration that counts up.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Fact {
    label: &'static str,
    value: Option<String>,
    url: Option<String>,
    at: Option<Moment>,
    mono: bool,
}

impl Fact {
    /// A fact whose value is text.
    pub(super) fn text(label: &'static str, value: impl Into<String>) -> Self {
        Self { label, value: Some(value.into()), ..Self::default() }
    }

    /// A value that leads somewhere.
    pub(super) fn link(label: &'static str, value: impl Into<String>, url: String) -> Self {
        Self { label, value: Some(value.into()), url: Some(url), ..Self::default() }
    }

    /// A fact whose value is a time.
    pub(super) fn at(label: &'static str, at: Moment) -> Self {
        Self { label, at: Some(at), ..Self::default() }
    }
}

/// A tab, a view or a range that can be chosen.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Choice {
    /// The text of the tab or link.
    pub(super) label: String,
    /// The page to which the choice links.
    pub(super) url: String,
    /// Whether it is shown now.
    pub(super) current: bool,
    /// How many it holds, where that is known.
    pub(super) count: Option<u64>,
}

/// An option of a select.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Item {
    /// The value that the form sends.
    pub(super) value: String,
    /// The text that the select shows.
    pub(super) label: String,
}

impl Item {
    /// An option whose label is its value.
    pub(super) fn same(value: impl Into<String>) -> Self {
        let value = value.into();
        Self { label: value.clone(), value }
    }

    /// An option with a label of its own.
    pub(super) fn new(value: impl Into<String>, label: impl Into<String>) -> Self {
        Self { value: value.into(), label: label.into() }
    }
}

/// Where the pages before and after are.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Pager {
    /// Link to the page with older entries; `None` on the last page.
    pub(super) older_url: Option<String>,
    /// Set on pages past the first.
    pub(super) newer_url: Option<String>,
    /// Link to the first page; `None` on the first page.
    pub(super) first_url: Option<String>,
    /// How many are shown.
    pub(super) note: String,
    /// Whether the page stays as it is while the server changes: all but the first do.
    pub(super) pinned: bool,
}

/// Percent-encodes one segment of a path.
pub(super) fn path_segment(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push(char::from(b"0123456789ABCDEF"[usize::from(byte >> 4)]));
            encoded.push(char::from(b"0123456789ABCDEF"[usize::from(byte & 15)]));
        }
    }
    // A browser would resolve these two.
    if encoded == "." || encoded == ".." { encoded.replace('.', "%2E") } else { encoded }
}

/// A path with a query; pairs without a value are left out.
pub(super) fn with_query<'a>(path: &str, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs.into_iter().filter(|(_, value)| !value.is_empty()));
    let query = query.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_relative_in_both_directions() {
        let now: Timestamp = "2026-11-28T23:18:18Z".parse().unwrap();
        let text = |seconds: i64| Moment::new(now - SignedDuration::from_secs(seconds), now).text;
        assert_eq!(
            [text(0), text(59), text(-90), text(7_200), text(-200_000)],
            ["now", "59 s ago", "in 1 min", "2 h ago", "in 2 d"]
        );
        assert_eq!(Moment::new(now, now).exact, "2026-11-28 23:18:18 UTC");
    }

    #[test]
    fn segments_fill_the_bar_and_leave_out_what_is_empty() {
        let laid = segments([(1.0, Tone::Ok), (0.0, Tone::Bad), (3.0, Tone::Idle)]);
        assert_eq!(laid, [Segment { x: 0.0, w: 25.0, tone: Tone::Ok }, Segment { x: 25.0, w: 75.0, tone: Tone::Idle }]);
        assert!(segments([(0.0, Tone::Ok)]).is_empty());
    }

    #[test]
    fn names_cannot_leave_their_place_in_a_path() {
        assert_eq!(path_segment("a/b?c#d"), "a%2Fb%3Fc%23d");
        assert_eq!(path_segment(".."), "%2E%2E");
        assert_eq!(with_query("/tasks", [("kind", "a&b"), ("queue", "")]), "/tasks?kind=a%26b");
    }
}
