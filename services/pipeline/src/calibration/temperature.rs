//! The temperature: one number that divides logits so that the probabilities fit the labels (Guo et al., ICML 2017).

use std::ops::RangeInclusive;

use super::Error;

/// Where the temperature is looked for. At an end of it the data ask for no temperature at all: the logits tell nothing,
/// or the labels are the model's own decisions.
pub const TEMPERATURES: RangeInclusive<f64> = 0.05..=20.0;

/// The log loss has one minimum in the temperature and is flat there, so it is found to about the square root of the
/// precision.
const PRECISION: f64 = 1e-9;

/// The temperature in [`TEMPERATURES`] that minimises the log loss of softmax(z/T), by golden section. `logits` are
/// row-major, one for each of `classes` classes; `labels` are positions of classes.
///
/// # Errors
/// [`Error`] when there are no rows, or numbers and labels do not fit.
pub fn temperature<T: Copy + Into<f64>>(logits: &[T], classes: usize, labels: &[usize]) -> Result<f64, Error> {
    let rows = logits.len().checked_div(classes).unwrap_or(0);
    if rows * classes != logits.len() || rows != labels.len() {
        return Err(Error::Shape {
            rows,
            classes,
            logits: logits.len(),
            labels: labels.len(),
        });
    }
    if rows == 0 {
        return Err(Error::NoRows);
    }
    for (row, (logits, label)) in logits.chunks_exact(classes).zip(labels).enumerate() {
        if *label >= classes {
            let label = *label;
            return Err(Error::Label { row, label, classes });
        }
        if logits.iter().any(|z| !(*z).into().is_finite()) {
            return Err(Error::NotFinite { row });
        }
    }
    Ok(minimum(TEMPERATURES, |temperature| {
        let rows = logits.chunks_exact(classes).zip(labels);
        rows.map(|(logits, label)| log_loss(logits, *label, temperature)).sum()
    }))
}

/// −ln of the label's probability.
fn log_loss<T: Copy + Into<f64>>(logits: &[T], label: usize, temperature: f64) -> f64 {
    let highest = logits.iter().map(|z| (*z).into()).fold(f64::NEG_INFINITY, f64::max);
    let below = |z: T| (z.into() - highest) / temperature;
    let sum: f64 = logits.iter().map(|z| below(*z).exp()).sum();
    sum.ln() - below(logits[label])
}

/// Where a function with one minimum has it.
fn minimum(within: RangeInclusive<f64>, of: impl Fn(f64) -> f64) -> f64 {
    let golden = (5f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = within.into_inner();
    let mut left = high - golden * (high - low);
    let mut right = low + golden * (high - low);
    let (mut at_left, mut at_right) = (of(left), of(right));
    while high - low > PRECISION * high {
        if at_left < at_right {
            (high, right, at_right) = (right, left, at_left);
            left = high - golden * (high - low);
            at_left = of(left);
        } else {
            (low, left, at_left) = (left, right, at_right);
            right = low + golden * (high - low);
            at_right = of(right);
        }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_an_error_that_names_the_row() {
        assert_eq!(temperature::<f32>(&[], 3, &[]), Err(Error::NoRows));
        assert!(matches!(
            temperature(&[0.0f32; 7], 3, &[0, 1]),
            Err(Error::Shape { .. })
        ));
        assert!(matches!(
            temperature(&[0.0f32; 6], 0, &[0, 1]),
            Err(Error::Shape { .. })
        ));
        let label = temperature(&[0.0f32; 6], 3, &[0, 3]);
        assert!(matches!(label, Err(Error::Label { row: 1, label: 3, .. })));
        let infinite = temperature(&[0.0, f32::INFINITY], 2, &[0]);
        assert_eq!(infinite, Err(Error::NotFinite { row: 0 }));
    }

    #[test]
    fn labels_that_are_the_models_own_decisions_ask_for_the_lowest_temperature() {
        let found = temperature(&[1.0f32, 0.0, 0.0, 2.0], 2, &[0, 1]).expect("two rows");
        assert!(found < TEMPERATURES.start() * 1.01, "{found}");
    }
}
