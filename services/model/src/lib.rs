//! Models on ONNX Runtime: files become scorers.
//!
//! Owns: the runtime library, the scan and the rehearsal of models, sessions, providers, golden rows, calibration and time
//! limits. Never does: know an
//! event, a topic or a head; decide what a failed run means for one.
//!
//! Invariant: a model that is broken, or not the one that was meant, is an [`Error`] when it loads and never a crash;
//! a scorer hands over only outputs of the shape and type that it promised.
//!
//! ```text
//! main:  disable_runtime_telemetry()        first statement
//!        rehearse_with(this program)        so that a model may crash another process than this
//! start: Runtime::load ▸ Model::load        one runtime, one model per entry
//! lane:  model.scorer(resolved inputs)      one per lane and model, with a session of its own
//! ```
#![deny(missing_docs)]

mod calibration;
mod engine;
mod environment;
mod error;
mod file;
mod golden;
mod intake;
mod library;
mod logger;
mod model;
pub mod rehearsal;
mod runtime;
pub mod scan;
mod scorer;
mod session;
mod settings;
mod signature;
mod tensors;
mod trial;
mod watchdog;
mod wire;
mod zipmap;

pub use calibration::{BatchCaps, Calibration};
pub use environment::disable_runtime_telemetry;
pub use error::{Error, GoldenMismatch};
pub use model::Model;
pub use rehearsal::{Program, RehearsalSettings, rehearse_with};
pub use runtime::Runtime;
pub use scorer::OrtScorer;
pub use settings::{Fallback, Provider, RuntimeSettings, Settings};
