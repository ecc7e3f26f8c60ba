//! Numbers that look random, and can be repeated from their seed.

/// A fixed sequence of numbers that looks random (xorshift64, Marsaglia 2003).
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    /// The sequence of this seed.
    pub(crate) fn new(seed: u64) -> Self {
        // A state of zeros would stay zero for ever.
        Self(if seed == 0 { u64::MAX } else { seed })
    }

    /// A separate sequence for each round, so that one round can be replayed alone (splitmix64,
    /// Steele and others 2014).
    pub(crate) fn of_round(seed: u64, round: u64) -> Self {
        let mut mixed = seed.wrapping_add((round + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self::new(mixed ^ (mixed >> 31))
    }

    /// A number from 0 to `bound` - 1.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    /// True in one of this many cases.
    pub(crate) fn one_in(&mut self, cases: u64) -> bool {
        self.below(cases) == 0
    }

    /// One of these; `None` if there are none.
    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        let bound = from.len() as u64;
        if bound == 0 { None } else { from.get(usize::try_from(self.below(bound)).ok()?) }
    }
}
