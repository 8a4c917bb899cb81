//! Time that passes only when something happens.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use eddy_pipeline::time::{Clock, Now};

/// 2023-11-14T22:13:20Z: where the virtual wall clock starts.
const START_UNIX_MS: i64 = 1_700_000_000_000;

/// A clock that moves when it is told to. Clones share one time.
#[derive(Debug, Clone, Default)]
pub struct VirtualClock {
    passed_us: Arc<AtomicU64>,
}

impl VirtualClock {
    /// A clock at zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        self.passed_us.fetch_add(by.as_micros() as u64, Ordering::Relaxed);
    }

    /// Time since the start.
    pub fn passed(&self) -> Duration {
        Duration::from_micros(self.passed_us.load(Ordering::Relaxed))
    }

    /// The wall clock, in milliseconds since the Unix epoch.
    pub fn unix_ms(&self) -> i64 {
        START_UNIX_MS + self.passed().as_millis() as i64
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Now {
        Now {
            monotonic: self.passed(),
            unix_ms: self.unix_ms(),
        }
    }
}
