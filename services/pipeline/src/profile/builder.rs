//! The rows that a profile is built from: all of them, or a random sample of a stream of any length.

use std::collections::BTreeMap;

use super::{ENOUGH_ROWS, Error, LEAST_ROWS, Note, Outputs, Profile, Source, fit};
use crate::fields::Feature;
use crate::format::PROFILE;
use crate::head::{Head, Holds, Predictions, Values, Widths};
use crate::seed;
use crate::signal::Matrix;

/// More features than these get no statistics: they are pixels, not fields.
pub(super) const MAX_FEATURES: usize = 4_096;

/// Numbers that are kept in memory at most (256 MiB), whatever the limit in rows says.
const MAX_NUMBERS: usize = 64 << 20;

/// What a profile is to be built of.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The features, in the order in which rows give them.
    pub features: Vec<Feature>,
    /// What the model's predictions hold.
    pub holds: Holds,
    /// Names of its classes or labels.
    pub classes: Vec<String>,
    /// Rows that are kept at most; beyond, a random sample of so many. At least [`LEAST_ROWS`] are kept whatever this says,
    /// and fewer where rows are so wide that more would take 256 MiB.
    pub max_rows: usize,
    /// Bins of equal mass for each number.
    pub bins: usize,
    /// Draws the sample, the third that is held out, the coreset and the projections.
    pub seed: u64,
    /// A category whose words are segments: their rows are counted apart, too.
    pub segment: Option<String>,
}

impl Plan {
    /// A plan for the predictions of a head, with 200,000 rows and 10 bins.
    pub fn new(features: Vec<Feature>, head: &dyn Head) -> Self {
        Self {
            features,
            holds: head.holds(),
            classes: head.classes().to_vec(),
            max_rows: 200_000,
            bins: 10,
            seed: 0,
            segment: None,
        }
    }
}

/// What a profile is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The model's name.
    pub model: String,
    /// The model's version.
    pub version: String,
    /// The time, RFC 3339.
    pub created: String,
    /// What the rows are.
    pub source: Source,
}

/// Takes in scored rows, one by one or in batches, and makes a [`Profile`] of them.
#[derive(Debug)]
pub struct ProfileBuilder {
    plan: Plan,
    kept: Kept,
    seen: u64,
    unusable: u64,
    notes: Vec<Note>,
}

impl ProfileBuilder {
    /// A builder without rows.
    pub fn new(mut plan: Plan) -> Self {
        let mut notes = Vec::new();
        if plan.features.len() > MAX_FEATURES {
            notes.push(Note::TooManyFeatures(plan.features.len()));
            plan.features.clear();
        }
        Self {
            plan,
            kept: Kept::default(),
            seen: 0,
            unusable: 0,
            notes,
        }
    }

    /// Counts the words of this category apart, too.
    pub fn set_segment(&mut self, segment: Option<String>) {
        self.plan.segment = segment;
    }

    /// Takes in one row: its features, NaN where one is missing, what the model said in `row` of its predictions, and
    /// the position of the class that was right, if that is known. A row that the model could not score is only counted.
    /// Where the plan has too many features, none is looked at.
    ///
    /// # Errors
    /// [`Error::Width`] and [`Error::Label`], naming the row.
    pub fn push(
        &mut self,
        features: &[f32],
        predictions: &Predictions,
        row: usize,
        label: Option<usize>,
    ) -> Result<(), Error> {
        if !predictions.is_valid(row) {
            self.unusable += 1;
            return Ok(());
        }
        let features = if self.plan.features.is_empty() { &[] } else { features };
        if self.seen == 0 {
            self.kept = Kept::new(self.plan.features.len(), predictions.widths());
        }
        self.check(features, predictions, label)?;
        if let Some(place) = self.place() {
            let values = self.kept.values_of(features, predictions, row, label);
            self.kept.put(place, self.seen, values);
        }
        self.seen += 1;
        Ok(())
    }

