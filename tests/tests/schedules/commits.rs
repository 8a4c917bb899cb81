//! At least once, a lane commits what it has stored: after a number of events, and before it lets a partition go. The
//! client's own commits are put off for ever here.

use std::sync::Arc;
use std::time::Duration;

use eddy_broker::twin::{Cluster, ClusterSettings, Isolation, Twin, TwinRecord, TwinSettings};
use eddy_inference::LaneReport;
use eddy_inference::lane::{Lane, LaneSettings};
use eddy_pipeline::checkpoint::{Budget, Checkpoint, Guarantee};
use eddy_telemetry::Metrics;

use crate::stub;

const GROUP: &str = "group";
const RECORDS: usize = 10;

fn cluster() -> Cluster {
    let cluster = Cluster::new(ClusterSettings {
        auto_commit_interval: Duration::from_secs(1_000_000),
        ..ClusterSettings::default()
    });
    for topic in ["events", "predictions", "retraining", "dead-letters"] {
        cluster.create_topic(topic, 2);
    }
    cluster
}

fn lane(cluster: &Cluster) -> Lane<Twin> {
    let mut settings = LaneSettings::default();
    settings.checkpoint.records = RECORDS;
    Lane::new(
        cluster.connect(TwinSettings::at_least_once(GROUP)),
        stub::scoring(&settings.batch),
        Checkpoint::new(Guarantee::AtLeastOnce, Budget::default()),
        settings,
        (
            Arc::new(cluster.clock()),
            Metrics::new("commits", "0").lane(0, &["stub"]),
            Arc::<LaneReport>::default(),
        ),
    )
}

fn produce(cluster: &Cluster, partition: i32, count: usize) {
    for number in 0..count {
        let record = TwinRecord {
            value: Some(format!(r#"{{"x":{number}}}"#).into_bytes()),
            ..TwinRecord::default()
        };
        cluster.produce("events", partition, record);
    }
}

#[track_caller]
fn turn_until(lane: &mut Lane<Twin>, what: &str, done: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if done() {
            return;
        }
        lane.turn().expect("nothing stops this lane");
    }
    panic!("never: {what}");
}

#[test]
fn what_was_stored_of_every_partition_is_committed_and_not_only_of_the_latest() {
    let cluster = cluster();
    let mut lane = lane(&cluster);
    let predicted = || cluster.read("predictions", Isolation::ReadCommitted).len();
    let committed = |partition| cluster.committed(GROUP, "events", partition);
    produce(&cluster, 0, RECORDS / 2);
    turn_until(&mut lane, "five predictions", || predicted() == RECORDS / 2);
    assert_eq!(committed(0), Some(0), "it is too early");
    produce(&cluster, 1, RECORDS);
    turn_until(&mut lane, "a commit", || committed(1) == Some(RECORDS as i64));
    assert_eq!(committed(0), Some(RECORDS as i64 / 2));
}

#[test]
fn what_was_stored_is_committed_before_the_lane_leaves() {
    let cluster = cluster();
    let mut lane = lane(&cluster);
    produce(&cluster, 0, 3);
    let predicted = || cluster.read("predictions", Isolation::ReadCommitted).len();
    turn_until(&mut lane, "three predictions", || predicted() == 3);
    // Their spans are settled: nothing is under way any more.
    for _ in 0..10 {
        lane.turn().expect("nothing stops this lane");
    }
    assert_eq!(cluster.committed(GROUP, "events", 0), Some(0), "it is too early");
    lane.drain().expect("there is nothing in the way");
    assert_eq!(cluster.committed(GROUP, "events", 0), Some(3));
}
