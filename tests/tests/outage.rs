//! Outages of a real Kafka, longer than every timeout of the clients: no replica ends, `/live` answers, `/ready` names the
//! cause, and when the brokers return every event gets its one outcome.
//!
//! Each test has a broker of its own, which it kills and starts again on the same data.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use eddy_tests::kafka::{Isolation, Kafka};
use eddy_tests::oracle::{self, Counts, Event, Keys, Outputs};
use eddy_tests::service::{Replica, wait_for};

const BINARY: &str = env!("CARGO_BIN_EXE_eddy-under-test");
const EXACTLY_ONCE: &str = "exactly-once";
const AT_LEAST_ONCE: &str = "at-least-once";
const TOPICS: [&str; 4] = ["events", "predictions", "retraining", "dead-letters"];
const GROUP: &str = "eddy-outage";
const PARTITIONS: i32 = 3;
/// Longer than the session, the transaction and the delivery may take in [`pipeline`].
const LONG: Duration = Duration::from_secs(15);

/// A pipeline whose patience with Kafka is short, so that an outage of seconds is longer than all of it.
fn pipeline(guarantee: &str, brokers: &str) -> String {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/models/mlp32.onnx");
    format!(
        r#"
        format = 1
        name = "outage"
        [kafka]
        brokers = "{brokers}"
        start = "earliest"
        guarantee = "{guarantee}"
        session_timeout = "3s"
        transaction_timeout = "4s"
        [fields.features]
        type = "vector"
        length = 32
        [[models]]
        name = "mlp"
        path = "{model}"
        head = {{ type = "classification", from = "logits" }}
        [batch]
        rows = 1
        [checkpoint]
        records = 200
        delivery_timeout = "3s"
        [select]
        confidence_below = 0.3
        "#,
        model = model.display(),
    )
}

/// A broker with the topics of a pipeline, events in it, and a replica that works on them.
struct Scene {
    kafka: Kafka,
    replica: Replica,
    events: Vec<Event>,
    seed: u64,
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
            seed: 1,
            _folder: folder,
        }
    }

    /// Writes more events.
    fn send(&mut self, count: usize) {
        let from = self.events.len();
        let mut events = oracle::events(self.seed, count, Keys::Distinct(100));
        for (number, event) in (from..).zip(&mut events) {
            event.id = format!("event-{number}");
        }
        self.seed += 1;
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
        assert!(self.replica.is_running(), "the replica ended: {}", self.replica.log());
    }

    /// The brokers are away for so long, and until the pages have said so.
    fn outage(&mut self, length: Duration) {
        let address = self.kafka.bootstrap();
        self.kafka.kill();
        let began = Instant::now();
        let mut was_named = false;
        wait_for("the outage to be over, and its cause to be named", || {
            self.assert_alive();
            assert_eq!(self.replica.code("/live"), Some(200), "{}", self.replica.log());
            let ready = self.replica.get("/ready").expect("the page answers");
            was_named |= ready.contains("no broker answers") && ready.contains(&address);
            (was_named && began.elapsed() >= length).then_some(())
        });
        self.assert_alive();
        assert_eq!(self.replica.code("/ready"), Some(503), "{}", self.replica.log());
        self.kafka.restart();
    }

    /// Everything that was written becomes durable; the replica drains; the oracle looks at what came out.
    fn finish(mut self, duplicates: usize) -> Counts {
        wait_for("lag 0", || {
            self.assert_alive();
            (self.kafka.lag(GROUP, "events") == 0).then_some(())
        });
        wait_for("the service to be ready again", || {
            (self.replica.code("/ready") == Some(200)).then_some(())
        });
        let status = self.replica.status().expect("the page answers");
        assert_eq!(status["events"]["balanced"], true, "{status}");
        let code = self.replica.terminate().code();
        assert_eq!(code, Some(0), "{}", self.replica.log());
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

fn an_outage_in_the_middle_of_the_work(guarantee: &str, duplicates: usize) {
    let mut scene = Scene::new(guarantee, &[]);
    scene.send(30_000);
    scene.wait_for_commits(1);
    scene.outage(LONG);
    let done = scene.committed();
    assert!(done < 30_000, "there was work left when the brokers went away");
    scene.send(1000);
    let log = scene.replica.log();
    let counts = scene.finish(duplicates);
    eprintln!("{guarantee}: {done} events were done before; {counts:?}\n{log}");
}

#[test]
fn exactly_once_an_outage_in_the_middle_of_the_work_loses_nothing_and_repeats_nothing() {
    an_outage_in_the_middle_of_the_work(EXACTLY_ONCE, 0);
}

#[test]
fn at_least_once_an_outage_in_the_middle_of_the_work_loses_nothing() {
    an_outage_in_the_middle_of_the_work(AT_LEAST_ONCE, 5000);
}

fn an_outage_while_there_is_nothing_to_do(guarantee: &str) {
    let mut scene = Scene::new(guarantee, &[]);
    scene.send(500);
    scene.wait_for_commits(500);
    scene.outage(LONG);
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
