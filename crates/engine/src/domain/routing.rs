//! Which queue a task goes to when the submission names none: the first pattern that fits its kind, else the kind's own queue.

use std::str::FromStr;

use super::{KindName, QueueName};

/// An ordered list of `pattern=queue`; a `*` stands for any run of characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routing {
    rules: Vec<(String, QueueName)>,
}

impl Routing {
    /// The queue for `kind`, `own` being the kind's.
    pub fn queue_for(&self, kind: &KindName, own: &QueueName) -> QueueName {
        self.rules
            .iter()
            .find(|(pattern, _)| fits(pattern.as_bytes(), kind.as_str().as_bytes()))
            .map_or_else(|| own.clone(), |(_, queue)| queue.clone())
    }

    /// The queues that the rules name.
    pub fn queues(&self) -> impl Iterator<Item = &QueueName> {
        self.rules.iter().map(|(_, queue)| queue)
    }
}

impl FromStr for Routing {
    type Err = String;

    /// Parses rules with commas between them, for example `email.*=mail,report.*=heavy`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rules = text
            .split(',')
            .map(str::trim)
            .filter(|rule| !rule.is_empty())
            .map(|rule| {
                let (pattern, queue) =
                    rule.split_once('=').ok_or_else(|| format!("{rule:?} is not pattern=queue, as in email.*=mail"))?;
                let queue = QueueName::parse(queue.trim()).map_err(|error| error.to_string())?;
                Ok((pattern.trim().to_owned(), queue))
            })
            .collect::<Result<_, String>>()?;
        Ok(Self { rules })
    }
}

/// Whether `name` fits `pattern`; backtracks to the last `*` only, so it is linear in practice and never worse than n·m.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut last_star: Option<(usize, usize)> = None;
    while n < name.len() {
        if p < pattern.len() && pattern[p] == b'*' {
            last_star = Some((p, n));
            p += 1;
        } else if p < pattern.len() && pattern[p] == name[n] {
            p += 1;
            n += 1;
        } else if let Some((star, taken)) = last_star {
            p = star + 1;
            n = taken + 1;
            last_star = Some((star, taken + 1));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&b| b == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_that_fits_wins_and_the_kinds_own_queue_is_the_rest() {
        let routing: Routing = "email.*=mail, *.heavy=heavy,email.send=never".parse().unwrap();
        let own = QueueName::parse("default").unwrap();
        let queue = |kind: &str| routing.queue_for(&KindName::parse(kind).unwrap(), &own).to_string();
        assert_eq!(queue("email.send"), "mail");
        assert_eq!(queue("report.heavy"), "heavy");
        assert_eq!(queue("system.echo"), "default");
    }

    #[test]
    fn a_rule_without_a_queue_is_refused() {
        assert!("email.*".parse::<Routing>().unwrap_err().contains("pattern=queue"));
        assert!("email.*=Bad Name".parse::<Routing>().is_err());
    }
}
