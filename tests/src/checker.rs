//! The checker of what came out: output by output, while the service runs or afterwards.
//!
//! Owns: every promise about outputs, committed offsets and books, as a check that names the events concerned.
//! Never does: read Kafka, look at a clock, or stop at the first broken promise.
//!
//! Promises are numbered as in `RELIABILITY.md`: I1 no gap, I2 no duplicate, I3 right place and value, I4 order, I5
//! offsets, I6 books.
//!
//! Invariant: each output is judged by its event alone, which is made again from its number; what is remembered of an
//! event is a few bytes.

mod judge;
mod offsets;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use eddy_pipeline::event::Destination;
use serde_json::Value;

use crate::kafka::Message;
use crate::oracle::{self, Event, Expected};

pub use offsets::Ends;
use offsets::Offsets;

/// Most violations that are kept; more are only counted.
const KEPT: usize = 200;

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Its number: `I1`.
    pub promise: &'static str,
    /// What happened, in a sentence.
    pub what: String,
    /// The events concerned.
    pub ids: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.promise, self.what)?;
        if !self.ids.is_empty() {
            write!(f, " [{}]", self.ids.join(", "))?;
        }
        Ok(())
    }
}

/// What the service promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promise {
    /// Whether a second output of an event is a violation, and order is promised.
    pub exactly_once: bool,
}

impl Promise {
    /// Nothing lost, nothing twice, in order.
    pub const fn exactly_once() -> Self {
        Self { exactly_once: true }
    }

    /// Nothing lost.
    pub const fn at_least_once() -> Self {
        Self { exactly_once: false }
    }
}

/// What was seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events with a prediction.
    pub predictions: usize,
    /// Events with a sample.
    pub samples: usize,
    /// Events with a dead letter.
    pub dead_letters: usize,
    /// Outputs beyond the first of their event and topic.
    pub duplicates: usize,
}

/// What is remembered of an event: a fingerprint of each of its outputs, zero where there is none yet.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    fingerprints: [u32; 3],
    flagged: bool,
    /// Partition and offset that its outputs name.
    source: (i32, i64),
}

impl Seen {
    fn has(&self, to: Destination) -> bool {
        self.fingerprints[to as usize] != 0
    }

    /// Whether everything is there that must come out of the event.
    fn is_complete(&self) -> bool {
        self.has(Destination::DeadLetters)
            || self.has(Destination::Predictions) && (!self.flagged || self.has(Destination::Retraining))
    }
}

/// The checker. See the module's documentation.
pub struct Checker {
    promise: Promise,
    events: Box<dyn Fn(u64) -> Event + Send>,
    handed_out: u64,
    seen: Vec<Seen>,
    order: [Order; 3],
    /// Where each key went, by topic: always to the same partition.
    keys: HashMap<(Destination, Vec<u8>), i32>,
    offsets: Offsets,
    counts: Counts,
    violations: Vec<Violation>,
    broken: u64,
}

impl Checker {
    /// A checker that has seen nothing. `events` makes an event from its number.
    pub fn new(promise: Promise, events: impl Fn(u64) -> Event + Send + 'static) -> Self {
        Self {
            promise,
            events: Box::new(events),
            handed_out: 0,
            seen: Vec::new(),
            order: [const { Order::new() }; 3],
            keys: HashMap::new(),
            offsets: Offsets::default(),
            counts: Counts::default(),
            violations: Vec::new(),
            broken: 0,
        }
    }

    /// Says how many events there are by now: numbers from this one on are unknown.
    pub fn handed_out(&mut self, count: u64) {
        self.handed_out = self.handed_out.max(count);
        self.seen.resize(self.handed_out as usize, Seen::default());
    }

    /// Looks at an output. Each partition's come in the order of their offsets.
    pub fn output(&mut self, to: Destination, message: &Message) {
        let id = message.header("eddy.id").unwrap_or("");
        let Some(number) = oracle::number(id).filter(|number| *number < self.handed_out) else {
            let what = format!("{to}: an output of an event that never was, {id:?}");
            return self.violated("I1", what, vec![id.to_owned()]);
        };
        let event = (self.events)(number);
        let flagged = match judge::judge(&event, to, message) {
            Ok(flagged) => flagged,
            Err(why) => {
                self.violated("I3", format!("{to}: {why}"), vec![id.to_owned()]);
                false
            }
        };
        self.note_key(to, message, id);
        let seen = &mut self.seen[number as usize];
        let fingerprint = fingerprint(message);
        let before = std::mem::replace(&mut seen.fingerprints[to as usize], fingerprint);
        seen.flagged |= flagged;
        seen.source = source(message).unwrap_or((-1, -1));
        let is_complete = seen.is_complete();
        if before == 0 {
            self.first(to, message, id);
        } else {
            self.again(to, (message, id), before == fingerprint);
        }
        self.offsets.position(to, message.partition, message.offset);
        if is_complete && let Some((partition, offset)) = source(message) {
            self.offsets.complete(partition, offset);
        }
        self.verify_claims();
    }

    /// Looks at what the group has committed, by partition of the events topic. `ends` are the ends of the output
    /// topics, asked for after the committed offsets were known.
    pub fn committed(&mut self, committed: &[Option<i64>], ends: Ends) {
        for what in self.offsets.committed(committed, ends) {
            self.violated("I5", what, Vec::new());
        }
        self.verify_claims();
    }

