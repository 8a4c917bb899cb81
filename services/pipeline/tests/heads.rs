//! Heads against known answers that SciPy gave in double precision (`fixtures/heads.py`), for each type of float.

use eddy_pipeline::head::{HeadSettings, Predictions, compile};
use eddy_pipeline::tensor::{Buffer, DType, Data, TensorSpec, View};
use half::f16;
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    name: String,
    settings: HeadSettings,
    outputs: Vec<Output>,
    expected: Expected,
}

#[derive(Deserialize)]
struct Output {
    name: String,
    shape: Vec<usize>,
    data: Vec<f64>,
}

#[derive(Deserialize)]
struct Expected {
    values: Option<Vec<Vec<f64>>>,
    classes: Option<Vec<usize>>,
    confidence: Option<Vec<f64>>,
    anomaly: Option<Vec<f64>>,
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("fixtures/heads.json")).expect("the fixture is JSON of this form")
}

impl Case {
    fn rows(&self) -> usize {
        self.outputs[0].shape[0]
    }

    fn predictions(&self, dtype: DType) -> Predictions {
        let specs: Vec<TensorSpec> = self
            .outputs
            .iter()
            .map(|output| TensorSpec {
                name: output.name.clone(),
                dtype,
                row_shape: output.shape[1..].iter().copied().map(Some).collect(),
            })
            .collect();
        let buffers: Vec<Buffer> = self.outputs.iter().map(|output| output.buffer(dtype)).collect();
        let views: Vec<View<'_>> = specs
            .iter()
            .zip(&buffers)
            .map(|(spec, buffer)| View {
                width: spec.row_width().expect("shapes are closed"),
                data: data(buffer),
            })
            .collect();
        let head = compile(&self.settings, &specs, None).expect("the head fits");
        let mut predictions = Predictions::new();
        predictions.reset(self.rows());
        head.read(&views, 0..self.rows(), &mut predictions)
            .expect("the outputs can be read");
        predictions
    }
}

impl Output {
    fn buffer(&self, dtype: DType) -> Buffer {
        match dtype {
            DType::Float32 => Buffer::Float32(self.data.iter().map(|value| *value as f32).collect()),
            DType::Float16 => Buffer::Float16(self.data.iter().copied().map(f16::from_f64).collect()),
            _ => Buffer::Float64(self.data.clone()),
        }
    }
}

fn data(buffer: &Buffer) -> Data<'_> {
    match buffer {
        Buffer::Float32(data) => Data::Float32(data),
        Buffer::Float64(data) => Data::Float64(data),
        Buffer::Float16(data) => Data::Float16(data),
        _ => unreachable!("only floats are made here"),
    }
}

/// Equal but for the rounding of single precision: absolute for what lies between 0 and 1, relative beyond.
fn assert_near(got: f32, expected: f64, what: &str) {
    let tolerance = 1e-6 * expected.abs().max(1.0);
    assert!(
        (f64::from(got) - expected).abs() <= tolerance,
        "{what}: {got} is not {expected}"
    );
}

fn assert_expected(case: &Case, dtype: DType) {
    let predictions = case.predictions(dtype);
    for row in 0..case.rows() {
        let what = format!("{} as {dtype}, row {row}", case.name);
        assert!(predictions.is_valid(row), "{what}");
        if let Some(classes) = &case.expected.classes {
            assert_eq!(predictions.class(row), Some(classes[row]), "{what}");
        }
        if let Some(confidence) = &case.expected.confidence {
            let got = predictions.confidence(row).expect("the head has a confidence");
            assert_near(got, confidence[row], &what);
        }
        if let Some(anomaly) = &case.expected.anomaly {
            let got = predictions.anomaly(row).expect("the head has a score");
            assert_near(got, anomaly[row], &what);
        }
        if let Some(values) = &case.expected.values {
            assert_eq!(predictions.width(), values[row].len(), "{what}");
            for (got, expected) in predictions.values(row).iter().zip(&values[row]) {
                assert_near(*got, *expected, &what);
            }
        }
    }
}

#[test]
fn heads_give_the_known_answers_from_single_and_double_precision() {
    for case in cases() {
        assert_expected(&case, DType::Float32);
        assert_expected(&case, DType::Float64);
    }
}

#[test]
fn half_precision_is_read_as_the_numbers_that_it_holds() {
    let case = Case {
        name: "halves".to_owned(),
        settings: serde_json::from_str(r#"{"type":"regression"}"#).expect("the settings are right"),
        outputs: vec![Output {
            name: "out".to_owned(),
            shape: vec![4],
            // All of these are exact in half precision; the last is its smallest positive number.
            data: vec![1.5, -2048.0, 65504.0, 2f64.powi(-24)],
        }],
        expected: Expected {
            values: Some(vec![vec![1.5], vec![-2048.0], vec![65504.0], vec![2f64.powi(-24)]]),
            classes: None,
            confidence: None,
            anomaly: None,
        },
    };
    assert_expected(&case, DType::Float16);
}
