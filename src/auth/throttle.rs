//! Holds back who guesses passwords: by name and by address, with delays that grow.
//!
//! An attempt counts as failed from the moment that it is let in, and is taken back when it succeeds; so a hundred guesses at
//! once get no further than five in a row.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

/// Failures that cost nothing but the hash.
const FREE_FAILURES: u32 = 5;
/// Failures this long ago are forgotten; also the longest delay.
const WINDOW: SignedDuration = SignedDuration::from_mins(15);
/// The delay after the fifth failure; it doubles with each one more.
const FIRST_DELAY: SignedDuration = SignedDuration::from_secs(10);
/// Names and addresses that are remembered; about 100 bytes each.
const MAX_ENTRIES: usize = 20_000;
/// Longer names belong to nobody; they share what they start with.
const MAX_NAME_CHARS: usize = 128;

#[derive(Clone, PartialEq, Eq, Hash)]
enum Key {
    Name(Box<str>),
    Address(IpAddr),
    Device(Box<str>),
}

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    last: Timestamp,
}

impl Failures {
    fn blocked_until(self) -> Option<Timestamp> {
        let over = self.count.checked_sub(FREE_FAILURES)?;
        let delay = FIRST_DELAY.checked_mul(1_i32.checked_shl(over).unwrap_or(i32::MAX)).unwrap_or(WINDOW).min(WINDOW);
        self.last.checked_add(delay).ok()
    }

    fn is_forgotten(self, now: Timestamp) -> bool {
        now.duration_since(self.last) >= WINDOW
    }
}

/// Who tries to log in, as far as the throttle tells callers apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Somebody at this address.
    Stranger(IpAddr),
    /// A browser from which the account logged in before, by its id. It is held back for its own failures only, so that strangers who
    /// guess the password of an account do not lock its owner out.
    KnownDevice(String),
}

/// Failed logins of the last quarter of an hour. One a process.
#[derive(Default)]
pub struct LoginThrottle {
    failures: Mutex<HashMap<Key, Failures>>,
}

impl LoginThrottle {
    /// Lets an attempt in, or says how long to wait (`Retry-After`, whole seconds). Who is let in calls [`Self::succeeded`] or
    /// [`Self::undecided`], unless the password was wrong.
    pub fn admit(&self, name: &str, caller: &Caller, now: Timestamp) -> Result<(), Duration> {
        let keys = keys(name, caller);
        let mut failures = self.failures.lock();
        let wait = keys
            .iter()
            .filter_map(|key| failures.get(key).filter(|entry| !entry.is_forgotten(now))?.blocked_until())
            .map(|until| until.duration_since(now))
            .max();
        if let Some(wait) = wait.filter(SignedDuration::is_positive) {
            let rounded_up = wait.as_secs().unsigned_abs() + u64::from(wait.subsec_nanos() > 0);
            return Err(Duration::from_secs(rounded_up));
        }
        make_room(&mut failures, now);
        for key in keys {
            let entry = failures.entry(key).or_insert(Failures { count: 0, last: now });
            let before = if entry.is_forgotten(now) { 0 } else { entry.count };
            *entry = Failures { count: before.saturating_add(1), last: now };
        }
        Ok(())
    }

    /// The password was right: the name starts anew. The address does not, or an account of one's own would be a way to guess for
    /// ever.
    pub fn succeeded(&self, name: &str, caller: &Caller) {
        let mut failures = self.failures.lock();
        for key in keys(name, caller) {
            match key {
                Key::Address(_) => take_back(&mut failures, &key),
                Key::Name(_) | Key::Device(_) => drop(failures.remove(&key)),
            }
        }
    }

    /// Nothing was found out (the store was away): the attempt does not count.
    pub fn undecided(&self, name: &str, caller: &Caller) {
        let mut failures = self.failures.lock();
        for key in keys(name, caller) {
            take_back(&mut failures, &key);
        }
    }
}

/// A user of IPv6 has a whole /64.
fn keys(name: &str, caller: &Caller) -> Vec<Key> {
    let address = match caller {
        Caller::Stranger(address) => *address,
        Caller::KnownDevice(id) => return vec![Key::Device(id.as_str().into())],
    };
    let name: String = name.chars().take(MAX_NAME_CHARS).flat_map(char::to_lowercase).collect();
    let address = match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
        v4 @ IpAddr::V4(_) => v4,
    };
    vec![Key::Name(name.into()), Key::Address(address)]
}

fn take_back(failures: &mut HashMap<Key, Failures>, key: &Key) {
    if let Some(entry) = failures.get_mut(key) {
        entry.count = entry.count.saturating_sub(1);
    }
}

