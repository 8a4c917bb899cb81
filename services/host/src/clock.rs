//! The system's clocks.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use eddy_pipeline::time::{Clock, Now};

/// The clocks of the system. A process makes one and shares it (copies read the same clock): the monotonic times of two
/// separately made ones cannot be compared.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time begins now.
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        Now {
            monotonic: self.origin.elapsed(),
            unix_ms: unix_ms(SystemTime::now()),
        }
    }
}

/// Negative before 1970, which a machine without a battery may believe it is.
fn unix_ms(time: SystemTime) -> i64 {
    let whole = |since: Duration| i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => whole(since),
        Err(before) => -whole(before.duration()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_after_the_epoch_is_a_thousand_and_one_before_it_negative() {
        assert_eq!(unix_ms(UNIX_EPOCH + Duration::from_secs(1)), 1000);
        assert_eq!(unix_ms(UNIX_EPOCH - Duration::from_secs(1)), -1000);
    }

    #[test]
    fn monotonic_time_never_goes_back() {
        let clock = SystemClock::start();
        let (before, after) = (clock.now(), clock.now());
        assert!(before.monotonic <= after.monotonic);
    }

    #[test]
    fn copies_read_the_same_clock() {
        let clock = SystemClock::start();
        let (before, copy) = (clock.now(), clock);
        assert!(before.monotonic <= copy.now().monotonic);
    }
}
