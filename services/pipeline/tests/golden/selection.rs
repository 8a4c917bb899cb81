//! g12, g14 and g17: draws, estimates, and the histogram-quantile budget.

use eddy_pipeline::select::{Hqb, Salt, hajek, wilson};

use super::{F64, assert_near, cases, golden, number, numbers};

#[test]
fn every_draw_is_the_reference_libraries_hash_of_id_and_salt() {
    for case in cases(&golden("g12_sketch_hash_stepd")["hash"]) {
        let id = case["key"].as_str().expect("a key");
        let seed = case["seed"].as_u64().expect("a seed");
        let hash: u64 = case["xxh3_64"]
            .as_str()
            .and_then(|digits| digits.parse().ok())
            .expect("a hash");
        let ours = Salt::new(seed).draw(id);
        assert_eq!(ours, (hash >> 11) as f64 / 2_f64.powi(53), "{id} with {seed}");
        assert_near(id, &[ours], &[number(&case["u"])], F64);
    }
}

#[test]
fn the_budget_admits_the_reference_events_with_the_reference_probabilities() {
    for run in cases(&golden("g17_hqb")["runs"]) {
        let name = format!("{} at {}", run["stream"], run["B"]);
        let mut hqb = Hqb::new(number(&run["B"]));
        assert_eq!(hqb.token_cap(), number(&run["params"]["token_cap"]), "{name}");
        let mut tokens: f64 = 1.0;
        let (mut admitted, mut probabilities) = (Vec::new(), Vec::new());
        let draws = numbers(&run["draws"]);
        for (at, (utility, draw)) in numbers(&run["utilities"]).into_iter().zip(draws).enumerate() {
            tokens = hqb.token_cap().min(tokens + hqb.budget());
            hqb.observe(utility);
            let probability = if tokens < 1.0 { 0.0 } else { hqb.probability(utility) };
            let is_admitted = draw < probability;
            hqb.settle(is_admitted);
            if is_admitted {
                tokens -= 1.0;
                admitted.push(at as f64);
                probabilities.push(probability);
            }
        }
        assert_eq!(admitted, numbers(&run["accepted"]), "{name}");
        assert_near(&name, &probabilities, &numbers(&run["pi_at_accept"]), F64);
        let end = [tokens, hqb.boundary() * 256.0];
        let expected = ["tokens", "boundary_bin"].map(|key| number(&run["final"][key]));
        assert_near(&name, &end, &expected, F64);
    }
}

#[test]
fn estimates_from_selected_samples_are_the_reference_ones() {
    let golden = golden("g14_spotcheck");
    // The other case is a summary: it holds results and no samples to compute them from.
    let with_samples: Vec<_> = cases(&golden["ht"])
        .iter()
        .filter(|case| !case["sample"].is_null())
        .collect();
    assert!(!with_samples.is_empty(), "no case has samples");
    for case in with_samples {
        let losses = numbers(&case["sample"]["loss"]);
        let samples = losses.into_iter().zip(numbers(&case["sample"]["pi"]));
        let estimate = hajek(samples).expect("there are samples");
        let expected = ["hajek", "hajek_variance_estimate"].map(|key| number(&case[key]));
        assert_near("Hájek", &[estimate.value, estimate.variance], &expected, F64);
    }
    for case in cases(&golden["intervals"]) {
        let count = |key: &str| case[key].as_u64().expect("a count");
        let (low, high) = wilson(count("correct"), count("n")).expect("there are samples");
        assert_near("Wilson", &[low, high], &numbers(&case["wilson95"]), F64);
    }
    assert_eq!(wilson(0, 0), None);
    assert_eq!(hajek([]), None);
}