    /// Takes in a batch; `labels` has one place for each row, or none at all.
    ///
    /// # Errors
    /// As [`Self::push`]; rows before the guilty one are taken in.
    pub fn push_batch(
        &mut self,
        features: Matrix<'_>,
        predictions: &Predictions,
        labels: &[Option<usize>],
    ) -> Result<(), Error> {
        for row in 0..predictions.rows() {
            let label = labels.get(row).copied().flatten();
            self.push(features.row(row), predictions, row, label)?;
        }
        Ok(())
    }

    /// Rows that were taken in.
    pub const fn rows(&self) -> u64 {
        self.seen
    }

    /// Makes the profile.
    ///
    /// # Errors
    /// [`Error::TooFewRows`].
    pub fn finish(self, about: About) -> Result<Profile, Error> {
        if self.seen < LEAST_ROWS {
            return Err(Error::TooFewRows { rows: self.seen });
        }
        let sampled = self.kept.len() as u64;
        let mut notes = self.notes;
        if self.seen < ENOUGH_ROWS {
            notes.push(Note::FewRows(self.seen));
        }
        if sampled < self.seen {
            notes.push(Note::Sampled(sampled));
        }
        if self.unusable > 0 {
            notes.push(Note::Unusable(self.unusable));
        }
        let profile = Profile {
            format: PROFILE.written,
            model: about.model,
            version: about.version,
            created: about.created,
            source: about.source,
            rows: self.seen,
            sampled,
            notes,
            features: Vec::new(),
            distances: None,
            outputs: Outputs {
                classes: self.plan.classes.clone(),
                class_counts: Vec::new(),
                targets: Vec::new(),
                scales: Vec::new(),
                signals: BTreeMap::new(),
                temperature: 1.0,
                calibrators: Vec::new(),
                quality: None,
                embedding: None,
            },
            conformal: BTreeMap::new(),
            segments: None,
        };
        Ok(fit::fit(profile, &self.plan, &self.kept))
    }

    fn check(&self, features: &[f32], predictions: &Predictions, label: Option<usize>) -> Result<(), Error> {
        let row = self.seen;
        let (got, expected) = (predictions.widths(), self.kept.widths);
        let differs = [
            ("features", features.len(), self.kept.features),
            ("values", got.values, expected.values),
            ("logits", got.logits, expected.logits),
            ("standard deviations", got.spread, expected.spread),
            ("ends of intervals", got.interval, expected.interval),
        ];
        if let Some((what, got, expected)) = differs.into_iter().find(|(_, got, expected)| got != expected) {
            return Err(Error::Width {
                row,
                what,
                got,
                expected,
            });
        }
        match (label, self.plan.holds.values) {
            (Some(label), Values::Classes(classes)) if label >= classes => Err(Error::Label { row, label, classes }),
            _ => Ok(()),
        }
    }

    /// Where the next row goes: to the end while there is room, then into the place that it draws, if it draws one
    /// (Algorithm R; Vitter 1985).
    fn place(&self) -> Option<usize> {
        let most = self.plan.max_rows.min(MAX_NUMBERS / self.kept.row_width());
        let most = (most as u64).max(LEAST_ROWS);
        if self.seen < most {
            return Some(self.seen as usize);
        }
        let drawn = seed::hash(self.plan.seed, self.seen) % (self.seen + 1);
        (drawn < most).then_some(drawn as usize)
    }
}

/// Confidence, anomaly, class and label; NaN for none.
const EXTRAS: usize = 4;

/// Rows in memory, each as one run of numbers: features, values, logits, spread, interval, then [`EXTRAS`].
#[derive(Debug, Default)]
pub(super) struct Kept {
    numbers: Vec<f32>,
    /// The number of each row in the stream.
    positions: Vec<u64>,
    features: usize,
    widths: Widths,
}

