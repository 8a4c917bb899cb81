//! Plans from real data sets and from hard ones: their text is a sound pipeline file whose decoder takes every row.

mod examples;
mod heads;
mod properties;
mod tables;

use std::fmt::Write as _;

use eddy_pipeline::decode::{Binding, Captured, Decoder};
use eddy_pipeline::event::{self, Partition, Record};
use eddy_pipeline::head;
use eddy_pipeline::tensor::{DType, Inputs, TensorSpec};
use eddy_storage::data::DataSet;
use eddy_storage::survey::{Limits, Survey};

use super::*;
use crate::file::{self, PipelineFile};
use crate::settings::Source;

fn spec(name: &str, dtype: DType, row_shape: &[usize]) -> TensorSpec {
    TensorSpec {
        name: name.to_owned(),
        dtype,
        row_shape: row_shape.iter().copied().map(Some).collect(),
    }
}

fn floats(name: &str, row_shape: &[usize]) -> TensorSpec {
    spec(name, DType::Float32, row_shape)
}

fn output(spec: TensorSpec, looks: Looks) -> OutputFacts {
    OutputFacts {
        spec,
        looks: Some(looks),
    }
}

fn labels(name: &str, dtype: DType, row_shape: &[usize]) -> OutputFacts {
    output(spec(name, dtype, row_shape), Looks::Numbers)
}

fn model(inputs: Vec<TensorSpec>, outputs: Vec<OutputFacts>) -> ModelFacts {
    ModelFacts {
        name: "A Model_v2".to_owned(),
        path: "model.onnx".into(),
        inputs,
        outputs,
        class_names: None,
        agreed_classes: None,
    }
}

fn probabilities(width: usize) -> Vec<OutputFacts> {
    vec![output(floats("p", &[width]), Looks::Distributions)]
}

/// A data set in a folder that lives as long as it.
struct Data {
    _folder: tempfile::TempDir,
    set: DataSet,
}

fn data(name: &str, content: &str) -> Data {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    let set = DataSet::open(path).unwrap_or_else(|error| panic!("{error}"));
    Data { _folder: folder, set }
}

fn survey(set: &DataSet) -> Survey {
    Survey::of(set, Limits::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// The plan, after its text was read as a file, its bindings compiled and every row decoded: the first `rows` rows of the
/// first input are given as well.
fn planned(set: &DataSet, model: &ModelFacts) -> (Plan, PipelineFile, Inputs) {
    let plan = plan(&survey(set), model).unwrap_or_else(|problems| panic!("{problems:?}"));
    let text = plan.to_toml();
    let source = Source {
        name: "pipeline.toml",
        text: &text,
    };
    let file = file::read(source, [])
        .unwrap_or_else(|problems| panic!("{problems}\n{text}"))
        .settings;
    assert_eq!(file.fields, plan.fields.settings(), "{text}");
    assert_eq!(file.models[0].head, plan.head.settings, "{text}");
    let fields: IndexMap<String, Vec<String>> = file.models[0].inputs.clone().into_iter().collect();
    let mut sorted = plan.fields.bindings();
    sorted.sort_keys();
    assert_eq!(fields, sorted, "{text}");
    let binding = Binding {
        model: "m",
        inputs: &model.inputs,
        fields: &fields,
    };
    let mut decoder = Decoder::compile(&file.events, &file.fields, &file.limits, &[binding])
        .unwrap_or_else(|problems| panic!("{problems:?}\n{text}"));
    let outputs: Vec<TensorSpec> = model.outputs.iter().map(|output| output.spec.clone()).collect();
    head::compile(&file.models[0].head, &outputs, model.class_names.as_deref())
        .unwrap_or_else(|problems| panic!("{problems:?}\n{text}"));
    let capacity = 4096;
    let mut inputs = [Inputs::with_capacity(decoder.resolved_inputs("m"), capacity)];
    for (at, row) in set.rows().unwrap().enumerate() {
        let row = row.unwrap();
        let record = Record {
            source: event::Source {
                partition: Partition { topic: 0, number: 0 },
                offset: at as i64,
            },
            topic: "events",
            timestamp_ms: None,
            key: None,
            value: Some(row.event.as_bytes()),
            headers: &[],
        };
        decoder
            .decode(&record, &mut inputs, at, &mut Captured::default())
            .unwrap_or_else(|rejection| panic!("{}: {rejection}\n{text}", row.at));
    }
    let [inputs] = inputs;
    (plan, file, inputs)
}

fn problems(set: &DataSet, model: &ModelFacts) -> String {
    let problems = plan(&survey(set), model).expect_err("something does not fit");
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

/// Forty rows.
fn table(header: &str, row: impl Fn(usize) -> String) -> Data {
    let mut text = format!("{header}\n");
    for i in 0..40 {
        writeln!(text, "{}", row(i)).unwrap();
    }
    data("t.csv", &text)
}
