//! How numbers, durations and sizes are written on the pages. `dashboard.js` writes durations the same way.

/// A whole number with separators: `1,234,567`.
pub(super) fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of at most four signs: `999`, `1.2k`, `12.5M`.
pub(super) fn short(value: u64) -> String {
    for (unit, sign) in [(1_000_000_000, 'B'), (1_000_000, 'M'), (1_000, 'k')] {
        if value >= unit {
            let whole = value / unit;
            let tenth = value % unit * 10 / unit;
            return if whole < 100 && tenth > 0 { format!("{whole}.{tenth}{sign}") } else { format!("{whole}{sign}") };
        }
    }
    value.to_string()
}

/// A duration in seconds, in the two largest units that matter: `583 ms`, `2.3 s`, `4 min 4 s`, `3 d 1 h`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the value is clamped to what fits")]
pub(super) fn duration(seconds: f64) -> String {
    let seconds = if seconds.is_finite() { seconds.clamp(0.0, 1e12) } else { 0.0 };
    if seconds < 1.0 {
        return format!("{} ms", (seconds * 1e3).round());
    }
    if seconds < 10.0 {
        return format!("{:.1} s", (seconds * 10.0).floor() / 10.0);
    }
    let whole = seconds as u64;
    let (minutes, hours, days) = (whole / 60, whole / 3_600, whole / 86_400);
    let pair = |large: u64, unit: &str, small: u64, small_unit: &str| {
        if small > 0 { format!("{large} {unit} {small} {small_unit}") } else { format!("{large} {unit}") }
    };
    match () {
        () if whole < 60 => format!("{whole} s"),
        () if minutes < 10 => pair(minutes, "min", whole % 60, "s"),
        () if minutes < 60 => format!("{minutes} min"),
        () if hours < 24 => pair(hours, "h", minutes % 60, "min"),
        () if days < 10 => pair(days, "d", hours % 24, "h"),
        () => format!("{days} d"),
    }
}

/// A share from 0 to 1: `0 %`, `< 0.1 %`, `3.8 %`, `38 %`.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        p if p <= 0.0 || p.is_nan() => "0 %".into(),
        p if p < 0.1 => "< 0.1 %".into(),
        p if p < 10.0 => format!("{p:.1} %"),
        p => format!("{p:.0} %"),
    }
}

/// A size: `48 B`, `47.1 KiB`, `198 MiB`.
#[expect(clippy::cast_precision_loss, reason = "a size is shown with three digits")]
pub(super) fn bytes(size: u64) -> String {
    if size < 1024 {
        return format!("{size} B");
    }
    let mut value = size as f64;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if value < 100.0 { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") }
}

/// A rate given per second: `112/s`, `3.1/s`, `1.2/min`.
pub(super) fn rate(per_second: f64) -> String {
    match per_second {
        r if r <= 0.0 || r.is_nan() => "0/s".into(),
        r if r >= 10.0 => format!("{r:.0}/s"),
        r if r >= 1.0 => format!("{r:.1}/s"),
        r => format!("{:.1}/min", r * 60.0),
    }
}

/// A number and what it counts: `1 task`, `1,204 tasks`.
pub(super) fn count(value: u64, noun: &str) -> String {
    if value == 1 { format!("1 {noun}") } else { format!("{} {noun}s", number(value)) }
}

/// A word of a state as it stands in a sentence: `STARTED` is `Started`.
pub(super) fn sentence(word: &str) -> String {
    let mut text = word.replace('_', " ").to_lowercase();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}

/// At most `limit` characters, an ellipsis at the end where some were cut off.
pub(super) fn clip(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default().trim_end()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(number(0), "0");
        assert_eq!(number(999), "999");
        assert_eq!(number(12_480_233), "12,480,233");
        assert_eq!(
            [short(999), short(1_000), short(1_250), short(12_480_233), short(128_331)],
            ["999", "1k", "1.2k", "12.4M", "128k"]
        );
        assert_eq!(count(1, "task"), "1 task");
        assert_eq!(count(1_204, "task"), "1,204 tasks");
        assert_eq!([percent(0.0), percent(0.0004), percent(0.038), percent(0.381)], ["0 %", "< 0.1 %", "3.8 %", "38 %"]);
        assert_eq!([rate(0.0), rate(0.02), rate(3.1), rate(112.4)], ["0/s", "1.2/min", "3.1/s", "112/s"]);
        assert_eq!([bytes(48), bytes(48_211), bytes(207_618_048)], ["48 B", "47.1 KiB", "198 MiB"]);
    }

    #[test]
    fn a_duration_has_at_most_two_units() {
        let written = [0.0, 0.583, 2.39, 59.9, 60.0, 244.0, 1_290.0, 7_260.0, 264_200.0, 9e6].map(duration);
        let expected = ["0 ms", "583 ms", "2.3 s", "59 s", "1 min", "4 min 4 s", "21 min", "2 h 1 min", "3 d 1 h", "104 d"];
        assert_eq!(written, expected);
        assert_eq!(duration(f64::NAN), "0 ms");
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(clip("Grüße", 3), "Grü…");
        assert_eq!(clip("Grüße", 5), "Grüße");
        assert_eq!(sentence("no_worker"), "No worker");
    }
}
