//! Calibration: whether probabilities are as often right as they say, and what makes them so.
//!
//! Owns: the temperature, the isotonic calibrator, and the measures of what is out (calibration errors, Brier score, log
//! loss). Never does: change a prediction; what the model said is what is written.
//!
//! Invariant: counts add up. Those of two parts of a stream, added, are those of the whole.

mod isotonic;
mod reliability;
mod temperature;

pub use self::isotonic::Isotonic;
pub use self::reliability::{Bin, Reliability};
pub use self::temperature::{TEMPERATURES, temperature};

/// Why nothing can be fitted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is nothing to fit to.
    #[error("a calibrator needs labelled rows, and there are none; give the labels of the reference data")]
    NoRows,
    /// The data contradict themselves.
    #[error(
        "{rows} rows of {classes} classes have {logits} logits and {labels} labels; give one logit for each class and one label for each row"
    )]
    Shape {
        /// Rows by their number of logits.
        rows: usize,
        /// Classes.
        classes: usize,
        /// Logits in all.
        logits: usize,
        /// Labels.
        labels: usize,
    },
    /// A label is no class.
    #[error("row {row} has the label {label}, and there are {classes} classes, counted from 0")]
    Label {
        /// The row.
        row: usize,
        /// Its label.
        label: usize,
        /// Classes.
        classes: usize,
    },
    /// A number is not finite.
    #[error("row {row} holds a number that is not finite; leave the row out")]
    NotFinite {
        /// The row.
        row: usize,
    },
}

/// Brier score of one row: Σ (pₖ − [y = k])². From 0 to 2; average it over rows.
pub fn brier(probabilities: &[f64], label: usize) -> f64 {
    let off = |(class, p): (usize, &f64)| (p - f64::from(u8::from(class == label))).powi(2);
    probabilities.iter().enumerate().map(off).sum()
}

/// Log loss of one row: −ln p of the label, with p at least 10⁻¹²; average it over rows. A label that is no class has the
/// loss of an impossible one.
pub fn log_loss(probabilities: &[f64], label: usize) -> f64 {
    -probabilities.get(label).copied().unwrap_or(0.0).max(1e-12).ln()
}