impl Kept {
    fn new(features: usize, widths: Widths) -> Self {
        Self {
            features,
            widths,
            ..Self::default()
        }
    }

    fn row_width(&self) -> usize {
        let Widths {
            values,
            logits,
            spread,
            interval,
        } = self.widths;
        self.features + values + logits + spread + interval + EXTRAS
    }

    fn values_of(&self, features: &[f32], predictions: &Predictions, row: usize, label: Option<usize>) -> Vec<f32> {
        let number = |number: Option<f32>| number.unwrap_or(f32::NAN);
        let position = |position: Option<usize>| number(position.map(|position| position as f32));
        let extras: [f32; EXTRAS] = [
            number(predictions.confidence(row)),
            number(predictions.anomaly(row)),
            position(predictions.class(row)),
            position(label),
        ];
        [
            features,
            predictions.values(row),
            predictions.logits(row),
            predictions.spread(row),
            predictions.interval(row),
            &extras,
        ]
        .concat()
    }

    fn put(&mut self, place: usize, position: u64, values: Vec<f32>) {
        if place == self.positions.len() {
            self.positions.push(position);
            self.numbers.extend(values);
        } else {
            self.positions[place] = position;
            let width = values.len();
            self.numbers[place * width..][..width].copy_from_slice(&values);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.positions.len()
    }

    /// The number of a row in the stream.
    pub(super) fn position(&self, row: usize) -> u64 {
        self.positions[row]
    }

    fn part(&self, row: usize, from: usize, len: usize) -> &[f32] {
        &self.numbers[row * self.row_width() + from..][..len]
    }

    pub(super) fn features(&self, row: usize) -> &[f32] {
        self.part(row, 0, self.features)
    }

    pub(super) fn values(&self, row: usize) -> &[f32] {
        self.part(row, self.features, self.widths.values)
    }

    pub(super) fn logits(&self, row: usize) -> &[f32] {
        self.part(row, self.features + self.widths.values, self.widths.logits)
    }

    /// The ends of the values' intervals.
    pub(super) fn interval(&self, row: usize) -> &[f32] {
        let from = self.row_width() - EXTRAS - self.widths.interval;
        self.part(row, from, self.widths.interval)
    }

    fn extra(&self, row: usize, at: usize) -> f32 {
        self.part(row, self.row_width() - EXTRAS, EXTRAS)[at]
    }

    /// The class that was decided for.
    pub(super) fn class(&self, row: usize) -> Option<usize> {
        Some(self.extra(row, 2))
            .filter(|class| !class.is_nan())
            .map(|class| class as usize)
    }

    /// The class that was right.
    pub(super) fn label(&self, row: usize) -> Option<usize> {
        Some(self.extra(row, 3))
            .filter(|label| !label.is_nan())
            .map(|label| label as usize)
    }

    /// What the model said about some rows, and their features.
    pub(super) fn batch(&self, rows: &[usize]) -> (Predictions, Vec<f32>) {
        let mut predictions = Predictions::new();
        predictions.reset(rows.len());
        let Widths {
            values,
            logits,
            spread,
            interval,
        } = self.widths;
        let block = predictions
            .block(0..rows.len(), self.widths)
            .expect("the first rows of a batch may have any widths");
        for (at, row) in rows.iter().enumerate() {
            let parts = [
                (&mut *block.values, values),
                (&mut *block.logits, logits),
                (&mut *block.spread, spread),
                (&mut *block.interval, interval),
            ];
            let mut from = self.features;
            for (column, width) in parts {
                column[at * width..][..width].copy_from_slice(self.part(*row, from, width));
                from += width;
            }
            block.valid[at] = true;
            block.confidence[at] = self.extra(*row, 0);
            block.anomaly[at] = self.extra(*row, 1);
            if let Some(class) = self.class(*row) {
                block.class[at] = class as u32;
            }
        }
        let features = rows.iter().flat_map(|row| self.features(*row)).copied().collect();
        (predictions, features)
    }
}
