//! How long a text message is: in septets of the GSM alphabet (3GPP TS 23.038) where it has all characters, else in units of UTF-16.

use serde::Serialize;

/// The basic alphabet, one septet each; the escape to the extension table apart.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿\
                     abcdefghijklmnopqrstuvwxyzäöñüà";
/// The extension table: the escape and one more septet.
const EXTENSION: &str = "\u{c}^{}\\[~]|€";

/// How a message is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum SmsEncoding {
    /// Septets of the GSM alphabet: 160 in one segment, 153 in each of several.
    #[serde(rename = "GSM-7")]
    Gsm7,
    /// Units of UTF-16: 70 in one segment, 67 in each of several.
    #[serde(rename = "UCS-2")]
    Ucs2,
}

/// How long a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SmsLength {
    /// How it is encoded.
    pub encoding: SmsEncoding,
    /// Septets or units of UTF-16.
    pub units: usize,
    /// Segments: what is billed.
    pub segments: usize,
}

impl SmsLength {
    /// Of a text. No character is spread over two segments, so that one of two units may leave the end of a segment empty.
    pub fn of(text: &str) -> Self {
        let is_gsm = text.chars().all(|c| septets(c).is_some());
        let (encoding, single, several) = if is_gsm { (SmsEncoding::Gsm7, 160, 153) } else { (SmsEncoding::Ucs2, 70, 67) };
        let size = |c: char| if is_gsm { septets(c).unwrap_or(1) } else { c.len_utf16() };
        let units = text.chars().map(size).sum();
        let (mut segments, mut used) = (1, 0);
        if units > single {
            for size in text.chars().map(size) {
                if used + size > several {
                    (segments, used) = (segments + 1, 0);
                }
                used += size;
            }
        }
        Self { encoding, units, segments }
    }
}

fn septets(c: char) -> Option<usize> {
    match c {
        ' ' | '0'..='9' | 'A'..='Z' | 'a'..='z' => Some(1),
        c if BASIC.contains(c) => Some(1),
        c if EXTENSION.contains(c) => Some(2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(text: &str) -> (SmsEncoding, usize, usize) {
        let SmsLength { encoding, units, segments } = SmsLength::of(text);
        (encoding, units, segments)
    }

    #[test]
    fn the_alphabet_has_its_127_and_10_characters() {
        assert_eq!((BASIC.chars().count(), EXTENSION.chars().count()), (127, 10));
        assert_eq!(length(BASIC), (SmsEncoding::Gsm7, 127, 1));
        assert_eq!(length(EXTENSION), (SmsEncoding::Gsm7, 20, 1));
        for other in ["ç", "á", "`", "\t", "–", "’", "😀"] {
            assert_eq!(length(other).0, SmsEncoding::Ucs2, "{other}");
        }
    }

    #[test]
    fn a_message_is_cut_where_the_alphabet_says() {
        use SmsEncoding::{Gsm7, Ucs2};
        for (character, count, encoding, units, segments) in [
            ("a", 1, Gsm7, 1, 1),
            ("a", 160, Gsm7, 160, 1),
            ("a", 161, Gsm7, 161, 2),
            ("a", 306, Gsm7, 306, 2),
            ("a", 307, Gsm7, 307, 3),
            ("€", 80, Gsm7, 160, 1),
            ("€", 81, Gsm7, 162, 2),
            // 76 in a segment: 153 is odd.
            ("€", 152, Gsm7, 304, 2),
            ("€", 153, Gsm7, 306, 3),
            ("ж", 70, Ucs2, 70, 1),
            ("ж", 71, Ucs2, 71, 2),
            ("ж", 134, Ucs2, 134, 2),
            ("ж", 135, Ucs2, 135, 3),
            ("😀", 35, Ucs2, 70, 1),
            ("😀", 36, Ucs2, 72, 2),
            ("😀", 66, Ucs2, 132, 2),
            ("😀", 67, Ucs2, 134, 3),
        ] {
            assert_eq!(length(&character.repeat(count)), (encoding, units, segments), "{count} of {character}");
        }
        // One character of another alphabet makes it so for all.
        assert_eq!(length(&format!("{}ж", "a".repeat(70))), (Ucs2, 71, 2));
    }
}
