//! Time as a value. The core never reads a clock; the shell passes [`Now`] in.

use std::time::Duration;

/// One reading of the clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Now {
    /// Time since an arbitrary start; never goes back. Serves intervals and deadlines.
    pub monotonic: Duration,
    /// Milliseconds since the Unix epoch; may jump. Serves timestamps and latencies only.
    pub unix_ms: i64,
}

/// Where the shell reads the time: the system's clocks in service, a virtual clock in tests.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Reads both clocks.
    fn now(&self) -> Now;
}
