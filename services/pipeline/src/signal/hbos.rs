//! Histogram-based outlier score: Σⱼ −ln hⱼ over the features, where hⱼ = (c+½)/(N+½B) for the count c of the feature's bin
//! among N reference values in B bins. The bins are equally wide, with one below and one above, because bins of equal mass
//! carry no density (Goldstein & Dengel, KI 2012, on fixed bins).
//!
//! A category's codes are bins too. A missing value is as surprising as it was rare: (m+½)/(n+1) for m missing of n.

use std::array;

use super::{Evidence, Kind, LANES, Matrix, Measure, Range, Signal, Subject};

pub(super) const KIND: Kind = Kind {
    words: "an HBOS score",
    range: Range::Open,
    is_costly: false,
    reads_features: true,
    make,
    #[cfg(test)]
    specimens,
};

fn make(subject: &Subject<'_>) -> Option<Box<dyn Measure>> {
    let hbos = subject.reference?.hbos.clone()?;
    Some(Box::new(hbos))
}

/// What the reference data say of one feature.
#[derive(Debug, Clone, Copy)]
pub struct Column<'a> {
    /// Where the feature stands among the features of an event.
    pub position: usize,
    /// Lower end of the first bin and upper end of the last but the ones below and above. `None` for a category, whose
    /// values are codes 0, 1, ….
    pub range: Option<(f64, f64)>,
    /// Values in each bin: for numbers those up to the lower end first and those above the upper end last, bins being
    /// closed above; for codes one for each, the last for all codes from there on.
    pub counts: &'a [u64],
    /// Missing values.
    pub missing: u64,
}

/// The score of a fitted reference, as tables to look up.
#[derive(Debug, Clone)]
pub struct Hbos {
    width: usize,
    columns: Vec<Lookup>,
    surprise: Vec<f32>,
}

/// How a value of one feature becomes a place in the table: `round((x − low) * scale + shift)`, kept within the bins.
#[derive(Debug, Clone, Copy)]
struct Lookup {
    position: usize,
    low: f32,
    scale: f32,
    shift: f32,
    /// Where values go that come to less than 0: a number below the bins, or a code that is none.
    below: f32,
    /// Of the bins; the place after it is that of missing values.
    last: f32,
    /// Where the feature's part of the table begins.
    offset: usize,
}

/// Rounding up by adding a half and rounding to nearest, a hair less so that a value on an edge stays below it.
const UP: f32 = 0.5 - 1e-5;

/// Adding it leaves a small number rounded to an integer in the low bits, without a conversion that saturates.
const ROUND: f32 = 8_388_608.0;

