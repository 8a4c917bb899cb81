//! 100,000 events through two replicas on a real Kafka, with replicas killed at random.

use std::path::{Path, PathBuf};

use eddy_tests::kafka::{Isolation, Kafka};
use eddy_tests::oracle::{self, Counts, Event, Keys, Outputs};
use eddy_tests::service::{Replica, wait_for};
use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_eddy-under-test");
const EVENTS: usize = 100_000;
const PARTITIONS: i32 = 3;
const KILLS: usize = 3;
/// `checkpoint.records` and `batch.rows` of the pipeline below; they bound what a crash repeats at least once.
const RECORDS: usize = 2000;
const ROWS: usize = 256;

struct Run {
    kafka: &'static Kafka,
    name: String,
    pipeline: PathBuf,
    _folder: tempfile::TempDir,
    events: Vec<Event>,
}

impl Run {
    fn new(name: &str, guarantee: &str, seed: u64, keys: Keys) -> Self {
        let kafka = Kafka::shared();
        let folder = tempfile::tempdir().unwrap();
        for topic in ["events", "predictions", "retraining", "dead-letters"] {
            kafka.create_topic(&format!("{name}-{topic}"), PARTITIONS, &[]);
        }
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/models/mlp32.onnx");
        let pipeline = folder.path().join("pipeline.toml");
        let text = format!(
            r#"
            format = 1
            name = "{name}"
            [kafka]
            brokers = "{brokers}"
            start = "earliest"
            guarantee = "{guarantee}"
            session_timeout = "6s"
            [topics]
            events = "{name}-events"
            predictions = "{name}-predictions"
            retraining = "{name}-retraining"
            dead_letters = "{name}-dead-letters"
            [fields.features]
            type = "vector"
            length = 32
            [[models]]
            name = "mlp"
            path = "{model}"
            head = {{ type = "classification", from = "logits" }}
            [batch]
            rows = {ROWS}
            [checkpoint]
            records = {RECORDS}
            [select]
            confidence_below = 0.3
            "#,
            brokers = kafka.bootstrap(),
            model = model.display(),
        );
        std::fs::write(&pipeline, text).unwrap();
        let events = oracle::events(seed, EVENTS, keys);
        oracle::send(&kafka.client(), &format!("{name}-events"), &events);
        Self {
            kafka,
            name: name.to_owned(),
            pipeline,
            _folder: folder,
            events,
        }
    }

    fn replica(&self, number: usize) -> Replica {
        Replica::start(BINARY, &self.pipeline, &format!("replica-{number}"), &[])
    }

    fn group(&self) -> String {
        format!("eddy-{}", self.name)
    }

    fn topic(&self, topic: &str) -> String {
        format!("{}-{topic}", self.name)
    }

    /// Runs two replicas to the end, killing one of them at `KILLS` random points of the progress.
    fn with_kills(&self, seed: u64) -> Outputs {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut replicas = vec![self.replica(0), self.replica(1)];
        for kill in 0..KILLS {
            // Somewhere in its own fifth of the stream, so that work is done between any two kills.
            let point = EVENTS * (kill + 1) / (KILLS + 2) + random.usize(..EVENTS / (KILLS + 3));
            let done = self.wait_for_progress(point, &mut replicas);
            let victim = random.usize(..replicas.len());
            replicas[victim].kill();
            eprintln!("{}: killed replica {victim} after {done} events", self.name);
            replicas[victim] = self.replica(victim);
        }
        let events = self.topic("events");
        wait_for("lag 0", || {
            let stopped = replicas.iter_mut().position(|replica| !replica.is_running());
            assert_eq!(
                stopped,
                None,
                "a replica stopped: {}",
                stopped.map_or(String::new(), |at| replicas[at].log())
            );
            (self.kafka.lag(&self.group(), &events) == 0).then_some(())
        });
        for replica in &mut replicas {
            assert_balanced(&replica.status().expect("a running service has a status"));
            assert_eq!(replica.terminate().code(), Some(0), "{}", replica.log());
        }
        Outputs {
            predictions: self
                .kafka
                .read_all(&self.topic("predictions"), Isolation::ReadCommitted),
            samples: self.kafka.read_all(&self.topic("retraining"), Isolation::ReadCommitted),
            dead_letters: self
                .kafka
                .read_all(&self.topic("dead-letters"), Isolation::ReadCommitted),
        }
    }

    fn wait_for_progress(&self, point: usize, replicas: &mut [Replica]) -> usize {
        wait_for(&format!("{point} events to be committed"), || {
            let stopped = replicas.iter_mut().position(|replica| !replica.is_running());
            assert_eq!(
                stopped,
                None,
                "a replica stopped: {}",
                stopped.map_or(String::new(), |at| replicas[at].log())
            );
            let committed = self.kafka.committed(&self.group(), &self.topic("events"));
            let done = committed.into_iter().flatten().sum::<i64>() as usize;
            (done >= point).then_some(done)
        })
    }
}

fn assert_balanced(status: &Value) {
    let events = &status["events"];
    let number = |key: &str| {
        events[key]
            .as_u64()
            .unwrap_or_else(|| panic!("{key} is a number in {status}"))
    };
    let outcomes = number("predicted") + number("dead_lettered") + number("abandoned") + number("in_flight");
    assert_eq!(number("consumed"), outcomes, "{status}");
    assert_eq!(number("in_flight"), 0, "nothing is under way at rest: {status}");
}

fn assert_whole(counts: &Counts) {
    assert_eq!(counts.predictions + counts.dead_letters, EVENTS);
    assert!(counts.samples > 0, "some events are selected: {counts:?}");
    assert!(counts.dead_letters > EVENTS / 100, "some events are poison: {counts:?}");
}

#[test]
fn exactly_once_with_null_keys_every_event_has_one_outcome_in_order_whoever_is_killed() {
    let run = Run::new("kills-null", "exactly-once", 7, Keys::Null);
    let outputs = run.with_kills(7);
    let counts = oracle::check(&run.events, &outputs, 0);
    oracle::check_order(&outputs);
    assert_whole(&counts);
    eprintln!("{}: {counts:?}", run.name);
}

#[test]
fn exactly_once_with_a_hundred_keys_every_event_has_one_outcome_in_order_whoever_is_killed() {
    let run = Run::new("kills-keyed", "exactly-once", 8, Keys::Distinct(100));
    let outputs = run.with_kills(8);
    let counts = oracle::check(&run.events, &outputs, 0);
    oracle::check_order(&outputs);
    assert_whole(&counts);
    eprintln!("{}: {counts:?}", run.name);
}

#[test]
fn at_least_once_nothing_is_lost_and_a_kill_repeats_no_more_than_two_checkpoints() {
    let run = Run::new("kills-alo", "at-least-once", 9, Keys::Distinct(100));
    let outputs = run.with_kills(9);
    // For each kill: what was in flight and what was stored and not committed, each up to a checkpoint and a batch; an
    // event has two outputs at most. A rebalance on the way commits first and repeats nothing.
    let bound = KILLS * 2 * (RECORDS + ROWS) * 2;
    let counts = oracle::check(&run.events, &outputs, bound);
    assert_whole(&counts);
    eprintln!("{}: {counts:?}, at most {bound} duplicates allowed", run.name);
}
