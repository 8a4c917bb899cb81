//! A client that forgets a partition: nothing comes from it any more, and nobody says so.

use std::sync::Arc;
use std::time::Duration;

use eddy_broker::twin::{
    Cluster, ClusterSettings, Faults, Isolation, Mishap, Op, Twin, TwinRecord, TwinSettings, Until,
};
use eddy_inference::LaneReport;
use eddy_inference::lane::{Lane, LaneSettings, Stopped};
use eddy_pipeline::checkpoint::{Budget, Checkpoint, Guarantee, Stop};
use eddy_pipeline::time::Clock as _;
use eddy_telemetry::Metrics;

use crate::stub;

const BOTH: [Guarantee; 2] = [Guarantee::ExactlyOnce, Guarantee::AtLeastOnce];
const EVENTS: usize = 20;

/// A lane on two partitions with events, the first of which sticks.
fn stuck(guarantee: Guarantee, until: Until) -> (Cluster, Lane<Twin>) {
    let cluster = Cluster::new(ClusterSettings {
        faults: Faults::none().at(Op::Accept, 1, Mishap::Sticks(until)),
        trace: true,
        ..ClusterSettings::default()
    });
    for topic in ["events", "predictions", "retraining", "dead-letters"] {
        cluster.create_topic(topic, 2);
    }
    for number in 0..EVENTS {
        let record = TwinRecord::of(format!(r#"{{"x":{number}}}"#));
        cluster.produce("events", (number % 2) as i32, record);
    }
    let twin = match guarantee {
        Guarantee::ExactlyOnce => TwinSettings::exactly_once("group", "lane-0"),
        Guarantee::AtLeastOnce => TwinSettings::at_least_once("group"),
    };
    let settings = LaneSettings::default();
    let lane = Lane::new(
        cluster.connect(twin),
        stub::scoring(&settings.batch),
        Checkpoint::new(guarantee, Budget::default()),
        settings,
        (
            Arc::new(cluster.clock()),
            Metrics::new("stalls", "0").lane(0, &["stub"]),
            Arc::new(LaneReport::default()),
        ),
    );
    (cluster, lane)
}

/// Turns until every event is committed, for at most an hour of the cluster's time.
fn run(cluster: &Cluster, lane: &mut Lane<Twin>) -> Result<(), Stopped> {
    let clock = cluster.clock();
    let committed = |partition| cluster.committed("group", "events", partition) == Some(EVENTS as i64 / 2);
    while !(committed(0) && committed(1)) {
        lane.turn()?;
        let now = clock.now().monotonic;
        assert!(now < Duration::from_secs(3600), "it stands still for ever");
    }
    Ok(())
}

/// How often the trace has these words.
fn times(cluster: &Cluster, words: &str) -> usize {
    cluster.trace().iter().filter(|line| line.contains(words)).count()
}

#[track_caller]
fn assert_each_is_predicted_once(cluster: &Cluster) {
    assert_eq!(cluster.read("predictions", Isolation::ReadCommitted).len(), EVENTS);
    assert_eq!(cluster.violations(), Vec::<String>::new());
}

#[test]
fn a_partition_that_stands_still_is_gone_back_to_and_flows() {
    for guarantee in BOTH {
        let (cluster, mut lane) = stuck(guarantee, Until::Rewound);
        run(&cluster, &mut lane).expect("it is cured");
        assert_eq!(times(&cluster, "is rewound to"), 1);
        assert_eq!(times(&cluster, "Rejoin: done"), 0, "that was not needed");
        assert_each_is_predicted_once(&cluster);
    }
}

#[test]
fn a_partition_for_which_that_does_not_help_is_read_by_a_new_consumer() {
    for guarantee in BOTH {
        let (cluster, mut lane) = stuck(guarantee, Until::Rejoined);
        run(&cluster, &mut lane).expect("it is cured");
        assert_eq!(times(&cluster, "Rejoin: done"), 1);
        assert_each_is_predicted_once(&cluster);
    }
}

#[test]
fn a_partition_for_which_nothing_helps_ends_the_process_with_a_sentence_that_names_it() {
    for guarantee in BOTH {
        let (cluster, mut lane) = stuck(guarantee, Until::Never);
        let stopped = run(&cluster, &mut lane).expect_err("nothing helps");
        assert_eq!(stopped.stop, Stop::GuaranteeLost);
        let said = stopped.to_string();
        assert!(
            said.contains("`events` [0]") && said.contains("checkpoint.stall_after"),
            "{said}"
        );
        assert_eq!(times(&cluster, "Rejoin: done"), 1);
        let others = cluster.committed("group", "events", 1);
        assert_eq!(others, Some(EVENTS as i64 / 2), "the others went on");
    }
}
