//! The few events that a comparison names: the most changed ones, and the first ones that only one side did something with.
//!
//! Invariant: which are kept depends on the events alone, not on their order.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

/// Events that are named of each kind.
pub const NAMED: usize = 20;
/// Values of a prediction that are shown.
const SHOWN: usize = 32;
/// Longest id that is kept, in characters; ids of events have 256 bytes at most, those of headers too.
const MOST_ID: usize = 256;

/// Where an event stands: partition and offset, or 0 and its number in the file.
pub type Order = (i32, i64);

/// An event as reports name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// Where it stands.
    pub order: Order,
    /// The same in words: `topic/partition/offset`, or a place in the file.
    pub place: String,
    /// Its id.
    pub id: String,
}

impl Named {
    /// The name of an event.
    pub fn new(order: Order, place: &str, id: &str) -> Self {
        Self {
            order,
            place: place.to_owned(),
            id: id.chars().take(MOST_ID).collect(),
        }
    }
}

/// The first events of a kind, by where they stand, with a word on each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct First(Vec<(Named, String)>);

impl First {
    /// Takes an event in, if it is among the first.
    pub fn take(&mut self, order: Order, event: impl FnOnce() -> (Named, String)) {
        let at = self.0.partition_point(|(known, _)| known.order < order);
        if at < NAMED {
            self.0.insert(at, event());
            self.0.truncate(NAMED);
        }
    }

    /// They, in order.
    pub fn events(&self) -> &[(Named, String)] {
        &self.0
    }
}

/// What a side said about an event, as far as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// Position of the predicted class.
    pub class: Option<u32>,
    /// Confidence.
    pub confidence: Option<f32>,
    /// Anomaly score.
    pub anomaly: Option<f32>,
    /// The first of the values.
    pub values: Vec<f32>,
    /// How many values there are.
    pub width: usize,
}

impl Shown {
    /// The first of these values.
    pub(super) fn values_of(values: &[f32]) -> Vec<f32> {
        values.iter().copied().take(SHOWN).collect()
    }
}

/// An event whose predictions differ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Moved {
    /// By how much.
    pub by: f32,
    /// Which it is.
    pub event: Named,
    /// What the first side said.
    pub a: Shown,
    /// What the second side said.
    pub b: Shown,
}

/// The events that moved most; of equal ones, the first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Top(Vec<Moved>);

impl Top {
    /// Takes an event in, if it is among the most moved.
    pub fn take(&mut self, by: f32, order: Order, event: impl FnOnce() -> Moved) {
        if by <= 0.0 {
            return;
        }
        let before = |known: &Moved| match known.by.total_cmp(&by) {
            Ordering::Greater => true,
            Ordering::Equal => known.event.order < order,
            Ordering::Less => false,
        };
        let at = self.0.partition_point(before);
        if at < NAMED {
            self.0.insert(at, event());
            self.0.truncate(NAMED);
        }
    }

    /// They, the most moved first.
    pub fn events(&self) -> &[Moved] {
        &self.0
    }
}
