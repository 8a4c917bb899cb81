//! Outages of a real Kafka, longer than every timeout of the clients: no replica ends, `/live` answers, `/ready` names the
//! cause, and when the brokers return every event gets its one outcome.
//!
//! Each test has a broker of its own, which it kills and starts again on the same data.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use eddy_tests::cluster::Cluster;
use eddy_tests::kafka::{Isolation, Kafka};
use eddy_tests::oracle::{self, Counts, Event, Keys, Outputs};
use eddy_tests::service::{PATIENCE, Replica, wait_for};
use eddy_tests::stage::{self, AT_LEAST_ONCE, EXACTLY_ONCE, MLP, Plan, Stage};

const BINARY: &str = env!("CARGO_BIN_EXE_eddy-under-test");
const TOPICS: [&str; 4] = ["events", "predictions", "retraining", "dead-letters"];
const GROUP: &str = "eddy-outage";
const PARTITIONS: i32 = 3;
/// More than is done before an outage begins.
const BACKLOG: usize = 30_000;
/// What one outage may repeat at least once: outputs of what was not committed, of `records` and a few batches, twice.
const REPEATED: usize = 1000;
/// How often a cluster that comes and goes does so.
const ROUNDS: usize = 8;
/// How often the pages are looked at.
const LOOK: Duration = Duration::from_millis(200);
/// Longer than the session, the transaction and the delivery may take in [`pipeline`].
const LONG: Duration = Duration::from_secs(15);

/// `EDDY_OUTAGE_SECONDS` makes the outages longer: ten minutes, say.
fn long() -> Duration {
    let seconds = std::env::var("EDDY_OUTAGE_SECONDS").ok();
    let seconds = seconds.map(|text| text.parse().expect("EDDY_OUTAGE_SECONDS is a number of seconds"));
    seconds.map_or(LONG, Duration::from_secs)
}

/// How the brokers go away.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// Killed: connections break, and new ones are refused.
    Dead,
    /// Stopped: connections stand, and nothing comes back, as when a network stalls.
    Frozen,
}

/// A pipeline whose patience with Kafka is short, so that an outage of seconds is longer than all of it.
fn pipeline(guarantee: &str, brokers: &str) -> String {
    let model = MLP.replace("{models}", &stage::models().display().to_string());
    format!(
        r#"
        format = 2
        name = "outage"
        [kafka]
        brokers = "{brokers}"
        start = "earliest"
        guarantee = "{guarantee}"
        session_timeout = "3s"
        transaction_timeout = "4s"
        {model}
        [batch]
        rows = 1
        [checkpoint]
        records = 200
        delivery_timeout = "3s"
        [select]
        confidence_below = 0.3
        "#
    )
}

/// A broker with the topics of a pipeline, events in it, and a replica that works on them.
struct Scene {
    kafka: Kafka,
    replica: Replica,
    events: Vec<Event>,
    _folder: tempfile::TempDir,
}

