//! The orders of the person on call, carried out by a lane on the twin: pause, go on, skip.

use std::sync::Arc;
use std::time::Duration;

use eddy_broker::twin::{Cluster, ClusterSettings, Isolation, Stored, Twin, TwinRecord, TwinSettings};
use eddy_inference::LaneReport;
use eddy_inference::lane::{Lane, LaneSettings, Turn};
use eddy_inference::orders::Orders;
use eddy_pipeline::checkpoint::{Budget, Checkpoint, Guarantee};
use eddy_pipeline::event::{HEADER_DETAIL, HEADER_REASON, HEADER_SOURCE, HEADER_STAGE, Partition, Source};
use eddy_telemetry::Metrics;
use eddy_telemetry::catalogue::PauseCause;

use crate::stub;

const BOTH: [Guarantee; 2] = [Guarantee::ExactlyOnce, Guarantee::AtLeastOnce];
const GROUP: &str = "group";

struct Scene {
    cluster: Cluster,
    lane: Lane<Twin>,
    orders: Arc<Orders>,
    report: Arc<LaneReport>,
    settings: LaneSettings,
}

impl Scene {
    fn new(guarantee: Guarantee, settings: LaneSettings) -> Self {
        let cluster = Cluster::new(ClusterSettings::default());
        for topic in ["events", "predictions", "retraining", "dead-letters"] {
            cluster.create_topic(topic, 1);
        }
        let (orders, report) = (Arc::<Orders>::default(), Arc::<LaneReport>::default());
        let lane = lane(&cluster, guarantee, &settings, (&orders, &report));
        Self {
            cluster,
            lane,
            orders,
            report,
            settings,
        }
    }

