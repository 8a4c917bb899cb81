//! g11: p-values and thresholds, with ties and with rates that so few rows cannot certify.

use eddy_pipeline::conformal::{Conformal, Error};

use super::{assert_near, cases, golden, integer, number, numbers};

/// Tolerance of p-values.
const P: f64 = 1e-6;

#[test]
fn p_values_and_thresholds() {
    for case in cases(&golden("g11_conformal")["cases"]) {
        let scores: Vec<f32> = numbers(&case["calibration"]).iter().map(|a| *a as f32).collect();
        let fitted = Conformal::new(scores).expect("scores are numbers");
        assert_eq!(fitted.rows(), integer(&case["n"]));
        let query: Vec<f32> = numbers(&case["query"]).iter().map(|a| *a as f32).collect();
        let p_value = |score: &f32| fitted.p_value(*score).expect("all scores were kept");
        let p_values: Vec<f64> = query.iter().map(p_value).collect();
        assert_near("p_values", &p_values, &numbers(&case["p_values"]), P);
        let thresholds = case["thresholds"].as_object().expect("thresholds by rate");
        assert!(!thresholds.is_empty());
        for (rate, expected) in thresholds {
            let rate: f64 = rate.parse().expect("a rate is a number");
            let got = fitted.threshold(rate);
            if expected.is_null() {
                let too_few =
                    matches!(got, Err(Error::TooFewRows { needed, .. }) if needed as f64 >= 1.0 / rate - 1.0 - 1e-9);
                assert!(too_few, "{rate}: {got:?}");
                continue;
            }
            let threshold = number(expected) as f32;
            assert_eq!(got, Ok(threshold), "{rate}");
            // A score is above the threshold just if its p-value is at most the rate.
            for (score, p) in query.iter().zip(&p_values) {
                assert_eq!(*score > threshold, *p <= rate + 1e-12, "{score} at {rate}");
            }
        }
    }
}
