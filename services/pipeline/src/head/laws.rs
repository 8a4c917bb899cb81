//! The laws that every head keeps. They run over the specimens that each type of head registers, so a new type inherits
//! them with its first line.

use std::ops::Range;

use half::f16;
use proptest::prelude::*;

use super::{Head, HeadSettings, Predictions, compile};
use crate::score::{RunError, RunFault};
use crate::signal::Signal;
use crate::tensor::{Buffer, DType, Data, Inputs, TensorSpec, View};

/// A head and a model that it fits.
#[derive(Debug, Clone)]
pub(super) struct Specimen {
    settings: serde_json::Value,
    class_names: Option<Vec<String>>,
    outputs: Vec<(TensorSpec, Fill)>,
}

/// What the elements of an output are drawn from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fill {
    /// Any numbers of ordinary size.
    Reals,
    /// Between 0 and 1.
    Probabilities,
    /// Integers from 0 up to the given one.
    Labels(usize),
    /// These strings.
    Names(&'static [&'static str]),
}

impl Specimen {
    pub(super) fn new(settings: serde_json::Value) -> Self {
        Self {
            settings,
            class_names: None,
            outputs: Vec::new(),
        }
    }

    pub(super) fn gives(mut self, name: &str, shape: &[usize], fill: Fill) -> Self {
        let dtype = match fill {
            Fill::Reals | Fill::Probabilities => DType::Float32,
            Fill::Labels(_) => DType::Int64,
            Fill::Names(_) => DType::String,
        };
        let spec = TensorSpec {
            name: name.to_owned(),
            dtype,
            row_shape: shape.iter().copied().map(Some).collect(),
        };
        self.outputs.push((spec, fill));
        self
    }

    pub(super) fn with_classes(mut self, names: &[&str]) -> Self {
        self.class_names = Some(names.iter().map(|name| (*name).to_owned()).collect());
        self
    }

    /// The same with another type for its floating-point outputs.
    fn with_floats(mut self, dtype: DType) -> Self {
        for (spec, _) in &mut self.outputs {
            if spec.dtype == DType::Float32 {
                spec.dtype = dtype;
            }
        }
        self
    }

    fn settings(&self) -> HeadSettings {
        serde_json::from_value(self.settings.clone()).expect("a specimen's settings are right")
    }

    fn specs(&self) -> Vec<TensorSpec> {
        self.outputs.iter().map(|(spec, _)| spec.clone()).collect()
    }

    fn head(&self) -> Box<dyn Head> {
        compile(&self.settings(), &self.specs(), self.class_names.as_deref()).expect("a specimen fits its model")
    }

    /// One batch of outputs, all finite.
    fn batch(&self, rows: usize, seed: u64) -> Batch {
        let mut dice = Dice(seed);
        let outputs = self.outputs.iter().map(|(spec, fill)| {
            let width = spec.row_width().expect("specimens have closed shapes");
            let data = fill.buffer(spec.dtype, rows * width, &mut dice);
            (width, data)
        });
        Batch(outputs.collect())
    }
}

impl Fill {
    fn buffer(self, dtype: DType, len: usize, dice: &mut Dice) -> Buffer {
        let numbers: Vec<f64> = (0..len)
            .map(|_| match self {
                Self::Reals => dice.unit() * 40.0 - 20.0,
                Self::Probabilities => dice.unit(),
                Self::Labels(n) => (dice.unit() * n as f64).floor(),
                Self::Names(names) => (dice.unit() * names.len() as f64).floor(),
            })
            .collect();
        match (self, dtype) {
            (Self::Names(names), _) => {
                Buffer::String(numbers.iter().map(|at| names[*at as usize].to_owned()).collect())
            }
            (_, DType::Float32) => Buffer::Float32(numbers.iter().map(|n| *n as f32).collect()),
            (_, DType::Float64) => Buffer::Float64(numbers),
            (_, DType::Float16) => Buffer::Float16(numbers.iter().copied().map(f16::from_f64).collect()),
            (_, DType::Int64) => Buffer::Int64(numbers.iter().map(|n| *n as i64).collect()),
            (fill, dtype) => panic!("specimens do not fill {dtype} with {fill:?}"),
        }
    }
}

