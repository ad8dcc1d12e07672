//! A crontab of Celery as an expression that means the same here.
//!
//! Celery requires the day of the month and the day of the week; Legwork, as Vixie cron, is content with either where neither begins with `*`. Some
//! spellings that Celery takes are refused here, and are written as lists of values instead.

use std::collections::BTreeSet;

use legwork_schedule::Crontab;

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// The fields of a crontab in the order of an expression, with their least and greatest values.
const FIELDS: [Field; 5] = [
    Field { name: "minute", low: 0, high: 59, names: &[] },
    Field { name: "hour", low: 0, high: 23, names: &[] },
    Field { name: "day_of_month", low: 1, high: 31, names: &[] },
    Field { name: "month_of_year", low: 1, high: 12, names: &MONTHS },
    Field { name: "day_of_week", low: 0, high: 6, names: &WEEKDAYS },
];

struct Field {
    name: &'static str,
    low: u32,
    high: u32,
    /// Names of values; the first is that of `low`.
    names: &'static [&'static str],
}

/// The expression, and what is to be said of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Translated {
    pub(super) expression: String,
    pub(super) note: Option<String>,
}

/// Translates the fields minute, hour, day of month, month and day of week. The error says why it cannot be done.
pub(super) fn translate(fields: [&str; 5]) -> Result<Translated, String> {
    let mut texts = Vec::new();
    let mut values = Vec::new();
    for (index, (field, text)) in FIELDS.iter().zip(fields).enumerate() {
        let text: String = text.split_whitespace().collect();
        let set = field.values(&text)?;
        texts.push(if is_taken(index, &text) { text } else { field.list(&set) });
        values.push(set);
    }
    let mut note = None;
    if !texts[2].starts_with('*') && !texts[4].starts_with('*') {
        (texts[2], texts[4]) = both_days(&texts[2], &values[2], &texts[4], &values[4])?;
        if texts[2].starts_with("*/") || texts[4].starts_with("*/") {
            note = Some(format!(
                "Celery requires both day fields; {:?} and {:?} have the same values, and a field that begins with * makes Legwork require both as well",
                texts[2], texts[4]
            ));
        }
    }
    Ok(Translated { expression: texts.join(" "), note })
}

/// Both day fields, so that both have to match. A field that begins with `*` has that effect, but its step brings its first value with it.
fn both_days(day: &str, days: &BTreeSet<u32>, weekday: &str, weekdays: &BTreeSet<u32>) -> Result<(String, String), String> {
    let [_, _, day_field, _, weekday_field] = &FIELDS;
    let texts = if day_field.is_whole(days) {
        ("*".to_owned(), weekday.to_owned())
    } else if weekday_field.is_whole(weekdays) {
        (day.to_owned(), "*".to_owned())
    } else if days.contains(&day_field.low) {
        (format!("*/{},{day}", day_field.count()), weekday.to_owned())
    } else if weekdays.contains(&weekday_field.low) {
        (day.to_owned(), format!("*/{},{weekday}", weekday_field.count()))
    } else {
        return Err(format!(
            "its crontab has the day of the month {day:?} and the day of the week {weekday:?}: Celery requires both, and Legwork is content with either. \
             Add a schedule by hand for one of them, and let the task itself check the other"
        ));
    };
    Ok(texts)
}

/// Whether Legwork takes the text of a field as it is.
fn is_taken(index: usize, text: &str) -> bool {
    let mut fields = ["*"; 5];
    fields[index] = text;
    fields.join(" ").parse::<Crontab>().is_ok()
}

impl Field {
    fn count(&self) -> u32 {
        self.high - self.low + 1
    }

    fn is_whole(&self, values: &BTreeSet<u32>) -> bool {
        values.len() == self.count() as usize
    }

    fn list(&self, values: &BTreeSet<u32>) -> String {
        if self.is_whole(values) {
            return "*".to_owned();
        }
        values.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
    }

