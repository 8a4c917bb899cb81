//! Duplicates: what was selected already is not worth a second label.
//!
//! Owns: a filter of exact duplicates and a ring of near ones, both of *selected* events.
//! Never does: look at an event; it is given fingerprints.
//!
//! Invariant: it remembers what is durable and what this lane has under way. Work that is undone is forgotten, so an event
//! that comes again is never taken for its own duplicate.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Now;

/// Bits of one generation of the filter.
const BITS: usize = 1 << 20;
/// Bits that one fingerprint sets.
const HASHES: u64 = 4;

/// What tells an event from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    /// Hash of the event's features.
    pub exact: u64,
    /// SimHash of the same, standardised: near events differ in few bits. `None` without a profile.
    pub near: Option<u64>,
}

/// Limits of the memory.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Memory {
    /// Most differing bits of near duplicates; `None` switches them off.
    pub(super) near_bits: Option<u32>,
    /// Latest selected events that near duplicates are looked for among.
    pub(super) near_events: usize,
    /// How long an exact duplicate is remembered, at least; at most twice as long.
    pub(super) period: Duration,
}

/// The memory of one lane.
#[derive(Debug)]
pub(super) struct Duplicates {
    memory: Memory,
    young: Bloom,
    old: Bloom,
    rotated: Duration,
    ring: VecDeque<u64>,
    open: Vec<Fingerprint>,
    marked: VecDeque<Vec<Fingerprint>>,
}

impl Duplicates {
    pub(super) fn new(memory: Memory) -> Self {
        Self {
            memory,
            young: Bloom::new(),
            old: Bloom::new(),
            rotated: Duration::ZERO,
            ring: VecDeque::new(),
            open: Vec::new(),
            marked: VecDeque::new(),
        }
    }

    /// Changes the limits; what is remembered stays.
    pub(super) fn set_memory(&mut self, memory: Memory) {
        self.memory = memory;
    }

    /// Forgets what is too old; once a batch.
    pub(super) fn pass(&mut self, now: Now) {
        if now.monotonic.saturating_sub(self.rotated) >= self.memory.period {
            self.rotated = now.monotonic;
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
    }

    /// Whether an event like this was selected already.
    pub(super) fn knows(&self, print: Fingerprint) -> bool {
        let under_way = || self.marked.iter().flatten().chain(&self.open);
        let is_near = |other: u64| match (self.memory.near_bits, print.near) {
            (Some(bits), Some(near)) => (near ^ other).count_ones() <= bits,
            _ => false,
        };
        self.young.holds(print.exact)
            || self.old.holds(print.exact)
            || under_way().any(|other| other.exact == print.exact || other.near.is_some_and(is_near))
            || self.ring.iter().any(|other| is_near(*other))
    }

    /// Remembers an event that is selected, in the open span.
    pub(super) fn remember(&mut self, print: Fingerprint) {
        self.open.push(print);
    }

    pub(super) fn mark(&mut self) {
        self.marked.push_back(std::mem::take(&mut self.open));
    }

    pub(super) fn commit(&mut self) {
        for print in self.marked.pop_front().into_iter().flatten() {
            self.young.insert(print.exact);
            while self.ring.len() >= self.memory.near_events {
                self.ring.pop_front();
            }
            self.ring.extend(print.near);
        }
    }

    pub(super) fn rollback(&mut self) {
        self.open.clear();
        self.marked.clear();
    }
}

/// A Bloom filter: says "perhaps" of a few that it does not hold, and never "no" of one that it does.
#[derive(Debug)]
struct Bloom {
    words: Vec<u64>,
}

impl Bloom {
    fn new() -> Self {
        Self {
            words: vec![0; BITS / 64],
        }
    }

    fn clear(&mut self) {
        self.words.fill(0);
    }

    fn holds(&self, hash: u64) -> bool {
        places(hash).all(|(word, bit)| self.words[word] & bit != 0)
    }