/// A small generator of our own, so that a law's counterexample can be replayed from its seed.
struct Dice(u64);

impl Dice {
    /// From 0 up to 1.
    fn unit(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// What a model gave: width and elements of each output.
#[derive(Debug, Clone)]
struct Batch(Vec<(usize, Buffer)>);

/// What went into the model: zeros, as many as its first output has.
fn inputs(batch: &Batch, rows: usize) -> Inputs {
    let spec = TensorSpec {
        name: "in".to_owned(),
        dtype: DType::Float32,
        row_shape: vec![Some(batch.0[0].0)],
    };
    Inputs::with_capacity(&[spec], rows)
}

impl Batch {
    fn views(&self, rows: Range<usize>) -> Vec<View<'_>> {
        self.0
            .iter()
            .map(|(width, data)| View {
                width: *width,
                data: slice(data, rows.start * width..rows.end * width),
            })
            .collect()
    }

    /// Puts a number into each floating-point output of one row in turn.
    fn poison(&mut self, output: usize, row: usize, value: f64) -> bool {
        let (width, data) = &mut self.0[output];
        let at = row * *width + *width - 1;
        match data {
            Buffer::Float32(data) => data[at] = value as f32,
            Buffer::Float64(data) => data[at] = value,
            Buffer::Float16(data) => data[at] = f16::from_f64(value),
            _ => return false,
        }
        true
    }
}

fn slice(data: &Buffer, range: Range<usize>) -> Data<'_> {
    match data {
        Buffer::Float32(data) => Data::Float32(&data[range]),
        Buffer::Float64(data) => Data::Float64(&data[range]),
        Buffer::Float16(data) => Data::Float16(&data[range]),
        Buffer::Int32(data) => Data::Int32(&data[range]),
        Buffer::Int64(data) => Data::Int64(&data[range]),
        Buffer::Bool(data) => Data::Bool(&data[range]),
        Buffer::String(data) => Data::String(&data[range]),
    }
}

fn read(head: &dyn Head, batch: &Batch, rows: usize, cuts: &[Range<usize>]) -> Predictions {
    let mut predictions = Predictions::new();
    predictions.reset(rows);
    for cut in cuts {
        head.read(&batch.views(cut.clone()), cut.clone(), &mut predictions)
            .expect("a specimen's outputs can be read");
        head.compare(&inputs(batch, rows), cut.clone(), &mut predictions)
            .expect("a specimen's outputs fit its input");
    }
    predictions
}

/// The heads of all specimens, in the order of [`specimen_settings`].
pub(crate) fn specimen_heads() -> Vec<Box<dyn Head>> {
    HeadSettings::specimens().iter().map(Specimen::head).collect()
}

/// Their settings.
pub(crate) fn specimen_settings() -> Vec<HeadSettings> {
    HeadSettings::specimens().iter().map(Specimen::settings).collect()
}

/// One row of predictions of each of them.
pub(crate) fn specimen_rows(seed: u64) -> Vec<Predictions> {
    let row = |specimen: &Specimen| {
        read(
            &*specimen.head(),
            &specimen.batch(1, seed),
            1,
            std::slice::from_ref(&(0..1)),
        )
    };
    HeadSettings::specimens().iter().map(row).collect()
}

/// A head that reads the probabilities of these classes.
pub(crate) fn classifier(classes: &[&str]) -> Box<dyn Head> {
    let settings = serde_json::json!({"type": "classification", "from": "probabilities", "classes": classes});
    Specimen::new(settings)
        .gives("out", &[classes.len()], Fill::Probabilities)
        .head()
}

