//! What detectors of a changed mean look for, and how seldom they may be wrong.

use crate::drift::detect::Alarm;

/// The changes that a detector looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The mean becomes larger.
    Up,
    /// The mean becomes smaller.
    Down,
    /// Either.
    Both,
}

impl Direction {
    /// Whether a change is looked for and there, up or down.
    pub(super) fn sees(self, up: impl FnOnce() -> bool, down: impl FnOnce() -> bool) -> bool {
        (self != Self::Down && up()) || (self != Self::Up && down())
    }
}

/// How seldom a detector may be wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Confidence {
    /// Probability of a false drift; 0.001 is usual.
    pub drift: f64,
    /// Probability of a false warning; 0.005 is usual.
    pub warning: f64,
}

impl Confidence {
    /// The stronger alarm whose test, at its probability, holds.
    pub(super) fn judge(self, holds: impl Fn(f64) -> bool) -> Option<Alarm> {
        if holds(self.drift) {
            Some(Alarm::Drift)
        } else {
            holds(self.warning).then_some(Alarm::Warning)
        }
    }
}
