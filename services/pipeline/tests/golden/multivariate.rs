//! g15: distances between clouds of points, from NumPy and SciPy.

use eddy_pipeline::drift::multivariate::{
    FourierFeatures, MeanEmbedding, Sums, bandwidth, cosine_distance, euclidean_distance, squared_frechet,
};
use eddy_pipeline::yardstick::KernelTest;

use super::{F64, assert_near, cases, golden, number, numbers, rows};

/// Permutations here and in the file.
const OURS: u64 = 1_000;
const THEIRS: u64 = 200;

fn sums(rows: &[Vec<f64>]) -> Sums {
    let mut sums = Sums::new(rows[0].len());
    rows.iter().for_each(|row| assert!(sums.push(row)));
    sums
}

#[test]
fn distances_between_clouds() {
    let file = golden("g15_mmd");
    let reference = rows(&file["ref"]);
    let sigma = number(&file["sigma"]);
    let median = bandwidth(&reference).expect("rows differ");
    assert_near("sigma", &[median], &[sigma], F64);
    let weights = rows(&file["rff"]["W_unit"]).concat();
    let features = FourierFeatures::new(reference[0].len(), weights, numbers(&file["rff"]["phase"]), sigma);
    let features = features.expect("they are right");
    let embedding = |rows: &[Vec<f64>]| {
        let mut embedding = MeanEmbedding::new(features.len());
        rows.iter().for_each(|row| assert!(embedding.push(&features, row)));
        embedding
    };
    assert_eq!(cases(&file["cases"]).len(), 4);
    for case in cases(&file["cases"]) {
        let current = rows(&case["cur"]);
        let (a, b) = (sums(&reference), sums(&current));
        let (mean, of_current) = (a.mean().expect("rows"), b.mean().expect("rows"));
        let exact = KernelTest::new(&reference, &current, sigma);
        let got = [
            exact.mmd2(),
            embedding(&reference).mmd2(&embedding(&current)).expect("rows"),
            squared_frechet(&a, &b).expect("rows"),
            euclidean_distance(&mean, &of_current),
            cosine_distance(&mean, &of_current).expect("means have directions"),
        ];
        let expected = [
            "mmd2_unbiased",
            "rff_mmd2_biased",
            "frechet2",
            "mean_euclid",
            "mean_cosine_distance",
        ];
        assert_near(
            &case["name"].to_string(),
            &got,
            &expected.map(|name| number(&case[name])),
            F64,
        );

        // Both count permutations of their own drawing: each share has the variance p(1−p)/m, and their difference lies
        // within four standard errors of 0, and a count of 1.
        let (p, expected) = (exact.permutation_p(OURS, 1), number(&case["perm_p"]));
        let error = (p * (1.0 - p) * (1.0 / OURS as f64 + 1.0 / THEIRS as f64)).sqrt();
        let allowed = 4.0 * error + 1.0 / THEIRS as f64;
        assert!(
            (p - expected).abs() <= allowed,
            "{}: {p}, and {expected} is expected",
            case["name"]
        );
    }
}