/// Every specimen with each type of floating-point output.
fn specimens() -> Vec<Specimen> {
    HeadSettings::specimens()
        .into_iter()
        .flat_map(|specimen| {
            [DType::Float32, DType::Float64, DType::Float16].map(|dtype| specimen.clone().with_floats(dtype))
        })
        .collect()
}

fn rendered(head: &dyn Head, predictions: &Predictions, row: usize) -> serde_json::Map<String, serde_json::Value> {
    let mut json = b"{".to_vec();
    head.render(predictions, row, &mut json);
    json.push(b'}');
    serde_json::from_slice(&json).unwrap_or_else(|e| panic!("{e} in {}", String::from_utf8_lossy(&json)))
}

fn assert_same_row(one: &Predictions, other: &Predictions, row: usize) {
    assert_eq!(one.is_valid(row), other.is_valid(row));
    assert_eq!(one.class(row), other.class(row));
    assert_eq!(one.confidence(row), other.confidence(row));
    assert_eq!(one.anomaly(row), other.anomaly(row));
    assert_eq!(one.values(row), other.values(row));
    assert_eq!(one.logits(row), other.logits(row));
    assert_eq!(one.spread(row), other.spread(row));
    assert_eq!(one.interval(row), other.interval(row));
}

#[test]
fn every_type_has_a_specimen() {
    for word in HeadSettings::TYPES {
        assert!(
            HeadSettings::specimens()
                .iter()
                .any(|specimen| specimen.settings().type_name() == *word),
            "{word}"
        );
    }
}

#[test]
fn property_parts_read_separately_equal_the_whole_read_at_once() {
    for specimen in specimens() {
        let head = specimen.head();
        proptest!(ProptestConfig::with_cases(32), |(seed: u64, rows in 1..40usize, cut in 0..40usize)| {
            let cut = cut.min(rows);
            let batch = specimen.batch(rows, seed);
            let whole = read(&*head, &batch, rows, std::slice::from_ref(&(0..rows)));
            let parts = read(&*head, &batch, rows, &[cut..rows, 0..cut]);
            for row in 0..rows {
                assert_same_row(&whole, &parts, row);
            }
        });
    }
}

#[test]
fn property_a_finite_row_is_valid_and_within_bounds() {
    for specimen in specimens() {
        let head = specimen.head();
        proptest!(ProptestConfig::with_cases(32), |(seed: u64, rows in 1..40usize)| {
            let batch = specimen.batch(rows, seed);
            let predictions = read(&*head, &batch, rows, std::slice::from_ref(&(0..rows)));
            for row in 0..rows {
                prop_assert!(predictions.is_valid(row));
                prop_assert!(predictions.values(row).iter().all(|value| value.is_finite()));
                prop_assert!(predictions.confidence(row).is_none_or(|c| (0.0..=1.0).contains(&c)));
                prop_assert!(predictions.class(row).is_none_or(|class| class < head.classes().len()));
                for signal in Signal::ALL {
                    let has = predictions.signal(signal, row).is_some();
                    prop_assert_eq!(has, head.signals().contains(&signal));
                }
                let (holds, values) = (head.holds(), predictions.width());
                let expected = |has: bool, width: usize| if has { width } else { 0 };
                prop_assert_eq!(predictions.logits(row).len(), expected(holds.logits, values));
                prop_assert_eq!(predictions.spread(row).len(), expected(holds.spread, values));
                prop_assert_eq!(predictions.interval(row).len(), expected(holds.interval, 2 * values));
                let written = rendered(&*head, &predictions, row);
                let members = head.members();
                prop_assert_eq!(written.keys().collect::<Vec<_>>(), members.iter().map(|m| m.name).collect::<Vec<_>>());
            }
        });
    }
}

