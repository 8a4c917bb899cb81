//! What the tests of profiles share: events that are drawn from a seed, and a model for them.

mod building;
mod serving;

use serde_json::{Value, json};

use super::*;
use crate::fields::{self, FeatureKind};
use crate::head::{Head, HeadSettings, Predictions, compile};
use crate::seed::{hash, normal, uniform};
use crate::signal::{Evidence, Matrix, Measure};
use crate::tensor::{DType, Data, TensorSpec, View};

const NAMES: [&str; 6] = ["height", "count", "colour", "constant", "empty", "weight"];

pub(crate) fn specs() -> Vec<fields::Feature> {
    let spec = |name: &&str| fields::Feature {
        name: (*name).to_owned(),
        kind: match *name {
            "colour" => FeatureKind::Category(vec!["red".to_owned(), "green".to_owned()]),
            _ => FeatureKind::Number,
        },
    };
    NAMES.iter().map(spec).collect()
}

fn head(settings: Value, outputs: &[(&str, usize)]) -> Box<dyn Head> {
    let settings: HeadSettings = serde_json::from_value(settings).expect("the settings are right");
    let spec = |(name, width): &(&str, usize)| TensorSpec {
        name: (*name).to_owned(),
        dtype: DType::Float32,
        row_shape: vec![Some(*width)],
    };
    let specs: Vec<TensorSpec> = outputs.iter().map(spec).collect();
    compile(&settings, &specs, None).expect("the head fits")
}

fn classifier() -> Box<dyn Head> {
    head(json!({"type": "classification", "from": "logits"}), &[("out", 3)])
}

fn read(head: &dyn Head, outputs: &[(usize, Vec<f32>)]) -> Predictions {
    let views: Vec<View<'_>> = outputs
        .iter()
        .map(|(width, data)| View {
            width: *width,
            data: Data::Float32(data),
        })
        .collect();
    let rows = outputs[0].1.len() / outputs[0].0;
    let mut predictions = Predictions::new();
    predictions.reset(rows);
    head.read(&views, 0..rows, &mut predictions)
        .expect("the outputs can be read");
    predictions
}

/// Events drawn from a seed: features, logits that are too sure by a factor of 2.5, and labels.
pub(crate) struct Data3 {
    features: Vec<f32>,
    logits: Vec<f32>,
    labels: Vec<Option<usize>>,
}

impl Data3 {
    pub(crate) fn new(rows: u64, seed: u64) -> Self {
        let (mut features, mut logits, mut labels) = (Vec::new(), Vec::new(), Vec::new());
        for row in 0..rows {
            let draw = |at: u64| uniform(seed, row * 16 + at);
            let height = normal(seed, row * 16 + 5) as f32;
            let missing = draw(0) < 0.05;
            features.extend([
                if missing { f32::NAN } else { height },
                (draw(1) * 12.0).floor() as f32,
                if draw(2) < 0.1 {
                    7.0
                } else {
                    (draw(3) * 2.0).floor() as f32
                },
                4.25,
                f32::NAN,
                height * 0.5 + normal(seed, row * 16 + 6) as f32,
            ]);
            let right: Vec<f64> = (7..10).map(|at| normal(seed, row * 16 + at)).collect();
            let weights: Vec<f64> = right.iter().map(|z| z.exp()).collect();
            let mut rest = draw(4) * weights.iter().sum::<f64>();
            let label = weights.iter().position(|weight| {
                rest -= weight;
                rest < 0.0
            });
            labels.push(label.or(Some(2)));
            logits.extend(right.iter().map(|z| (z * 2.5) as f32));
        }
        Self {
            features,
            logits,
            labels,
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.labels.len()
    }

    pub(crate) fn matrix(&self) -> Matrix<'_> {
        Matrix::new(&self.features, self.rows(), NAMES.len())
    }

    pub(crate) fn predictions(&self) -> Predictions {
        read(&*classifier(), &[(3, self.logits.clone())])
    }

    /// The same rows with a feature changed.
    pub(crate) fn changed(mut self, feature: &str, change: impl Fn(f32) -> f32) -> Self {
        let column = NAMES
            .iter()
            .position(|name| *name == feature)
            .expect("it is one of them");
        for row in self.features.chunks_exact_mut(NAMES.len()) {
            row[column] = change(row[column]);
        }
        self
    }

