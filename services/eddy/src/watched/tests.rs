//! Calls that hang, in a process of their own: each test runs itself again as a child.

use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use eddy_broker::twin::{Cluster, ClusterSettings, Twin, TwinRecord, TwinSettings};
use eddy_host::{ExitCode, Shutdown, SystemClock, Tasks, Watchdog, exit_now, exit_on_overdue};

use super::*;

const CHILD: &str = "EDDY_TEST_WATCHED_CHILD";
const SHORT: Duration = Duration::from_millis(20);

#[expect(clippy::disallowed_methods, reason = "how a test tells its child that it is one")]
fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// Runs the test of this name in a process of its own, where [`is_child`] holds.
fn in_child(test: &str) -> ExitStatus {
    Command::new(std::env::current_exe().expect("a test knows its own program"))
        .args(["--exact", &format!("watched::tests::{test}"), "--nocapture"])
        .env(CHILD, "1")
        .status()
        .expect("the test's program runs")
}

/// A watchdog whose limits are as good as nothing, and a twin of Kafka that it watches.
fn watched(answers: impl Fn() -> bool + Send + 'static) -> (Watchdog, Watched<Twin>) {
    let clock = Arc::new(SystemClock::start());
    let tasks = Tasks::new(Shutdown::new(clock.clone(), Duration::from_secs(20)));
    let watchdog = Watchdog::start(&tasks, clock, SHORT, judge(answers, exit_on_overdue)).expect("a thread");
    let cluster = Cluster::new(ClusterSettings::default());
    for topic in ["events", "predictions", "retraining", "dead-letters"] {
        cluster.create_topic(topic, 1);
    }
    let twin = cluster.connect(TwinSettings::exactly_once("group", "lane-0"));
    cluster.produce("events", 0, TwinRecord::of("{}"));
    let settings = serde_json::json!({"brokers": "", "start": "earliest"});
    let settings = serde_json::from_value(settings).expect("sound settings");
    let mut watched = Watched::new(twin, watchdog.beat("lane 0"), &settings);
    watched.limits.grace = SHORT;
    (watchdog, watched)
}

/// Polls until there is a record, and calls `hang` from within the call that brings it.
fn poll(watched: &mut Watched<Twin>, mut hang: impl FnMut()) {
    loop {
        match watched.poll(SHORT, &mut |_| hang()).expect("nothing else is wrong") {
            Polled::Record => return,
            Polled::Assigned(partitions) => watched.accept(&partitions).expect("nothing else is wrong"),
            Polled::Idle | Polled::Revoked { .. } => {}
        }
    }
}

fn for_ever() {
    loop {
        std::thread::park();
    }
}

#[test]
fn a_call_that_hangs_while_kafka_answers_ends_the_process_with_70() {
    if !is_child() {
        let ended = in_child("a_call_that_hangs_while_kafka_answers_ends_the_process_with_70");
        assert_eq!(ended.code(), Some(70));
        return;
    }
    let (_watchdog, mut watched) = watched(|| true);
    poll(&mut watched, for_ever);
}

#[test]
fn a_call_that_waits_for_nobody_ends_the_process_with_70_during_an_outage_too() {
    if !is_child() {
        let ended = in_child("a_call_that_waits_for_nobody_ends_the_process_with_70_during_an_outage_too");
        assert_eq!(ended.code(), Some(70));
        return;
    }
    let (_watchdog, watched) = watched(|| false);
    let _entered = watched.local("release");
    for_ever();
}

#[test]
fn a_call_that_hangs_while_nobody_answers_is_waited_on_for_as_long_as_that_lasts() {
    if !is_child() {
        let ended = in_child("a_call_that_hangs_while_nobody_answers_is_waited_on_for_as_long_as_that_lasts");
        assert_eq!(ended.code(), Some(0));
        return;
    }
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let (_watchdog, mut watched) = watched(|| {
        ASKED.fetch_add(1, Ordering::Relaxed);
        false
    });
    poll(&mut watched, || {
        while ASKED.load(Ordering::Relaxed) < 10 {
            std::thread::yield_now();
        }
    });
    exit_now(ExitCode::Drained);
}

#[test]
fn a_lane_that_makes_no_call_for_half_of_the_poll_interval_ends_the_process_with_70() {
    if !is_child() {
        let ended = in_child("a_lane_that_makes_no_call_for_half_of_the_poll_interval_ends_the_process_with_70");
        assert_eq!(ended.code(), Some(70));
        return;
    }
    let settings = serde_json::json!({
        "brokers": "", "start": "earliest", "consumer": {"max.poll.interval.ms": 40},
    });
    let (watchdog, _idle) = watched(|| false);
    let settings = serde_json::from_value(settings).expect("sound settings");
    let busy = Watched::new((), watchdog.beat("lane 1"), &settings);
    busy.watch_between();
    for_ever();
}
