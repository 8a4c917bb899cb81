//! The adapter against librdkafka's mock cluster: groups, positions, deliveries, the kinds of failure.
//!
//! The mock cluster implements no transactions, so nothing here claims exactly once; `tests/tests/kafka_adapter.rs` does,
//! against a real Kafka.

mod driver;

mod closing;
mod deliveries;
mod embedded;
mod faults;
mod groups;
mod opening;
mod positions;
