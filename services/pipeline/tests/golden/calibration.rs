//! g08: scikit-learn and SciPy on calibration errors, the temperature and the isotonic calibrator.

use eddy_pipeline::calibration::{Isotonic, Reliability, brier, log_loss, temperature};

use super::{F64, assert_near, cases, golden, integer, number, numbers, rows};

/// The minimum of the log loss is flat: its place is known to about the square root of the precision.
const TEMPERATURE: f64 = 1e-6;

fn softmax(logits: &[f64], temperature: f64) -> Vec<f64> {
    let highest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = logits.iter().map(|z| ((z - highest) / temperature).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / sum).collect()
}

fn reliability(rows: &[Vec<f64>], labels: &[usize]) -> Reliability {
    let mut reliability = Reliability::new();
    for (row, label) in rows.iter().zip(labels) {
        let decided = (0..row.len()).fold(0, |best, class| if row[class] > row[best] { class } else { best });
        reliability.push(row[decided], decided, *label);
    }
    reliability
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len() as f64;
    values.sum::<f64>() / n
}

#[test]
fn errors_and_temperature_of_several_classes() {
    for case in cases(&golden("g08_calibration")["multiclass"]) {
        let logits = rows(&case["logits"]);
        let labels: Vec<usize> = cases(&case["y"]).iter().map(integer).collect();
        let near = |what: &str, got: f64| assert_near(what, &[got], &[number(&case[what])], F64);
        let at = |temperature: f64| -> Vec<Vec<f64>> { logits.iter().map(|row| softmax(row, temperature)).collect() };
        let plain = at(1.0);
        let counted = reliability(&plain, &labels);
        near("ece15", counted.expected_error());
        near("mce15", counted.maximum_error());
        near("accuracy", counted.accuracy());
        for (bin, expected) in counted.bins().iter().zip(rows(&case["bins_count_sumconf_correct"])) {
            assert_eq!([bin.count as f64, bin.correct as f64], [expected[0], expected[2]]);
            assert_near("confidence", &[bin.confidence], &[expected[1]], F64);
        }
        let labelled = |rows: &[Vec<f64>], of: fn(&[f64], usize) -> f64| {
            mean(rows.iter().zip(&labels).map(|(row, label)| of(row, *label)))
        };
        near("brier_sum", labelled(&plain, brier));
        near("nll", labelled(&plain, log_loss));
        near("nll_sklearn", labelled(&plain, log_loss));

        let found = temperature(&logits.concat(), logits[0].len(), &labels).expect("the rows fit");
        assert_near("temperature", &[found], &[number(&case["temperature"])], TEMPERATURE);
        near("nll_T", labelled(&at(found), log_loss));
        let expected = at(number(&case["temperature"]));
        near("ece15_T", reliability(&expected, &labels).expected_error());
    }
}

#[test]
fn errors_and_the_isotonic_calibrator_of_two_classes() {
    for case in cases(&golden("g08_calibration")["binary"]) {
        let (scores, labels) = (numbers(&case["p"]), numbers(&case["y"]));
        let near = |what: &str, got: f64| assert_near(what, &[got], &[number(&case[what])], F64);
        let both = || scores.iter().zip(&labels).map(|(p, y)| ([1.0 - p, *p], *y as usize));
        // Of both classes, it is twice that of one.
        near("brier", mean(both().map(|(row, label)| brier(&row, label) / 2.0)));
        near("nll", mean(both().map(|(row, label)| log_loss(&row, label))));
        let fitted = Isotonic::fit(scores.iter().copied().zip(labels.iter().copied())).expect("there are points");
        assert_near("isotonic_x", fitted.x(), &numbers(&case["isotonic_x"]), F64);
        assert_near("isotonic_y", fitted.y(), &numbers(&case["isotonic_y"]), F64);
        let calibrated: Vec<f64> = numbers(&case["query"]).iter().map(|p| fitted.apply(*p)).collect();
        assert_near("calibrated", &calibrated, &numbers(&case["calibrated"]), F64);
    }
}
