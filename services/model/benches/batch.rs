//! Rows a second of a small model by the size of the batch: what calibration looks for when a model loads, and what
//! the wrapper costs on top of the runtime where batches are small.
//!
//! `cargo bench -p eddy-model`; needs the library that `tests/setup/onnxruntime` fetches.

use std::path::Path;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use eddy_model::{BatchCaps, Model, Runtime, RuntimeSettings, Settings};
use eddy_pipeline::score::Scorer;
use eddy_pipeline::tensor::{Buffer, Inputs};

const SIZES: [usize; 6] = [1, 8, 32, 128, 512, 2048];

fn sweep(criterion: &mut Criterion) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let runtime = Runtime::load(&RuntimeSettings::default(), &root).unwrap_or_else(|error| panic!("{error}"));
    let head = serde_json::from_str(r#"{"type": "regression"}"#).expect("a head without settings");
    let settings = Settings::new("mlp32", "tests/fixtures/models/mlp32.onnx", head);
    let model = Model::load(&runtime, &settings, &root, BatchCaps::default()).unwrap_or_else(|error| panic!("{error}"));

    let mut group = criterion.benchmark_group("mlp32");
    for limit in [Duration::ZERO, Duration::from_secs(10)] {
        let mut scorer = model.scorer(model.inputs()).unwrap_or_else(|error| panic!("{error}"));
        scorer.set_time_limit(limit);
        let name = if limit.is_zero() { "unlimited" } else { "limited" };
        for rows in SIZES {
            let inputs = random_rows(&scorer, rows);
            group.throughput(Throughput::Elements(rows as u64));
            group.bench_with_input(BenchmarkId::new(name, rows), &inputs, |bencher, inputs| {
                bencher.iter(|| scorer.run(inputs, 0..rows, &mut |views| assert_eq!(views.len(), 1)));
            });
        }
    }
    group.finish();
}

fn random_rows(scorer: &impl Scorer, rows: usize) -> Inputs {
    let mut inputs = Inputs::with_capacity(scorer.inputs(), rows);
    let mut random = fastrand::Rng::with_seed(1);
    for input in &mut inputs.inputs {
        if let Buffer::Float32(data) = &mut input.data {
            data.fill_with(|| random.f32());
        }
    }
    inputs.rows = rows;
    inputs
}

/// The first statement of `main`, for as much as `criterion_main` leaves of it.
fn without_telemetry() -> Criterion {
    eddy_model::disable_runtime_telemetry();
    Criterion::default()
        .sample_size(20)
        .measurement_time(Duration::from_secs(2))
}

criterion_group! { name = benches; config = without_telemetry(); targets = sweep }
criterion_main!(benches);