#[test]
fn a_number_that_is_not_finite_spoils_its_own_row_only() {
    for specimen in specimens() {
        let head = specimen.head();
        let (rows, guilty) = (5, 2);
        let clean = specimen.batch(rows, 7);
        let expected = read(&*head, &clean, rows, std::slice::from_ref(&(0..rows)));
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for output in 0..clean.0.len() {
                let mut batch = clean.clone();
                if !batch.poison(output, guilty, value) {
                    continue;
                }
                let predictions = read(&*head, &batch, rows, std::slice::from_ref(&(0..rows)));
                assert!(!predictions.is_valid(guilty), "{specimen:?}");
                assert_eq!(predictions.confidence(guilty), None);
                assert_eq!(predictions.anomaly(guilty), None);
                assert_eq!(predictions.class(guilty), None);
                assert!(predictions.values(guilty).iter().all(|value| *value == 0.0));
                for row in (0..rows).filter(|row| *row != guilty) {
                    assert_same_row(&predictions, &expected, row);
                }
            }
        }
    }
}

#[test]
fn an_output_that_breaks_the_models_promise_is_an_error_that_names_it() {
    for specimen in specimens() {
        let head = specimen.head();
        let batch = specimen.batch(4, 1);
        let mut predictions = Predictions::new();
        predictions.reset(4);
        let views = batch.views(0..4);
        let mut assert_bad = |outputs: &[View<'_>], rows: Range<usize>| {
            let error: RunError = head
                .read(outputs, rows, &mut predictions)
                .expect_err("the outputs are not what was promised");
            assert_eq!(error.fault, RunFault::BadOutput);
            assert!(error.message.contains('`'), "{}", error.message);
        };
        assert_bad(&[], 0..4);
        assert_bad(&views, 0..3);
        assert_bad(&batch.views(0..3), 0..4);
        let integers = [0i32; 400];
        let foreign: Vec<View<'_>> = views
            .iter()
            .map(|view| View {
                width: view.width,
                data: Data::Int32(&integers[..4 * view.width]),
            })
            .collect();
        assert_bad(&foreign, 0..4);
        let wide: Vec<View<'_>> = views.iter().map(|view| View { width: 77, ..*view }).collect();
        assert_bad(&wide, 0..4);
    }
}

#[test]
fn a_row_that_is_read_again_after_a_failure_is_as_if_read_once() {
    for specimen in specimens() {
        let head = specimen.head();
        let first = specimen.batch(3, 11);
        let second = specimen.batch(3, 12);
        let mut predictions = read(&*head, &first, 3, std::slice::from_ref(&(0..3)));
        head.read(&second.views(0..3), 0..3, &mut predictions)
            .expect("a specimen's outputs can be read");
        head.compare(&inputs(&second, 3), 0..3, &mut predictions)
            .expect("a specimen's outputs fit its input");
        let expected = read(&*head, &second, 3, std::slice::from_ref(&(0..3)));
        for row in 0..3 {
            assert_same_row(&predictions, &expected, row);
        }
    }
}

#[test]
fn a_model_without_outputs_is_a_problem_of_the_head() {
    for specimen in HeadSettings::specimens() {
        let problems = compile(&specimen.settings(), &[], None).expect_err("nothing fits");
        assert!(problems.iter().all(|problem| problem.key.starts_with("head.")));
        assert!(
            problems.iter().any(|problem| problem.message.contains("no output")),
            "{problems:?}"
        );
    }
}

#[test]
fn settings_survive_a_round_trip_and_unknown_keys_do_not() {
    for specimen in HeadSettings::specimens() {
        let settings = specimen.settings();
        let json = serde_json::to_value(&settings).expect("settings are JSON");
        assert_eq!(
            serde_json::from_value::<HeadSettings>(json.clone()).ok(),
            Some(settings)
        );
        let mut unknown = json;
        unknown["no_such_key"] = 1.into();
        let error = serde_json::from_value::<HeadSettings>(unknown).expect_err("the key is unknown");
        assert!(error.to_string().contains("no_such_key"), "{error}");
    }
}
