//! Deviation of the most unusual feature: maxⱼ |xⱼ − μⱼ|/σⱼ, with σ at least 10⁻⁹. Missing features do not count.

use super::{Evidence, Kind, Measure, Range, Signal, Subject};

pub(super) const KIND: Kind = Kind {
    words: "a largest deviation",
    range: Range::Open,
    is_costly: false,
    reads_features: true,
    make,
    #[cfg(test)]
    specimens,
};

fn make(subject: &Subject<'_>) -> Option<Box<dyn Measure>> {
    let z_max = subject.reference?.z_max.clone()?;
    Some(Box::new(z_max))
}

/// The score of a fitted reference.
#[derive(Debug, Clone)]
pub struct ZMax {
    width: usize,
    columns: Vec<Deviation>,
}

/// Mean and reciprocal standard deviation of one feature.
#[derive(Debug, Clone, Copy)]
struct Deviation {
    position: usize,
    mean: f32,
    per_std: f32,
}

impl ZMax {
    /// For events of `width` features: position, mean and standard deviation of those that count.
    ///
    /// # Panics
    /// When a position lies outside the features.
    pub fn new(width: usize, columns: impl IntoIterator<Item = (usize, f64, f64)>) -> Self {
        let columns = columns.into_iter().map(|(position, mean, std)| {
            assert!(position < width, "a column is one of the features");
            Deviation {
                position,
                mean: mean as f32,
                per_std: (1.0 / std.max(1e-9)) as f32,
            }
        });
        Self {
            width,
            columns: columns.collect(),
        }
    }
}

impl Measure for ZMax {
    fn signal(&self) -> Signal {
        Signal::ZMax
    }

    fn measure_row(&self, evidence: &Evidence<'_>, row: usize) -> f32 {
        let features = evidence.features.row(row);
        assert_eq!(features.len(), self.width, "features are those of the reference");
        if !evidence.predictions.is_valid(row) {
            return f32::NAN;
        }
        let mut most = f32::NAN;
        self.parts(features, &mut |_, part| most = most.max(part));
        most
    }

    fn parts(&self, features: &[f32], each: &mut dyn FnMut(usize, f32)) {
        for column in &self.columns {
            let deviation = ((features[column.position] - column.mean) * column.per_std).abs();
            if !deviation.is_nan() {
                each(column.position, deviation.min(f32::MAX));
            }
        }
    }
}

#[cfg(test)]
fn specimens() -> Vec<super::laws::Specimen> {
    use super::Reference;
    let columns = [(0, 5.0, 2.0), (2, -1.0, 0.0)];
    let reference = Reference {
        width: 3,
        z_max: Some(ZMax::new(3, columns)),
        ..Reference::default()
    };
    let of = |rows| super::laws::Specimen::features(rows, reference.clone());
    vec![
        of(&[&[6.0, 9.0, -1.0], &[1.0, 9.0, -1.0]]),
        of(&[&[1.0, 9.0, f32::NAN], &[f32::INFINITY, 9.0, -1.0]]),
        of(&[&[f32::NAN, 9.0, -1.0], &[f32::NAN, 9.0, -1.1]]),
    ]
}
