//! Whose turn it is: which queue of a band comes first, and when a lower band is owed one. Both sides of the port ask here.

/// Of so many references handed out, one goes to a lower band that has work.
const LOWER_BAND_EVERY: usize = 10;

/// What one fetch is to do about fairness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    /// So many of what is handed out go to bands below the first one that has work, if they have work.
    pub owed: usize,
    /// Whether the lowest band is served before the middle one with what is owed.
    pub lowest_first: bool,
    /// The queue that starts, to be taken modulo the number of queues.
    pub first_queue: usize,
}

/// The state between fetches.
#[derive(Debug, Default)]
pub(super) struct FairShare {
    /// References handed out since a lower band was last owed one.
    handed: usize,
    lowest_first: bool,
    first_queue: usize,
}

impl FairShare {
    /// The turn of a fetch that may hand out up to `max`.
    pub fn next(&mut self, max: usize) -> Turn {
        let owed = (self.handed + max) / LOWER_BAND_EVERY;
        self.first_queue = self.first_queue.wrapping_add(1);
        self.lowest_first ^= owed > 0;
        Turn { owed: owed.min(max), lowest_first: self.lowest_first, first_queue: self.first_queue }
    }

    /// Counts what the fetch did hand out.
    pub fn handed_out(&mut self, count: usize) {
        self.handed = (self.handed + count) % LOWER_BAND_EVERY;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_ten_is_owed_however_the_calls_are_cut() {
        for max in [1, 3, 10, 25, 100] {
            let mut fair_share = FairShare::default();
            let mut owed = 0;
            for _ in 0..300 {
                owed += fair_share.next(max).owed;
                fair_share.handed_out(max);
            }
            assert_eq!(owed, 300 * max / 10, "with {max} a call");
        }
    }

    #[test]
    fn the_lower_bands_take_turns_with_what_is_owed() {
        let mut fair_share = FairShare::default();
        let firsts: Vec<bool> = (0..4).map(|_| fair_share.next(10).lowest_first).collect();
        assert_eq!(firsts, [true, false, true, false]);
    }
}
