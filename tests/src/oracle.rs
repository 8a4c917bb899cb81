//! The oracle: numbered events with known outcomes.
//!
//! Owns: which events there are, made again at any time from their numbers, and what must become of each.
//! Never does: keep what came out; see [`crate::checker`].

use std::fmt::Write as _;
use std::ops::Range;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::types::RDKafkaErrorCode;

use crate::checker::{Checker, Order, Promise};
use crate::kafka::Message;

pub use crate::checker::Counts;

/// Share of the events that are poison, in percent.
const POISONED: usize = 2;
/// Share of the events that must be flagged, in percent, where answers are known.
const FLAGGED: usize = 2;
/// Kinds of poison.
const KINDS: usize = 12;
/// Every event carries it, and every output must.
const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// What must become of an event.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Expected {
    /// A prediction, whatever it says.
    Prediction,
    /// A prediction that says this.
    Class {
        /// The class.
        label: usize,
        /// Its probability.
        confidence: f64,
        /// Whether the event must be flagged and sampled.
        flagged: bool,
    },
    /// A dead letter with this reason.
    DeadLetter(&'static str),
}

/// One event.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its `eddy.id`.
    pub id: String,
    /// Its key.
    pub key: Option<String>,
    /// Its bytes; none is a tombstone.
    pub value: Option<Vec<u8>>,
    /// What must become of it.
    pub expected: Expected,
    /// A random number of its own, for whoever sends it, to choose a partition by.
    pub place: u32,
}

/// How events get their keys.
#[derive(Debug, Clone, Copy)]
pub enum Keys {
    /// None has one.
    Null,
    /// So many distinct ones.
    Distinct(usize),
    /// Half of them have none, the others one of so many.
    Mixed(usize),
}

/// Which model the events are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For {
    /// `mlp32.onnx`: 32 numbers, and what it says is not known here.
    Mlp32,
    /// `two_outputs.onnx`, its output `doubled` taken for the logits of three classes: what it says is arithmetic. With
    /// `confidence_below = 0.6` exactly the events that must be flagged are.
    Doubled,
}

impl For {
    const fn width(self) -> usize {
        match self {
            Self::Mlp32 => 32,
            Self::Doubled => 3,
        }
    }
}

/// Makes events from their numbers: the same number is always the same event.
#[derive(Debug, Clone, Copy)]
pub struct Recipe {
    /// Everything random follows from it.
    pub seed: u64,
    /// Their keys.
    pub keys: Keys,
    /// Their model.
    pub model: For,
}

impl Recipe {
    /// The event of a number.
    pub fn event(&self, number: u64) -> Event {
        let mut random = fastrand::Rng::with_seed(mixed(self.seed ^ mixed(number)));
        let random = &mut random;
        let key = match self.keys {
            Keys::Null => None,
            Keys::Distinct(n) => Some(random.usize(..n)),
            Keys::Mixed(n) => random.bool().then(|| random.usize(..n)),
        };
        let place = random.u32(..);
        let (value, expected) = match random.usize(..100) {
            share if share < POISONED => {
                let (value, reason) = self.poison(random);
                (value, Expected::DeadLetter(reason))
            }
            share => {
                let (features, expected) = self.features(random, share < POISONED + FLAGGED);
                (Some(shaped(random, &features).into_bytes()), expected)
            }
        };
        Event {
            id: id(number),
            key: key.map(|key| format!("camera-{key}")),
            value,
            expected,
            place,
        }
    }

    /// Numbers for the model, and what it must say.
    fn features(&self, random: &mut fastrand::Rng, flagged: bool) -> (String, Expected) {
        if self.model == For::Mlp32 {
            return (list(&noise(random, self.model.width())), Expected::Prediction);
        }
        // In thousandths, so that what is written is exactly what is meant.
        let label = random.usize(..3);
        let (others, winner) = if flagged {
            (100, 100)
        } else {
            (1000, 3000 + random.i32(0..1000))
        };
        let mut thousandths = [0; 3].map(|_| random.i32(-others..others));
        thousandths[label] = winner;
        let odds = thousandths.map(|n| (2.0 * f64::from(n) / 1000.0).exp());
        let confidence = odds[label] / odds.iter().sum::<f64>();
        let expected = Expected::Class {
            label,
            confidence,
            flagged,
        };
        (list(&thousandths.map(|n| f64::from(n) / 1000.0)), expected)
    }

