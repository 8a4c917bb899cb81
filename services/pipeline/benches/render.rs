//! What it costs to read a batch of outputs and to write one prediction.
#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use eddy_pipeline::head::{Head, HeadSettings, Predictions, compile};
use eddy_pipeline::render::{ModelName, Named, Renderer, Verdict};
use eddy_pipeline::select::{Arm, Chance, Drawn, Pick};
use eddy_pipeline::tensor::{DType, Data, TensorSpec, View};

const ROWS: usize = 256;
const CLASSES: usize = 10;

fn head(from: &str) -> Box<dyn Head> {
    let settings: HeadSettings = serde_json::from_str(&format!(r#"{{"type":"classification","from":"{from}"}}"#))
        .expect("the settings are right");
    let spec = TensorSpec {
        name: "scores".to_owned(),
        dtype: DType::Float32,
        row_shape: vec![Some(CLASSES)],
    };
    compile(&settings, &[spec], None).expect("the head fits")
}

/// Numbers with as many digits as a model's.
fn logits() -> Vec<f32> {
    (0..ROWS * CLASSES).map(|i| (i as f32 * 0.7391).sin() * 6.0).collect()
}

fn view(data: &[f32]) -> View<'_> {
    View {
        width: CLASSES,
        data: Data::Float32(data),
    }
}

fn predicted(head: &dyn Head, data: &[f32]) -> Predictions {
    let mut predictions = Predictions::new();
    predictions.reset(ROWS);
    head.read(&[view(data)], 0..ROWS, &mut predictions)
        .expect("the outputs can be read");
    predictions
}

fn read(c: &mut Criterion) {
    let mut group = c.benchmark_group("read");
    group.throughput(Throughput::Elements(ROWS as u64));
    let logits = logits();
    let from_logits = head("logits");
    let probabilities: Vec<f32> = {
        let predictions = predicted(&*from_logits, &logits);
        (0..ROWS).flat_map(|row| predictions.values(row).to_vec()).collect()
    };
    let from_probabilities = head("probabilities");
    for (name, head, data) in [
        ("10 logits", &from_logits, &logits),
        ("10 probabilities", &from_probabilities, &probabilities),
    ] {
        let mut predictions = Predictions::new();
        group.bench_function(name, |b| {
            b.iter(|| {
                predictions.reset(ROWS);
                head.read(&[view(black_box(data))], 0..ROWS, &mut predictions)
            });
        });
    }
    group.finish();
}

fn render(c: &mut Criterion) {
    let mut group = c.benchmark_group("render");
    group.throughput(Throughput::Elements(1));
    let head = head("logits");
    let predictions = predicted(&*head, &logits());
    let renderer = Renderer::new([ModelName {
        name: "digits",
        version: "1",
        sha256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        profile: None,
    }]);
    let event = Named {
        id: "events/3/1234567",
        source: "events/3/1234567",
        time_ms: Some(1_700_000_000_000),
        fields: b"",
        pick: Pick::NONE,
    };
    let selected = [Chance {
        arm: Arm::Uncertainty,
        model: Some(0),
        probability: 0.3125,
        draw: 0.25,
        drawn: Drawn::Selected,
    }];
    let selected = Pick {
        chances: &selected,
        probability: 0.3125,
    };
    let verdict = |row, pick| Verdict {
        model: 0,
        head: &*head,
        predictions: &predictions,
        row,
        signals: &[],
        features: &[],
        pick,
    };
    let rows = || (0..ROWS).cycle();
    let mut json = Vec::new();
    let mut row = rows();
    group.bench_function("prediction with 10 probabilities", |b| {
        b.iter_batched(
            || row.next().expect("a cycle has no end"),
            |row| {
                json.clear();
                renderer.prediction(black_box(&event), [verdict(row, Pick::NONE)], &mut json);
                json.len()
            },
            BatchSize::SmallInput,
        );
    });
    let mut row = rows();
    group.bench_function("selection with 10 probabilities", |b| {
        b.iter_batched(
            || row.next().expect("a cycle has no end"),
            |row| {
                json.clear();
                renderer.selection([verdict(row, selected)], &mut json);
                json.len()
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, read, render);
criterion_main!(benches);
