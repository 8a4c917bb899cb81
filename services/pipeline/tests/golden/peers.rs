//! g01b, g01c: Evidently and NannyML on the samples of g01, counted in the peers' own bins. With them, and with their way of
//! treating empty bins where they have one, our formulas give their numbers.
//!
//! The exact statistics of both are those of bins too: with one bin for each value, the binned Kolmogorov-Smirnov and
//! Wasserstein distances are the exact ones.
//!
//! Not reproduced:
//! * Evidently's `ks_p` and SciPy's `ks_p_asymp`: the exact distribution of D, or that of one sample of the rounded
//!   effective size; ours is Stephens' approximation. (D is reproduced.)
//! * NannyML's `chi2` of two categories: it has Yates' correction.
//! * SciPy's `cvm_stat`: we have no such distance.

use eddy_pipeline::drift::distance::{Bins, Distance, Scale, Table, kl, psi};
use serde_json::Value;

use super::distance::{P, counts, measure, object, value};
use super::{F64, assert_near, golden, integer, number, numbers};

/// The finite numbers of a case of g01.
struct Samples {
    reference: Vec<f64>,
    current: Vec<f64>,
}

impl Samples {
    fn of(case: &Value) -> Self {
        let finite = |key: &str| -> Vec<f64> { numbers(&case[key]).into_iter().filter(|x| x.is_finite()).collect() };
        Self {
            reference: finite("ref"),
            current: finite("cur"),
        }
    }

    fn both(&self) -> Vec<f64> {
        [self.reference.as_slice(), &self.current].concat()
    }

    fn counted(&self, of: impl Fn(&[f64]) -> Vec<u64>) -> (Vec<u64>, Vec<u64>) {
        (of(&self.reference), of(&self.current))
    }
}

fn distinct(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_unstable_by(f64::total_cmp);
    values.dedup();
    values
}

/// How often each of the rising values occurs.
fn of_values(values: &[f64], sample: &[f64]) -> Vec<u64> {
    let mut counts = vec![0; values.len()];
    for x in sample {
        counts[values.partition_point(|value| value < x)] += 1;
    }
    counts
}

/// Counts as NumPy's `histogram` does: bins are closed below, the last one on both sides. What lies outside comes last.
fn numpy_histogram(edges: &[f64], sample: &[f64]) -> Vec<u64> {
    let (first, last) = (edges[0], edges[edges.len() - 1]);
    let mut counts = vec![0; edges.len()];
    for x in sample {
        let bin = if *x < first || *x > last {
            edges.len() - 1
        } else {
            edges[1..edges.len() - 1].partition_point(|edge| edge <= x)
        };
        counts[bin] += 1;
    }
    counts
}

/// NumPy's edges by the rule of Sturges: log₂ n + 1 bins of equal width from the least to the largest value.
fn sturges(values: &[f64]) -> Vec<f64> {
    let (low, high) = values
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| {
            (low.min(*x), high.max(*x))
        });
    let width = (high - low) / ((values.len() as f64).log2() + 1.0);
    let bins = ((high - low) / width).ceil();
    let step = (high - low) / bins;
    let interior = (0..bins as usize).map(|k| k as f64 * step + low);
    interior.chain([high]).collect()
}

fn table<'a>(reference: &'a [u64], current: &'a [u64], bins: Bins<'a>) -> Table<'a> {
    Table::new(reference, current, bins).expect("the same bins")
}

/// What Evidently puts for the share of an empty bin.
fn evidently_floor(shares: impl Iterator<Item = f64>) -> f64 {
    let least = shares.filter(|share| *share > 0.0).fold(f64::INFINITY, f64::min);
    if least <= 1e-4 { least / 1e6 } else { 1e-4 }
}

/// Evidently's shares: empty bins are filled, and the sum is not 1 any more.
fn evidently_shares(table: &Table<'_>) -> Vec<(f64, f64)> {
    let floors = (
        evidently_floor(table.shares().map(|(r, _)| r)),
        evidently_floor(table.shares().map(|(_, s)| s)),
    );
    let filled = |share: f64, floor: f64| if share == 0.0 { floor } else { share };
    let shares = table.shares().map(|(r, s)| (filled(r, floors.0), filled(s, floors.1)));
    shares.collect()
}

/// Its divergence is SciPy's, which divides by the sums, and goes from the window to the reference.
fn evidently_kl(shares: &[(f64, f64)]) -> f64 {
    let sums = shares.iter().fold((0.0, 0.0), |sums, (p, q)| (sums.0 + p, sums.1 + q));
    kl(shares.iter().map(|(p, q)| (q / sums.1, p / sums.0)))
}

/// √(ln 2): from a distance to base 2 to one to base e.
fn base_e(distance: f64) -> f64 {
    distance * std::f64::consts::LN_2.sqrt()
}

