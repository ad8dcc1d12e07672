//! Tokens that were found valid, so that a client that sends the same one thousands of times a second pays for one signature.

use dashmap::DashMap;
use jiff::Timestamp;

use super::Verified;

/// About half a kilobyte each.
const MAX_TOKENS: usize = 4_096;

/// Holds verified tokens only, so strangers cannot fill it.
#[derive(Default)]
pub(super) struct TokenCache {
    by_text: DashMap<Box<str>, Verified>,
}

impl TokenCache {
    /// What was found, by the whole text of the token. Time and revocation are for the caller to check.
    pub(super) fn get(&self, token: &str) -> Option<Verified> {
        self.by_text.get(token).map(|entry| entry.value().clone())
    }

    /// Keeps `verified`. A full cache drops what has expired and every second one of the rest, so that making room is rare.
    pub(super) fn put(&self, token: &str, verified: Verified, now: Timestamp) {
        if self.by_text.len() >= MAX_TOKENS {
            let mut is_kept = false;
            self.by_text.retain(|_, known| {
                is_kept = !is_kept;
                is_kept && known.expires_at > now
            });
        }
        self.by_text.insert(token.into(), verified);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use legwork_engine::domain::Principal;

    #[test]
    fn a_full_cache_makes_room_and_keeps_what_was_put_last() {
        let cache = TokenCache::default();
        let now = Timestamp::UNIX_EPOCH;
        let verified = Verified { principal: Principal::system(), jti: None, expires_at: Timestamp::MAX };
        for number in 0..3 * MAX_TOKENS {
            cache.put(&number.to_string(), verified.clone(), now);
            assert!(cache.by_text.len() <= MAX_TOKENS);
        }
        assert!(cache.get(&(3 * MAX_TOKENS - 1).to_string()).is_some());
    }
}
