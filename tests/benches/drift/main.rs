//! What counting for drift costs, as two tables: nanoseconds of processor time for each value of a feature, beside a loop that
//! only adds the values up and one that searches the edges; and processor time of the service with drift on against off.
//!
//! Owns: the order of the rounds and the tables. Never does: judge; no number makes it fail.
//!
//! `make bench-drift ARGS="--events 200000 --rounds 1"` is a quick look.
#![allow(clippy::print_stdout, reason = "its tables are what a benchmark is for")]

#[path = "../common/mod.rs"]
mod common;

use std::hint::black_box;
use std::process::ExitCode;

use common::clients::Guarantee;
use common::setting::{Setting, Shape};
use common::whole::Whole;
use common::{cpu, events, read_flags};
use eddy_pipeline::drift::monitor::{DriftSettings, Monitor, Values, Watched};
use eddy_pipeline::fields::{Feature, FeatureKind};
use eddy_pipeline::head::{Head, HeadSettings, Predictions, compile};
use eddy_pipeline::profile::{About, Plan, Profile, ProfileBuilder, Source};
use eddy_pipeline::signal::{Matrix, Signal};
use eddy_pipeline::tensor::{DType, Data, TensorSpec, View};

const USAGE: &str = "usage: drift [--events N] [--rounds N]";
/// Rows of a batch.
const ROWS: usize = 128;
/// Values that each loop of the first table works through.
const VALUES: usize = 40_000_000;
/// Rows of the reference profile of the second table.
const PROFILED: usize = 4_000;

fn main() -> ExitCode {
    let (mut events, mut rounds) = (500_000, 3);
    let numbers = &mut [("--events", &mut events), ("--rounds", &mut rounds)];
    if let Err(code) = read_flags(USAGE, numbers, &mut []) {
        return code;
    }
    println!("nanoseconds of processor time for each value, batches of {ROWS} rows; 10 or 20 bins of equal mass");
    println!(
        "{:>9} {:>5} {:>8} {:>8} {:>8}",
        "features", "bins", "sum", "search", "eddy"
    );
    for _ in 0..rounds {
        for (features, bins) in [(32, 10), (32, 20), (512, 10), (512, 20)] {
            let [sum, search, eddy] = of_values(features, bins);
            println!("{features:>9} {bins:>5} {sum:>8.2} {search:>8.2} {eddy:>8.2}");
        }
    }
    println!("\nCPU time of the service in microseconds an event, at least once");
    println!(
        "{:>9} {:>6} {:>8} {:>8} {:>8} {:>14}",
        "features", "round", "off", "on", "on - off", "ns a value"
    );
    for (shape, features, events) in [(Shape::Named, 32, events), (Shape::Vector, events::LENGTH, events / 5)] {
        let mut setting = Setting::with(events, shape);
        let profile = setting.profile("drift-profile", PROFILED);
        for number in 0..rounds {
            let spent = ["off", "bins"].map(|export| {
                eprintln!("{features} features, round {} of {rounds}, {export}", number + 1);
                setting.more = (
                    format!("profile = \"{profile}\""),
                    format!("[drift]\nexport = \"{export}\"\nmax_series = 20000"),
                );
                let name = format!("drift-{export}-{number}");
                let whole = Whole::run(&setting, &name, Guarantee::AtLeastOnce, (None, &[]));
                whole.cpu.as_secs_f64() * 1e6 / events as f64
            });
            let [off, on] = spent;
            let more = on - off;
            println!(
                "{features:>9} {:>6} {off:>8.3} {on:>8.3} {more:>8.3} {:>14.2}",
                number + 1,
                more * 1e3 / features as f64
            );
        }
    }
    ExitCode::SUCCESS
}

/// A batch about which the model says nothing.
struct Rows<'a> {
    matrix: Matrix<'a>,
    predictions: Predictions,
}