    /// The same rows with logits that are further apart by a factor.
    pub(crate) fn sharpened(mut self, factor: f32) -> Self {
        self.logits.iter_mut().for_each(|logit| *logit *= factor);
        self
    }

    /// The same rows in another order.
    fn shuffled(&self, seed: u64) -> Self {
        let mut order: Vec<usize> = (0..self.rows()).collect();
        order.sort_by_key(|row| hash(seed, *row as u64));
        let of = |numbers: &[f32], width: usize| -> Vec<f32> {
            let rows = order.iter().flat_map(|row| &numbers[row * width..][..width]);
            rows.copied().collect()
        };
        Self {
            features: of(&self.features, NAMES.len()),
            logits: of(&self.logits, 3),
            labels: order.iter().map(|row| self.labels[*row]).collect(),
        }
    }
}

fn about() -> About {
    About {
        model: "digits".to_owned(),
        version: "3".to_owned(),
        created: "2026-01-02T03:04:05Z".to_owned(),
        source: Source::Data,
    }
}

fn built(data: &Data3, plan: Plan) -> Result<Profile, Error> {
    let mut builder = ProfileBuilder::new(plan);
    builder.push_batch(data.matrix(), &data.predictions(), &data.labels)?;
    builder.finish(about())
}

pub(crate) fn profile(rows: u64, seed: u64) -> Profile {
    let plan = Plan::new(specs(), &*classifier());
    built(&Data3::new(rows, seed), plan).expect("there are enough rows")
}

/// The same with a segment for each colour.
pub(crate) fn segmented(rows: u64, seed: u64) -> Profile {
    let plan = Plan {
        segment: Some("colour".to_owned()),
        ..Plan::new(specs(), &*classifier())
    };
    built(&Data3::new(rows, seed), plan).expect("there are enough rows")
}

/// The profile of these features, row after row, under a model that says nothing of them.
pub(crate) fn of_features(values: &[f32], features: &[fields::Feature]) -> Profile {
    let rows = values.len() / features.len();
    let mut builder = ProfileBuilder::new(Plan::new(features.to_vec(), &*classifier()));
    let predictions = read(&*classifier(), &[(3, vec![0.5; 3 * rows])]);
    let matrix = Matrix::new(values, rows, features.len());
    builder.push_batch(matrix, &predictions, &[]).expect("they fit");
    builder.finish(about()).expect("there are enough rows")
}

/// Embeddings of four numbers that vary together, moved by so many standard deviations.
pub(crate) fn embeddings(rows: u64, seed: u64, shift: f64) -> Predictions {
    let row = |row: u64| {
        let common = normal(seed, row * 8);
        (1..5).map(move |at| (2.0 * common + normal(seed, row * 8 + at) + shift * 5f64.sqrt()) as f32)
    };
    let embedding = head(json!({"type": "embedding"}), &[("out", 4)]);
    read(&*embedding, &[(4, (0..rows).flat_map(row).collect())])
}

/// The profile of such embeddings, without features.
pub(crate) fn of_embeddings(rows: u64, seed: u64) -> Profile {
    let embedding = head(json!({"type": "embedding"}), &[("out", 4)]);
    let mut builder = ProfileBuilder::new(Plan::new(Vec::new(), &*embedding));
    let nothing = Matrix::new(&[], rows as usize, 0);
    builder
        .push_batch(nothing, &embeddings(rows, seed, 0.0), &[])
        .expect("they fit");
    builder.finish(about()).expect("there are enough rows")
}

fn number<'a>(profile: &'a Profile, name: &str) -> &'a Number {
    match profile.features.iter().find(|feature| feature.name() == name) {
        Some(Feature::Number(number)) => number,
        other => panic!("{other:?} is no number"),
    }
}

fn scores(measure: &dyn Measure, data: &Data3, matrix: Matrix<'_>) -> Vec<f32> {
    let predictions = data.predictions();
    let evidence = Evidence {
        predictions: &predictions,
        peers: &[],
        features: matrix,
    };
    let mut out = vec![f32::NAN; data.rows()];
    measure.measure(&evidence, &mut out);
    out
}