    fn produce(&self, numbers: impl IntoIterator<Item = usize>) {
        for number in numbers {
            let record = TwinRecord {
                value: Some(format!(r#"{{"x":{number}}}"#).into_bytes()),
                ..TwinRecord::default()
            };
            self.cluster.produce("events", 0, record);
        }
    }

    fn read(&self, topic: &str) -> Vec<Stored> {
        self.cluster.read(topic, Isolation::ReadCommitted)
    }

    fn committed(&self) -> Option<i64> {
        self.cluster.committed(GROUP, "events", 0)
    }

    #[track_caller]
    fn turn_until(&mut self, what: &str, done: impl Fn(&Self, Turn) -> bool) {
        for _ in 0..10_000 {
            let turn = self.lane.turn().expect("nothing stops this lane");
            if done(self, turn) {
                return;
            }
        }
        panic!("never: {what}");
    }

    /// Why the lane takes no events, if it is for this cause.
    fn why(&self, cause: PauseCause) -> Option<String> {
        let holds = self.report.latest().holds;
        holds.into_iter().find(|hold| hold.cause == cause).map(|hold| hold.why)
    }
}

fn lane(
    cluster: &Cluster,
    guarantee: Guarantee,
    settings: &LaneSettings,
    (orders, report): (&Arc<Orders>, &Arc<LaneReport>),
) -> Lane<Twin> {
    let twin = match guarantee {
        Guarantee::ExactlyOnce => TwinSettings::exactly_once(GROUP, "lane-0"),
        Guarantee::AtLeastOnce => TwinSettings::at_least_once(GROUP),
    };
    let metrics = Metrics::new("orders", "0").lane(0, &["stub"]);
    Lane::new(
        cluster.connect(twin),
        stub::scoring(&settings.batch),
        Checkpoint::new(guarantee, Budget::default()),
        settings.clone(),
        (Arc::new(cluster.clock()), metrics, Arc::clone(report)),
    )
    .under(Arc::clone(orders))
}

fn source(offset: i64) -> Source {
    Source {
        partition: Partition { topic: 0, number: 0 },
        offset,
    }
}

fn sources(stored: &[Stored]) -> Vec<&str> {
    stored
        .iter()
        .filter_map(|one| one.record.header(HEADER_SOURCE))
        .collect()
}

#[test]
fn a_paused_lane_makes_durable_what_it_has_keeps_its_partitions_and_takes_nothing() {
    for guarantee in BOTH {
        let mut scene = Scene::new(guarantee, LaneSettings::default());
        scene.produce(0..20);
        scene.turn_until("work is under way", |_, turn| turn == Turn::Worked);
        scene.orders.pause("ann");
        scene.turn_until("it pauses", |_, turn| turn == Turn::Paused(PauseCause::Operator));
        let consumed = scene.lane.accounts().consumed();
        assert_eq!(scene.committed(), Some(consumed as i64), "what was begun is durable");
        assert!(scene.why(PauseCause::Operator).expect("it says so").contains("ann"));

        scene.produce(20..40);
        let member = scene.lane.broker().id();
        for _ in 0..100 {
            scene.cluster.advance(Duration::from_secs(10));
            assert_eq!(scene.lane.turn(), Ok(Turn::Paused(PauseCause::Operator)));
        }
        assert_eq!(scene.cluster.members(GROUP), [member], "it stays in the group");
        assert_eq!(scene.report.latest().partitions.len(), 1, "and keeps its partition");
        // The group throws it out and takes it in again: still paused.
        scene.cluster.kick(member);
        scene.turn_until("it is given its partition once more", |scene, turn| {
            assert_eq!(turn, Turn::Paused(PauseCause::Operator));
            scene.cluster.members(GROUP) == [member] && scene.report.latest().partitions.len() == 1
        });
        assert_eq!(scene.lane.accounts().consumed(), consumed, "nothing was taken");

        scene.orders.resume();
        scene.turn_until("the rest is done", |scene, _| scene.committed() == Some(40));
        assert_eq!(scene.report.latest().holds, []);
        assert_eq!(scene.read("predictions").len(), 40);
        assert!(scene.lane.accounts().balance().holds());
    }
}

#[test]
fn a_poison_pill_that_makes_the_model_sick_is_named_and_once_skipped_lets_the_stream_go_on() {
    for guarantee in BOTH {
        let mut scene = Scene::new(guarantee, LaneSettings::default());
        scene.produce((0..20).map(|number| if number == 7 { stub::POISON } else { number }));
        scene.turn_until("it pauses", |_, turn| turn == Turn::Paused(PauseCause::Model));
        let named = "`eddy skip events/0/7`";
        scene.turn_until("the pill is named", |scene, turn| {
            if matches!(turn, Turn::Paused(_)) {
                scene.cluster.advance(scene.settings.dead_letters.retry.0);
            }
            scene.why(PauseCause::Model).is_some_and(|why| why.contains(named))
        });
        assert_eq!(scene.committed(), Some(7), "what stands before it is done");
        assert!(scene.read("dead-letters").is_empty(), "and nothing is rerouted");

        let now = scene.cluster.clock();
        let before = eddy_pipeline::time::Clock::now(&now).monotonic;
        assert_eq!(scene.orders.skip(source(7), "ann"), Ok(true));
        scene.turn_until("the rest is done", |scene, _| scene.committed() == Some(20));
        let took = eddy_pipeline::time::Clock::now(&now).monotonic - before;
        assert!(
            took < scene.settings.dead_letters.retry.0,
            "it does not wait for the next try: {took:?}"
        );

        let dead = scene.read("dead-letters");
        assert_eq!(sources(&dead), ["events/0/7"]);
        let said = |header| dead[0].record.header(header).expect("a dead letter says why");
        assert_eq!((said(HEADER_STAGE), said(HEADER_REASON)), ("operator", "skipped"));
        assert!(said(HEADER_DETAIL).contains("ann"), "{}", said(HEADER_DETAIL));
        assert_eq!(scene.read("predictions").len(), 19);
        scene.turn_until("the order is done", |scene, _| scene.orders.standing().skips.is_empty());
        assert_eq!(scene.report.latest().holds, []);
    }
}

#[test]
fn a_skip_of_what_is_past_or_never_comes_changes_nothing_and_is_dropped() {
    for guarantee in BOTH {
        let mut scene = Scene::new(guarantee, LaneSettings::default());
        scene.produce(0..5);
        scene.cluster.skip("events", 0, 3);
        scene.produce(5..10);
        scene.turn_until("some of it is done", |scene, _| scene.committed() >= Some(5));
        // One is committed; the other is an offset without a record.
        for offset in [2, 6] {
            assert_eq!(scene.orders.skip(source(offset), "ann"), Ok(true));
        }
        scene.turn_until("both are dropped", |scene, _| {
            scene.cluster.advance(Duration::from_secs(1));
            scene.orders.standing().skips.is_empty()
        });
        scene.turn_until("all of it is done", |scene, _| scene.committed() == Some(13));
        assert_eq!(
            (scene.read("predictions").len(), scene.read("dead-letters").len()),
            (10, 0)
        );
    }
}

/// Another replica did it: this one has never read of that partition.
#[test]
fn a_skip_is_dropped_when_the_group_is_beyond_it_elsewhere() {
    let mut scene = Scene::new(Guarantee::ExactlyOnce, LaneSettings::default());
    scene.produce(0..5);
    scene.turn_until("all of it is done", |scene, _| scene.committed() == Some(5));
    let (orders, report) = (Arc::<Orders>::default(), Arc::<LaneReport>::default());
    let settings = TwinSettings::exactly_once(GROUP, "lane-1");
    let mut other = Lane::new(
        scene.cluster.connect(settings),
        stub::scoring(&scene.settings.batch),
        Checkpoint::new(Guarantee::ExactlyOnce, Budget::default()),
        scene.settings.clone(),
        (
            Arc::new(scene.cluster.clock()),
            Metrics::new("orders", "0").lane(0, &["stub"]),
            Arc::clone(&report),
        ),
    )
    .under(Arc::clone(&orders));
    assert_eq!(orders.skip(source(3), "ann"), Ok(true));
    for _ in 0..10_000 {
        scene.cluster.advance(Duration::from_secs(1));
        other.turn().expect("nothing stops this lane");
        if orders.standing().skips.is_empty() {
            return;
        }
    }
    panic!("it never asked the group");
}

#[test]
fn a_skip_can_end_a_flood_and_does_not_count_as_one() {
    let mut settings = LaneSettings::default();
    (settings.dead_letters.window_events, settings.dead_letters.flood_share) = (10, 0.5);
    let mut scene = Scene::new(Guarantee::ExactlyOnce, settings);
    // Half of a window is refused by the model.
    let refused = |number: usize| number % 2 == 1;
    scene.produce((0..10).map(|number| if refused(number) { 2000 + number } else { number }));
    scene.turn_until("it pauses", |_, turn| turn == Turn::Paused(PauseCause::Flood));
    assert_eq!(scene.committed().unwrap_or(0), 0);
    assert_eq!(scene.orders.skip(source(1), "ann"), Ok(true));
    scene.turn_until("it goes on", |scene, _| scene.committed() == Some(10));
    assert_eq!(scene.read("dead-letters").len(), 5);
    assert_eq!(scene.read("predictions").len(), 5);
}

#[test]
fn going_on_does_not_wait_for_the_next_try_of_a_sick_model() {
    let mut scene = Scene::new(Guarantee::ExactlyOnce, LaneSettings::default());
    scene.produce([stub::POISON]);
    scene.turn_until("it pauses", |_, turn| turn == Turn::Paused(PauseCause::Model));
    let tried = |scene: &Scene| scene.lane.accounts().consumed();
    let before = tried(&scene);
    scene.orders.resume();
    scene.turn_until("it is tried again", |scene, _| tried(scene) > before);
}
