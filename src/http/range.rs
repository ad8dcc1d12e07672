//! Which bytes of a file a request wants (RFC 9110), and whether it has them already.

use std::ops::Range;

use axum::http::HeaderMap;
use axum::http::header::{HeaderName, IF_NONE_MATCH, IF_RANGE, RANGE};

/// What a request wants of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RangeRequest {
    /// All of it. Also where several ranges are asked for, or something that is no range of bytes.
    Whole,
    /// One range that the file has, as byte positions.
    Part(Range<u64>),
    /// Bytes that it does not have.
    Outside,
}

/// What `headers` want of a file of `size` bytes, whose entity tag is `tag`.
pub(super) fn requested(headers: &HeaderMap, size: u64, tag: Option<&str>) -> RangeRequest {
    // A part is of use to who holds the rest of the same file only.
    if headers.contains_key(IF_RANGE) && text_of(headers, IF_RANGE) != tag {
        return RangeRequest::Whole;
    }
    let asked = text_of(headers, RANGE).and_then(|text| text.strip_prefix("bytes="));
    let Some((first, last)) = asked.and_then(|ranges| ranges.trim().split_once('-')) else { return RangeRequest::Whole };
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().unwrap_or(u64::MAX));
    let range = match (first, last) {
        ("", "") => return RangeRequest::Whole,
        ("", last) => number(last).map(|count| size.saturating_sub(count)..if count == 0 { 0 } else { size }),
        (first, "") => number(first).map(|first| first..size),
        (first, last) => match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => Some(first..last.saturating_add(1).min(size)),
            _ => None,
        },
    };
    match range {
        None => RangeRequest::Whole,
        Some(range) if range.start < range.end => RangeRequest::Part(range),
        Some(_) => RangeRequest::Outside,
    }
}

/// Whether the asking one says that it holds what `tag` stands for.
pub(super) fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = known.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

fn text_of(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(range: &str, size: u64) -> RangeRequest {
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, range.parse().unwrap());
        requested(&headers, size, Some("\"a\""))
    }

    #[test]
    fn a_range_is_cut_to_the_file() {
        for (range, part) in [
            ("bytes=0-0", 0..1),
            ("bytes=2-4", 2..5),
            ("bytes=5-", 5..10),
            ("bytes=-3", 7..10),
            ("bytes=-99", 0..10),
            ("bytes=9-99999999999999999999999", 9..10),
        ] {
            assert_eq!(of(range, 10), RangeRequest::Part(part), "{range}");
        }
        for range in ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=99999999999999999999-"] {
            assert_eq!(of(range, 10), RangeRequest::Outside, "{range}");
        }
        assert_eq!(of("bytes=0-", 0), RangeRequest::Outside);
        for range in ["bytes=", "bytes=-", "bytes=4-2", "bytes=0-1,3-4", "items=0-1", "bytes=a-b", "0-1", "bytes=+1-2"] {
            assert_eq!(of(range, 10), RangeRequest::Whole, "{range}");
        }
    }

    #[test]
    fn a_part_is_given_only_to_who_holds_the_same_file() {
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, "bytes=0-1".parse().unwrap());
        headers.insert(IF_RANGE, "\"a\"".parse().unwrap());
        assert_eq!(requested(&headers, 10, Some("\"a\"")), RangeRequest::Part(0..2));
        assert_eq!(requested(&headers, 10, Some("\"b\"")), RangeRequest::Whole);
        assert_eq!(requested(&headers, 10, None), RangeRequest::Whole);
    }

    #[test]
    fn a_tag_is_known_however_it_is_listed() {
        for (reported, is_known_as) in [("\"a\"", true), ("\"b\", W/\"a\"", true), ("*", true), ("\"b\"", false), ("a", false)] {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, reported.parse().unwrap());
            assert_eq!(is_known(&headers, "\"a\""), is_known_as, "{reported}");
        }
        assert!(!is_known(&HeaderMap::new(), "\"a\""));
    }
}