impl Values for Rows<'_> {
    fn features(&self) -> Matrix<'_> {
        self.matrix
    }

    fn predictions(&self, _: usize) -> &Predictions {
        &self.predictions
    }

    fn signal(&self, _: usize, _: Signal) -> Option<&[f32]> {
        None
    }
}

/// Nanoseconds a value: added up, searched for among the edges, counted by Eddy.
fn of_values(features: usize, bins: usize) -> [f64; 3] {
    let mut random = fastrand::Rng::with_seed(7);
    let mut numbers = |rows: usize| -> Vec<f32> { (0..rows * features).map(|_| random.f32() * 6.0 - 3.0).collect() };
    let (reference, batch) = (numbers(2_000), numbers(ROWS));
    let specs: Vec<Feature> = (0..features)
        .map(|at| Feature {
            name: format!("f{at}"),
            kind: FeatureKind::Number,
        })
        .collect();
    let profile = profile(&reference, &specs, bins);
    let classes = ["a".to_owned(), "b".to_owned()];
    let watched = Watched {
        profile: &profile,
        classes: &classes,
        measured: &[],
    };
    let settings = DriftSettings {
        max_series: usize::MAX,
        ..DriftSettings::default()
    };
    let monitor = Monitor::new(&[Some(watched)], &specs, &settings);
    let mut predictions = Predictions::new();
    predictions.reset(ROWS);
    let rows = Rows {
        matrix: Matrix::new(&batch, ROWS, features),
        predictions,
    };
    let all: Vec<u32> = (0..ROWS as u32).collect();
    let mut tally = monitor.tally();
    let edges: Vec<f32> = (1..bins).map(|k| k as f32 / bins as f32 * 6.0 - 3.0).collect();
    let mut searched = vec![0u64; features * bins];
    let mut sum = 0.0;
    let batches = VALUES / (ROWS * features);
    let nanoseconds = |work: &mut dyn FnMut()| {
        let before = cpu::of_this_process();
        (0..batches).for_each(|_| work());
        (cpu::of_this_process() - before).as_nanos() as f64 / (batches * ROWS * features) as f64
    };
    let of_sum = nanoseconds(&mut || sum += black_box(&batch).iter().map(|x| f64::from(*x)).sum::<f64>());
    let of_search = nanoseconds(&mut || {
        for row in black_box(&batch).chunks_exact(features) {
            for (feature, value) in row.iter().enumerate() {
                searched[feature * bins + edges.partition_point(|edge| edge < value)] += 1;
            }
        }
    });
    let of_eddy = nanoseconds(&mut || monitor.count(black_box(&rows), &all, &mut tally));
    black_box((sum, searched, tally));
    [of_sum, of_search, of_eddy]
}

/// A profile of these rows, under a model that always says the same.
fn profile(values: &[f32], specs: &[Feature], bins: usize) -> Profile {
    let rows = values.len() / specs.len();
    let settings: HeadSettings =
        serde_json::from_value(serde_json::json!({"type": "classification", "from": "logits"})).expect("a head");
    let output = TensorSpec {
        name: "out".to_owned(),
        dtype: DType::Float32,
        row_shape: vec![Some(2)],
    };
    let head: Box<dyn Head> = compile(&settings, &[output], None).expect("it fits");
    let mut predictions = Predictions::new();
    predictions.reset(rows);
    let logits = vec![0.5; 2 * rows];
    let view = View {
        width: 2,
        data: Data::Float32(&logits),
    };
    head.read(&[view], 0..rows, &mut predictions).expect("it reads");
    let mut builder = ProfileBuilder::new(Plan {
        bins,
        ..Plan::new(specs.to_vec(), &*head)
    });
    let matrix = Matrix::new(values, rows, specs.len());
    builder.push_batch(matrix, &predictions, &[]).expect("the rows fit");
    let about = About {
        model: "model".to_owned(),
        version: "1".to_owned(),
        created: "2026-01-01T00:00:00Z".to_owned(),
        source: Source::Data,
    };
    builder.finish(about).expect("there are enough rows")
}
