//! g01: NumPy and SciPy on distances between counts and on their noise; g14 (many tests): statsmodels.

use eddy_pipeline::drift::chi_square::{quantile, upper_tail};
use eddy_pipeline::drift::distance::{Bins, Distance, Measured, Scale, Table, kl, psi};
use eddy_pipeline::drift::multiple::benjamini_hochberg;
use eddy_pipeline::drift::noise::Noise;
use serde_json::{Map, Value};

use super::{F64, assert_near, cases, golden, integer, number, numbers};

/// Tolerance of p-values, which we ask of the logarithm, too, so that it means something for small ones.
pub(crate) const P: f64 = 1e-6;

pub(crate) fn object(value: &Value) -> &Map<String, Value> {
    let map = value.as_object().unwrap_or_else(|| panic!("{value} is no object"));
    assert!(!map.is_empty());
    map
}

pub(crate) fn counts(value: &Value) -> Vec<u64> {
    cases(value).iter().map(|count| integer(count) as u64).collect()
}

pub(crate) fn measure(table: &Table<'_>, distance: Distance) -> Measured {
    distance
        .measure(table)
        .unwrap_or_else(|| panic!("{distance} is served"))
}

pub(crate) fn value(table: &Table<'_>, distance: Distance) -> f64 {
    measure(table, distance).value
}

fn assert_p(what: &str, got: Option<f64>, expected: f64) {
    let got = got.unwrap_or_else(|| panic!("{what}: a test has a p-value"));
    assert_near(what, &[got, got.ln()], &[expected, expected.ln()], P);
}

/// The form of PSI that the industry uses: empty bins get a share of 0.0001, and shares no longer add up to 1.
fn psi_with_a_floor(table: &Table<'_>) -> f64 {
    let floored = |share: f64| if share == 0.0 { 1e-4 } else { share };
    psi(table.shares().map(|(r, s)| (floored(r), floored(s))))
}

/// Every number of the file on a pair of counts.
fn assert_metrics(name: &str, table: &Table<'_>, expected: &Map<String, Value>) {
    let noise = Noise::new(table.bins(), table.reference_total(), table.current_total()).expect("two bins, events");
    let (chi2, g, ks) = (
        measure(table, Distance::Chi2),
        measure(table, Distance::G),
        measure(table, Distance::Ks),
    );
    let js = value(table, Distance::Js);
    let columns = table.counts().filter(|(c, d)| c + d > 0.0).count();
    for (metric, expected) in expected {
        let what = format!("{name} {metric}");
        let expected = number(expected);
        let got = match metric.as_str() {
            "psi_alpha_half" => value(table, Distance::Psi),
            "kl_cur_ref_alpha_half" => value(table, Distance::Kl),
            "kl_ref_cur_alpha_half" => kl(table.smoothed().map(|(p, q)| (q, p))),
            "psi_floor_1e4" => psi_with_a_floor(table),
            "js_divergence_nats" => js * js * std::f64::consts::LN_2,
            "js_distance_base2" | "js_distance_base2_scipy" => js,
            "hellinger" => value(table, Distance::Hellinger),
            "tv" => value(table, Distance::Tv),
            "linf" => value(table, Distance::LInfinity),
            "ks_binned" => ks.value,
            "w1_pit" => value(table, Distance::PitW1),
            "chi2_stat" => chi2.value,
            "chi2_dof" => (columns - 1) as f64,
            "cramers_v" => value(table, Distance::CramersV),
            "g_stat" => g.value,
            "psi_null_mean" => noise.expected(),
            "psi_crit_p01" => noise.critical(0.01).expect("a share"),
            "psi_crit_p001" => noise.critical(0.001).expect("a share"),
            "ks_binned_p_stephens" => {
                assert_p(&what, ks.p, expected);
                continue;
            }
            "chi2_p" => {
                assert_p(&what, chi2.p, expected);
                assert_eq!(measure(table, Distance::CramersV).p, chi2.p);
                continue;
            }
            "g_p" => {
                assert_p(&what, g.p, expected);
                continue;
            }
            _ => panic!("{what} is not compared"),
        };
        assert_near(&what, &[got], &[expected], F64);
        if metric == "psi_crit_p001" {
            let by_rule = noise.critical_by_rule(0.001).expect("a share");
            let most = if table.bins() > 4 { 0.014 } else { 0.031 };
            assert!((0.0..most).contains(&(by_rule / expected - 1.0)), "{what}: {by_rule}");
        }
    }
}

