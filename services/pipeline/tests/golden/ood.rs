//! g10: scores of events unlike the training data, from logits and features of a small network on scikit-learn's digits.
//!
//! ReAct and ViM are not offered by the service; what they need beside its energy is written here.

use eddy_pipeline::signal::{Knn, Matrix, Reference, Signal, Standard, Subject};
use serde_json::Value;

use super::{F32, Model, assert_near, floats, golden, integer, number, numbers, rows, times};

fn expected(file: &Value, score: &str) -> Vec<f64> {
    numbers(&file["scores"][score])
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Columns of a matrix that is given by its rows.
fn transposed(matrix: &[Vec<f64>]) -> Vec<Vec<f64>> {
    (0..matrix[0].len())
        .map(|column| matrix.iter().map(|row| row[column]).collect())
        .collect()
}

/// The logits of these features.
fn logits(file: &Value, features: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let (weights, bias) = (transposed(&rows(&file["W"])), numbers(&file["b"]));
    let of = |row: &Vec<f64>| weights.iter().zip(&bias).map(|(w, b)| dot(w, row) + b).collect();
    features.iter().map(of).collect()
}

#[test]
fn scores_from_logits() {
    let file = golden("g10_ood");
    let model = Model::classes("logits", &rows(&file["logits"]));
    let classes = model.predictions.width() as f64;
    let lack = times(&model.signal(Signal::LeastConfidence, 1.0), (classes - 1.0) / classes);
    assert_near("msp", &lack, &expected(&file, "msp"), F32);
    let nats = times(&model.signal(Signal::Entropy, 1.0), classes.ln());
    assert_near("entropy", &nats, &expected(&file, "entropy"), F32);
    for (signal, score) in [
        (Signal::MaxLogit, "maxlogit"),
        (Signal::Energy, "energy"),
        (Signal::Gen, "gen"),
    ] {
        assert_near(score, &model.signal(signal, 1.0), &expected(&file, score), F32);
    }
    let computed = logits(&file, &rows(&file["features"]));
    assert_near("logits", &computed.concat(), &rows(&file["logits"]).concat(), F32);
}

#[test]
fn react_is_the_energy_of_clipped_features() {
    let file = golden("g10_ood");
    let most = number(&file["params"]["react_clip"]);
    let clipped: Vec<Vec<f64>> = rows(&file["features"])
        .iter()
        .map(|row| row.iter().map(|value| value.min(most)).collect())
        .collect();
    let energy = Model::classes("logits", &logits(&file, &clipped)).signal(Signal::Energy, 1.0);
    assert_near("react", &energy, &expected(&file, "react"), F32);
}

#[test]
fn vim_is_the_energy_and_what_lies_outside_the_principal_space() {
    let file = golden("g10_ood");
    let params = &file["params"];
    let (origin, alpha) = (numbers(&params["vim_u"]), number(&params["vim_alpha"]));
    let residual = transposed(&rows(&params["vim_R"]));
    let energy = Model::classes("logits", &rows(&file["logits"])).signal(Signal::Energy, 1.0);
    let scores: Vec<f64> = rows(&file["features"])
        .iter()
        .zip(energy)
        .map(|(row, energy)| {
            let centred: Vec<f64> = row.iter().zip(&origin).map(|(x, u)| x - u).collect();
            let outside: f64 = residual.iter().map(|axis| dot(axis, &centred).powi(2)).sum();
            alpha * outside.sqrt() + energy
        })
        .collect();
    assert_near("vim", &scores, &expected(&file, "vim"), F32);
}

#[test]
fn the_distance_from_the_nearest_points_of_normalised_features() {
    let file = golden("g10_ood");
    let core = rows(&file["params"]["knn_core_normalised"]);
    let columns: Vec<Standard> = (0..core[0].len())
        .map(|position| Standard {
            position,
            mean: 0.0,
            std: 1.0,
            median: 0.0,
        })
        .collect();
    let points = floats(&core);
    let neighbour = integer(&file["params"]["knn_k"]);
    let knn = Knn::new(
        columns.len(),
        columns,
        Matrix::new(&points, core.len(), core[0].len()),
        neighbour,
    );
    let reference = Reference {
        width: core[0].len(),
        knn: Some(knn),
        ..Reference::default()
    };
    let normalised: Vec<Vec<f64>> = rows(&file["features"])
        .iter()
        .map(|row| times(row, 1.0 / dot(row, row).sqrt().max(1e-12)))
        .collect();
    let model = Model::classes("logits", &rows(&file["logits"]));
    let subject = Subject {
        reference: Some(&reference),
        ..model.subject()
    };
    let features = floats(&normalised);
    let features = Matrix::new(&features, normalised.len(), core[0].len());
    let distances = model.measured(Signal::Knn, &subject, &[], features);
    assert_near("knn10", &distances, &expected(&file, "knn10"), F32);
}
