//! Partitions that are added under load, and where a group begins.

use std::collections::HashSet;
use std::time::Duration;

use eddy_tests::kafka::Message;
use eddy_tests::oracle::{self, Event, Keys, Outputs};
use eddy_tests::service::{Replica, wait_for};
use eddy_tests::stage::{self, MLP, PICK, Plan, Stage};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use crate::{AT_LEAST_ONCE, BINARY, EXACTLY_ONCE};

const SEED: u64 = 36;
/// Events that are sent at once.
const CHUNK: u64 = 200;
const BEFORE: u64 = 3000;
/// Events of each added partition that end the load.
const ENOUGH: i64 = 500;
/// Numbers that no event of the run has.
const OLD: u64 = 1_000_000;
/// The default is a minute.
const REFRESH: &str = "\n[kafka.consumer]\n\"topic.metadata.refresh.interval.ms\" = 500\n";

struct Load<'a> {
    stage: &'a Stage,
    producer: BaseProducer,
    events: Vec<Event>,
}

impl<'a> Load<'a> {
    fn new(stage: &'a Stage) -> Self {
        let mut client = stage.kafka().client();
        client.set("topic.metadata.refresh.interval.ms", "100");
        Self {
            stage,
            producer: oracle::producer(&client),
            events: Vec::new(),
        }
    }

    fn next(&self) -> Vec<Event> {
        let next = self.events.len() as u64;
        oracle::numbered(SEED, next..next + CHUNK, Keys::Mixed(100))
    }

    /// The next events, wherever their keys lead.
    fn chunk(&mut self) {
        let mut events = self.next();
        oracle::send_through(&self.producer, &self.stage.topic("events"), &events);
        self.events.append(&mut events);
    }

    /// The next events, into one partition.
    fn chunk_into(&mut self, partition: i32) {
        let mut events = self.next();
        let topic = self.stage.topic("events");
        for event in &events {
            let mut record = BaseRecord::<str, [u8]>::to(&topic)
                .partition(partition)
                .headers(oracle::headers(event));
            record.key = event.key.as_deref();
            record.payload = event.value.as_deref();
            self.producer
                .send(record)
                .map_err(|(error, _)| error)
                .expect("the producer has heard of the partition");
        }
        self.producer.flush(Duration::from_secs(60)).expect("the events arrive");
        self.events.append(&mut events);
    }

    /// Waits until the producer knows so many partitions.
    fn wait_for_partitions(&self, count: usize) {
        let topic = self.stage.topic("events");
        wait_for("the producer to hear of the partitions", || {
            let metadata = self
                .producer
                .client()
                .fetch_metadata(Some(&topic), Duration::from_secs(5));
            let known = metadata.ok()?.topics().first()?.partitions().len();
            (known == count).then_some(())
        });
    }
}

/// Two replicas read three partitions, then there are six.
fn grows(name: &str, guarantee: &str, start: &str) {
    let stage = Stage::new(&Plan {
        name,
        guarantee,
        partitions: 3,
        limits: &[],
        text: &format!("{MLP}{REFRESH}"),
    });
    // An event without a key stays in a partition of its own number.
    for topic in ["predictions", "retraining", "dead-letters"] {
        stage.kafka().raise_partitions(&stage.topic(topic), 6);
    }
    let mut load = Load::new(&stage);
    if start == "latest" {
        let old = oracle::numbered(SEED, OLD..OLD + CHUNK, Keys::Mixed(100));
        oracle::send_through(&load.producer, &stage.topic("events"), &old);
    }
    let settings = [("EDDY__KAFKA__START", start)];
    let mut replicas = ["replica-0", "replica-1"].map(|name| Replica::start(BINARY, &stage.file(), name, &settings));
    let group = stage.group();
    wait_for("the group to have begun in every partition", || {
        let committed = stage.kafka().committed(&group, &stage.topic("events"));
        committed.iter().all(Option::is_some).then_some(())
    });
    while (load.events.len() as u64) < BEFORE {
        load.chunk();
    }
    // Frozen for a moment, less than a session: however fast they hear of the partitions, they hear of them late.
    for replica in &mut replicas {
        assert!(replica.signal("STOP"), "{}", replica.log());
        replica.wait_until_frozen();
    }
    stage.kafka().raise_partitions(&stage.topic("events"), 6);
    load.wait_for_partitions(6);
    (3..6).for_each(|partition| load.chunk_into(partition));
    for replica in &mut replicas {
        assert!(replica.signal("CONT"), "{}", replica.log());
    }
    let new_ends = || -> Vec<i64> { stage.kafka().end_offsets(&stage.topic("events"))[3..].to_vec() };
    while new_ends().iter().any(|end| *end < ENOUGH) {
        load.chunk();
    }
    wait_for("every event to be committed", || {
        for replica in &mut replicas {
            assert!(replica.is_running(), "{}", replica.log());
        }
        (stage.lag() == 0).then_some(())
    });
    for replica in &mut replicas {
        assert_eq!(replica.terminate().code(), Some(0), "{}", replica.log());
    }
    let outputs = stage.outputs();
    let duplicates = if guarantee == EXACTLY_ONCE { 0 } else { usize::MAX };
    let counts = oracle::check(&load.events, &outputs, duplicates);
    assert_eq!(counts.predictions + counts.dead_letters, load.events.len());
    oracle::check_order(&first_ones(outputs));
    eprintln!("{name}: {} events, {counts:?}", load.events.len());
}

