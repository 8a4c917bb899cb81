//! What the runtime has to say, forwarded to `tracing` and never a flood.
//!
//! Owns: the mapping of levels and the limit on lines. Never does: decide what an error means; a failed run is
//! reported to its caller, and what is logged here only adds to it. Never shows what a model was given.
//! Invariant: at most [`LINES`] lines in [`WINDOW`]; what is left out is counted and said.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ort::logging::{LogLevel, LoggerFunction};

/// Lines that pass in one window.
const LINES: u32 = 20;
/// How long a window is.
const WINDOW: Duration = Duration::from_secs(10);

pub(crate) fn forward() -> LoggerFunction {
    let limit = Mutex::new(Limit::new(Instant::now()));
    Arc::new(move |level, _category, _id, location, message| {
        let message = without_values(message);
        if level < LogLevel::Warning {
            tracing::trace!(target: "onnxruntime", location, "{message}");
            return;
        }
        let admission = limit
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .admit(Instant::now());
        let Admission::Pass { left_out } = admission else {
            return;
        };
        if left_out > 0 {
            tracing::warn!(target: "onnxruntime", left_out, "messages of the runtime were left out of the log");
        }
        if level >= LogLevel::Error {
            tracing::warn!(target: "onnxruntime", location, "{message}");
        } else {
            tracing::debug!(target: "onnxruntime", location, "{message}");
        }
    })
}

/// What a kernel says of a run that failed may hold the values that it was given. The caller has it, and a dead letter shows it
/// to whom it concerns.
fn without_values(message: &str) -> &str {
    let (before, _) = message.split_once("Status Message:").unwrap_or((message, ""));
    before.trim_end()
}

#[derive(Debug, PartialEq, Eq)]
enum Admission {
    Pass { left_out: u64 },
    Drop,
}

#[derive(Debug)]
struct Limit {
    window_start: Instant,
    passed: u32,
    left_out: u64,
}

impl Limit {
    fn new(now: Instant) -> Self {
        Self {
            window_start: now,
            passed: 0,
            left_out: 0,
        }
    }

    fn admit(&mut self, now: Instant) -> Admission {
        if now.saturating_duration_since(self.window_start) >= WINDOW {
            self.window_start = now;
            self.passed = 0;
        }
        if self.passed == LINES {
            self.left_out += 1;
            return Admission::Drop;
        }
        self.passed += 1;
        Admission::Pass {
            left_out: std::mem::take(&mut self.left_out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_kernel_says_of_the_values_that_it_was_given_is_left_out() {
        let failed = "Non-zero status code returned while running Gather node. Name:'' Status Message: indices element out of \
                      data bounds, idx=8118118 must be within the inclusive range [-10,9]";
        let shown = "Non-zero status code returned while running Gather node. Name:''";
        assert_eq!(without_values(failed), shown);
        let warning = "Some nodes were not assigned to the preferred execution providers";
        assert_eq!(without_values(warning), warning);
    }

    #[test]
    fn a_flood_is_cut_and_then_counted() {
        let start = Instant::now();
        let mut limit = Limit::new(start);
        let passed = (0..100).filter(|_| limit.admit(start) != Admission::Drop).count();
        assert_eq!(passed, 20);
        assert_eq!(limit.admit(start + WINDOW), Admission::Pass { left_out: 80 });
        assert_eq!(limit.admit(start + WINDOW), Admission::Pass { left_out: 0 });
    }
}
