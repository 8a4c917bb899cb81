//! Drift: how far what comes has moved away from a reference, as values and not as flags.
//!
//! Owns: distances between counts, their noise, detectors on streams of numbers, distances between clouds of points.
//! Never does: move a reference, or raise an alarm by size of sample alone.
//!
//! Invariant: everything that is compared is a sum over events, so that parts of a stream add up to the whole, exactly.

pub mod chi_square;
pub mod detect;
pub mod distance;
pub mod history;
pub mod monitor;
pub mod multiple;
pub mod multivariate;
pub mod noise;
pub mod rate;
pub mod verdict;
pub mod watch;
