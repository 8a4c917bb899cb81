//! The demo's time: it begins when the first outcome is back, not when the process starts.
//!
//! Owns: that moment. Invariant: before it, no time has passed.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use eddy_host::SystemClock;
use eddy_pipeline::time::Clock;

/// Shared by the demo's threads. Cloning gives another handle.
#[derive(Debug, Clone)]
pub(super) struct Timekeeper {
    clock: SystemClock,
    begun: Arc<OnceLock<Duration>>,
}

impl Timekeeper {
    /// Time that stands still until [`Self::begin`].
    pub(super) fn new(clock: SystemClock) -> Self {
        Self {
            clock,
            begun: Arc::default(),
        }
    }

    /// Time runs from now on. Only the first call has an effect.
    pub(super) fn begin(&self) {
        self.begun.get_or_init(|| self.clock.now().monotonic);
    }

    /// Whether it runs.
    pub(super) fn has_begun(&self) -> bool {
        self.begun.get().is_some()
    }

    /// How long it has run.
    pub(super) fn elapsed(&self) -> Duration {
        let begun = self.begun.get();
        begun.map_or(Duration::ZERO, |begun| {
            self.clock.now().monotonic.saturating_sub(*begun)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_time_passes_before_it_begins() {
        let time = Timekeeper::new(SystemClock::start());
        assert_eq!((time.has_begun(), time.elapsed()), (false, Duration::ZERO));
        let other = time.clone();
        other.begin();
        assert!(time.has_begun());
    }
}