/// Without those that are repeated.
fn first_ones(outputs: Outputs) -> Outputs {
    let first = |messages: Vec<Message>| {
        let mut seen = HashSet::new();
        let is_first = |message: &Message| seen.insert(message.header("eddy.source").map(str::to_owned));
        messages.into_iter().filter(is_first).collect()
    };
    Outputs {
        predictions: first(outputs.predictions),
        samples: first(outputs.samples),
        dead_letters: first(outputs.dead_letters),
    }
}

#[test]
fn partitions_raised_under_load_lose_nothing_exactly_once_from_the_latest() {
    grows("grow-eos-latest", EXACTLY_ONCE, "latest");
}

#[test]
fn partitions_raised_under_load_lose_nothing_exactly_once_from_the_earliest() {
    grows("grow-eos-earliest", EXACTLY_ONCE, "earliest");
}

#[test]
fn partitions_raised_under_load_lose_nothing_at_least_once_from_the_latest() {
    grows("grow-alo-latest", AT_LEAST_ONCE, "latest");
}

#[test]
fn partitions_raised_under_load_lose_nothing_at_least_once_from_the_earliest() {
    grows("grow-alo-earliest", AT_LEAST_ONCE, "earliest");
}

#[test]
fn a_group_may_begin_at_a_time() {
    let stage = Stage::new(&Plan {
        name: "start-time",
        guarantee: EXACTLY_ONCE,
        partitions: 2,
        limits: &[],
        text: PICK,
    });
    // 2026-05-01T00:00:00Z; partition 1 has nothing that new.
    let midnight = 1_777_593_600_000;
    let event = |number: i64| stage::Event::pair(1.0, 1.0).named(&format!("e{number}"));
    stage.send(&[
        event(0).stamped(midnight - 1),
        event(1).stamped(midnight),
        event(2).stamped(midnight + 5),
        event(3).stamped(midnight - 7).at(1),
    ]);
    let at_midnight = [("EDDY__KAFKA__START", "2026-05-01T00:00:00Z")];
    let outputs = stage.run(BINARY, &at_midnight);
    let ids: Vec<_> = outputs
        .predictions
        .iter()
        .map(|message| message.header("eddy.id"))
        .collect();
    assert_eq!(ids, [Some("e1"), Some("e2")]);
    assert_eq!(
        stage.kafka().committed(&stage.group(), &stage.topic("events")),
        [Some(3), Some(1)]
    );
}

#[test]
fn a_restart_before_the_first_event_begins_where_the_first_start_did() {
    let stage = crate::stage("restart-latest", EXACTLY_ONCE, MLP);
    let old = oracle::numbered(SEED, OLD..OLD + CHUNK, Keys::Null);
    let client = stage.kafka().client();
    oracle::send(&client, &stage.topic("events"), &old);
    let latest = [("EDDY__KAFKA__START", "latest")];
    let mut replica = stage.start(BINARY, &latest);
    wait_for("the group to have begun", || (stage.lag() == 0).then_some(()));
    assert_eq!(replica.terminate().code(), Some(0), "{}", replica.log());
    let events = oracle::events(SEED, 500, Keys::Null);
    oracle::send(&client, &stage.topic("events"), &events);
    let outputs = stage.run(BINARY, &latest);
    let counts = oracle::check(&events, &outputs, 0);
    assert_eq!(counts.predictions + counts.dead_letters, events.len());
}
