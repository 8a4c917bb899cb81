//! Watching a run from outside: committed offsets, and the admin pages of the replicas.
//!
//! Owns: what is asked how often. Never does: disturb anything.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use eddy_pipeline::event::Destination;
use eddy_tests::checker::Ends;
use eddy_tests::service::ask;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;

use crate::fleet::{Fleet, Seen, held};
use crate::scene::{PARTITIONS, Scene};
use crate::state::{State, locked};

/// How often offsets are asked for.
const OFFSETS_EVERY: Duration = Duration::from_millis(150);
/// How often replicas are looked at.
const REPLICAS_EVERY: Duration = Duration::from_millis(250);
/// That offsets could not be asked for is worth a word after so long.
const NEWS: Duration = Duration::from_secs(10);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);
/// After so long without brokers, `/ready` must say so.
const NOTICED: Duration = Duration::from_secs(60);

/// Samples committed offsets until the run ends.
pub(crate) fn watch_offsets(scene: &Scene, state: &State) {
    let mut consumer = asker(scene);
    let mut failed_since: Option<Instant> = None;
    while !state.is_ending() {
        match sample(scene, &consumer) {
            Ok((committed, ends)) => {
                locked(&state.checker).committed(&committed, ends);
                state.set_committed(committed.iter().flatten().sum());
                failed_since = None;
            }
            // A broker that is away is no news.
            Err(error) => {
                let since = failed_since.get_or_insert_with(Instant::now);
                if since.elapsed() > NEWS {
                    state.note("cannot-sample", "", Value::from(error));
                    *since = Instant::now();
                }
                // A client may hold on to leaders and coordinators that are gone; a new one asks afresh.
                consumer = asker(scene);
            }
        }
        std::thread::sleep(OFFSETS_EVERY);
    }
}

fn asker(scene: &Scene) -> BaseConsumer {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &scene.direct)
        .set("group.id", scene.group())
        // With `read_committed` the answer would wait for open transactions, and ends would be those of the stable part.
        .set("isolation.level", "read_uncommitted")
        .set("reconnect.backoff.max.ms", "500");
    config.create().expect("a consumer can be made")
}

fn sample(scene: &Scene, consumer: &BaseConsumer) -> Result<(Vec<Option<i64>>, Ends), String> {
    let mut wanted = TopicPartitionList::new();
    wanted.add_partition_range(&scene.events(), 0, PARTITIONS - 1);
    let committed = consumer
        .committed_offsets(wanted, REQUEST_TIMEOUT)
        .map_err(|e| e.to_string())?;
    let elements = committed.elements();
    let committed = elements.iter().map(|element| {
        element.error().map_err(|e| e.to_string())?;
        Ok(element.offset().to_raw().filter(|offset| *offset >= 0))
    });
    let committed = committed.collect::<Result<Vec<_>, String>>()?;

    let mut wanted = TopicPartitionList::new();
    for (to, partition) in places() {
        let added = wanted.add_partition_offset(&scene.output(to), partition, Offset::End);
        added.expect("a valid offset");
    }
    let found = consumer
        .offsets_for_times(wanted, REQUEST_TIMEOUT)
        .map_err(|e| e.to_string())?;
    let mut ends = Ends::new();
    for (to, partition) in places() {
        let element = found
            .find_partition(&scene.output(to), partition)
            .ok_or("a partition has no answer")?;
        element.error().map_err(|e| e.to_string())?;
        let end = element
            .offset()
            .to_raw()
            .filter(|end| *end >= 0)
            .ok_or("a partition has no end")?;
        ends.insert((to, partition), end);
    }
    Ok((committed, ends))
}

/// The partitions of the output topics.
fn places() -> impl Iterator<Item = (Destination, i32)> {
    Destination::ALL
        .into_iter()
        .flat_map(|to| (0..PARTITIONS).map(move |partition| (to, partition)))
}

/// Looks at the replicas until the run ends: that they run, that their books balance, who has which partitions.
pub(crate) fn watch_replicas(fleet: &Mutex<Fleet>, state: &State) {
    let mut owners = BTreeMap::new();
    let mut outage: Option<Outage> = None;
    while !state.is_ending() {
        let running = locked(fleet).look_after(state);
        let pages: Vec<_> = running.iter().filter_map(|seen| Some((seen, status(seen)?))).collect();
        for (seen, status) in &pages {
            let books = &status["events"];
            locked(&state.checker).books(&seen.name, books);
            if books["predicted"].as_u64().is_some_and(|predicted| predicted > 0) {
                locked(fleet).worked(seen);
            }
        }
        if let Some(now) = whole_map(&pages)
            && now != owners
        {
            if !owners.is_empty() {
                state.count("rebalances");
            }
            owners = now;
        }
        match (&mut outage, state.is_outage.load(Ordering::SeqCst)) {
            (Some(outage), true) => outage.look(&running, state),
            (Some(ended), false) => {
                ended.judge(state);
                outage = None;
            }
            (None, true) => outage = Some(Outage::new()),
            (None, false) => {}
        }
        std::thread::sleep(REPLICAS_EVERY);
    }
}

fn status(seen: &Seen) -> Option<Value> {
    let (_, body) = ask(seen.port, "/status")?;
    serde_json::from_str(&body).ok()
}

/// Who has which partition, if each has exactly one owner.
fn whole_map(pages: &[(&Seen, Value)]) -> Option<BTreeMap<i64, String>> {
    let mut owners = BTreeMap::new();
    for (seen, status) in pages {
        let lanes = status["lanes"].as_array()?.iter();
        for partition in lanes.flat_map(|lane| lane["partitions"].as_array()).flatten() {
            if owners.insert(partition.as_i64()?, seen.member.clone()).is_some() {
                return None;
            }
        }
    }
    (owners.len() == PARTITIONS as usize).then_some(owners)
}

/// What the replicas say while all brokers are away.
struct Outage {
    since: Instant,
    /// The latest word of `/ready` of each replica.
    ready: BTreeMap<String, String>,
    /// Replicas whose `/ready` named Kafka.
    named: BTreeMap<String, bool>,
}

impl Outage {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            ready: BTreeMap::new(),
            named: BTreeMap::new(),
        }
    }

    fn look(&mut self, running: &[Seen], state: &State) {
        for seen in running {
            match ask(seen.port, "/live") {
                Some((200, _)) => state.count("live_in_outage"),
                // One that has ended is another matter, and is found by the next look.
                None if held(seen.pid).is_none() => {}
                other => state.violated("I7", format!("{}: /live answers {other:?} without brokers", seen.name)),
            }
            if self.since.elapsed() < NOTICED {
                continue;
            }
            let Some((code, body)) = ask(seen.port, "/ready") else {
                continue;
            };
            let names_kafka = code == 503 && body.to_lowercase().contains("kafka");
            *self.named.entry(seen.name.clone()).or_default() |= names_kafka;
            self.ready.insert(seen.name.clone(), format!("{code} {body}"));
        }
    }

    fn judge(&self, state: &State) {
        for (name, named) in &self.named {
            if !named {
                let word = &self.ready[name];
                state.violated(
                    "I7",
                    format!("{name}: without brokers /ready does not name Kafka, it says {word}"),
                );
            }
        }
        state.note("ready-in-outage", "", serde_json::json!(self.ready));
    }
}
