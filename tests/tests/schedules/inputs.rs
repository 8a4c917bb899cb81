//! The events of a schedule, as they stand in the log.

use std::collections::BTreeMap;

use eddy_broker::twin::{Cluster, TwinRecord};

use crate::plan::{Event, Gap, Kind};
use crate::stub;

/// An input where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) kind: Kind,
    pub(crate) record: TwinRecord,
}

/// Writes the events into the topic, each with a number of its own, from `first` on.
pub(crate) fn produce(cluster: &Cluster, first: usize, events: &[Event]) -> Vec<Input> {
    (first..)
        .zip(events)
        .map(|(position, event)| produce_one(cluster, position, event))
        .collect()
}

/// The offset after the last input of each partition.
pub(crate) fn ends(inputs: &[Input]) -> BTreeMap<i32, i64> {
    inputs.iter().map(|input| (input.partition, input.offset + 1)).collect()
}

fn produce_one(cluster: &Cluster, position: usize, event: &Event) -> Input {
    match event.before {
        Gap::None => {}
        Gap::Compacted => cluster.skip("events", event.partition, 3),
        Gap::Aborted => {
            let never = TwinRecord::of(r#"{"x": 1}"#);
            cluster.produce_transaction("events", event.partition, vec![never], false);
        }
    }
    let number = stub::number(event.kind, position);
    let value = match event.kind {
        Kind::Tombstone => None,
        Kind::Malformed => Some(format!(r#"{{"x": {number}"#)),
        Kind::Incomplete => Some(format!(r#"{{"y": {number}}}"#)),
        _ => Some(format!(r#"{{"x": {number}}}"#)),
    };
    let record = TwinRecord {
        key: event.key.map(|key| vec![key]),
        value: value.map(String::into_bytes),
        headers: vec![("position".into(), Some(position.to_string().into_bytes()))],
        timestamp_ms: Some(position as i64),
    };
    let offset = cluster.produce("events", event.partition, record.clone());
    Input {
        partition: event.partition,
        offset,
        kind: event.kind,
        record,
    }
}
