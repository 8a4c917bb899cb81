//! The in-memory twin: a Kafka cluster as a lane sees it, deterministic, on a virtual clock, with faults on demand.
//!
//! Owns: logs, transactions, groups and committed offsets of a cluster that lives in memory, and connections to it that
//! behave as [`crate::Broker`] says.
//! Never does: decide for the lane, speak a protocol, read a system clock or sleep. The same seed, script and calls give
//! the same run.
//!
//! Invariant: what a client may count on in Kafka holds here, and what it may not count on is broken here by chance or by
//! script: deliveries are reported late, commits time out and land all the same, members are thrown out and learn it
//! later, offsets have gaps.
//!
//! ```
//! use eddy_broker::twin::{Cluster, ClusterSettings, TwinRecord, TwinSettings};
//!
//! let cluster = Cluster::new(ClusterSettings { seed: 7, ..ClusterSettings::default() });
//! for (topic, partitions) in [("events", 3), ("predictions", 3), ("retraining", 1), ("dead-letters", 1)] {
//!     cluster.create_topic(topic, partitions);
//! }
//! cluster.produce("events", 0, TwinRecord::of("{}"));
//! let lane_0 = cluster.connect(TwinSettings::exactly_once("digits", "digits-a-0"));
//! # drop(lane_0);
//! ```

mod begin;
mod broker;
mod clock;
mod cluster;
mod connection;
mod faults;
mod group;
mod log;
mod outbox;
mod saboteur;
mod state;
mod transactions;

pub use clock::VirtualClock;
pub use cluster::{Cluster, ClusterSettings, ConnectionId, Protocol};
pub use connection::{Twin, TwinSettings};
pub use faults::{Faults, Mishap, Op, Planned, Until, When};
pub use log::{Isolation, Stored, TwinRecord};
pub use saboteur::{Sabotage, Saboteur};

#[cfg(test)]
mod tests;
