//! Query parameters: each one is known, given once, and checked; all errors are told at once.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::error::ApiError;
use legwork_engine::domain::FieldError;

/// The longest value that is echoed in an error.
const MESSAGE_CHARS: usize = 100;

/// A query string being taken apart.
pub(super) struct Params {
    pairs: Vec<(String, String)>,
    asked: Vec<&'static str>,
    field_errors: Vec<FieldError>,
}

impl Params {
    pub(super) fn of(query: Option<&str>) -> Self {
        let pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect();
        Self { pairs, asked: Vec::new(), field_errors: Vec::new() }
    }

    /// Every value of `name`.
    fn take(&mut self, name: &'static str) -> Vec<String> {
        self.asked.push(name);
        let (taken, rest) = std::mem::take(&mut self.pairs).into_iter().partition(|(key, _)| key == name);
        self.pairs = rest;
        let taken: Vec<(String, String)> = taken;
        taken.into_iter().map(|(_, value)| value).collect()
    }

    /// Adds an error of `name`.
    pub(super) fn field_error(&mut self, name: &str, detail: impl Display) {
        self.field_errors.push(FieldError::new(name, detail.to_string()));
    }

    /// The value of `name`, by `parse`.
    pub(super) fn one<T, E: Display>(&mut self, name: &'static str, parse: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        let mut values = self.take(name);
        let value = values.pop()?;
        if !values.is_empty() {
            self.field_error(name, "is given more than once");
            return None;
        }
        parse(&value).map_err(|error| self.field_error(name, error)).ok()
    }

    /// The values of `name`: repeated, or with commas, or both.
    pub(super) fn many<T, E: Display>(&mut self, name: &'static str, parse: impl Fn(&str) -> Result<T, E>) -> Vec<T> {
        let mut all = Vec::new();
        for value in self.take(name) {
            for part in value.split(',') {
                match parse(part) {
                    Ok(parsed) => all.push(parsed),
                    Err(error) => self.field_error(name, error),
                }
            }
        }
        all
    }

    /// A number in a range.
    pub(super) fn number<T>(&mut self, name: &'static str, range: RangeInclusive<T>) -> Option<T>
    where
        T: FromStr + PartialOrd + Display,
    {
        self.one(name, |text| match text.parse::<T>() {
            Ok(number) if range.contains(&number) => Ok(number),
            _ => Err(format!("{:?} is not a number from {} to {}", shortened(text), range.start(), range.end())),
        })
    }

    /// Takes a parameter that is `true` or `false`. `None` if it is absent or wrong; a wrong one is reported by `finish`.
    pub(super) fn switch(&mut self, name: &'static str) -> Option<bool> {
        self.one(name, |text| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            other => Err(format!("must be true or false; got {:?}", shortened(other))),
        })
    }

    /// Takes a time in RFC 3339. `None` if it is absent or wrong; a wrong one is reported by `finish`.
    pub(super) fn time(&mut self, name: &'static str) -> Option<jiff::Timestamp> {
        self.one(name, |text| {
            text.parse()
                .map_err(|_| format!("{:?} is not a time like 2030-01-01T09:00:00Z (RFC 3339, with an offset)", shortened(text)))
        })
    }

    /// A text of 1 to `most` characters.
    pub(super) fn text(&mut self, name: &'static str, most: usize) -> Option<String> {
        self.one(name, |text| {
            let is_fit = (1..=most).contains(&text.chars().count()) && !text.contains('\0');
            if is_fit { Ok(text.to_owned()) } else { Err(format!("is not a text of 1 to {most} characters, without NUL")) }
        })
    }

    /// Refuses what nobody asked for, and tells all errors.
    pub(super) fn finish(mut self) -> Result<(), ApiError> {
        let allowed = self.asked.join(", ");
        for (name, _) in std::mem::take(&mut self.pairs) {
            self.field_error(shortened(&name), format!("is unknown; allowed are {allowed}"));
        }
        if self.field_errors.is_empty() { Ok(()) } else { Err(ApiError::Invalid(self.field_errors)) }
    }
}

/// What may be echoed of a value.
pub(super) fn shortened(text: &str) -> &str {
    text.char_indices().nth(MESSAGE_CHARS).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_faults_of_a_query_are_told_at_once() {
        let mut params = Params::of(Some("limit=0&limit=2&wait=x&colour=red&when=soon&s=A,B&s=c"));
        assert_eq!(params.number("limit", 1..=5), None::<u16>);
        assert_eq!(params.number("wait", 0.0..=60.0), None::<f64>);
        assert_eq!(params.time("when"), None);
        assert_eq!(params.many("s", |text| if text == "B" { Err("no B") } else { Ok(text.to_owned()) }), ["A", "c"]);
        let Err(ApiError::Invalid(field_errors)) = params.finish() else { panic!("invalid") };
        let names: Vec<_> = field_errors.iter().map(|field_error| field_error.pointer.as_str()).collect();
        assert_eq!(names, ["limit", "wait", "when", "s", "colour"]);
    }
}
