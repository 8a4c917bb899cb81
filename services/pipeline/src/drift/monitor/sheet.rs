//! The sheet that a monitor counts on: which series and sums there are, and what they are of.

use std::ops::Range;

use super::{Of, Reference, Series, What};

/// Everything that is counted of one thing, and what the reference has of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Subject {
    /// Whose values.
    pub of: Of,
    /// Of the events of this segment only.
    pub segment: Option<String>,
    /// Its bins among the series.
    pub bins: Range<usize>,
    /// Whether the bins have an order.
    pub is_ordered: bool,
    /// Places of the series that are no bins.
    pub odd: Odd,
    /// Place of the sum of its values.
    pub sum: Option<usize>,
    /// What its numbers are like in the reference.
    pub scale: Option<ReferenceScale>,
}

/// Places of the series of odd values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Odd {
    /// Rows without a value.
    pub missing: Option<usize>,
    /// Infinite values.
    pub invalid: Option<usize>,
    /// Values below the least one of the reference.
    pub below: Option<usize>,
    /// Values above the greatest one of the reference.
    pub above: Option<usize>,
}

/// What the numbers of a feature are like in the reference, in its unit.
#[derive(Debug, Clone, PartialEq)]
pub struct ReferenceScale {
    /// Mean in each bin; empty where only the mean is known.
    pub bin_means: Vec<f64>,
    /// Mean.
    pub mean: f64,
    /// Standard deviation of the population.
    pub std: f64,
}

/// What has been put on the sheet so far.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    pub(super) series: Vec<Series>,
    pub(super) subjects: Vec<Subject>,
    pub(super) sums: usize,
    /// What is put down is of the events of this segment.
    pub(super) segment: Option<String>,
}

/// Where a sheet ended at some time.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    series: usize,
    subjects: usize,
    sums: usize,
}

impl End {
    /// Series that there were.
    pub(super) fn series(self) -> usize {
        self.series
    }
}

impl Sheet {
    pub(super) fn end(&self) -> End {
        End {
            series: self.series.len(),
            subjects: self.subjects.len(),
            sums: self.sums,
        }
    }

    /// Takes back what came after.
    pub(super) fn cut(&mut self, end: End) {
        self.series.truncate(end.series);
        self.subjects.truncate(end.subjects);
        self.sums = end.sums;
    }

    /// Begins a subject with its bins, which have these counts in the reference; gives the place of the first.
    pub(super) fn subject(
        &mut self,
        of: Of,
        is_ordered: bool,
        labels: impl IntoIterator<Item = String>,
        counts: &[u64],
    ) -> usize {
        let first = self.series.len();
        let all: u64 = counts.iter().sum();
        let ratio = |count: u64| (count as f64 + 0.5) / (all as f64 + counts.len() as f64 / 2.0);
        for (label, count) in labels.into_iter().zip(counts) {
            self.series.push(Series {
                of: of.clone(),
                segment: self.segment.clone(),
                what: What::Bin(label),
                reference: Reference {
                    count: *count,
                    of: all,
                    ratio: ratio(*count),
                },
            });
        }
        self.subjects.push(Subject {
            of,
            segment: self.segment.clone(),
            bins: first..self.series.len(),
            is_ordered,
            odd: Odd::default(),
            sum: None,
            scale: None,
        });
        first
    }

    /// The subject that was begun last.
    pub(super) fn last(&mut self) -> &mut Subject {
        self.subjects.last_mut().expect("a subject was begun")
    }

    /// Adds a count of odd values to it: so many in the reference, of so many rows.
    pub(super) fn odd(&mut self, what: What, count: u64, all: u64) {
        let (place, subject) = (Some(self.series.len()), self.last());
        match what {
            What::Missing => subject.odd.missing = place,
            What::Invalid => subject.odd.invalid = place,
            What::Below => subject.odd.below = place,
            What::Above => subject.odd.above = place,
            What::Bin(_) => {}
        }
        let of = subject.of.clone();
        self.series.push(Series {
            of,
            segment: self.segment.clone(),
            what,
            reference: Reference {
                count,
                of: all,
                ratio: if all == 0 { 0.0 } else { count as f64 / all as f64 },
            },
        });
    }

    /// Adds the sum of its values to it; gives its place.
    pub(super) fn sum(&mut self, scale: ReferenceScale) -> usize {
        let place = self.sums;
        self.sums += 1;
        let subject = self.last();
        (subject.sum, subject.scale) = (Some(place), Some(scale));
        place
    }
}

/// The upper edges of bins, as texts.
pub(super) fn edge_labels(edges: &[f32]) -> impl Iterator<Item = String> {
    edges.iter().map(|edge| format!("{edge:?}")).chain(["+Inf".to_owned()])
}
