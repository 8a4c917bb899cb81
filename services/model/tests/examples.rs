//! Every example of `config/`: it loads with its golden rows, and computes what its origin wrote down for its events.

mod common;

use common::{inputs, leaves, load, root, run, scorer, settings};
use eddy_model::Model;
use eddy_pipeline::score::Scorer;
use serde_json::{Value, json};

fn example(name: &str) -> Model {
    let mut settings = settings("model.onnx");
    settings.golden = Some("golden.json".into());
    load(&settings, &root().join("config").join(name)).unwrap_or_else(|error| panic!("{error}"))
}

fn lines(name: &str, file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(root().join("config").join(name).join(file)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The probabilities of every event, and what the origin wrote down for it.
fn compare_with_origin(model: &Model, name: &str, output: &str, rows: &Value) {
    let mut scorer = scorer(model);
    let place = scorer.outputs().iter().position(|spec| spec.name == output).unwrap();
    let rows = inputs(scorer.inputs(), rows);
    let wanted: Vec<Value> = lines(name, "expected.jsonl")
        .iter()
        .flat_map(|line| leaves(&line["models"].as_object().unwrap().values().next().unwrap()["probabilities"]))
        .collect();
    assert!(rows.rows > 50, "{name} has {} events", rows.rows);
    let outputs = run(&mut scorer, &rows, 0..rows.rows).unwrap();
    assert_eq!(outputs[place].width, 2);
    outputs[place].assert_near(&wanted, 1e-4, name);
}

#[test]
fn every_example_loads_and_computes_its_golden_rows() {
    let mut count = 0;
    for entry in std::fs::read_dir(root().join("config")).unwrap() {
        let folder = entry.unwrap().path();
        if folder.join("model.onnx").exists() {
            let model = example(&folder.file_name().unwrap().to_string_lossy());
            scorer(&model).probe().unwrap();
            count += 1;
        }
    }
    assert!(count >= 8, "only {count} examples were found");
}

#[test]
fn a_model_that_ended_in_a_zipmap_gives_the_origins_probabilities_and_classes() {
    let model = example("titanic");
    let events = lines("titanic", "events.jsonl");
    let column = |field: &str, missing: Value| -> Value {
        let value = |event: &Value| {
            if event[field].is_null() {
                missing.clone()
            } else {
                event[field].clone()
            }
        };
        events.iter().map(|event| Value::from(vec![value(event)])).collect()
    };
    let rows = json!({
        "sex": column("sex", Value::Null),
        "embarked": column("embarked", "".into()),
        "pclass": column("pclass", Value::Null),
        "sibsp": column("sibsp", Value::Null),
        "parch": column("parch", Value::Null),
        "age": column("age", "NaN".into()),
        "fare": column("fare", Value::Null),
    });
    compare_with_origin(&model, "titanic", "output_probability", &rows);
    assert_eq!(model.class_names().unwrap(), ["died", "survived"]);
}

#[test]
fn a_forest_gives_the_origins_probabilities() {
    let rows = |event: &Value| (1..=9).map(|i| event[format!("f{i}")].clone()).collect::<Value>();
    let features: Value = lines("shuttle", "events.jsonl").iter().map(rows).collect();
    compare_with_origin(
        &example("shuttle"),
        "shuttle",
        "probabilities",
        &json!({ "features": features }),
    );
}
