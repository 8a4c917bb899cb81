//! Events for selection that exist as numbers only.

use eddy_pipeline::event::Partition;
use eddy_pipeline::select::{
    Column, Facts, Fingerprint, Offer, Pick, Picks, Plan, SelectSettings, Selection, Served, Sighting,
};
use eddy_pipeline::signal::Signal;
use eddy_pipeline::time::Now;

use std::sync::Arc;
use std::time::Duration;

/// An event as selection meets it.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) partition: i32,
    /// NaN for none.
    pub(crate) margin: f32,
    /// NaN for none.
    pub(crate) anomaly: f32,
}

/// What is known of a batch of events.
struct Batch<'a> {
    events: &'a [Event],
    columns: &'a [Column],
}

impl Facts for Batch<'_> {
    fn value(&self, column: usize, row: usize) -> f32 {
        let event = &self.events[row];
        match self.columns[column].signal {
            Signal::Margin => event.margin,
            Signal::Anomaly => event.anomaly,
            _ => f32::NAN,
        }
    }

    fn class(&self, _: usize, _: usize) -> Option<usize> {
        None
    }

    fn segment(&self, _: usize) -> Option<usize> {
        None
    }

    /// No two events are alike.
    fn fingerprint(&self, row: usize) -> Fingerprint {
        Fingerprint {
            exact: eddy_pipeline::seed::hash(0, row as u64),
            near: None,
        }
    }
}

/// The plan of these settings for one model with these signals.
///
/// # Panics
/// When the settings are wrong.
pub(crate) fn plan(settings: serde_json::Value, served: Served) -> Arc<Plan> {
    let settings: SelectSettings = serde_json::from_value(settings).expect("the settings are right");
    assert_eq!(settings.check(), [], "the settings are right");
    let offer = Offer {
        models: vec![served],
        ..Offer::default()
    };
    Arc::new(Plan::compile(&settings, &offer).expect("the model serves it"))
}

/// Decides on a batch, and hands over each event with what was decided.
pub(crate) fn decide(selection: &mut Selection, events: &[Event], now: Now, mut each: impl FnMut(&Event, Pick<'_>)) {
    let plan = selection.plan().clone();
    let batch = Batch {
        events,
        columns: plan.columns(),
    };
    let mut picks = Picks::default();
    let arrivals = events.iter().map(|event| partition(event.partition));
    selection.begin(events.len(), arrivals, &mut picks, now);
    for (row, event) in events.iter().enumerate() {
        let sighting = Sighting {
            id: &event.id,
            partition: partition(event.partition),
            row,
        };
        selection.decide(sighting, &batch, &mut picks, now);
    }
    for (row, event) in events.iter().enumerate() {
        each(event, picks.of(row));
    }
}

/// A partition of the one topic.
pub(crate) const fn partition(number: i32) -> Partition {
    Partition { topic: 0, number }
}

/// So many seconds after the start.
pub(crate) fn at(seconds: u64) -> Now {
    Now {
        monotonic: Duration::from_secs(seconds),
        unix_ms: (seconds * 1_000).cast_signed(),
    }
}