impl Scene {
    fn new(guarantee: &str, settings: &[(&str, &str)]) -> Self {
        let kafka = Kafka::start();
        for topic in TOPICS {
            kafka.create_topic(topic, PARTITIONS, &[]);
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file: PathBuf = folder.path().join("pipeline.toml");
        std::fs::write(&file, pipeline(guarantee, &kafka.bootstrap())).expect("the folder takes a file");
        Self {
            replica: Replica::start(BINARY, &file, "replica-0", settings),
            kafka,
            events: Vec::new(),
            _folder: folder,
        }
    }

    /// Writes more events.
    fn send(&mut self, count: usize) {
        let next = self.events.len() as u64;
        let events = oracle::numbered(1, next..next + count as u64, Keys::Distinct(100));
        oracle::send(&self.kafka.client(), "events", &events);
        self.events.extend(events);
    }

    fn committed(&self) -> usize {
        let committed = self.kafka.committed(GROUP, "events");
        committed.into_iter().flatten().sum::<i64>() as usize
    }

    fn wait_for_commits(&mut self, count: usize) {
        wait_for(&format!("{count} events to be committed"), || {
            self.assert_alive();
            (self.committed() >= count).then_some(())
        });
    }

    fn assert_alive(&mut self) {
        assert!(self.replica.is_running(), "the replica ended");
    }

    fn go_away(&mut self, way: Way) {
        match way {
            Way::Dead => self.kafka.kill(),
            Way::Frozen => self.kafka.stop_process(),
        }
    }

    fn come_back(&mut self, way: Way) {
        match way {
            Way::Dead => self.kafka.restart(),
            Way::Frozen => self.kafka.continue_process(),
        }
    }

    /// The brokers are away for so long, and until the pages have said so.
    fn outage(&mut self, way: Way, length: Duration) {
        let address = self.kafka.bootstrap();
        self.go_away(way);
        let began = Instant::now();
        let mut was_named = false;
        while !was_named || began.elapsed() < length {
            assert!(began.elapsed() < length + PATIENCE, "never named");
            self.assert_alive();
            assert_eq!(self.replica.code("/live"), Some(200));
            let ready = self.replica.get("/ready").expect("the page answers");
            was_named |= ready.contains("no broker answers") && ready.contains(&address);
            std::thread::sleep(LOOK);
        }
        assert_eq!(self.replica.code("/ready"), Some(503));
        self.come_back(way);
    }

    /// Waits until everything is committed, for as long as it goes on.
    fn wait_for_end(&mut self) {
        let (mut done, mut moved) = (self.committed(), Instant::now());
        while self.kafka.lag(GROUP, "events") > 0 {
            self.assert_alive();
            let committed = self.committed();
            if committed > done {
                (done, moved) = (committed, Instant::now());
            }
            let stands = moved.elapsed() > PATIENCE;
            assert!(!stands, "it stands still after {done} events");
            std::thread::sleep(LOOK);
        }
    }

    /// What the log says went wrong on the way, and how often: for people who read the test's output.
    fn faults(&self) -> BTreeMap<String, usize> {
        let log = self.replica.log();
        let mut faults = BTreeMap::new();
        for line in log.lines() {
            let words = line
                .split_whitespace()
                .filter(|word| word.starts_with("step=") || word.starts_with("fault="));
            let mut words: Vec<&str> = words.collect();
            words.extend(line.contains("it is waited on").then_some("the watchdog asked Kafka"));
            words.extend(
                line.contains("has heard nothing")
                    .then_some("the consumer heard nothing"),
            );
            if !words.is_empty() {
                *faults.entry(words.join(" ")).or_default() += 1;
            }
        }
        faults
    }

    /// Everything that was written becomes durable; the replica drains; the oracle looks at what came out.
    fn finish(&mut self, duplicates: usize) -> Counts {
        self.wait_for_end();
        wait_for("the service to be ready again", || {
            (self.replica.code("/ready") == Some(200)).then_some(())
        });
        let status = self.replica.status().expect("the page answers");
        assert_eq!(status["events"]["balanced"], true, "{status}");
        let code = self.replica.terminate().code();
        assert_eq!(code, Some(0));
        let read = |topic| self.kafka.read_all(topic, Isolation::ReadCommitted);
        let outputs = Outputs {
            predictions: read("predictions"),
            samples: read("retraining"),
            dead_letters: read("dead-letters"),
        };
        let counts = oracle::check(&self.events, &outputs, duplicates);
        assert_eq!(counts.predictions + counts.dead_letters, self.events.len());
        if duplicates == 0 {
            oracle::check_order(&outputs);
        }
        counts
    }
}

/// What the service said last, for whoever reads of a failure.
impl Drop for Scene {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let page = |name| self.replica.get(name).unwrap_or_default();
            eprintln!("{}\n{}\n{}", self.replica.log(), page("/ready"), page("/status"));
        }
    }
}

fn an_outage_in_the_middle_of_the_work(guarantee: &str, way: Way, duplicates: usize) {
    // Checkpoints all the time, so that the outage meets one.
    let mut scene = Scene::new(guarantee, &[("EDDY__CHECKPOINT__INTERVAL", "1ms")]);
    scene.send(BACKLOG);
    scene.wait_for_commits(1);
    scene.outage(way, long());
    let done = scene.committed();
    assert!(done < BACKLOG, "there was work left when the brokers went away");
    scene.send(1000);
    let back = Instant::now();
    scene.wait_for_commits(done + 1);
    eprintln!(
        "{guarantee}, {way:?}: events flow {:.1} s after the return",
        back.elapsed().as_secs_f64()
    );
    let faults = scene.faults();
    let counts = scene.finish(duplicates);
    eprintln!("{guarantee}, {way:?}: {done} events were done before; {counts:?} after {faults:?}");
}

#[test]
fn exactly_once_an_outage_in_the_middle_of_the_work_loses_nothing_and_repeats_nothing() {
    an_outage_in_the_middle_of_the_work(EXACTLY_ONCE, Way::Dead, 0);
}

#[test]
fn exactly_once_a_network_that_stalls_in_the_middle_of_the_work_loses_nothing_and_repeats_nothing() {
    an_outage_in_the_middle_of_the_work(EXACTLY_ONCE, Way::Frozen, 0);
}

#[test]
fn at_least_once_an_outage_in_the_middle_of_the_work_loses_nothing() {
    an_outage_in_the_middle_of_the_work(AT_LEAST_ONCE, Way::Dead, REPEATED);
}