    /// The values of a field by Celery's rules.
    fn values(&self, text: &str) -> Result<BTreeSet<u32>, String> {
        let mut values = BTreeSet::new();
        for part in text.split(',') {
            let found = self.part(part).ok_or_else(|| {
                format!(
                    "its crontab has the {} {text:?}, which Celery does not take either; correct it in Django's admin",
                    self.name
                )
            })?;
            values.extend(found);
        }
        Ok(values)
    }

    fn part(&self, part: &str) -> Option<Vec<u32>> {
        let (range, step) = match part.split_once('/') {
            None => (part, 1),
            Some((range, step)) => (range, step.parse().ok().filter(|step: &usize| *step > 0)?),
        };
        let all = match range.split_once('-') {
            _ if range == "*" => (self.low..=self.high).collect(),
            Some((from, to)) => self.span(self.value(from)?, self.value(to)?),
            // A step over a single value.
            None if part.contains('/') => return None,
            None => vec![self.value(range)?],
        };
        Some(all.into_iter().step_by(step).collect())
    }

    /// The values from one to another, around the end of the field where the second is smaller.
    fn span(&self, from: u32, to: u32) -> Vec<u32> {
        if from <= to { (from..=to).collect() } else { (from..=self.high).chain(self.low..=to).collect() }
    }

    /// A value. Celery reads the first three letters of a name.
    fn value(&self, text: &str) -> Option<u32> {
        if let Ok(value) = text.parse::<u32>() {
            return (self.low..=self.high).contains(&value).then_some(value);
        }
        let start = text.get(..3)?.to_ascii_lowercase();
        let index = self.names.iter().position(|name| *name == start)?;
        u32::try_from(index).ok().map(|index| index + self.low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_keeps_its_text_where_it_means_the_same() {
        for (fields, expression) in [
            (["0", "9", "*", "*", "*"], "0 9 * * *"),
            (["*/5", "*", "*", "*", "*"], "*/5 * * * *"),
            (["0", "22-2", "*", "*", "fri-mon"], "0 22-2 * * fri-mon"),
            (["0, 30", "8-18/2", "*", "jan,jul", "*"], "0,30 8-18/2 * jan,jul *"),
            (["0", "0", "1", "*", "*/2"], "0 0 1 * */2"),
            // What is refused here, or is read by its first letters only.
            (["*/90", "*", "*", "*", "*"], "0 * * * *"),
            (["10-50/61", "*", "*", "*", "*"], "10 * * * *"),
            (["0", "0", "*", "septem", "mond"], "0 0 * 9 1"),
            // Both day fields, one of which says nothing.
            (["0", "0", "1-31", "*", "mon"], "0 0 * * mon"),
            (["0", "0", "13", "*", "0-6"], "0 0 13 * *"),
            (["0", "0", "2-31/3", "*", "0-6"], "0 0 2-31/3 * *"),
        ] {
            assert_eq!(translate(fields), Ok(Translated { expression: expression.to_owned(), note: None }), "{fields:?}");
        }
    }

    #[test]
    fn both_day_fields_stay_required_where_that_can_be_written() {
        for (fields, expression) in [
            (["0", "9", "1-7", "*", "mon"], "0 9 */31,1-7 * mon"),
            (["0", "9", "2,13", "*", "sun,wed"], "0 9 2,13 * */7,sun,wed"),
        ] {
            let translated = translate(fields).unwrap();
            assert_eq!(translated.expression, expression);
            assert!(translated.note.unwrap().contains("require both"));
            expression.parse::<Crontab>().unwrap();
        }
        let refused = translate(["0", "0", "13", "*", "fri"]).unwrap_err();
        assert!(refused.contains("\"13\"") && refused.contains("\"fri\"") && refused.contains("by hand"), "{refused}");
    }

    #[test]
    fn what_celery_does_not_take_is_named() {
        for fields in [
            ["60", "*", "*", "*", "*"],
            ["*", "*", "*", "*", "7"],
            ["5/15", "*", "*", "*", "*"],
            ["*/0", "*", "*", "*", "*"],
            ["", "*", "*", "*", "*"],
        ] {
            assert!(translate(fields).unwrap_err().contains("Django's admin"), "{fields:?}");
        }
    }
}
