//! The pure core of Eddy: bytes become tensors, tensors become predictions, predictions become verdicts.
//!
//! Owns: decoding and validation, heads, signals and the reference profile, selection, outcomes and their accounting, the
//! checkpoint state machine.
//! Never does: I/O, threads, async, reading a clock. Time and randomness come in as values.
//!
//! Invariant: every event that enters leaves with exactly one [`outcome::Outcome`].
#![deny(missing_docs)]
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod backoff;
pub mod calibration;
pub mod checkpoint;
pub mod compare;
pub mod conformal;
pub mod coreset;
pub mod covariance;
pub mod decode;
pub mod drift;
pub mod event;
pub mod fields;
pub mod flood;
pub mod format;
pub mod hash;
pub mod head;
pub mod histogram;
pub mod mask;
pub mod outcome;
pub mod partition;
pub mod policy;
pub mod profile;
pub mod rejection;
pub mod render;
pub mod schema;
pub mod score;
pub mod seed;
pub mod select;
pub mod settings;
pub mod signal;
pub mod simhash;
pub mod stall;
pub mod tensor;
pub mod time;
pub mod trace;
pub mod yardstick;