impl Hbos {
    /// Makes the tables for events of `width` features.
    ///
    /// # Panics
    /// When a column lies outside these features, or has no bins.
    pub fn new(width: usize, columns: &[Column<'_>]) -> Self {
        let mut surprise = Vec::new();
        let lookups = columns.iter().map(|column| {
            assert!(column.position < width, "a column is one of the features");
            assert!(column.counts.len() > 2 || column.range.is_none(), "numbers have bins");
            assert!(!column.counts.is_empty(), "a category has codes");
            let offset = surprise.len();
            let (bins, total) = (column.counts.len() as f64, column.counts.iter().sum::<u64>() as f64);
            let of = |share: f64| -share.ln() as f32;
            surprise.extend(
                column
                    .counts
                    .iter()
                    .map(|c| of((*c as f64 + 0.5) / (total + 0.5 * bins))),
            );
            let missing = column.missing as f64;
            surprise.push(of((missing + 0.5) / (missing + total + 1.0)));
            let last = (column.counts.len() - 1) as f32;
            let (low, scale, shift, below) = match column.range {
                Some((low, high)) => (low as f32, ((bins - 2.0) / (high - low)) as f32, UP, 0.0),
                None => (0.0, 1.0, 0.0, last),
            };
            Lookup {
                position: column.position,
                low,
                scale,
                shift,
                below,
                last,
                offset,
            }
        });
        Self {
            width,
            columns: lookups.collect(),
            surprise,
        }
    }

    fn surprise(&self, column: &Lookup, value: f32) -> f32 {
        self.surprise[column.offset + column.place(value)]
    }

    /// The scores of up to `N` rows from `first` on. What each comes to does not depend on `N`.
    fn scores<const N: usize>(&self, features: Matrix<'_>, first: usize) -> [f32; N] {
        assert_eq!(features.width(), self.width, "features are those of the reference");
        let rows: [&[f32]; N] = array::from_fn(|lane| features.row((first + lane).min(features.rows() - 1)));
        let mut scores = [0.0; N];
        for column in &self.columns {
            let values: [f32; N] = array::from_fn(|lane| rows[lane][column.position]);
            let places = values.map(|value| column.place(value));
            let table = &self.surprise[column.offset..];
            for (score, place) in scores.iter_mut().zip(places) {
                *score += table[place];
            }
        }
        scores
    }
}

impl Lookup {
    /// Where a value stands in the feature's part of the table.
    fn place(&self, value: f32) -> usize {
        let place = (value - self.low) * self.scale + self.shift;
        let place = if place >= 0.0 { place } else { self.below };
        let place = if place < self.last { place } else { self.last };
        let place = if value.is_nan() { self.last + 1.0 } else { place };
        ((place + ROUND).to_bits() & 0xFFFF) as usize
    }
}

impl Measure for Hbos {
    fn signal(&self) -> Signal {
        Signal::Hbos
    }

    fn measure_row(&self, evidence: &Evidence<'_>, row: usize) -> f32 {
        if !evidence.predictions.is_valid(row) {
            return f32::NAN;
        }
        self.scores::<1>(evidence.features, row)[0]
    }

    fn measure(&self, evidence: &Evidence<'_>, out: &mut [f32]) {
        super::in_blocks(evidence, out, |first| self.scores::<LANES>(evidence.features, first));
    }

    fn parts(&self, features: &[f32], each: &mut dyn FnMut(usize, f32)) {
        for column in &self.columns {
            each(column.position, self.surprise(column, features[column.position]));
        }
    }
}

#[cfg(test)]
fn specimens() -> Vec<super::laws::Specimen> {
    use super::Reference;
    let columns = [
        Column {
            position: 2,
            range: Some((0.0, 10.0)),
            counts: &[1, 40, 30, 20, 10, 2],
            missing: 3,
        },
        Column {
            position: 0,
            range: None,
            counts: &[70, 30, 0],
            missing: 0,
        },
    ];
    let reference = Reference {
        width: 3,
        hbos: Some(Hbos::new(3, &columns)),
        ..Reference::default()
    };
    let of = |rows| super::laws::Specimen::features(rows, reference.clone());
    vec![
        of(&[&[0.0, 0.0, 1.0], &[0.0, 0.0, 11.0]]),
        of(&[&[1.0, 9.0, 1.0], &[2.0, 9.0, 1.0]]),
        of(&[&[0.0, 0.0, 1.0], &[f32::NAN, 0.0, 1.0]]),
        of(&[&[0.0, 0.0, 10.0], &[0.0, 0.0, f32::INFINITY]]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_on_an_edge_belongs_to_the_bin_below_it() {
        // Twenty bins from -7 to 53: the edges at multiples of 3 have no exact reciprocal.
        let counts: Vec<u64> = (0..22).collect();
        let column = Column {
            position: 0,
            range: Some((-7.0, 53.0)),
            counts: &counts,
            missing: 0,
        };
        let hbos = Hbos::new(1, &[column]);
        for bin in 0..=20u8 {
            let edge = -7.0 + 3.0 * f32::from(bin);
            let lookup = &hbos.columns[0];
            assert_eq!(hbos.surprise(lookup, edge), hbos.surprise[usize::from(bin)], "{edge}");
            let above = hbos.surprise(lookup, edge + 0.001);
            assert_eq!(above, hbos.surprise[usize::from(bin) + 1], "above {edge}");
        }
    }
}