fn an_outage_while_there_is_nothing_to_do(guarantee: &str) {
    let mut scene = Scene::new(guarantee, &[]);
    scene.send(500);
    scene.wait_for_commits(500);
    scene.outage(Way::Dead, long());
    scene.send(500);
    scene.finish(0);
}

#[test]
fn exactly_once_an_outage_while_there_is_nothing_to_do_goes_by() {
    an_outage_while_there_is_nothing_to_do(EXACTLY_ONCE);
}

#[test]
fn at_least_once_an_outage_while_there_is_nothing_to_do_goes_by() {
    an_outage_while_there_is_nothing_to_do(AT_LEAST_ONCE);
}

/// Away for longer than a transaction may last, back for a moment, away again: each time another transaction is lost.
fn a_cluster_that_comes_and_goes(guarantee: &str, duplicates: usize) {
    let mut scene = Scene::new(guarantee, &[]);
    scene.send(1000);
    scene.wait_for_commits(1);
    let mut met_work = false;
    for round in 0..ROUNDS {
        scene.send(5000);
        met_work |= scene.kafka.lag(GROUP, "events") > 0;
        let way = if round % 4 == 3 { Way::Dead } else { Way::Frozen };
        scene.go_away(way);
        // The times are the fault; nothing is expected to have happened by then.
        std::thread::sleep(Duration::from_secs(6));
        scene.assert_alive();
        scene.come_back(way);
        std::thread::sleep(Duration::from_secs(2));
        scene.assert_alive();
        assert_eq!(scene.replica.code("/live"), Some(200));
    }
    let faults = scene.faults();
    assert!(met_work, "it had nothing to do whenever the brokers went away");
    let counts = scene.finish(duplicates);
    eprintln!("{guarantee}: {counts:?} after {ROUNDS} rounds and {faults:?}");
}

#[test]
fn exactly_once_a_cluster_that_comes_and_goes_ends_no_replica_and_costs_no_event() {
    a_cluster_that_comes_and_goes(EXACTLY_ONCE, 0);
}

#[test]
fn at_least_once_a_cluster_that_comes_and_goes_ends_no_replica_and_costs_no_event() {
    a_cluster_that_comes_and_goes(AT_LEAST_ONCE, REPEATED * ROUNDS);
}

/// Its own connections are dead, and nothing tells it so: only another client can tell that from an outage.
#[test]
fn a_consumer_that_hears_nothing_while_kafka_answers_another_client_is_replaced() {
    let cluster = Cluster::start(1);
    let plan = Plan {
        name: "deaf",
        guarantee: EXACTLY_ONCE,
        partitions: PARTITIONS,
        limits: &[],
        text: MLP,
    };
    let stage = Stage::on(&cluster, &plan);
    let events = oracle::events(2, 1000, Keys::Distinct(100));
    let (before, after) = events.split_at(500);
    oracle::send(&stage.kafka().client(), &stage.topic("events"), before);
    let proxied = cluster.proxied();
    // The client itself would give its connections up, and make new ones, which in this network are as dead.
    let mut replica = stage.start(BINARY, &[("EDDY__KAFKA__BROKERS", &proxied)]);
    stage.wait_for_end(&mut replica);

    cluster.proxy(0).stall_all_but("-check");
    oracle::send(&stage.kafka().client(), &stage.topic("events"), after);
    wait_for("the consumer to be replaced", || {
        assert!(replica.is_running(), "it ended: {}", replica.log());
        assert_eq!(replica.code("/live"), Some(200));
        replica.log().contains("the consumer was replaced").then_some(())
    });
    assert!(replica.log().contains("has heard nothing for"), "{}", replica.log());
    cluster.proxy(0).reset();
    stage.wait_for_end(&mut replica);
    assert_eq!(replica.terminate().code(), Some(0), "{}", replica.log());
    let outputs = stage.outputs();
    let counts = oracle::check(&events, &outputs, 0);
    assert_eq!(counts.predictions + counts.dead_letters, events.len());
    oracle::check_order(&outputs);
}

#[test]
fn a_service_without_work_drains_during_an_outage() {
    for guarantee in [EXACTLY_ONCE, AT_LEAST_ONCE] {
        let mut scene = Scene::new(guarantee, &[]);
        scene.send(100);
        scene.wait_for_commits(100);
        scene.kafka.kill();
        wait_for("the outage to be seen", || {
            (scene.replica.code("/ready") == Some(503)).then_some(())
        });
        let code = scene.replica.terminate().code();
        assert_eq!(code, Some(0), "everything is durable");
    }
}
