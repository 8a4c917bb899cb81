//! The stream service: scoring, and the lane that carries it over Kafka.
//!
//! Owns: the batch, the run of the models with the search for a guilty row, the outputs, the lane's loop.
//! Never does: read Kafka's protocol or ONNX; it sees a [`eddy_broker::Broker`] and
//! [`eddy_pipeline::score::Scorer`]s. [`scoring`] is free of broker types, so that profile, replay and tests use it.
//!
//! Invariant: what a lane commits is exactly what it consumed, with one outcome for each event.
#![deny(missing_docs)]

pub mod settings;

mod batch;
mod emit;
mod hand;
mod held;
pub mod judge;
pub mod lane;
mod ledger;
mod link;
pub mod orders;
mod poll_times;
mod report;
pub mod scoring;
mod signals;
mod spans;

pub use batch::{Batch, Fate, Row};
pub use emit::{Body, Emitter};
pub use report::{Hold, LaneReport, Latest, OnChange, SAMPLES, Sample};
pub use signals::{ModelSignals, Operating, SignalPlan};
