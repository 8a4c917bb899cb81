//! What each signal costs: nanoseconds an event, at 10 classes and 32 features.
#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use eddy_pipeline::head::{Head, HeadSettings, Predictions, compile};
use eddy_pipeline::signal::{
    Centre, Column, Evidence, Hbos, Knn, Mahalanobis, Matrix, Measure, Reference, Scale, Signal, Standard, Subject,
    ZMax, measures,
};
use eddy_pipeline::tensor::{DType, Data, TensorSpec, View};

const ROWS: usize = 256;
const CLASSES: usize = 10;
const FEATURES: usize = 32;

/// Numbers with as many digits as a model's, between -1 and 1.
fn waves(len: usize, pace: f32) -> Vec<f32> {
    (0..len).map(|i| (i as f32 * pace).sin()).collect()
}

fn predicted(settings: &str, pace: f32) -> (Box<dyn Head>, Predictions) {
    let settings: HeadSettings = serde_json::from_str(settings).expect("the settings are right");
    let spec = TensorSpec {
        name: "out".to_owned(),
        dtype: DType::Float32,
        row_shape: vec![Some(CLASSES)],
    };
    let head = compile(&settings, &[spec], None).expect("the head fits");
    let data: Vec<f32> = waves(ROWS * CLASSES, pace).iter().map(|wave| wave * 6.0).collect();
    let view = View {
        width: CLASSES,
        data: Data::Float32(&data),
    };
    let mut predictions = Predictions::new();
    predictions.reset(ROWS);
    head.read(&[view], 0..ROWS, &mut predictions)
        .expect("the outputs can be read");
    (head, predictions)
}

fn reference() -> Reference {
    let counts: Vec<u64> = (0..22).map(|bin| 5 + bin * (21 - bin)).collect();
    let columns: Vec<Column<'_>> = (0..FEATURES)
        .map(|position| Column {
            position,
            range: Some((-0.99, 0.99)),
            counts: &counts,
            missing: 3,
        })
        .collect();
    let centre = |position| Centre {
        position,
        mean: 0.1,
        median: 0.1,
    };
    let standard = |position| Standard {
        position,
        mean: 0.1,
        std: 0.7,
        median: 0.1,
    };
    let points = waves(512 * FEATURES, 0.917);
    Reference {
        width: FEATURES,
        hbos: Some(Hbos::new(FEATURES, &columns)),
        mahalanobis: Some(Mahalanobis::new(
            FEATURES,
            (0..FEATURES).map(centre).collect(),
            waves(FEATURES * (FEATURES + 1) / 2, 0.531),
        )),
        knn: Some(Knn::new(
            FEATURES,
            (0..FEATURES).map(standard).collect(),
            Matrix::new(&points, 512, FEATURES),
            5,
        )),
        z_max: Some(ZMax::new(FEATURES, (0..FEATURES).map(|position| (position, 0.1, 0.7)))),
    }
}

fn signals(c: &mut Criterion) {
    let mut group = c.benchmark_group("signal");
    group.throughput(Throughput::Elements(ROWS as u64));
    let features = waves(ROWS * FEATURES, 0.7391);
    let features = Matrix::new(&features, ROWS, FEATURES);
    let reference = reference();
    let mut out = vec![0.0; ROWS];
    for (name, from, temperature) in [("10 logits", "logits", 1.0), ("10 logits, T 1.5", "logits", 1.5)] {
        let (head, predictions) = predicted(&format!(r#"{{"type":"classification","from":"{from}"}}"#), 0.7391);
        let (_, peer) = predicted(&format!(r#"{{"type":"classification","from":"{from}"}}"#), 0.7401);
        let peers = [head.holds()];
        let subject = Subject {
            peers: &peers,
            temperature,
            reference: Some(&reference),
            ..Subject::bare(head.holds())
        };
        let evidence = Evidence {
            predictions: &predictions,
            peers: &[&peer],
            features,
        };
        let all = measures(&subject);
        for measure in &all {
            let is_default_only = temperature != 1.0 && reads_no_temperature(measure.signal());
            if !is_default_only {
                group.bench_function(format!("{}, {name}", measure.signal().as_str()), |b| {
                    b.iter(|| measure.measure(black_box(&evidence), &mut out));
                });
            }
        }
        let defaults: Vec<&dyn Measure> = all.iter().map(|m| &**m).filter(|m| is_default(m.signal())).collect();
        group.bench_function(format!("margin + entropy + hbos + mahalanobis, {name}"), |b| {
            b.iter(|| {
                for measure in &defaults {
                    measure.measure(black_box(&evidence), &mut out);
                }
            });
        });
    }
    regression(&mut group, &mut out);
    group.finish();
}

fn is_default(signal: Signal) -> bool {
    use Signal::{Entropy, Hbos, Mahalanobis, Margin};
    [Margin, Entropy, Hbos, Mahalanobis].contains(&signal)
}

fn reads_no_temperature(signal: Signal) -> bool {
    use Signal::{Entropy, LeastConfidence, Margin};
    ![Margin, Entropy, LeastConfidence].contains(&signal)
}

fn regression(group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>, out: &mut [f32]) {
    let (head, predictions) = predicted(r#"{"type":"regression"}"#, 0.7391);
    let (_, peer) = predicted(r#"{"type":"regression"}"#, 0.7401);
    let scales = [Scale { std: 2.0, width: 1.0 }; CLASSES];
    let peers = [head.holds()];
    let subject = Subject {
        peers: &peers,
        scales: &scales,
        ..Subject::bare(head.holds())
    };
    let evidence = Evidence {
        predictions: &predictions,
        peers: &[&peer],
        features: Matrix::empty(ROWS),
    };
    for measure in measures(&subject) {
        group.bench_function(format!("{}, 10 targets", measure.signal().as_str()), |b| {
            b.iter(|| measure.measure(black_box(&evidence), out));
        });
    }
}

criterion_group!(benches, signals);
criterion_main!(benches);
