//! What selection promises, seen from outside.

mod budgets;
mod decisions;
mod plans;

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::event::Partition;
use crate::outcome::Remembers;
use crate::signal::Signal;
use crate::time::Now;

pub(super) fn settings(json: serde_json::Value) -> SelectSettings {
    let settings: SelectSettings = serde_json::from_value(json).expect("the settings are right");
    assert_eq!(settings.check(), []);
    settings
}

/// A classifier that gives a confidence and a margin, and an outlier detector.
pub(super) fn offer() -> Offer {
    let served = |model: &str, signals: &[Signal], classes| Served {
        model: model.to_owned(),
        signals: signals.iter().map(|signal| (*signal, None)).collect(),
        classes,
    };
    Offer {
        models: vec![
            served("digits", &[Signal::Confidence, Signal::Margin], 3),
            served("outliers", &[Signal::Anomaly], 0),
        ],
        committee: None,
        categories: vec![("region".to_owned(), vec!["north".to_owned(), "south".to_owned()])],
    }
}

pub(super) fn plan(json: serde_json::Value) -> Arc<Plan> {
    Arc::new(Plan::compile(&settings(json), &offer()).expect("the offer serves it"))
}

pub(super) fn partition(number: i32) -> Partition {
    Partition { topic: 0, number }
}

pub(super) fn at(seconds: f64) -> Now {
    Now {
        monotonic: Duration::from_secs_f64(seconds),
        unix_ms: (seconds * 1e3) as i64,
    }
}

/// One event of a script.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) id: String,
    pub(super) partition: i32,
    pub(super) margin: f32,
    pub(super) anomaly: f32,
    pub(super) class: usize,
    pub(super) segment: usize,
    pub(super) exact: u64,
}

impl Event {
    /// A numbered event like no other.
    pub(super) fn new(number: u64, margin: f32) -> Self {
        Self {
            id: format!("event-{number}"),
            partition: (number % 4) as i32,
            margin,
            anomaly: f32::NAN,
            class: 0,
            segment: 0,
            exact: number,
        }
    }
}

/// Facts of a batch of scripted events.
struct Script<'a> {
    events: &'a [Event],
    columns: Vec<Signal>,
}

impl Facts for Script<'_> {
    fn value(&self, column: usize, row: usize) -> f32 {
        let event = &self.events[row];
        match self.columns[column] {
            Signal::Confidence => 1.0 - event.margin / 2.0,
            Signal::Anomaly => event.anomaly,
            _ => event.margin,
        }
    }

    fn class(&self, _: usize, row: usize) -> Option<usize> {
        Some(self.events[row].class)
    }

    fn segment(&self, row: usize) -> Option<usize> {
        Some(self.events[row].segment)
    }

    fn fingerprint(&self, row: usize) -> Fingerprint {
        Fingerprint {
            exact: self.events[row].exact,
            near: None,
        }
    }
}

/// What became of an event.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Decision {
    pub(super) arms: Vec<Arm>,
    pub(super) probability: f64,
    pub(super) chances: Vec<Chance>,
}

/// Decides on one batch.
pub(super) fn decide(selection: &mut Selection, events: &[Event], now: Now) -> Vec<Decision> {
    let columns = selection.plan().columns().iter().map(|column| column.signal).collect();
    let script = Script { events, columns };
    let mut picks = Picks::default();
    let arrivals = events.iter().map(|event| partition(event.partition));
    selection.begin(events.len(), arrivals, &mut picks, now);
    for (row, event) in events.iter().enumerate() {
        let sighting = Sighting {
            id: &event.id,
            partition: partition(event.partition),
            row,
        };
        selection.decide(sighting, &script, &mut picks, now);
    }
    let decision = |row| {
        let pick = picks.of(row);
        Decision {
            arms: pick.all_arms().iter().collect(),
            probability: pick.probability,
            chances: pick.chances.to_vec(),
        }
    };
    (0..events.len()).map(decision).collect()
}

/// Decides on one batch, which becomes durable.
pub(super) fn decide_for_good(selection: &mut Selection, events: &[Event], now: Now) -> Vec<Decision> {
    let decisions = decide(selection, events, now);
    selection.mark();
    selection.commit();
    decisions
}

/// A number in `[0, 1)` for each seed, spread evenly.
pub(super) fn spread(seed: u64) -> f32 {
    Salt::new(77).draw(&seed.to_string()) as f32
}
