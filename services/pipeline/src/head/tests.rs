//! What the laws do not say: how a head is matched with a model, and what each type does of its own.

use serde_json::{Value, json};

use super::*;
use crate::tensor::{Buffer, DType, Data, Inputs};

fn spec(name: &str, dtype: DType, row_shape: &[Option<usize>]) -> TensorSpec {
    TensorSpec {
        name: name.to_owned(),
        dtype,
        row_shape: row_shape.to_vec(),
    }
}

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn settings(settings: Value) -> HeadSettings {
    serde_json::from_value(settings).expect("the settings are right")
}

fn only_problem(head: Value, outputs: &[TensorSpec], class_names: Option<&[String]>) -> Problem {
    let mut problems = compile(&settings(head), outputs, class_names).expect_err("something is wrong");
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems.remove(0)
}

fn floats(width: usize, data: &[f32]) -> View<'_> {
    View {
        width,
        data: Data::Float32(data),
    }
}

fn read(head: &dyn Head, outputs: &[View<'_>], rows: usize) -> Result<Predictions, RunError> {
    let mut predictions = Predictions::new();
    predictions.reset(rows);
    head.read(outputs, 0..rows, &mut predictions).map(|()| predictions)
}

fn rendered(head: &dyn Head, predictions: &Predictions, row: usize) -> String {
    let mut json = Vec::new();
    head.render(predictions, row, &mut json);
    String::from_utf8(json).expect("JSON is UTF-8")
}

fn classification() -> Value {
    json!({"type": "classification", "from": "probabilities"})
}

#[test]
fn a_wrong_output_name_is_a_problem_that_lists_what_the_model_has() {
    let outputs = [
        spec("probabilities", DType::Float32, &[Some(3)]),
        spec("label", DType::Int64, &[]),
    ];
    let mut head = classification();
    head["output"] = json!("probabilites");
    let problem = only_problem(head, &outputs, None);
    assert_eq!(problem.key, "head.output");
    assert_eq!(
        problem.message,
        "the model has no output `probabilites` (did you mean `probabilities`?); it has `probabilities` \
         float32[N,3], `label` int64[N]"
    );
}

#[test]
fn an_output_of_the_wrong_type_or_shape_is_a_problem_that_says_what_is_needed() {
    let outputs = [
        spec("label", DType::Int64, &[]),
        spec("tokens", DType::Float32, &[Some(7), Some(384)]),
    ];
    for name in ["label", "tokens"] {
        let problem = only_problem(json!({"type": "embedding", "output": name}), &outputs, None);
        assert_eq!(problem.key, "head.output");
        assert!(
            problem.message.contains("needs one floating-point output [N,D]"),
            "{problem}"
        );
        assert!(problem.message.contains("`tokens` float32[N,7,384]"), "{problem}");
    }
}

#[test]
fn of_several_outputs_that_fit_one_must_be_named() {
    let outputs = [
        spec("logits", DType::Float32, &[Some(3)]),
        spec("auxiliary", DType::Float32, &[Some(3)]),
    ];
    let problem = only_problem(classification(), &outputs, None);
    assert!(problem.message.contains("several fit"), "{problem}");
    let mut head = classification();
    head["output"] = json!("auxiliary");
    assert!(compile(&settings(head), &outputs, None).is_ok());
}

#[test]
fn dimensions_of_one_do_not_count() {
    let outputs = [spec("scores", DType::Float32, &[Some(1), Some(3), Some(1)])];
    assert!(compile(&settings(classification()), &outputs, None).is_ok());
}

#[test]
fn class_names_come_from_the_settings_then_from_the_model_then_from_their_number() {
    let outputs = [spec("p", DType::Float32, &[Some(2)])];
    let model = strings(&["no", "yes"]);
    let classes_of = |head: Value, names: Option<&[String]>| {
        let head = compile(&settings(head), &outputs, names).expect("the head fits");
        head.classes().to_vec()
    };
    let mut named = classification();
    named["classes"] = json!(["nein", "ja"]);
    assert_eq!(classes_of(named, Some(&model)), ["nein", "ja"]);
    assert_eq!(classes_of(classification(), Some(&model)), ["no", "yes"]);
    assert_eq!(classes_of(classification(), None), ["0", "1"]);
}

#[test]
fn class_names_that_do_not_match_the_model_are_a_problem() {
    let outputs = [spec("p", DType::Float32, &[Some(3)])];
    for (classes, words) in [
        (json!(["a", "b"]), "2 names are given, and the model has 3 classes"),
        (json!(["a", "b", "a"]), "`a` stands twice"),
        (json!([]), "the list is empty"),
    ] {
        let mut head = classification();
        head["classes"] = classes;
        let problem = only_problem(head, &outputs, None);
        assert_eq!(problem.key, "head.classes");
        assert!(problem.message.contains(words), "{problem}");
    }
}

#[test]
fn an_open_number_of_classes_needs_names() {
    let outputs = [spec("p", DType::Float32, &[None])];
    let problem = only_problem(classification(), &outputs, None);
    assert_eq!(problem.key, "head.classes");

    let mut head = classification();
    head["classes"] = json!(["a", "b"]);
    let head = compile(&settings(head), &outputs, None).expect("the names give the number");
    assert!(read(&*head, &[floats(2, &[0.25, 0.75])], 1).is_ok());
    assert!(read(&*head, &[floats(3, &[0.25, 0.5, 0.25])], 1).is_err());
}

#[test]
fn an_embedding_of_open_width_takes_the_width_that_comes_and_keeps_it_within_a_batch() {
    let outputs = [spec("e", DType::Float32, &[None])];
    let head = compile(&settings(json!({"type": "embedding"})), &outputs, None).expect("the head fits");
    let mut predictions = read(&*head, &[floats(2, &[1.0, 2.0, 3.0, 4.0])], 2).expect("two numbers a row");
    assert_eq!(predictions.values(1), [3.0, 4.0]);
    let error = head
        .read(&[floats(3, &[1.0, 2.0, 3.0])], 0..1, &mut predictions)
        .expect_err("earlier rows have two");
    assert!(error.message.contains("3 values"), "{}", error.message);
    predictions.reset(1);
    head.read(&[floats(3, &[1.0, 2.0, 3.0])], 0..1, &mut predictions)
        .expect("a new batch may be wider");
    assert_eq!(predictions.values(0), [1.0, 2.0, 3.0]);
}

#[test]
fn logits_where_probabilities_are_promised_are_an_error_with_the_next_step() {
    let outputs = [spec("out", DType::Float32, &[Some(2)])];
    for head in [
        classification(),
        json!({"type": "binary", "from": "probabilities"}),
        json!({"type": "multi-label", "from": "probabilities"}),
    ] {
        let head = compile(&settings(head), &outputs, None).expect("the head fits");
        let error = read(&*head, &[floats(2, &[3.5, -1.0])], 1).expect_err("3.5 is no probability");
        assert_eq!(
            error.message,
            "output `out` holds a number outside of 0 to 1, which is no probability; if the model gives logits, set `from = \"logits\"` in \
             its head"
        );
    }
}

#[test]
fn a_probability_that_is_out_by_rounding_is_put_right() {
    let outputs = [spec("out", DType::Float32, &[Some(2)])];
    let head = compile(&settings(classification()), &outputs, None).expect("the head fits");
    let predictions = read(&*head, &[floats(2, &[1.000_001, -1e-7])], 1).expect("that is rounding");
    assert_eq!(predictions.values(0), [1.0, 0.0]);
}

#[test]
fn a_binary_head_may_decide_against_the_more_probable_class() {
    let outputs = [spec("p", DType::Float32, &[])];
    let head = json!({"type": "binary", "from": "probabilities", "threshold": 0.25, "classes": ["ham", "spam"]});
    let head = compile(&settings(head), &outputs, None).expect("the head fits");
    let predictions = read(&*head, &[floats(1, &[0.25, 0.125])], 2).expect("two probabilities");
    assert_eq!(
        rendered(&*head, &predictions, 0),
        r#""label":"spam","confidence":0.25,"probabilities":[0.75,0.25]"#
    );
    assert_eq!(
        rendered(&*head, &predictions, 1),
        r#""label":"ham","confidence":0.875,"probabilities":[0.875,0.125]"#
    );
}

#[test]
fn a_threshold_outside_0_to_1_is_a_problem() {
    let outputs = [spec("p", DType::Float32, &[Some(2)])];
    for head in [
        json!({"type": "binary", "from": "logits", "threshold": 1.5}),
        json!({"type": "multi-label", "from": "logits", "threshold": [0.5, -0.5]}),
        json!({"type": "multi-label", "from": "logits", "threshold": [0.5]}),
    ] {
        assert_eq!(only_problem(head, &outputs, None).key, "head.threshold");
    }
}

fn sklearn(label: DType, settings: Value, names: Option<&[String]>) -> Box<dyn Head> {
    let outputs = [
        spec("output_label", label, &[]),
        spec("output_probability", DType::Float32, &[Some(2)]),
    ];
    compile(&self::settings(settings), &outputs, names).expect("the head fits")
}

#[test]
fn sklearn_keeps_the_classifiers_own_label_where_another_is_more_probable() {
    let labels = strings(&["died", "survived"]);
    let head = sklearn(DType::String, json!({"type": "sklearn"}), Some(&labels));
    let label = View {
        width: 1,
        data: Data::String(&labels[1..]),
    };
    let predictions = read(&*head, &[label, floats(2, &[0.75, 0.25])], 1).expect("one row");
    assert_eq!(predictions.class(0), Some(1));
    assert_eq!(predictions.confidence(0), Some(0.25));
    assert!(rendered(&*head, &predictions, 0).starts_with(r#""label":"survived","confidence":0.25"#));
}

#[test]
fn sklearn_looks_integer_labels_up_by_the_models_names_and_writes_those_of_the_settings() {
    let head = sklearn(
        DType::Int64,
        json!({"type": "sklearn", "classes": ["rain", "sun"]}),
        Some(&strings(&["7", "-1"])),
    );
    let label = View {
        width: 1,
        data: Data::Int64(&[-1]),
    };
    let predictions = read(&*head, &[label, floats(2, &[0.25, 0.75])], 1).expect("one row");
    assert_eq!(predictions.class(0), Some(1));
    assert!(rendered(&*head, &predictions, 0).starts_with(r#""label":"sun""#));
}

#[test]
fn sklearn_takes_an_integer_label_for_a_position_where_no_name_is_a_number() {
    let head = sklearn(
        DType::Int64,
        json!({"type": "sklearn", "classes": ["rain", "sun"]}),
        None,
    );
    let label = View {
        width: 1,
        data: Data::Int64(&[1]),
    };
    let predictions = read(&*head, &[label, floats(2, &[0.25, 0.75])], 1).expect("one row");
    assert_eq!(predictions.class(0), Some(1));
}

#[test]
fn sklearn_refuses_a_label_that_is_no_class() {
    let head = sklearn(DType::Int64, json!({"type": "sklearn"}), Some(&strings(&["7", "8"])));
    let label = View {
        width: 1,
        data: Data::Int64(&[9]),
    };
    let error = read(&*head, &[label, floats(2, &[0.25, 0.75])], 1).expect_err("9 is neither 7 nor 8");
    assert!(error.message.contains("none of the 2 classes"), "{}", error.message);
    assert!(
        !error.message.contains('9'),
        "a label may be a text of the event: {}",
        error.message
    );
}

#[test]
fn a_spread_is_written_beside_its_value_and_must_not_be_negative() {
    let outputs = [spec("mean", DType::Float32, &[]), spec("std", DType::Float32, &[])];
    let head = json!({"type": "regression", "spread": "std"});
    let head = compile(&settings(head), &outputs, None).expect("the head fits");
    let predictions = read(&*head, &[floats(1, &[2.5]), floats(1, &[0.5])], 1).expect("one row");
    assert_eq!(rendered(&*head, &predictions, 0), r#""value":2.5,"spread":0.5"#);
    assert!(read(&*head, &[floats(1, &[2.5]), floats(1, &[-0.5])], 1).is_err());
}

#[test]
fn a_spread_must_be_another_output_of_the_same_width() {
    let outputs = [
        spec("mean", DType::Float32, &[]),
        spec("std", DType::Float32, &[Some(2)]),
    ];
    for head in [
        json!({"type": "regression", "output": "mean", "spread": "std"}),
        json!({"type": "regression", "output": "mean", "spread": "mean"}),
    ] {
        assert_eq!(only_problem(head, &outputs, None).key, "head.spread");
    }
}

#[test]
fn an_interval_is_written_with_both_ends_of_each_value() {
    let ends = [
        spec("median", DType::Float32, &[]),
        spec("ends", DType::Float32, &[Some(2)]),
    ];
    let head = json!({"type": "regression", "lower": "ends", "upper": "ends"});
    let head = compile(&settings(head), &ends, None).expect("the head fits");
    let predictions = read(&*head, &[floats(1, &[2.0]), floats(2, &[1.0, 4.0])], 1).expect("one row");
    assert_eq!(rendered(&*head, &predictions, 0), r#""value":2.0,"interval":[1.0,4.0]"#);

    let two = ["low", "median", "high"].map(|name| spec(name, DType::Float32, &[Some(2)]));
    let head = json!({"type": "regression", "lower": "low", "upper": "high"});
    let head = compile(&settings(head), &two, None).expect("the head fits");
    let outputs = [floats(2, &[1.0, 2.0]), floats(2, &[3.0, 4.0]), floats(2, &[5.0, 6.0])];
    let predictions = read(&*head, &outputs, 1).expect("one row");
    assert_eq!(
        rendered(&*head, &predictions, 0),
        r#""value":[3.0,4.0],"interval":[1.0,5.0,2.0,6.0]"#
    );
}

#[test]
fn an_interval_needs_both_ends_for_each_value() {
    let outputs = [
        spec("median", DType::Float32, &[]),
        spec("ends", DType::Float32, &[Some(3)]),
    ];
    for (head, key) in [
        (json!({"type": "regression", "lower": "ends"}), "head.upper"),
        (
            json!({"type": "regression", "lower": "ends", "upper": "ends"}),
            "head.lower",
        ),
    ] {
        let problems = compile(&settings(head), &outputs, None).expect_err("something is wrong");
        assert!(problems.iter().any(|problem| problem.key == key), "{problems:?}");
    }
}

#[test]
fn an_outlier_detectors_score_is_turned_round() {
    let outputs = [
        spec("label", DType::Int64, &[Some(1)]),
        spec("scores", DType::Float32, &[Some(1)]),
    ];
    let head = json!({"type": "anomaly", "higher_is": "normal"});
    let head = compile(&settings(head), &outputs, None).expect("the label is left aside");
    let labels = View {
        width: 1,
        data: Data::Int64(&[1, -1]),
    };
    let predictions = read(&*head, &[labels, floats(1, &[0.0, -0.25])], 2).expect("two rows");
    assert_eq!(rendered(&*head, &predictions, 0), r#""score":0.0"#);
    assert_eq!(predictions.anomaly(1), Some(0.25));
}

#[test]
fn a_reconstruction_is_written_as_its_mean_squared_error_from_the_input() {
    let head = json!({"type": "reconstruction"});
    let head = compile(&settings(head), &[spec("decoded", DType::Float32, &[Some(2)])], None).expect("the head fits");
    let mut predictions = read(&*head, &[floats(2, &[1.0, 2.0, 3.0, 4.0])], 2).expect("two rows");
    let feeds = |width: usize| {
        [
            spec("id", DType::Int64, &[]),
            spec("in", DType::Float64, &[Some(width)]),
        ]
    };
    let mut inputs = Inputs::with_capacity(&feeds(2), 2);
    inputs.inputs[1].data = Buffer::Float64(vec![1.0, 2.0, 4.0, 2.0]);
    head.compare(&inputs, 0..2, &mut predictions)
        .expect("the input is as wide");
    assert_eq!(rendered(&*head, &predictions, 0), r#""error":0.0"#);
    assert_eq!(rendered(&*head, &predictions, 1), r#""error":2.5"#);

    let other = Inputs::with_capacity(&feeds(3), 2);
    let error = head
        .compare(&other, 0..2, &mut predictions)
        .expect_err("no input is as wide");
    assert!(error.message.contains("`decoded` has 2 values"), "{}", error.message);
}

#[test]
fn what_cannot_be_told_from_the_shape_must_be_said() {
    for head in [
        json!({"type": "classification"}),
        json!({"type": "binary"}),
        json!({"type": "multi-label"}),
        json!({"type": "anomaly"}),
    ] {
        assert!(serde_json::from_value::<HeadSettings>(head.clone()).is_err(), "{head}");
    }
}

#[test]
fn a_threshold_may_be_written_as_a_whole_number() {
    let parse = |text: &str| toml::from_str::<HeadSettings>(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    parse("type = \"binary\"\nfrom = \"logits\"\nthreshold = 1");
    let each = parse("type = \"multi-label\"\nfrom = \"logits\"\nthreshold = [0, 0.5, 1]");
    let HeadSettings::MultiLabel(each) = each else {
        panic!("{each:?} is not multi-label");
    };
    assert_eq!(each.threshold, Threshold::Each(vec![0.0, 0.5, 1.0]));
}

#[test]
fn every_type_stands_in_the_schema_and_closes_its_keys() {
    let schema = serde_json::to_value(schemars::schema_for!(HeadSettings)).expect("a schema is JSON");
    let text = schema.to_string();
    for word in HeadSettings::TYPES {
        assert!(text.contains(&format!("\"const\":\"{word}\"")), "{word}");
    }
    let variants = schema["oneOf"].as_array().expect("one variant for each type");
    assert_eq!(variants.len(), HeadSettings::TYPES.len());
    for variant in variants {
        let closed = ["additionalProperties", "unevaluatedProperties"]
            .iter()
            .any(|key| variant[*key] == json!(false));
        assert!(closed, "{variant}");
    }
}
