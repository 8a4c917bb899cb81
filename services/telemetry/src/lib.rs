//! What Eddy tells about itself: metrics, logs and traces.
//!
//! Owns: the catalogue of metrics, the registry and its handles, the set-up of logging, the throttle for warnings, the form
//! and the queue of traces.
//! Never does: serve them (the host does), decide anything, keep process-wide state other than the one log subscriber.
//!
//! Invariant: every metric that leaves the process is a row of [`catalogue`], and every label value is from a closed
//! set or from the pipeline file.
#![deny(missing_docs)]

pub mod catalogue;
mod drift;
mod lane;
mod log;
mod metrics;
mod reference;
mod throttle;
mod traces;

pub use self::drift::{ModelVersion, Totals};
pub use self::lane::{BatchFacts, LaneMetrics};
pub use self::log::{AUDIT, CONFIGURED, LevelInForce, LogError, LogFormat, LogLevel, LogSettings};
pub use self::metrics::{Metrics, ModelFacts, RegistryMetrics};
pub use self::reference::catalogue_markdown;
pub use self::throttle::Throttle;
pub use self::traces::{BatchTimes, Resource, Told, TraceMetrics, TracedEvent, Traces};
