//! The librdkafka properties of the bare clients: those that Eddy sets, said again.
//!
//! Owns: the repetition, so that no part runs on Eddy's code. What `services/broker/src/settings/client.rs` sets, this sets;
//! whoever changes one changes the other, or the comparison is not fair.

use rdkafka::ClientConfig;
use serde::{Deserialize, Serialize};

/// What is promised about the outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Guarantee {
    /// Offsets are committed after the outputs are delivered.
    AtLeastOnce,
    /// Outputs and offsets in transactions.
    ExactlyOnce,
}

impl Guarantee {
    pub(crate) const ALL: [Self; 2] = [Self::AtLeastOnce, Self::ExactlyOnce];

    /// As pipeline files say it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::AtLeastOnce => "at-least-once",
            Self::ExactlyOnce => "exactly-once",
        }
    }
}

/// The consumer of a lane.
pub(crate) fn consumer(brokers: &str, group: &str, guarantee: Guarantee) -> ClientConfig {
    let auto_commit = if guarantee == Guarantee::ExactlyOnce {
        "false"
    } else {
        "true"
    };
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("group.id", group)
        .set("statistics.interval.ms", "5000")
        .set("topic.metadata.refresh.interval.ms", "60000")
        .set("queued.min.messages", "20000")
        .set("queued.max.messages.kbytes", "32768")
        .set("fetch.queue.backoff.ms", "20")
        .set("fetch.wait.max.ms", "100")
        .set("auto.commit.interval.ms", "1000")
        .set("group.protocol", "classic")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", "15000")
        .set("heartbeat.interval.ms", "3000")
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", auto_commit)
        .set("enable.auto.offset.store", "false")
        .set("isolation.level", "read_committed")
        .set("check.crcs", "true")
        .set("enable.partition.eof", "false")
        .set("allow.auto.create.topics", "false");
    config
}

/// The producer of a lane; `name` becomes its transactional id where it needs one.
pub(crate) fn producer(brokers: &str, name: &str, guarantee: Guarantee) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("statistics.interval.ms", "30000")
        .set("queue.buffering.max.kbytes", "65536")
        .set("queue.buffering.max.messages", "100000")
        .set("batch.size", "1000000")
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("linger.ms", "1")
        .set("compression.type", "lz4")
        .set("message.max.bytes", "1000000")
        .set("allow.auto.create.topics", "false")
        .set("delivery.report.only.error", "false");
    if guarantee == Guarantee::ExactlyOnce {
        config
            .set("transactional.id", name)
            .set("transaction.timeout.ms", "10000");
    }
    config
}
