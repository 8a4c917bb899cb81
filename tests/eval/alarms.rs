//! False alarms of conformal thresholds, on rows that the profile never saw.

use eddy_pipeline::fields::{Feature, FeatureKind};
use eddy_pipeline::profile::{About, Plan, Profile, ProfileBuilder, Source};
use eddy_pipeline::seed;
use eddy_pipeline::signal::{Matrix, Signal};

use crate::data::Table;
use crate::model::Model;
use crate::report::Report;

const RATES: [f64; 3] = [0.05, 0.01, 0.001];
/// Each splits the rows in another way.
const SPLITS: u64 = 10;

/// Rows with what a model said of them.
struct Scored {
    name: &'static str,
    signals: &'static [Signal],
    table: Table,
    probabilities: Vec<f32>,
}

/// Adds the table.
pub(crate) fn report(report: &mut Report) {
    report.section(
        "False alarms",
        "A profile is built from half of the rows, drawn at random, and keeps thresholds of a third of them; the other half \
         is all ordinary, so every alarm is false. The interval is what the profile states of its own threshold (95 %). The \
         rate is that of the first of ten splits; the last columns are the mean rate of all splits and how many of them lie \
         in their intervals. A rate measured on so few alarms has noise of its own, which the interval does not include.",
    );
    let (mut rows, mut all_inside) = (Vec::new(), 0);
    for scored in [census(), shuttle()] {
        let splits: Vec<Vec<Outcome>> = (0..SPLITS).map(|split| outcomes(&scored, split)).collect();
        for (at, first) in splits[0].iter().enumerate() {
            let inside = splits.iter().filter(|split| split[at].is_inside()).count();
            let mean = splits.iter().map(|split| split[at].rate()).sum::<f64>() / SPLITS as f64;
            all_inside += inside;
            rows.push(vec![
                scored.name.to_owned(),
                first.signal.as_str().to_owned(),
                format!("{} %", first.stated * 100.0),
                first.held_out.to_string(),
                format!("{:.3} % to {:.3} %", first.interval.0 * 100.0, first.interval.1 * 100.0),
                format!("{:.3} %", first.rate() * 100.0),
                if first.is_inside() { "yes" } else { "no" }.to_owned(),
                format!("{:.3} %", mean * 100.0),
                format!("{inside} of {SPLITS}"),
            ]);
        }
    }
    report.table(
        &[
            "data",
            "signal",
            "stated",
            "rows held out",
            "interval",
            "realised",
            "inside",
            "mean",
            "splits inside",
        ],
        &rows,
    );
    let all = rows.len() as u64 * SPLITS;
    report.say(format!(
        "{all_inside} of {all} rates lie inside; the splits share rows, so they are not independent."
    ));
}

/// What one threshold did.
struct Outcome {
    signal: Signal,
    stated: f64,
    held_out: usize,
    interval: (f64, f64),
    alarms: usize,
    rows: usize,
}

impl Outcome {
    fn rate(&self) -> f64 {
        self.alarms as f64 / self.rows as f64
    }

    fn is_inside(&self) -> bool {
        (self.interval.0..=self.interval.1).contains(&self.rate())
    }
}

fn outcomes(scored: &Scored, split: u64) -> Vec<Outcome> {
    let is_known = |row: &usize| seed::uniform(split, *row as u64) < 0.5;
    let (known, unknown): (Vec<usize>, Vec<usize>) = (0..scored.table.rows.len()).partition(is_known);
    let names: Vec<&str> = scored.table.names().iter().map(String::as_str).collect();
    let (profile, _) = profile(scored, &known, split);
    let (model, features) = part(scored, &unknown);
    let matrix = Matrix::new(&features, unknown.len(), names.len());
    let measures = profile
        .measures(model.head.holds(), &[], &names)
        .expect("the features are the profile's");
    let mut outcomes = Vec::new();
    for measure in measures.iter().filter(|m| scored.signals.contains(&m.signal())) {
        let scores = model.measured(&**measure, matrix);
        let conformal = profile.conformal(measure.signal()).expect("it was measured");
        for stated in RATES {
            let threshold = conformal.threshold(stated).expect("the rows certify it");
            outcomes.push(Outcome {
                signal: measure.signal(),
                stated,
                held_out: conformal.rows(),
                interval: conformal.realised(stated).expect("the rows certify it"),
                alarms: scores.iter().filter(|score| **score > threshold).count(),
                rows: scores.len(),
            });
        }
    }
    outcomes
}

fn profile(scored: &Scored, rows: &[usize], seed: u64) -> (Profile, Model) {
    let (model, features) = part(scored, rows);
    let specs = scored.table.names().iter().map(|name| Feature {
        name: name.clone(),
        kind: FeatureKind::Number,
    });
    let mut plan = Plan::new(specs.collect(), &*model.head);
    plan.seed = seed;
    let width = scored.table.names().len();
    let mut builder = ProfileBuilder::new(plan);
    builder
        .push_batch(Matrix::new(&features, rows.len(), width), &model.predictions, &[])
        .expect("all rows are alike");
    let about = About {
        model: scored.name.to_owned(),
        version: "1".to_owned(),
        created: "2026-01-01T00:00:00Z".to_owned(),
        source: Source::Data,
    };
    (builder.finish(about).expect("there are rows enough"), model)
}

fn part(scored: &Scored, rows: &[usize]) -> (Model, Vec<f32>) {
    let probabilities: Vec<f32> = rows.iter().map(|row| scored.probabilities[*row]).collect();
    let features = rows.iter().flat_map(|row| &scored.table.rows[*row]);
    let features = features.map(|value| *value as f32).collect();
    (Model::binary(&probabilities), features)
}

fn census() -> Scored {
    let mut table = Table::read("census");
    table.pop();
    let probabilities = table.pop().into_iter().map(|p| p as f32).collect();
    Scored {
        name: "census",
        signals: &[Signal::Hbos, Signal::Mahalanobis, Signal::Margin],
        table,
        probabilities,
    }
}

/// The ordinary rows. There is no model, so its signal is left out.
fn shuttle() -> Scored {
    let table = Table::read("shuttle-ordinary");
    Scored {
        name: "shuttle",
        signals: &[Signal::Hbos, Signal::Mahalanobis],
        probabilities: vec![0.5; table.rows.len()],
        table,
    }
}
