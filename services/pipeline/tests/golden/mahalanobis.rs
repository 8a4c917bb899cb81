//! g06: scikit-learn on covariances, their shrinkage and distances; g10: class-conditional and relative distances.

use eddy_pipeline::covariance::{
    ClassGaussians, Gaussian, Moments, inverse, ledoit_wolf, oracle_approximating, whitener,
};
use eddy_pipeline::signal::{Centre, Mahalanobis, Matrix, Reference, Signal, Subject};
use serde_json::Value;

use super::{F32, F64, Model, assert_near, cases, floats, golden, integer, number, numbers, rows};

fn moments(rows: &[Vec<f64>]) -> Moments {
    let mut moments = Moments::new(rows[0].len());
    rows.iter().for_each(|row| moments.push(row));
    moments
}

fn matrix(value: &Value) -> Vec<f64> {
    rows(value).concat()
}

fn assert_moments(got: &Moments, expected: &Value) {
    assert_eq!(got.count(), integer(&expected["n"]) as u64);
    assert_near("mean", got.mean(), &numbers(&expected["mean"]), F64);
    assert_near("m2", got.comoments(), &matrix(&expected["m2"]), F64);
}

#[test]
fn moments_of_parts_merge_to_those_of_the_whole() {
    for case in cases(&golden("g06_mahalanobis")["cases"]) {
        let data = rows(&case["X"]);
        let mut rest = &data[..];
        let mut merged = Moments::new(data[0].len());
        for part in cases(&case["parts"]) {
            let (here, after) = rest.split_at(integer(&part["n"]));
            rest = after;
            let of_part = moments(here);
            assert_moments(&of_part, part);
            merged.merge(&of_part);
        }
        assert!(rest.is_empty());
        assert_moments(&merged, &case["merged"]);
        assert_near("mean", merged.mean(), &numbers(&case["mean"]), F64);
        let covariance = merged.covariance().expect("there are rows");
        assert_near("cov_pop", &covariance, &matrix(&case["cov_pop"]), F64);
        let precision = inverse(&covariance).expect("the features are independent");
        assert_near("precision", &precision, &matrix(&case["precision"]), F64);
    }
}

#[test]
fn distances_by_the_covariance_as_it_is_and_shrunk() {
    for case in cases(&golden("g06_mahalanobis")["cases"]) {
        let (data, queries) = (rows(&case["X"]), rows(&case["Q"]));
        let moments = moments(&data);
        let fourth_powers = data.iter().map(|row| moments.fourth_power(row)).sum();
        let ledoit_wolf = ledoit_wolf(&moments, fourth_powers).expect("there are rows");
        let near = |what: &str, got: f64| assert_near(what, &[got], &[number(&case[what])], F64);
        near("lw_shrinkage", ledoit_wolf.shrinkage);
        assert_near("lw_cov", &ledoit_wolf.covariance, &matrix(&case["lw_cov"]), F64);
        let oas = oracle_approximating(&moments).expect("there are rows");
        near("oas_shrinkage", oas.shrinkage);
        let plain = moments.covariance().expect("there are rows");
        let diagonal: Vec<f64> = plain
            .iter()
            .enumerate()
            .map(|(at, c)| if at % (data[0].len() + 1) == 0 { *c } else { 0.0 })
            .collect();
        for (what, covariance) in [
            ("d2", &plain),
            ("d2_diagonal_only", &diagonal),
            ("lw_d2", &ledoit_wolf.covariance),
            ("oas_d2", &oas.covariance),
        ] {
            let expected = numbers(&case[what]);
            let gaussian = Gaussian::new(moments.mean().to_vec(), covariance).expect("it has an inverse");
            let distances: Vec<f64> = queries.iter().map(|row| gaussian.squared_distance(row)).collect();
            assert_near(what, &distances, &expected, F64);
            assert_near(what, &measured(moments.mean(), covariance, &queries), &expected, F32);
        }
    }
}

/// The same as the service measures it, in 32 bits.
fn measured(mean: &[f64], covariance: &[f64], queries: &[Vec<f64>]) -> Vec<f64> {
    let centre = |(position, mean): (usize, &f64)| Centre {
        position,
        mean: *mean as f32,
        median: 0.0,
    };
    let whitener = whitener(covariance).expect("it has an inverse");
    let reference = Reference {
        width: mean.len(),
        mahalanobis: Some(Mahalanobis::new(
            mean.len(),
            mean.iter().enumerate().map(centre).collect(),
            whitener.iter().map(|w| *w as f32).collect(),
        )),
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
    let features = floats(queries);
    let features = Matrix::new(&features, queries.len(), mean.len());
    model.measured(Signal::Mahalanobis, &subject, &[], features)
}

#[test]
fn distances_from_the_nearest_class() {
    let case = &golden("g06_mahalanobis")["class_conditional"];
    let data = rows(&case["X"]);
    let labels: Vec<usize> = cases(&case["y"]).iter().map(integer).collect();
    let labelled = data.iter().map(Vec::as_slice).zip(labels.iter().copied());
    let fitted = ClassGaussians::fit(labelled, 3).expect("the features are independent");
    let given = ClassGaussians::new(rows(&case["class_means"]), &matrix(&case["tied_cov"])).expect("an inverse");
    for classes in [fitted, given] {
        let distances: Vec<f64> = rows(&case["Q"]).iter().map(|row| classes.nearest(row)).collect();
        assert_near("min_d2", &distances, &numbers(&case["min_d2"]), F64);
    }
}

#[test]
fn an_ensembles_variance_is_that_of_the_population_and_its_deviation_that_of_a_sample() {
    let case = &golden("g04_uncertainty")["regression_ensemble"];
    let moments = moments(&rows(&case["preds"]));
    let d = moments.mean().len();
    let of = |divisor: u64| -> Vec<f64> {
        let squares = moments.comoments().iter().step_by(d + 1);
        squares.map(|sum| sum / divisor as f64).collect()
    };
    assert_near(
        "variance_pop",
        &of(moments.count()),
        &numbers(&case["variance_pop"]),
        F64,
    );
    let deviation: Vec<f64> = of(moments.count() - 1).iter().map(|v| v.sqrt()).collect();
    assert_near("std_sample", &deviation, &numbers(&case["std_sample"]), F64);
}

#[test]
fn class_conditional_and_relative_distances_of_a_networks_features() {
    let file = golden("g10_ood");
    let params = &file["params"];
    let invert = |precision: &Value| inverse(&matrix(precision)).expect("a precision has an inverse");
    let classes = ClassGaussians::new(rows(&params["class_means"]), &invert(&params["precision"]));
    let classes = classes.expect("a covariance has an inverse");
    let background = Gaussian::new(numbers(&params["bg_mean"]), &invert(&params["bg_precision"]));
    let background = background.expect("a covariance has an inverse");
    let features = rows(&file["features"]);
    let nearest: Vec<f64> = features.iter().map(|row| classes.nearest(row)).collect();
    assert_near(
        "mahalanobis_class",
        &nearest,
        &numbers(&file["scores"]["mahalanobis_class"]),
        F64,
    );
    let relative: Vec<f64> = features.iter().map(|row| classes.relative(&background, row)).collect();
    let expected = numbers(&file["scores"]["relative_mahalanobis"]);
    assert_near("relative_mahalanobis", &relative, &expected, F64);
}
