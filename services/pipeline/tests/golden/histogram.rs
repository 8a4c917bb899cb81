//! g01 (the binning), g18: NumPy on bins of equal mass and of equal width, the largest deviation, and SimHash; g07 and
//! g12: river and PyOD on what is only a yardstick here.

use eddy_pipeline::histogram::{EqualWidth, counts, equal_mass_edges};
use eddy_pipeline::signal::{Column, Hbos, Matrix, Reference, Signal, Standard, Subject, ZMax};
use eddy_pipeline::simhash::SimHash;
use eddy_pipeline::yardstick::{HalfSpaceTrees, HistogramScore, Split, ecod, histogram_score};

use super::{F32, F64, Model, assert_near, cases, floats, golden, integer, number, numbers, rows};

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut finite: Vec<f64> = values.iter().copied().filter(|x| x.is_finite()).collect();
    finite.sort_unstable_by(f64::total_cmp);
    finite
}

#[test]
fn edges_and_counts_of_bins_of_equal_mass() {
    let file = golden("g01_univariate");
    let cases_by_name = file["cases"].as_object().expect("cases by name");
    assert!(!cases_by_name.is_empty());
    for (name, case) in cases_by_name {
        let (reference, current) = (numbers(&case["ref"]), numbers(&case["cur"]));
        let of_sorted = sorted(&reference);
        let binned = case["binned"].as_object().expect("binnings by number of bins");
        assert!(!binned.is_empty());
        for (bins, expected) in binned {
            let bins: usize = bins.parse().expect("a number of bins");
            let edges = equal_mass_edges(&of_sorted, bins);
            let whole = |value: &serde_json::Value| -> Vec<u64> {
                let counts = value.as_array().expect("counts");
                counts.iter().map(|count| integer(count) as u64).collect()
            };
            let expected_edges: Vec<f64> = expected["edges"]
                .as_array()
                .expect("edges")
                .iter()
                .map(number)
                .collect();
            assert_eq!(edges, expected_edges, "{name} {bins}");
            let of = |values: &[f64]| counts(&edges, values.iter().copied());
            assert_eq!(of(&reference), whole(&expected["ref_counts"]), "{name} {bins}");
            assert_eq!(of(&current), whole(&expected["cur_counts"]), "{name} {bins}");
            let count = |holds: &dyn Fn(f64) -> bool| current.iter().filter(|x| holds(**x)).count();
            assert_eq!(count(&f64::is_nan), integer(&expected["nan"]));
            assert_eq!(count(&|x| x == f64::INFINITY), integer(&expected["pos_inf"]));
            assert_eq!(count(&|x| x == f64::NEG_INFINITY), integer(&expected["neg_inf"]));
        }
    }
}

#[test]
fn bins_of_equal_width_their_surprise_the_largest_deviation_and_simhash() {
    let file = golden("g18_hbos_simhash");
    let (reference, queries) = (rows(&file["ref"]), rows(&file["query"]));
    let (mean, std) = (numbers(&file["ref_mean"]), numbers(&file["ref_std"]));
    let mut counted = Vec::new();
    for (feature, expected) in cases(&file["features"]).iter().enumerate() {
        let values: Vec<f64> = reference.iter().map(|row| row[feature]).collect();
        let bins = EqualWidth::fit(&sorted(&values), 20).expect("there are values");
        assert_eq!(
            [bins.low, bins.high],
            [number(&expected["lo"]), number(&expected["hi"])]
        );
        let edges = bins.edges();
        assert_near("edges", &edges, &numbers(&expected["edges"]), F64);
        let counts = counts(&edges, values);
        let expected: Vec<u64> = cases(&expected["counts"]).iter().map(|c| integer(c) as u64).collect();
        assert_eq!(counts, expected);
        counted.push((bins, counts));
    }
    let columns: Vec<Column<'_>> = counted
        .iter()
        .enumerate()
        .map(|(position, (bins, counts))| Column {
            position,
            range: Some((bins.low, bins.high)),
            counts,
            missing: 0,
        })
        .collect();
    let deviations = mean
        .iter()
        .zip(&std)
        .enumerate()
        .map(|(at, (mean, std))| (at, *mean, *std));
    let width = mean.len();
    let reference = Reference {
        width,
        hbos: Some(Hbos::new(width, &columns)),
        z_max: Some(ZMax::new(width, deviations)),
        ..Reference::default()
    };
    let model = Model::new(
        serde_json::json!({"type": "embedding"}),
        &queries.iter().map(|_| vec![0.0]).collect::<Vec<_>>(),
    );
    let subject = Subject {
        reference: Some(&reference),
        ..model.subject()
    };
    let features = floats(&queries);
    let matrix = Matrix::new(&features, queries.len(), width);
    let hbos = model.measured(Signal::Hbos, &subject, &[], matrix);
    assert_near("hbos", &hbos, &numbers(&file["hbos"]), F32);
    let z_max = model.measured(Signal::ZMax, &subject, &[], matrix);
    assert_near("zmax", &z_max, &numbers(&file["zmax"]), F32);

    let projections = rows(&file["simhash_W"]);
    let weights = (0..width).map(|column| std::array::from_fn(|bit| projections[bit][column] as f32));
    let standard = |position: usize| Standard {
        position,
        mean: mean[position] as f32,
        std: std[position] as f32,
        median: 0.0,
    };
    let hash = SimHash::with_weights((0..width).map(standard).collect(), weights.collect());
    let hashes: Vec<u64> = (0..queries.len()).map(|row| hash.of(matrix.row(row))).collect();
    let hex: Vec<String> = hashes.iter().map(|hash| format!("{hash:016x}")).collect();
    let expected: Vec<&str> = cases(&file["simhash_hex"])
        .iter()
        .filter_map(|hex| hex.as_str())
        .collect();
    assert_eq!(hex, expected);
    let hamming: Vec<f64> = hashes
        .iter()
        .map(|hash| f64::from((hash ^ hashes[0]).count_ones()))
        .collect();
    assert_eq!(hamming, numbers(&file["hamming_to_first"]));
}

#[test]
fn half_space_trees() {
    for case in cases(&golden("g07_hst")["cases"]) {
        let trees = cases(&case["trees"]).iter().map(|tree| {
            let split = |node: &serde_json::Value| {
                let feature = ["a", "b", "c"].iter().position(|name| node[0] == *name)?;
                let threshold = number(&node[1]);
                Some(Split { feature, threshold })
            };
            cases(tree).iter().map(split).collect()
        });
        let mut trees = HalfSpaceTrees::new(trees.collect(), integer(&case["window_size"]) as u64);
        let mut scores = Vec::new();
        for row in rows(&case["X"]) {
            scores.push(trees.score(&row));
            trees.learn(&row);
        }
        assert_near("scores", &scores, &numbers(&case["scores"]), F64);
    }
}

#[test]
fn pyods_histograms_and_tail_probabilities() {
    let case = &golden("g12_sketch_hash_stepd")["hbos_ecod"];
    let (reference, queries) = (rows(&case["X"]), rows(&case["Q"]));
    let of = HistogramScore {
        bins: 10,
        alpha: 0.1,
        tolerance: 0.5,
    };
    let hbos = histogram_score(&reference, &queries, of);
    assert_near("hbos", &hbos, &numbers(&case["hbos"]), F64);
    assert_near("ecod", &ecod(&reference, &queries), &numbers(&case["ecod"]), F64);
}
