//! What selection is asked and what it answers: sightings and facts in, chances and picks out.

use std::ops::Range;

use super::arm::{Arm, Arms};
use super::duplicates::Fingerprint;
use crate::event::Partition;

/// An event as selection meets it.
#[derive(Debug, Clone, Copy)]
pub struct Sighting<'a> {
    /// `eddy.id`.
    pub id: &'a str,
    /// The partition that it came from.
    pub partition: Partition,
    /// Its row in the batch's tensors.
    pub row: usize,
}

/// What is known of the events of a batch, by row.
pub trait Facts {
    /// The value of a column of [`super::Plan::columns`]; NaN for none.
    fn value(&self, column: usize, row: usize) -> f32;
    /// The class that a model predicts.
    fn class(&self, model: usize, row: usize) -> Option<usize>;
    /// Position of the event's word among the categories of the segments' field.
    fn segment(&self, row: usize) -> Option<usize>;
    /// What tells the event from others; asked for selected events only.
    fn fingerprint(&self, row: usize) -> Fingerprint;
}

/// What became of a draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drawn {
    /// The event is selected.
    Selected,
    /// The draw was not below the probability.
    NotDrawn,
    /// The budget of the arm is spent for now.
    NoBudget,
    /// The event's segment has taken its part of the budget.
    SegmentFull,
    /// An event like it was selected before.
    Duplicate,
}

impl Drawn {
    /// All of them, in index order.
    pub const ALL: [Self; 5] = [
        Self::Selected,
        Self::NotDrawn,
        Self::NoBudget,
        Self::SegmentFull,
        Self::Duplicate,
    ];

    /// The word used in outputs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Selected => "selected",
            Self::NotDrawn => "not_drawn",
            Self::NoBudget => "no_budget",
            Self::SegmentFull => "segment_full",
            Self::Duplicate => "duplicate",
        }
    }
}

/// What one lottery had to say about an event that it might have selected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chance {
    /// Its arm.
    pub arm: Arm,
    /// The model it is about; `None` for the event.
    pub model: Option<usize>,
    /// Inclusion probability. Duplicates are looked for only once an event is drawn, so of an event that was not, it is the
    /// probability that it had as far as that was not looked at.
    pub probability: f64,
    /// The number that was drawn, in `[0, 1)`.
    pub draw: f64,
    /// What became of it.
    pub drawn: Drawn,
}

/// What was decided on one event.
#[derive(Debug, Clone, Copy)]
pub struct Pick<'a> {
    /// The lotteries that might have selected it, the control arm first; those whose probability was 0 from the start are
    /// left out, and so is the control arm where it alone might have and did not.
    pub chances: &'a [Chance],
    /// Probability with which the event was to be selected by any of them.
    pub probability: f64,
}

impl Pick<'_> {
    /// No lottery might have selected it.
    pub const NONE: Self = Self {
        chances: &[],
        probability: 0.0,
    };

    /// The arms that selected it on account of a model, or of the event itself.
    pub fn arms(&self, model: usize) -> Arms {
        let selected = self.chances.iter().filter(|chance| chance.drawn == Drawn::Selected);
        selected
            .filter(|chance| chance.model.is_none_or(|about| about == model))
            .map(|chance| chance.arm)
            .collect()
    }

    /// All arms that selected it.
    pub fn all_arms(&self) -> Arms {
        let selected = self.chances.iter().filter(|chance| chance.drawn == Drawn::Selected);
        selected.map(|chance| chance.arm).collect()
    }
}

/// The picks of one batch, by row; reused from batch to batch.
#[derive(Debug, Default)]
pub struct Picks {
    chances: Vec<Chance>,
    rows: Vec<(Range<u32>, f64)>,
}

impl Picks {
    /// Makes room for a batch of `rows`, none of which is decided on.
    pub fn reset(&mut self, rows: usize) {
        self.chances.clear();
        self.rows.clear();
        self.rows.resize(rows, (0..0, 0.0));
    }

    /// Notes what was decided on a row.
    pub(super) fn note(&mut self, row: usize, chances: &[Chance], probability: f64) {
        let start = self.chances.len() as u32;
        self.chances.extend_from_slice(chances);
        self.rows[row] = (start..self.chances.len() as u32, probability);
    }

    /// What was decided on a row.
    pub fn of(&self, row: usize) -> Pick<'_> {
        let (range, probability) = self.rows.get(row).cloned().unwrap_or_default();
        Pick {
            chances: &self.chances[range.start as usize..range.end as usize],
            probability,
        }
    }
}

impl Chance {
    /// A draw with this probability.
    pub(super) fn new(arm: Arm, model: Option<usize>, (probability, draw): (f64, f64)) -> Self {
        let drawn = if draw < probability {
            Drawn::Selected
        } else {
            Drawn::NotDrawn
        };
        Self {
            arm,
            model,
            probability,
            draw,
            drawn,
        }
    }

    /// The event could not have been selected after all.
    pub(super) fn refuse(&mut self, why: Drawn) {
        self.probability = 0.0;
        self.drawn = why;
    }
}
