//! Yardsticks: methods that the service does not run, ported for evaluation and tests to compare it with.
//!
//! Owns: ports that give what their originals give. Never does: take part in scoring; nothing outside evaluation and tests
//! calls this module.
//!
//! Invariant: each is checked against vectors of the original.

mod ecod;
mod half_space;
mod histogram;

pub use self::ecod::ecod;
pub use self::half_space::{HalfSpaceTrees, Split};
pub use self::histogram::{HistogramScore, histogram_score};
