//! Surveys: what the columns of a data set hold, by one look at every row.
//!
//! Owns: the kinds of columns, their numbers and words, and who may be the label ([`Survey::label_candidates`]).
//! Never does: change a data set, or decide for its user; a kind is a finding, not a setting.
//!
//! Invariant: the memory of a survey is bounded by its [`Limits`], however long and wide the data set is. What is only
//! known in part says so: [`Distinct::AtLeast`], quantiles of an even sample.

mod column;
mod label;
mod observer;
mod sample;
mod walk;

pub use self::column::{Column, Content, Distinct, Kind, Numbers};
pub use self::label::{Candidate, LABEL_NAMES};
use self::observer::{Observer, Room};
use self::walk::Tree;
use crate::data::{DataSet, Event};
use crate::error::Error;

/// How far a survey looks and how much it keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most rows that are looked at. Default: all.
    pub rows: u64,
    /// Most distinct values for which a column counts as one of few words. Default 50.
    pub words: usize,
    /// Most distinct values that are counted for one column. Default 10,000.
    pub distinct: usize,
    /// Numbers of one column that quantiles are taken from. Default 10,000; exact up to there.
    pub sample: usize,
    /// Most distinct values and sampled numbers that are kept for all columns together. Default 8,000,000, which is some
    /// 200 MB.
    pub kept: usize,
    /// Example values of each column. Default 5.
    pub examples: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rows: u64::MAX,
            words: 50,
            distinct: 10_000,
            sample: 10_000,
            kept: 8_000_000,
            examples: 5,
        }
    }
}

/// What the columns of a data set hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Survey {
    /// Rows that were looked at.
    pub rows: u64,
    /// Whether there were more rows than [`Limits::rows`].
    pub is_part: bool,
    /// Rows that are images; then there are no columns.
    pub images: u64,
    /// The columns of the events, in the order in which they first appeared. What lies in objects is a column of its own.
    pub columns: Vec<Column>,
    /// The label, where the data set has one beside its events.
    pub label: Option<Column>,
}

impl Survey {
    /// Looks at every row of a data set, once.
    ///
    /// # Errors
    /// When a row cannot be read, or its objects have more than [`crate::limits::COLUMNS`] members in all.
    pub fn of(data: &DataSet, limits: Limits) -> Result<Self, Error> {
        let mut room = Room::new(limits);
        let mut tree = Tree::default();
        let mut label = Observer::default();
        let (mut rows, mut images, mut is_part, mut is_labelled) = (0, 0, false, data.label().is_some());
        for row in data.rows()? {
            let row = row?;
            if rows == limits.rows {
                is_part = true;
                break;
            }
            rows += 1;
            match &row.event {
                Event::Json(text) => tree
                    .observe(text, &mut room)
                    .map_err(|why| Error::row(data.path(), row.at.clone(), why))?,
                Event::Image(_) => {
                    images += 1;
                    is_labelled = true;
                }
            }
            if let Some(text) = &row.label {
                label.label(text, &mut room);
            }
        }
        let named = data
            .label()
            .map_or_else(|| vec!["class".to_owned()], crate::data::steps);
        Ok(Self {
            rows,
            is_part,
            images,
            columns: tree.finish(rows),
            label: is_labelled.then(|| label.finish(named, rows)),
        })
    }

    /// The column of this name or pointer.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns
            .iter()
            .find(|column| column.name() == name || column.pointer() == name)
    }
}
