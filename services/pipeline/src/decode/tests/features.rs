//! What the features of an event are.

use super::*;
use crate::fields::FeatureKind;

const FILE: &str = r#"
[fields.age]
type = "float"
default = 40.0
[fields.big]
type = "float"
[fields.colour]
type = "category"
categories = ["red", "green"]
other = 9
[fields.yes]
type = "boolean"
[fields.note]
type = "string"
default = ""
[fields.v]
type = "vector"
length = 2
[fields.at]
type = "timestamp"
parts = ["hour", "month"]
"#;

fn rig() -> Rig {
    let specs = [
        spec("x", DType::Float64, &[2]),
        spec("c", DType::Int64, &[1]),
        spec("v", DType::Float32, &[2]),
    ];
    let bound: &[(&str, &[&str])] = &[("x", &["age", "big"]), ("c", &["colour"]), ("v", &["v"])];
    let decoder = compile(FILE, &specs, bound).expect("the fields fit").with_features();
    let features = decoder.feature_input().expect("they are captured").clone();
    let inputs = vec![
        Inputs::with_capacity(decoder.resolved_inputs("m"), 2),
        Inputs::with_capacity(&[features], 2),
    ];
    Rig {
        decoder,
        inputs,
        captured: Captured::default(),
    }
}

fn features_of(rig: &Rig) -> Vec<f32> {
    let input = &rig.inputs[1].inputs[0];
    match &input.data {
        Buffer::Float32(cells) => cells[input.width..][..input.width].to_vec(),
        other => panic!("features are 32-bit floats, not {:?}", other.dtype()),
    }
}

#[test]
fn each_number_category_and_element_is_a_feature_in_the_order_of_the_file() {
    let features = rig().decoder.features();
    let names: Vec<&str> = features.iter().map(|feature| feature.name.as_str()).collect();
    assert_eq!(
        names,
        ["age", "big", "colour", "yes", "v[0]", "v[1]", "at.hour", "at.month"]
    );
    let words = FeatureKind::Category(vec!["red".into(), "green".into()]);
    assert_eq!((&features[2].kind, &features[0].kind), (&words, &FeatureKind::Number));
}

#[test]
fn features_are_the_values_as_decoded_also_of_fields_that_no_model_reads() {
    let mut rig = rig();
    rig.decode(r#"{"age": 31, "big": 2.5, "colour": "green", "yes": true, "v": [1, 2], "at": "2026-03-01T07:30:00Z"}"#)
        .expect("a sound event");
    assert_eq!(features_of(&rig), [31.0, 2.5, 1.0, 1.0, 1.0, 2.0, 7.0, 3.0]);
}

#[test]
fn a_missing_value_is_missing_whatever_default_the_model_gets() {
    let mut rig = rig();
    rig.decode(r#"{"big": 1, "colour": "blue", "yes": false, "v": [0, 0], "at": "2026-01-01T00:00:00Z"}"#)
        .expect("a sound event");
    let features = features_of(&rig);
    assert!(features[0].is_nan(), "{features:?}");
    assert_eq!(features[2], 9.0);
    assert_eq!(rig.row(0), [40.0, 1.0]);
}

#[test]
fn a_number_beyond_32_bits_is_an_infinite_feature_and_no_refusal() {
    let mut rig = rig();
    rig.decode(r#"{"age": 1, "big": -1e300, "colour": "red", "yes": true, "v": [0, 0], "at": "2026-01-01T00:00:00Z"}"#)
        .expect("the model's own type holds it");
    assert_eq!(features_of(&rig)[1], f32::NEG_INFINITY);
}
