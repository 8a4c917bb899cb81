//! How long to pause before the next try, so that what comes back is not run over by everybody at once.
//!
//! Owns: the growth of the pauses and their jitter. Never does: pause.
//!
//! Invariant: no pause is longer than the longest, and two processes that failed together do not try again together.

use std::time::Duration;

use crate::time::Now;

/// The pause before the second try, before jitter.
const FIRST: Duration = Duration::from_millis(100);

/// Exponential back-off with jitter: the first try is made at once; each pause after it is somewhere between half of its
/// length and all of it, and the next one is twice as long.
#[derive(Debug, Clone)]
pub struct BackOff {
    longest: Duration,
    tries: u32,
}

impl BackOff {
    /// Pauses of at most `longest`.
    pub fn new(longest: Duration) -> Self {
        Self { longest, tries: 0 }
    }

    /// The pause before the next try. The clock's own nanoseconds are the jitter: they are as good as random between
    /// processes, and the same in a run that is repeated on a virtual clock.
    pub fn next(&mut self, now: Now) -> Duration {
        let failed = self.tries;
        self.tries = self.tries.saturating_add(1);
        let Some(doublings) = failed.checked_sub(1) else {
            return Duration::ZERO;
        };
        let doubled = FIRST.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX));
        let whole = doubled.min(self.longest);
        let jitter = f64::from(scattered(now.monotonic.as_nanos() as u64)) / f64::from(u32::MAX);
        whole.mul_f64(0.5 + 0.5 * jitter)
    }

    /// It worked: the next try is a first one again.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}

/// Spreads neighbouring numbers (the finaliser of MurmurHash3).
fn scattered(number: u64) -> u32 {
    let mut bits = number;
    bits = (bits ^ (bits >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    bits = (bits ^ (bits >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    (bits >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(10);

    fn at(nanos: u64) -> Now {
        Now {
            monotonic: Duration::from_nanos(nanos),
            unix_ms: 0,
        }
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_anew_after_a_success() {
        let mut back_off = BackOff::new(LONGEST);
        assert_eq!(back_off.next(at(0)), Duration::ZERO);
        for nanos in 0..200 {
            let whole = FIRST.saturating_mul(1 << nanos.min(20)).min(LONGEST);
            let pause = back_off.next(at(nanos * 977));
            assert!((whole / 2..=whole).contains(&pause), "{pause:?} of {whole:?}");
        }
        back_off.reset();
        assert_eq!(back_off.next(at(0)), Duration::ZERO);
        assert!(back_off.next(at(0)) <= FIRST);
    }

    #[test]
    fn processes_that_failed_a_moment_apart_try_again_all_over_the_pause() {
        let pause = |nanos| {
            let mut back_off = BackOff::new(LONGEST);
            back_off.next(at(nanos));
            back_off.next(at(nanos)).as_micros() / 10_000
        };
        let tenths: std::collections::BTreeSet<_> = (0..1000).map(pause).collect();
        assert!(tenths.len() >= 5, "{tenths:?}");
    }
}