    /// Looks at the books that a replica shows under `events` of `/status`.
    pub fn books(&mut self, replica: &str, events: &Value) {
        let number = |key: &str| events[key].as_u64();
        let sum = || {
            let outcomes = ["predicted", "dead_lettered", "abandoned", "in_flight"];
            outcomes.iter().map(|key| number(key)).sum::<Option<u64>>()
        };
        let (consumed, sum) = (number("consumed"), sum());
        if consumed.is_none() || consumed != sum {
            let what = format!("{replica}: its books do not balance: {events}");
            self.violated("I6", what, Vec::new());
        }
    }

    /// Everything has come out: nothing may be missing any more.
    pub fn at_rest(&mut self) {
        let missing = |number: &u64| !self.seen[*number as usize].is_complete();
        let missing: Vec<u64> = (0..self.handed_out).filter(missing).collect();
        for number in missing {
            let event = (self.events)(number);
            let seen = self.seen[number as usize];
            let what = match event.expected {
                _ if seen.has(Destination::Predictions) => "was flagged and has no sample".to_owned(),
                Expected::DeadLetter(reason) => format!("must be a dead letter ({reason}) and is none"),
                _ => "must be predicted and is not".to_owned(),
            };
            self.violated("I1", format!("{} {what}", event.id), vec![event.id]);
        }
        for what in self.offsets.at_rest() {
            self.violated("I5", what, Vec::new());
        }
    }

    /// Compares with where the events truly are: for each partition of the events topic the numbers in its order.
    pub fn compare_places(&mut self, places: &[Vec<u64>]) {
        for what in self.offsets.compare_ends(places) {
            self.violated("I5", what, Vec::new());
        }
        for (partition, numbers) in (0..).zip(places) {
            for (offset, number) in (0..).zip(numbers) {
                let named = self.seen[*number as usize].source;
                if named != (partition, offset) {
                    let id = oracle::id(*number);
                    let what = format!("{id} is at {partition}/{offset}, and its outputs name {named:?}");
                    self.violated("I3", what, vec![id]);
                }
            }
        }
    }

    /// What was seen.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// How many events have everything that must come out of them.
    pub fn complete(&self) -> u64 {
        self.offsets.completed()
    }

    /// The first broken promises.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// Broken promises, those included that were not kept.
    pub fn broken(&self) -> u64 {
        self.broken
    }

    fn first(&mut self, to: Destination, message: &Message, id: &str) {
        match to {
            Destination::Predictions => self.counts.predictions += 1,
            Destination::Retraining => self.counts.samples += 1,
            Destination::DeadLetters => self.counts.dead_letters += 1,
        }
        // At least once, work that is repeated may come out of order.
        if self.promise.exactly_once
            && let Err(what) = self.order[to as usize].observe(message)
        {
            self.violated("I4", format!("{to}: {what}"), vec![id.to_owned()]);
        }
    }

    fn again(&mut self, to: Destination, (message, id): (&Message, &str), is_same: bool) {
        self.counts.duplicates += 1;
        let place = format!("{to} {}/{}", message.partition, message.offset);
        if self.promise.exactly_once {
            self.violated("I2", format!("{id} came out again, at {place}"), vec![id.to_owned()]);
        }
        if !is_same {
            let what = format!("{id} came out again and is not the same, at {place}");
            self.violated("I2", what, vec![id.to_owned()]);
        }
    }

    fn note_key(&mut self, to: Destination, message: &Message, id: &str) {
        let Some(key) = &message.key else { return };
        let known = self.keys.entry((to, key.clone())).or_insert(message.partition);
        if *known != message.partition {
            let what = format!(
                "{to}: the key of {id} went to partition {} and before to {known}",
                message.partition
            );
            self.violated("I3", what, vec![id.to_owned()]);
        }
    }

    fn verify_claims(&mut self) {
        for what in self.offsets.verify() {
            self.violated("I5", what, Vec::new());
        }
    }

    fn violated(&mut self, promise: &'static str, what: String, ids: Vec<String>) {
        self.broken += 1;
        if self.violations.len() < KEPT {
            self.violations.push(Violation { promise, what, ids });
        }
    }
}

impl fmt::Debug for Checker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checker")
            .field("counts", &self.counts)
            .field("broken", &self.broken)
            .finish_non_exhaustive()
    }
}

/// The order within one topic: events of one input partition keep it in each output partition.
#[derive(Debug, Default)]
pub struct Order {
    last: Option<HashMap<(i32, i32), i64>>,
}

impl Order {
    const fn new() -> Self {
        Self { last: None }
    }

    /// Looks at the next output of the topic.
    ///
    /// # Errors
    /// When it comes before one that it should have preceded, or has no source.
    pub fn observe(&mut self, message: &Message) -> Result<(), String> {
        let (partition, offset) = source(message).ok_or("an output without a source")?;
        let last = self.last.get_or_insert_default();
        match last.insert((message.partition, partition), offset) {
            Some(before) if before >= offset => Err(format!(
                "the event at {partition}/{offset} comes after the one at {partition}/{before}"
            )),
            _ => Ok(()),
        }
    }
}

/// Partition and offset of the event that an output came from.
fn source(message: &Message) -> Option<(i32, i64)> {
    let (rest, offset) = message.header("eddy.source")?.rsplit_once('/')?;
    let (_, partition) = rest.rsplit_once('/')?;
    Some((partition.parse().ok()?, offset.parse().ok()?))
}

/// Of everything that a reader sees, but for the place. Never zero.
fn fingerprint(message: &Message) -> u32 {
    let mut hasher = DefaultHasher::new();
    (message.partition, &message.key, &message.value, &message.headers).hash(&mut hasher);
    (hasher.finish() as u32) | 1
}