#[test]
fn evidentlys_distances_of_numbers_in_its_bins_over_both_samples() {
    let peer = golden("g01b_evidently");
    for (name, case) in object(&golden("g01_univariate")["cases"]) {
        let (samples, expected) = (Samples::of(case), &peer["cases"][name]);
        // Few values get a bin each; else the bins move with the window.
        let (reference, current) = if distinct(&samples.reference).len() > 20 {
            let edges = sturges(&samples.both());
            samples.counted(|sample| numpy_histogram(&edges, sample)[..edges.len() - 1].to_vec())
        } else {
            let values = distinct(&samples.both());
            samples.counted(|sample| of_values(&values, sample))
        };
        assert_eq!(reference.len(), integer(&expected["n_bins_used"]), "{name}");
        let own = table(&reference, &current, Bins::Ordered);
        let shares = evidently_shares(&own);
        let got = [
            base_e(value(&own, Distance::Js)),
            psi(shares.iter().copied()),
            evidently_kl(&shares),
        ];
        let expected_of = |key: &str| number(&expected[key]);
        let keys = ["js_distance_base_e", "psi", "kl_div"];
        assert_near(name, &got, &keys.map(expected_of), F64);

        // Bins for this one are made of the values that occur, each once.
        let edges = sturges(&distinct(&samples.both()));
        let (reference, current) = samples.counted(|sample| numpy_histogram(&edges, sample));
        let hellinger = value(&table(&reference, &current, Bins::Ordered), Distance::Hellinger);
        assert_near(name, &[hellinger], &[expected_of("hellinger")], F64);
    }
}

#[test]
fn evidentlys_distances_of_categories() {
    let peer = golden("g01b_evidently");
    for (name, case) in object(&golden("g01_univariate")["categorical"]) {
        let expected = &peer["cases"][format!("cat:{name}")];
        let (reference, current) = (counts(&case["ref_counts"]), counts(&case["cur_counts"]));
        let own = table(&reference, &current, Bins::Categories);
        let got = [base_e(value(&own, Distance::Js)), psi(evidently_shares(&own))];
        let expected_of = |key: &str| number(&expected[key]);
        assert_near(name, &got, &["js_distance_base_e", "psi"].map(expected_of), F64);
        // It takes the reference for exact, which ours becomes as it grows.
        let exact: Vec<u64> = reference.iter().map(|count| count * 1_000_000_000).collect();
        let p = measure(&table(&exact, &current, Bins::Categories), Distance::Chi2).p;
        assert_near(name, &[p.expect("a test")], &[expected_of("chisquare_p")], P);
    }
}

#[test]
fn nannymls_distances_of_numbers_in_its_bins_of_the_reference() {
    let peer = golden("g01c_nannyml");
    for (name, case) in object(&golden("g01_univariate")["cases"]) {
        let (samples, expected) = (Samples::of(case), &peer["cases"][name]);
        let edges = numbers(&expected["doane_edges"]);
        let (reference, current) = samples.counted(|sample| numpy_histogram(&edges, sample));
        let own = table(&reference, &current, Bins::Ordered);
        let got = [value(&own, Distance::Js), value(&own, Distance::Hellinger)];
        let keys = ["jensen_shannon", "hellinger"];
        assert_near(name, &got, &keys.map(|key| number(&expected[key])), F64);
    }
}

#[test]
fn nannymls_distances_of_categories() {
    let peer = golden("g01c_nannyml");
    let mut tests = 0;
    for (name, case) in object(&golden("g01_univariate")["categorical"]) {
        let expected = &peer["cases"][format!("cat:{name}")];
        let (reference, current) = (counts(&case["ref_counts"]), counts(&case["cur_counts"]));
        let own = table(&reference, &current, Bins::Categories);
        let got = [Distance::Js, Distance::Hellinger, Distance::LInfinity].map(|distance| value(&own, distance));
        let keys = ["jensen_shannon", "hellinger", "l_infinity"];
        assert_near(name, &got, &keys.map(|key| number(&expected[key])), F64);
        if own.bins() > 2 {
            let chi2 = measure(&own, Distance::Chi2);
            assert_near(name, &[chi2.value], &[number(&expected["chi2"])], F64);
            assert_near(name, &[chi2.p.expect("a test")], &[number(&expected["chi2_p"])], P);
            tests += 1;
        }
    }
    assert!(tests > 0);
}

#[test]
fn the_exact_distances_are_those_of_one_bin_for_each_value() {
    let (evidently, nannyml) = (golden("g01b_evidently"), golden("g01c_nannyml"));
    for (name, case) in object(&golden("g01_univariate")["cases"]) {
        let samples = Samples::of(case);
        let values = distinct(&samples.both());
        let (reference, current) = samples.counted(|sample| of_values(&values, sample));
        let [mean, sigma, current_mean] = ["ref_mean", "ref_std_pop", "cur_mean"].map(|key| number(&case["raw"][key]));
        let w1 = |sigma: f64| {
            let scale = Scale::new(&values, mean, sigma, current_mean).expect("the values rise");
            value(&table(&reference, &current, Bins::Scaled(scale)), Distance::W1)
        };
        let ks = value(&table(&reference, &current, Bins::Ordered), Distance::Ks);
        let (scipy, nannyml) = (&case["raw"], &nannyml["cases"][name]);
        let expected = [&scipy["ks_stat"], &nannyml["kolmogorov_smirnov"]].map(number);
        assert_near(name, &[ks, ks], &expected, F64);
        let expected = [&scipy["w1"], &nannyml["wasserstein"]].map(number);
        assert_near(name, &[w1(1.0), w1(1.0)], &expected, F64);
        let normed = &evidently["cases"][name]["wasserstein_normed"];
        let expected = [&scipy["w1_over_ref_std"], normed].map(number);
        assert_near(name, &[w1(sigma), w1(sigma)], &expected, F64);
    }
}