/// Drops what is forgotten; where that is not enough, those with the fewest failures go before those that are held back.
fn make_room(failures: &mut HashMap<Key, Failures>, now: Timestamp) {
    if failures.len() + 2 <= MAX_ENTRIES {
        return;
    }
    failures.retain(|_, entry| !entry.is_forgotten(now));
    if failures.len() + 2 > MAX_ENTRIES {
        failures.retain(|_, entry| entry.count >= FREE_FAILURES);
    }
    if failures.len() + 2 > MAX_ENTRIES {
        failures.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Caller = Caller::Stranger(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)));
    const THERE: Caller = Caller::Stranger(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2)));

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn fail_five_times(throttle: &LoginThrottle, name: &str, caller: &Caller) {
        for _ in 0..5 {
            assert_eq!(throttle.admit(name, caller, at(0)), Ok(()));
        }
    }

    #[test]
    fn the_sixth_guess_waits_and_each_further_one_waits_twice_as_long() {
        let throttle = LoginThrottle::default();
        fail_five_times(&throttle, "anna", &HERE);
        assert_eq!(throttle.admit("anna", &HERE, at(0)), Err(Duration::from_secs(10)));
        assert_eq!(throttle.admit("anna", &HERE, at(9)), Err(Duration::from_secs(1)));
        assert_eq!(throttle.admit("anna", &HERE, at(10)), Ok(()));
        assert_eq!(throttle.admit("anna", &HERE, at(10)), Err(Duration::from_secs(20)));
    }

    #[test]
    fn a_name_is_held_back_from_every_address_and_an_address_for_every_name() {
        let throttle = LoginThrottle::default();
        fail_five_times(&throttle, "anna", &HERE);
        assert!(throttle.admit("ANNA", &THERE, at(1)).is_err());
        assert!(throttle.admit("berta", &HERE, at(1)).is_err());
        assert_eq!(throttle.admit("berta", &THERE, at(1)), Ok(()));
    }

    #[test]
    fn strangers_who_guess_do_not_lock_the_owner_out_of_a_known_device() {
        let throttle = LoginThrottle::default();
        let own = Caller::KnownDevice("d1".into());
        for _ in 0..5 {
            throttle.admit("anna", &THERE, at(0)).unwrap();
        }
        assert!(throttle.admit("anna", &HERE, at(1)).is_err());
        assert_eq!(throttle.admit("anna", &own, at(1)), Ok(()));
        for _ in 0..4 {
            throttle.admit("anna", &own, at(1)).unwrap();
        }
        assert!(throttle.admit("anna", &own, at(1)).is_err(), "a known device is held back for its own failures");
    }

    #[test]
    fn a_quarter_of_an_hour_later_all_is_forgotten() {
        let throttle = LoginThrottle::default();
        fail_five_times(&throttle, "anna", &HERE);
        for _ in 0..5 {
            assert_eq!(throttle.admit("anna", &HERE, at(900)), Ok(()));
        }
    }

    #[test]
    fn a_success_frees_the_name_but_not_the_address() {
        let throttle = LoginThrottle::default();
        for _ in 0..4 {
            throttle.admit("anna", &HERE, at(0)).unwrap();
        }
        for _ in 0..3 {
            throttle.admit("mallory", &HERE, at(0)).unwrap();
            throttle.succeeded("mallory", &HERE);
        }
        throttle.admit("anna", &HERE, at(0)).unwrap();
        throttle.succeeded("anna", &HERE);
        assert_eq!(throttle.admit("anna", &HERE, at(0)), Ok(()));
        assert!(throttle.admit("berta", &HERE, at(0)).is_err());
    }

    #[test]
    fn an_attempt_that_the_store_could_not_judge_does_not_count() {
        let throttle = LoginThrottle::default();
        for _ in 0..20 {
            assert_eq!(throttle.admit("anna", &HERE, at(0)), Ok(()));
            throttle.undecided("anna", &HERE);
        }
    }

    #[test]
    fn neighbours_in_one_ipv6_network_are_one_and_mapped_addresses_are_ipv4() {
        let throttle = LoginThrottle::default();
        for number in 0..5 {
            throttle
                .admit(&format!("n{number}"), &Caller::Stranger(format!("2001:db8::{number}").parse().unwrap()), at(0))
                .unwrap();
        }
        assert!(throttle.admit("other", &Caller::Stranger("2001:db8::ffff".parse().unwrap()), at(0)).is_err());
        fail_five_times(&throttle, "anna", &HERE);
        assert!(throttle.admit("other", &Caller::Stranger("::ffff:192.0.2.1".parse().unwrap()), at(0)).is_err());
    }

    #[test]
    fn memory_is_bounded_and_those_held_back_stay_so() {
        let throttle = LoginThrottle::default();
        fail_five_times(&throttle, "anna", &HERE);
        for number in 0..30_000_u32 {
            let caller = Caller::Stranger(IpAddr::V4(std::net::Ipv4Addr::from_bits(0x0a00_0000 + number)));
            throttle.admit(&format!("user{number}"), &caller, at(1)).unwrap();
            assert!(throttle.failures.lock().len() <= MAX_ENTRIES);
        }
        assert!(throttle.admit("anna", &THERE, at(2)).is_err());
    }
}
