//! A model that turns sick pauses the stream and reroutes nothing; once it is well, the stream goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use eddy_broker::twin::{Cluster, ClusterSettings, Isolation, TwinRecord, TwinSettings};
use eddy_inference::LaneReport;
use eddy_inference::lane::{Lane, LaneSettings, Turn};
use eddy_pipeline::checkpoint::{Budget, Checkpoint, Guarantee};
use eddy_telemetry::Metrics;
use eddy_telemetry::catalogue::PauseCause;

use crate::stub;

const EVENTS: usize = 40;

#[test]
fn a_sick_model_pauses_the_stream_and_when_it_is_well_every_event_is_predicted_once() {
    for guarantee in [Guarantee::ExactlyOnce, Guarantee::AtLeastOnce] {
        let cluster = Cluster::new(ClusterSettings::default());
        for topic in ["events", "predictions", "retraining", "dead-letters"] {
            cluster.create_topic(topic, 1);
        }
        let produce = |number: usize| {
            let value = format!(r#"{{"x":{number}}}"#).into_bytes();
            cluster.produce(
                "events",
                0,
                TwinRecord {
                    value: Some(value),
                    ..TwinRecord::default()
                },
            );
        };
        let written = |topic: &str| cluster.read(topic, Isolation::ReadCommitted).len();
        let twin = match guarantee {
            Guarantee::ExactlyOnce => TwinSettings::exactly_once("group", "lane-0"),
            Guarantee::AtLeastOnce => TwinSettings::at_least_once("group"),
        };
        let is_sick = Arc::new(AtomicBool::new(false));
        let settings = LaneSettings::default();
        let report = Arc::new(LaneReport::default());
        let mut lane = Lane::new(
            cluster.connect(twin),
            stub::scoring_while(Arc::clone(&is_sick), &settings.batch),
            Checkpoint::new(guarantee, Budget::default()),
            settings.clone(),
            (
                Arc::new(cluster.clock()),
                Metrics::new("pauses", "0").lane(0, &["stub"]),
                Arc::clone(&report),
            ),
        );
        (0..EVENTS / 2).for_each(&produce);
        turn_until(&mut lane, |_| written("predictions") == EVENTS / 2);

        is_sick.store(true, Ordering::Relaxed);
        (EVENTS / 2..EVENTS).for_each(&produce);
        turn_until(&mut lane, |turn| turn == Turn::Paused(PauseCause::Model));
        // Long enough for several tries.
        for _ in 0..20 {
            cluster.advance(settings.dead_letters.retry.0 + Duration::from_secs(1));
            let turn = lane.turn().expect("a pause is no end");
            assert_eq!(turn, Turn::Paused(PauseCause::Model));
        }
        let holds = report.latest().holds;
        assert!(
            holds
                .iter()
                .any(|hold| hold.cause == PauseCause::Model && hold.why.contains("the device is gone")),
            "{holds:?}"
        );
        assert_eq!(
            (written("predictions"), written("dead-letters")),
            (EVENTS / 2, 0),
            "nothing was rerouted"
        );
        assert!(lane.accounts().balance().holds());

        is_sick.store(false, Ordering::Relaxed);
        cluster.advance(settings.dead_letters.retry.0 + Duration::from_secs(1));
        turn_until(&mut lane, |_| written("predictions") == EVENTS);
        assert_eq!((written("predictions"), written("dead-letters")), (EVENTS, 0));
        assert_eq!(report.latest().holds, []);
        let accounts = lane.drain().expect("a healthy lane drains");
        assert_eq!(accounts.balance().predicted, EVENTS as u64);
    }
}

fn turn_until<B: eddy_broker::Broker>(lane: &mut Lane<B>, done: impl Fn(Turn) -> bool) {
    for _ in 0..10_000 {
        if done(lane.turn().expect("nothing stops this lane")) {
            return;
        }
    }
    panic!("it never came to that");
}
