//! Promises of the twin: each is one that Kafka makes, or one that Kafka refuses to make.

use std::time::Duration;

use eddy_pipeline::event::{Destination, Output, Partition};

use super::*;
use crate::{Broker, BrokerError, Fault, Polled, SendError, Ticket, Undelivered};

mod beginnings;
mod deliveries;
mod faults;
mod groups;
mod saboteur;
mod transactions;

const GROUP: &str = "digits";
const MOMENT: Duration = Duration::from_millis(10);

fn cluster_with(settings: ClusterSettings) -> Cluster {
    let cluster = Cluster::new(ClusterSettings {
        trace: true,
        ..settings
    });
    for (topic, partitions) in [("events", 2), ("predictions", 2), ("retraining", 1)] {
        cluster.create_topic(topic, partitions);
    }
    cluster.create_topic_with_limit("dead-letters", 1, 64);
    cluster
}

fn cluster() -> Cluster {
    cluster_with(ClusterSettings::default())
}

fn scripted(faults: Faults) -> Cluster {
    cluster_with(ClusterSettings {
        faults,
        ..ClusterSettings::default()
    })
}

fn eager() -> Cluster {
    cluster_with(ClusterSettings {
        protocol: Protocol::Eager,
        ..ClusterSettings::default()
    })
}

fn transactional(cluster: &Cluster, id: &str) -> Twin {
    cluster.connect(TwinSettings::exactly_once(GROUP, id))
}

fn plain(cluster: &Cluster) -> Twin {
    cluster.connect(TwinSettings::at_least_once(GROUP))
}

fn fill(cluster: &Cluster, partition: i32, values: &[&str]) {
    for value in values {
        cluster.produce("events", partition, TwinRecord::of(*value));
    }
}

fn partition(number: i32) -> Partition {
    Partition { topic: 0, number }
}

/// One poll; what it handed over as `partition/offset=value`.
fn poll(twin: &mut Twin) -> (Polled, Option<String>) {
    let mut handed = None;
    let polled = twin.poll(MOMENT, &mut |record| {
        let value = String::from_utf8_lossy(record.value.unwrap_or_default()).into_owned();
        handed = Some(format!(
            "{}/{}={value}",
            record.source.partition.number, record.source.offset
        ));
    });
    (polled.expect("no fault is planned for polling"), handed)
}

/// Polls until nothing comes for a while; accepts and releases whatever the group says. Returns the records.
fn poll_all(twin: &mut Twin) -> Vec<String> {
    let mut records = Vec::new();
    let mut idle = 0;
    while idle < 3 {
        let (polled, record) = poll(twin);
        records.extend(record);
        match polled {
            Polled::Record => idle = 0,
            Polled::Idle => idle += 1,
            Polled::Assigned(partitions) => twin.accept(&partitions).expect("they were just given"),
            Polled::Revoked { partitions, .. } => twin.release(&partitions).expect("they are held"),
        }
    }
    records
}

/// The next thing that the group says; records on the way are left aside.
fn notice(twin: &mut Twin) -> Option<Polled> {
    (0..20)
        .map(|_| poll(twin).0)
        .find(|polled| !matches!(polled, Polled::Idle | Polled::Record))
}

/// Joins and accepts everything that is given.
fn settle(twin: &mut Twin) -> Vec<Partition> {
    let Some(Polled::Assigned(partitions)) = notice(twin) else {
        panic!("nothing was given");
    };
    twin.accept(&partitions).expect("they were just given");
    partitions
}

fn send(twin: &mut Twin, to: Destination, value: &str, ticket: Ticket, row: u32) -> Result<(), SendError> {
    let output = Output {
        to,
        partition: 0,
        key: None,
        value: Some(value.as_bytes()),
        headers: &[],
    };
    twin.send(&output, ticket, row)
}

fn predict(twin: &mut Twin, value: &str) {
    send(twin, Destination::Predictions, value, 1, 0).expect("the queue has room");
}

fn drain(twin: &mut Twin) {
    for _ in 0..1000 {
        if twin.in_flight() == 0 {
            return;
        }
        twin.serve(MOMENT);
    }
    panic!("the queue never drains");
}

fn failures(twin: &mut Twin) -> Vec<Undelivered> {
    let mut failures = Vec::new();
    twin.undelivered(&mut failures);
    failures
}

fn values(cluster: &Cluster, topic: &str, isolation: Isolation) -> Vec<String> {
    let text =
        |stored: Stored| String::from_utf8_lossy(stored.record.value.as_deref().unwrap_or_default()).into_owned();
    cluster.read(topic, isolation).into_iter().map(text).collect()
}

fn predictions(cluster: &Cluster) -> Vec<String> {
    values(cluster, "predictions", Isolation::ReadCommitted)
}

fn fault<T: std::fmt::Debug>(result: Result<T, BrokerError>) -> Fault {
    result.expect_err("it was to fail").fault
}