    fn poison(&self, random: &mut fastrand::Rng) -> (Option<Vec<u8>>, &'static str) {
        let width = self.model.width();
        let (features, _) = self.features(random, false);
        let whole = shaped(random, &features);
        let (text, reason) = match random.usize(..KINDS) {
            0 => return (None, "tombstone"),
            1 => return (Some(vec![0xFF; 64]), "malformed"),
            2 => (String::new(), "malformed"),
            3 => (whole[..whole.len() / 2].to_owned(), "malformed"),
            4 => (format!("{whole} trailing"), "malformed"),
            5 => {
                let short = list(&noise(random, width - 1));
                (format!(r#"{{"features":{short}}}"#), "wrong_shape")
            }
            6 => (r#"{"features":"thirty-two numbers"}"#.to_owned(), "wrong_type"),
            7 => (r#"{"other":1}"#.to_owned(), "missing_field"),
            8 => (r#"{"features":null}"#.to_owned(), "missing_field"),
            9 => {
                let (open, close) = ("[".repeat(10_000), "]".repeat(10_000));
                (format!(r#"{{"deep":{open}{close},"features":[]}}"#), "limit_exceeded")
            }
            10 => (
                format!(r#"{{"features":{features},"features":{features}}}"#),
                "duplicate_key",
            ),
            _ => {
                let infinite = features.replacen('[', "[1e999,", 1);
                (format!(r#"{{"features":{infinite}}}"#), "any")
            }
        };
        (Some(text.into_bytes()), reason)
    }
}

/// The id of an event.
pub fn id(number: u64) -> String {
    format!("event-{number}")
}

/// The number in an id.
pub fn number(id: &str) -> Option<u64> {
    id.strip_prefix("event-")?.parse().ok()
}

/// `count` events from a seed for `mlp32`: 2 % of them poison of twelve kinds.
pub fn events(seed: u64, count: usize, keys: Keys) -> Vec<Event> {
    numbered(seed, 0..count as u64, keys)
}

/// The same, of these numbers.
pub fn numbered(seed: u64, numbers: Range<u64>, keys: Keys) -> Vec<Event> {
    let recipe = Recipe {
        seed,
        keys,
        model: For::Mlp32,
    };
    numbers.map(|number| recipe.event(number)).collect()
}

/// A JSON event of one of three shapes: plain, with unknown members around, with nested members in front.
fn shaped(random: &mut fastrand::Rng, features: &str) -> String {
    match random.usize(..3) {
        0 => format!(r#"{{"features":{features}}}"#),
        1 => format!(
            r#"{{"note":"{}","features":{features},"extra":[1,{{"a":null}}]}}"#,
            "x".repeat(random.usize(..200))
        ),
        _ => format!(
            r#"{{"meta":{{"site":{{"n":{}}},"ok":true}},"features":{features}}}"#,
            random.u32(..)
        ),
    }
}

fn noise(random: &mut fastrand::Rng, width: usize) -> Vec<f64> {
    (0..width).map(|_| random.f64() * 6.0 - 3.0).collect()
}

fn list(numbers: &[f64]) -> String {
    let mut text = String::from("[");
    for (at, number) in numbers.iter().enumerate() {
        let separator = if at == 0 { "" } else { "," };
        write!(text, "{separator}{number:.3}").expect("writing to a String cannot fail");
    }
    text + "]"
}

/// Neighbouring numbers become far ones (the finaliser of SplitMix64).
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// The headers that an event is sent with.
pub fn headers(event: &Event) -> OwnedHeaders {
    let header = |key, value| Header {
        key,
        value: Some(value),
    };
    OwnedHeaders::new()
        .insert(header("eddy.id", event.id.as_str()))
        .insert(header("traceparent", TRACE))
}

/// Sends events to a topic, in order, and waits until all are there.
///
/// # Panics
/// When Kafka does not take them.
pub fn send(client: &ClientConfig, topic: &str, events: &[Event]) {
    send_through(&producer(client), topic, events);
}

/// A producer of events.
pub fn producer(client: &ClientConfig) -> BaseProducer {
    let mut config = client.clone();
    config.set("enable.idempotence", "true").set("linger.ms", "5");
    config.create().expect("a producer can be made")
}

/// The same as [`send`], through a producer that is there already.
///
/// # Panics
/// When Kafka does not take them.
pub fn send_through(producer: &BaseProducer, topic: &str, events: &[Event]) {
    for event in events {
        let mut record = BaseRecord::<str, [u8]>::to(topic).headers(headers(event));
        record.key = event.key.as_deref();
        record.payload = event.value.as_deref();
        while let Err((error, unsent)) = producer.send(record) {
            assert_eq!(
                error,
                KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull),
                "{topic} takes events"
            );
            producer.poll(Duration::from_millis(10));
            record = unsent;
        }
    }
    producer.flush(Duration::from_secs(60)).expect("the events arrive");
}

/// All outputs of a run.
#[derive(Debug)]
pub struct Outputs {
    /// Of the predictions topic.
    pub predictions: Vec<Message>,
    /// Of the retraining topic.
    pub samples: Vec<Message>,
    /// Of the dead-letters topic.
    pub dead_letters: Vec<Message>,
}

impl Outputs {
    fn topics(&self) -> [&[Message]; 3] {
        [&self.predictions, &self.samples, &self.dead_letters]
    }
}

/// Checks every promise about the outputs of these events; `duplicates` is how many there may be.
///
/// # Panics
/// With the first promises that were broken.
pub fn check(events: &[Event], outputs: &Outputs, duplicates: usize) -> Counts {
    let known = events.to_vec();
    let mut checker = Checker::new(Promise::at_least_once(), move |number| known[number as usize].clone());
    checker.handed_out(events.len() as u64);
    for (to, messages) in eddy_pipeline::event::Destination::ALL.into_iter().zip(outputs.topics()) {
        for message in messages {
            checker.output(to, message);
        }
    }
    checker.at_rest();
    let broken: Vec<String> = checker.violations().iter().take(10).map(ToString::to_string).collect();
    assert!(broken.is_empty(), "broken promises:\n{}", broken.join("\n"));
    let counts = checker.counts();
    assert!(
        counts.duplicates <= duplicates,
        "{} duplicates, {duplicates} are allowed",
        counts.duplicates
    );
    counts
}

/// Checks that each topic has the events of one input partition in their order.
///
/// # Panics
/// At the first event that comes before an earlier one.
pub fn check_order(outputs: &Outputs) {
    for messages in outputs.topics() {
        let mut order = Order::default();
        for message in messages {
            order.observe(message).unwrap_or_else(|broken| panic!("{broken}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_number_is_always_the_same_event_and_another_seed_another_one() {
        let recipe = |seed| Recipe {
            seed,
            keys: Keys::Mixed(10),
            model: For::Doubled,
        };
        let bytes = |seed: u64| -> Vec<_> { (0..100).map(|n| recipe(seed).event(n).value).collect() };
        assert_eq!(bytes(7), bytes(7));
        assert_ne!(bytes(7), bytes(8));
    }

    #[test]
    fn every_kind_of_poison_and_events_that_must_be_flagged_come_in_their_shares() {
        let recipe = Recipe {
            seed: 1,
            keys: Keys::Null,
            model: For::Doubled,
        };
        let events: Vec<_> = (0..20_000).map(|n| recipe.event(n)).collect();
        let count = |wanted: &dyn Fn(&Expected) -> bool| events.iter().filter(|e| wanted(&e.expected)).count();
        let reasons = [
            "tombstone",
            "malformed",
            "wrong_shape",
            "wrong_type",
            "missing_field",
            "limit_exceeded",
            "duplicate_key",
            "any",
        ];
        for reason in reasons {
            assert!(count(&|e| *e == Expected::DeadLetter(reason)) > 10, "{reason}");
        }
        assert!((300..500).contains(&count(&|e| matches!(e, Expected::DeadLetter(_)))));
        assert!((300..500).contains(&count(&|e| matches!(e, Expected::Class { flagged: true, .. }))));
        let margin = |event: &Event| match event.expected {
            Expected::Class {
                confidence, flagged, ..
            } => flagged == (confidence < 0.6) && (confidence - 0.6).abs() > 0.1,
            _ => true,
        };
        assert!(
            events.iter().all(margin),
            "the threshold lies far from every confidence"
        );
    }
}
