//! Schemas from a registry: the client in all weathers, and streams of framed events on a real Kafka.
//!
//! The client meets a stand-in that can be in any trouble, and a real registry for all else.

#[path = "registry/client.rs"]
mod client;
#[path = "registry/real.rs"]
mod real;
