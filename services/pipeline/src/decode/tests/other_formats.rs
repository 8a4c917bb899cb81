//! Raw tensors and images as events.
#![expect(clippy::disallowed_methods, reason = "fixtures are files")]

use base64::Engine as _;

use super::*;

fn raw(dtype: &str, elements: &str) -> Rig {
    rig(&format!(
        "[events]\nformat = \"raw\"\nraw = {{ dtype = \"{dtype}\" }}\n[fields.v]\ntype = \"vector\"\nlength = 2\n\
         elements = \"{elements}\""
    ))
}

#[test]
fn raw_elements_are_little_endian() {
    assert_eq!(
        raw("float32", "float").decode([0, 0, 128, 63, 0, 0, 0, 192]),
        Ok(vec![1.0, -2.0])
    );
    assert_eq!(raw("float16", "float").decode([0, 60, 0, 192]), Ok(vec![1.0, -2.0]));
    assert_eq!(
        raw("int32", "integer").decode([1, 0, 0, 0, 254, 255, 255, 255]),
        Ok(vec![1.0, -2.0])
    );
    let mut int64 = [0; 16];
    int64[8] = 7;
    assert_eq!(raw("int64", "float").decode(int64), Ok(vec![0.0, 7.0]));
    assert_eq!(raw("bool", "float").decode([1, 0]), Ok(vec![1.0, 0.0]));
}

#[test]
fn raw_events_have_exactly_their_number_of_bytes() {
    let mut rig = raw("float32", "float");
    for bytes in [0, 7, 9, 16] {
        assert_eq!(rig.reason(vec![0; bytes]), Some(Reason::Malformed), "{bytes}");
    }
}

#[test]
fn raw_elements_obey_the_rules_of_their_field() {
    let nan = [f32::NAN.to_le_bytes(), [0; 4]].concat();
    assert_eq!(raw("float32", "float").reason(nan), Some(Reason::NotFinite));
    assert_eq!(raw("bool", "float").reason([1, 2]), Some(Reason::WrongType));
}

const DIGIT: &[u8] = include_bytes!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../config/digits/events/digit-0162.png"
));

fn golden() -> (String, serde_json::Value) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/digits/");
    let text = std::fs::read_to_string(format!("{folder}golden.json")).unwrap();
    (folder.to_owned(), serde_json::from_str(&text).unwrap())
}

const DIGITS: &str = r#"
    [events]
    format = "image"
    image = { width = 8, height = 8, channels = "grey" }
    [fields.image]
    type = "image"
"#;

#[test]
fn the_digits_decode_exactly_to_what_the_model_was_tried_on() {
    let (folder, golden) = golden();
    let rows = golden["inputs"]["image"].as_array().unwrap();
    let mut rig = rig_of(DIGITS, &[spec("image", DType::Float32, &[1, 8, 8])]);
    let decoded: Vec<Vec<f64>> = std::fs::read_dir(format!("{folder}events"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "png"))
        .map(|path| rig.decode(std::fs::read(path).unwrap()).unwrap())
        .collect();
    for row in rows {
        let flat: Vec<f64> = flatten(row);
        let same = |have: &Vec<f64>| have.iter().zip(&flat).all(|(a, b)| (*a as f32) == (*b as f32));
        assert!(decoded.iter().any(same), "no event gives {flat:?}");
    }
}

fn flatten(value: &serde_json::Value) -> Vec<f64> {
    match value {
        serde_json::Value::Array(list) => list.iter().flat_map(flatten).collect(),
        other => vec![other.as_f64().unwrap()],
    }
}

#[test]
fn an_image_in_a_json_event_is_the_same_image() {
    let mut bare = rig(DIGITS);
    let expected = bare.decode(DIGIT).unwrap();
    let mut rig = rig(r#"
        [limits]
        string_bytes = 8
        [fields.image]
        type = "image"
        image = { width = 8, height = 8, channels = "grey" }
    "#);
    let text = base64::engine::general_purpose::STANDARD.encode(DIGIT);
    assert_eq!(rig.decode(format!(r#"{{"image":"{text}"}}"#)).as_ref(), Ok(&expected));
    assert_eq!(
        rig.decode(format!(r#"{{"image":"data:image/png;base64,{text}"}}"#)),
        Ok(expected)
    );
    assert_eq!(rig.reason(r#"{"image":"not base64!"}"#), Some(Reason::Malformed));
    assert_eq!(rig.reason(r#"{"image":"AAAA"}"#), Some(Reason::Malformed));
    assert_eq!(rig.reason(r#"{"image":5}"#), Some(Reason::WrongType));
}

#[test]
fn an_image_must_have_the_shape_that_the_model_takes() {
    let hwc = compile(DIGITS, &[spec("image", DType::Float32, &[8, 8, 1])], &[]).unwrap_err();
    assert!(hwc[0].message.contains("[N,1,8,8]"), "{}", hwc[0].message);
    let open = compile(DIGITS, &[spec("image", DType::Float32, &[1, 0, 0])], &[]).unwrap();
    assert_eq!(open.resolved_inputs("m")[0].row_width(), Some(64));
}

#[test]
fn images_over_the_pixel_limit_are_refused_by_their_header() {
    let mut rig = rig(&format!("{DIGITS}\n[limits]\npixels = 63"));
    assert_eq!(rig.reason(DIGIT), Some(Reason::LimitExceeded));
}
