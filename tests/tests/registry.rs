//! Schemas from a registry: the client in all weathers, and streams of framed events on a real Kafka.
//!
//! The client meets a stand-in that can be in any trouble, and a real registry for all else.

#[path = "registry/client.rs"]
mod client;
#[path = "registry/commands.rs"]
mod commands;
#[path = "registry/evolution.rs"]
mod evolution;
#[path = "registry/orders.rs"]
mod orders;
#[path = "registry/real.rs"]
mod real;
#[path = "registry/stream.rs"]
mod stream;

use std::time::Duration;

const BINARY: &str = env!("CARGO_BIN_EXE_eddy-under-test");

/// For how long the registry stays away at least. The slow suite has the two minutes of which the promise speaks.
const fn away_for() -> Duration {
    match cfg!(feature = "slow") {
        true => Duration::from_secs(120),
        false => Duration::ZERO,
    }
}
