//! Whom a text message goes to and comes from.

use std::fmt;

/// A telephone number in the form of E.164: `+` and 7 to 15 digits, the first of which is not 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhoneNumber(String);

impl PhoneNumber {
    /// Parses a number; the error is for the user.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let wrong = |what: &str| {
            Err(format!(
                "{what}; allowed is the international form +233201234567: '+', the country's code, 7 to 15 digits in all"
            ))
        };
        let Some(digits) = text.strip_prefix('+') else { return wrong("does not start with '+'") };
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return wrong("has something else than digits behind its '+'");
        }
        match (digits.len(), digits.starts_with('0')) {
            (7..=15, false) => Ok(Self(text.to_owned())),
            (7..=15, true) => wrong("has a 0 where the country's code starts"),
            (count, _) => wrong(&format!("has {count} {}", if count == 1 { "digit" } else { "digits" })),
        }
    }

    /// A number to try things with.
    pub(super) fn example() -> Self {
        Self("+233201234567".into())
    }

    /// The number with its `+`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The number without its `+`.
    pub fn digits(&self) -> &str {
        self.0.trim_start_matches('+')
    }
}

impl fmt::Display for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks who a message comes from: what the networks take as a sender. The error is for the user.
pub fn check_sender(text: &str) -> Result<(), String> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    let is_number = (3..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_name = (1..=11).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b" .-_&".contains(&byte))
        && text.bytes().any(|byte| byte.is_ascii_alphabetic())
        && text.trim() == text;
    if is_number || is_name {
        return Ok(());
    }
    Err("is no sender; allowed are 1 to 11 letters, digits, blanks and .-_& with a letter among them, or a number of 3 to 15 digits"
        .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_international_or_none() {
        for good in ["+233201234567", " +233244123456 ", "+1234567", "+123456789012345"] {
            assert_eq!(PhoneNumber::parse(good).map(|number| number.0), Ok(good.trim().to_owned()));
        }
        for (bad, why) in [
            ("0201234567", "'+'"),
            ("233201234567", "'+'"),
            ("", "'+'"),
            ("+", "0 digits"),
            ("+123456", "6 digits"),
            ("+1234567890123456", "16 digits"),
            ("+0201234567", "a 0"),
            ("+233 20 123 4567", "else than digits"),
            ("+23320123456७", "else than digits"),
            ("+233201234567\r\nTo: +1", "else than digits"),
            ("+233201234567,+233201234568", "else than digits"),
        ] {
            let said = PhoneNumber::parse(bad).unwrap_err();
            assert!(said.contains(why) && said.contains("+233201234567"), "{bad}: {said}");
        }
    }

    #[test]
    fn a_sender_is_a_short_name_or_a_number() {
        for good in ["Legwork", "YEA Poultry", "A", "A&B-1_2.3", "1404", "+233201234567"] {
            assert_eq!(check_sender(good), Ok(()), "{good}");
        }
        for bad in ["", " ", "TwelveLetter", "12", "1234567890123456", "Ö", " a", "a\r\nb", "a\"b", "a<b"] {
            assert!(check_sender(bad).is_err(), "{bad:?}");
        }
    }
}
