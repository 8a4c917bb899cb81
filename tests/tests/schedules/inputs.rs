//! The events of a schedule, as they stand in the log.

use std::collections::BTreeMap;

use eddy_broker::twin::{Cluster, TwinRecord};

use crate::plan::{Event, Gap, Kind, Plan, SCHEMAS};
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
pub(crate) fn produce(cluster: &Cluster, plan: &Plan, first: usize, events: &[Event]) -> Vec<Input> {
    let value = match plan.framed {
        None => plain,
        Some(_) => framed,
    };
    (first..)
        .zip(events)
        .map(|(position, event)| produce_one(cluster, position, event, value(position, event.kind)))
        .collect()
}

/// The offset after the last input of each partition.
pub(crate) fn ends(inputs: &[Input]) -> BTreeMap<i32, i64> {
    inputs.iter().map(|input| (input.partition, input.offset + 1)).collect()
}

fn plain(position: usize, kind: Kind) -> Option<Vec<u8>> {
    let number = stub::number(kind, position);
    let value = match kind {
        Kind::Tombstone => return None,
        Kind::Malformed => format!(r#"{{"x": {number}"#),
        Kind::Incomplete => format!(r#"{{"y": {number}}}"#),
        _ => format!(r#"{{"x": {number}}}"#),
    };
    Some(value.into_bytes())
}

/// A record of [`stub::SCHEMA`] in Avro, behind the number of its schema.
fn framed(position: usize, kind: Kind) -> Option<Vec<u8>> {
    let number = stub::number(kind, position) as f64;
    let mut value = vec![0, 0, 0, 0, (position % SCHEMAS) as u8];
    // The branch of the union, then the number.
    match kind {
        Kind::Tombstone => return None,
        Kind::Malformed => value.extend([2, 1, 2, 3]),
        Kind::Incomplete => value.push(0),
        _ => {
            value.push(2);
            value.extend(number.to_le_bytes());
        }
    }
    Some(value)
}

fn produce_one(cluster: &Cluster, position: usize, event: &Event, value: Option<Vec<u8>>) -> Input {
    match event.before {
        Gap::None => {}
        Gap::Compacted => cluster.skip("events", event.partition, 3),
        Gap::Aborted => {
            let never = TwinRecord::of(r#"{"x": 1}"#);
            cluster.produce_transaction("events", event.partition, vec![never], false);
        }
    }
    let record = TwinRecord {
        key: event.key.map(|key| vec![key]),
        value,
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