    fn insert(&mut self, hash: u64) {
        for (word, bit) in places(hash) {
            self.words[word] |= bit;
        }
    }
}

/// Kirsch and Mitzenmacher (2006): both halves of one hash stand in for several.
fn places(hash: u64) -> impl Iterator<Item = (usize, u64)> {
    let (first, step) = (hash & 0xffff_ffff, hash >> 32 | 1);
    (0..HASHES).map(move |turn| {
        let bit = (first + turn * step) as usize % BITS;
        (bit / 64, 1 << (bit % 64))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORY: Memory = Memory {
        near_bits: Some(3),
        near_events: 2,
        period: Duration::from_secs(3600),
    };

    fn exact(exact: u64) -> Fingerprint {
        Fingerprint { exact, near: None }
    }

    fn near(exact: u64, near: u64) -> Fingerprint {
        Fingerprint {
            exact,
            near: Some(near),
        }
    }

    fn at(seconds: u64) -> Now {
        Now {
            monotonic: Duration::from_secs(seconds),
            unix_ms: 0,
        }
    }

    fn keep(duplicates: &mut Duplicates, print: Fingerprint) {
        duplicates.remember(print);
        duplicates.mark();
        duplicates.commit();
    }

    #[test]
    fn an_event_is_known_from_the_moment_it_is_remembered_until_it_is_rolled_back() {
        let mut duplicates = Duplicates::new(MEMORY);
        duplicates.remember(near(1, 0xff));
        duplicates.mark();
        duplicates.remember(exact(2));
        for print in [exact(1), near(9, 0xff ^ 0b111), exact(2)] {
            assert!(duplicates.knows(print), "{print:?}");
        }
        assert!(!duplicates.knows(near(9, 0xff ^ 0b1111)));
        duplicates.rollback();
        for print in [exact(1), near(9, 0xff), exact(2)] {
            assert!(!duplicates.knows(print), "{print:?}");
        }
    }

    #[test]
    fn what_is_durable_survives_a_rollback() {
        let mut duplicates = Duplicates::new(MEMORY);
        keep(&mut duplicates, near(1, 0));
        duplicates.rollback();
        assert!(duplicates.knows(exact(1)));
        assert!(duplicates.knows(near(7, 1)));
    }

    #[test]
    fn exact_duplicates_are_forgotten_after_one_to_two_periods() {
        let mut duplicates = Duplicates::new(MEMORY);
        duplicates.pass(at(3600));
        keep(&mut duplicates, exact(1));
        duplicates.pass(at(7199));
        assert!(duplicates.knows(exact(1)));
        duplicates.pass(at(7200));
        assert!(duplicates.knows(exact(1)));
        duplicates.pass(at(10_800));
        assert!(!duplicates.knows(exact(1)));
    }

    #[test]
    fn near_duplicates_are_looked_for_among_the_latest_only() {
        let mut duplicates = Duplicates::new(MEMORY);
        for (exact, print) in [(1, 0), (2, 0xff00), (3, 0xff_0000)] {
            keep(&mut duplicates, near(exact, print));
        }
        assert!(!duplicates.knows(near(9, 0)));
        assert!(duplicates.knows(near(9, 0xff00)));
        duplicates.set_memory(Memory {
            near_bits: None,
            ..MEMORY
        });
        assert!(!duplicates.knows(near(9, 0xff00)));
    }

    #[test]
    fn the_filter_takes_few_strangers_for_known_after_thousands_of_events() {
        let mut bloom = Bloom::new();
        let hash = |n: u64| twox_hash::XxHash3_64::oneshot(&n.to_le_bytes());
        (0..20_000).for_each(|n| bloom.insert(hash(n)));
        assert!((0..20_000).all(|n| bloom.holds(hash(n))));
        let strangers = (20_000..120_000).filter(|n| bloom.holds(hash(*n))).count();
        assert!(strangers < 30, "{strangers} of 100,000");
    }
}
