//! A limit on how often the same warning is written.

use std::time::Duration;

use eddy_pipeline::time::Now;

/// Lets one message through per period and counts the others. One throttle serves one kind of message.
#[derive(Debug, Clone)]
pub struct Throttle {
    period: Duration,
    last: Option<Duration>,
    suppressed: u64,
}

impl Throttle {
    /// At most one message per `period`; zero lets every message through.
    pub const fn new(period: Duration) -> Self {
        Self {
            period,
            last: None,
            suppressed: 0,
        }
    }

    /// Whether to write the message now: then with the number of messages held back since the last one.
    pub fn admit(&mut self, now: Now) -> Option<u64> {
        let is_early = self
            .last
            .is_some_and(|last| now.monotonic.saturating_sub(last) < self.period);
        if is_early {
            self.suppressed += 1;
            return None;
        }
        self.last = Some(now.monotonic);
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Now {
        Now {
            monotonic: Duration::from_millis(ms),
            unix_ms: 0,
        }
    }

    #[test]
    fn the_first_message_passes_at_once() {
        assert_eq!(Throttle::new(Duration::from_secs(1)).admit(at(0)), Some(0));
    }

    #[test]
    fn messages_within_the_period_are_counted_and_told_with_the_next_one() {
        let mut throttle = Throttle::new(Duration::from_secs(1));
        let passed: Vec<_> = [0, 10, 999, 1000, 1001, 5000].map(|ms| throttle.admit(at(ms))).to_vec();
        assert_eq!(passed, [Some(0), None, None, Some(2), None, Some(1)]);
    }

    #[test]
    fn a_period_of_zero_lets_everything_through() {
        let mut throttle = Throttle::new(Duration::ZERO);
        assert_eq!([throttle.admit(at(0)), throttle.admit(at(0))], [Some(0), Some(0)]);
    }
}