#[test]
fn distances_of_categories_and_their_noise() {
    for (name, case) in object(&golden("g01_univariate")["categorical"]) {
        let (reference, current) = (counts(&case["ref_counts"]), counts(&case["cur_counts"]));
        // SciPy sums in the order of the file, also for the distances that take it for an order.
        let table = Table::new(&reference, &current, Bins::Ordered).expect("the same bins");
        assert_metrics(name, &table, object(&case["metrics"]));
    }
}

#[test]
fn distances_of_binned_numbers_and_their_noise() {
    for (name, case) in object(&golden("g01_univariate")["cases"]) {
        for (bins, expected) in object(&case["binned"]) {
            let name = format!("{name} {bins}");
            let (reference, current) = (counts(&expected["ref_counts"]), counts(&expected["cur_counts"]));
            let means = numbers(&expected["ref_bin_means"]);
            let [mean, sigma, current_mean] =
                ["ref_mean", "ref_std_pop", "cur_mean"].map(|key| number(&case["raw"][key]));
            // With the mean of the reference, nothing but the bins is left of the distance.
            let unshifted = Scale::new(&means, mean, sigma, mean).expect("the means rise");
            let table = Table::new(&reference, &current, Bins::Scaled(unshifted)).expect("the same bins");
            if expected["metrics"].is_null() {
                assert!(expected["w1_binmeans_over_ref_std"].is_null());
                let none = Distance::ALL.iter().all(|distance| distance.measure(&table).is_none());
                assert!(none && table.bins() == 1, "{name}");
                assert_eq!(Noise::new(table.bins(), table.reference_total(), 100.0), None);
                continue;
            }
            assert_metrics(&name, &table, object(&expected["metrics"]));
            let binned = number(&expected["w1_binmeans_over_ref_std"]);
            assert_near(&name, &[value(&table, Distance::W1)], &[binned], F64);

            let shifted = Scale::new(&means, mean, sigma, current_mean).expect("the means rise");
            let table = Table::new(&reference, &current, Bins::Scaled(shifted)).expect("the same bins");
            let shift = (current_mean - mean).abs() / sigma;
            assert_near(&name, &[value(&table, Distance::W1)], &[binned.max(shift)], F64);
        }
    }
}

#[test]
fn the_critical_values_are_quantiles_of_the_tail_that_gives_p_values() {
    for (name, case) in object(&golden("g01_univariate")["categorical"]) {
        let metrics = &case["metrics"];
        let (dof, statistic) = (number(&metrics["chi2_dof"]), number(&metrics["chi2_stat"]));
        let p = number(&metrics["chi2_p"]);
        assert_near(name, &[upper_tail(dof, statistic)], &[p], P);
        if statistic > 0.0 {
            assert_near(name, &[quantile(dof, p).expect("a probability")], &[statistic], F64);
        }
    }
}

#[test]
fn p_values_of_many_tests_are_adjusted_as_benjamini_and_hochberg_do() {
    for (at, case) in cases(&golden("g14_spotcheck")["multitest"]).iter().enumerate() {
        let adjusted = benjamini_hochberg(&numbers(&case["p"]));
        assert_near(&format!("bh {at}"), &adjusted, &numbers(&case["bh"]), F64);
        let rejected: Vec<bool> = adjusted.iter().map(|p| *p <= 0.05).collect();
        let expected: Vec<bool> = cases(&case["bh_reject_05"]).iter().map(|is| *is == true).collect();
        assert_eq!(rejected, expected, "{at}");
    }
}
