//! Which fields feed which inputs, and what is said when they do not fit.

use super::*;

const THREE: &str = r#"
    [fields.age]
    type = "float"
    [fields.sex]
    type = "category"
    categories = ["f", "m"]
    [fields.pixels]
    type = "vector"
    length = 4
"#;

#[test]
fn scalars_and_vectors_lie_side_by_side_in_the_order_of_the_binding() {
    let decoder = compile(
        THREE,
        &[spec("x", DType::Float32, &[6])],
        &[("x", &["pixels", "sex", "age"])],
    )
    .unwrap();
    let mut rig = Rig {
        inputs: vec![Inputs::with_capacity(decoder.resolved_inputs("m"), 3)],
        decoder,
        captured: Captured::default(),
    };
    assert_eq!(
        rig.decode(r#"{"age":30,"sex":"m","pixels":[1,2,3,4]}"#),
        Ok(vec![1.0, 2.0, 3.0, 4.0, 1.0, 30.0])
    );
}

#[test]
fn one_field_may_feed_several_inputs_and_models() {
    let file: File = toml::from_str(THREE).unwrap();
    let columns = [spec("age", DType::Float32, &[1]), spec("sex", DType::String, &[])];
    let wide = [spec("all", DType::Float64, &[0])];
    let none = IndexMap::new();
    let bindings = [
        Binding {
            model: "columns",
            inputs: &columns,
            fields: &none,
        },
        Binding {
            model: "wide",
            inputs: &wide,
            fields: &none,
        },
    ];
    let mut decoder = Decoder::compile(&file.events, &file.fields, &file.limits, &bindings).unwrap();
    assert_eq!(decoder.resolved_inputs("wide")[0].row_shape, [Some(6)]);
    assert_eq!(decoder.field_names().collect::<Vec<_>>(), ["age", "sex", "pixels"]);
    let mut inputs = ["columns", "wide"].map(|model| Inputs::with_capacity(decoder.resolved_inputs(model), 1));
    let record = record(Some(br#"{"age":30,"sex":"m","pixels":[1,2,3,4]}"#), &[]);
    decoder
        .decode(&record, &mut inputs, 0, &mut Captured::default())
        .unwrap();
    assert_eq!(inputs[0].inputs[0].data, Buffer::Float32(vec![30.0]));
    assert_eq!(inputs[0].inputs[1].data, Buffer::String(vec!["m".into()]));
    assert_eq!(
        inputs[1].inputs[0].data,
        Buffer::Float64(vec![30.0, 1.0, 1.0, 2.0, 3.0, 4.0])
    );
    assert_eq!(inputs[1].rows, 0);
}

#[test]
fn an_open_dimension_is_worked_out_from_the_fields() {
    let decoder = compile(THREE, &[spec("x", DType::Float32, &[2, 0])], &[("x", &["pixels"])]).unwrap();
    assert_eq!(decoder.resolved_inputs("m")[0].row_shape, [Some(2), Some(2)]);
    assert_eq!(decoder.resolved_inputs("nobody"), []);
}

fn problems(specs: &[TensorSpec], fields: &[(&str, &[&str])]) -> Vec<(String, String)> {
    let problems = compile(THREE, specs, fields).unwrap_err();
    problems
        .into_iter()
        .map(|problem| (problem.key, problem.message))
        .collect()
}

#[test]
fn a_wrong_count_shows_what_the_model_takes_and_what_it_was_given() {
    let found = problems(&[spec("x", DType::Float32, &[31])], &[]);
    assert_eq!(found[0].0, "models[0].inputs.x");
    assert!(found[0].1.contains("`x` float32[N,31]"), "{}", found[0].1);
    assert!(found[0].1.contains("`age`, `sex`, `pixels` (4)"), "{}", found[0].1);
    let found = problems(&[spec("x", DType::Float32, &[4, 0])], &[]);
    assert!(found[0].1.contains("a multiple of 4"), "{}", found[0].1);
    let found = problems(&[spec("x", DType::Float32, &[0, 0])], &[]);
    assert!(found[0].1.contains("2 dimensions open"), "{}", found[0].1);
}

#[test]
fn wrong_names_get_the_nearest_right_one() {
    let x = [spec("features", DType::Float32, &[0])];
    assert!(
        problems(&x, &[("feature", &["age"])])[0]
            .1
            .contains("did you mean `features`?")
    );
    let found = problems(&x, &[("features", &["age", "pixel"])]);
    assert_eq!(found[0].0, "models[0].inputs.features[1]");
    assert!(found[0].1.contains("did you mean `pixels`?"), "{}", found[0].1);
}

#[test]
fn an_input_without_fields_is_a_problem() {
    let two = [spec("age", DType::Float32, &[1]), spec("weight", DType::Float32, &[1])];
    let found = problems(&two, &[]);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0, "models[0].inputs.weight");
    assert!(found[0].1.contains("no field feeds it"), "{}", found[0].1);
}

#[test]
fn a_field_that_cannot_become_the_models_type_is_a_problem_with_a_way_out() {
    let found = problems(&[spec("age", DType::Int64, &[1])], &[("age", &["age"])]);
    assert!(found[0].1.contains("make it an integer"), "{}", found[0].1);
    let found = problems(&[spec("x", DType::String, &[1])], &[("x", &["age"])]);
    assert!(found[0].1.contains("cannot become string"), "{}", found[0].1);
}

fn keys(file: &str) -> Vec<String> {
    let problems = compile(file, &[spec("x", DType::Float32, &[0])], &[]).unwrap_err();
    problems.into_iter().map(|problem| problem.key).collect()
}

#[test]
fn problems_name_the_key_that_is_wrong() {
    let field = |settings: &str| keys(&format!("[fields.f]\n{settings}"));
    assert_eq!(field("type = \"float\"\nmin = 2\nmax = 1"), ["fields.f.min"]);
    assert_eq!(field("type = \"float\"\npointer = \"f\""), ["fields.f.pointer"]);
    assert_eq!(field("type = \"float\"\ncategories = [\"a\"]"), ["fields.f.categories"]);
    assert_eq!(field("type = \"string\"\nmin = 1"), ["fields.f.min"]);
    assert_eq!(field("type = \"vector\""), ["fields.f.length"]);
    assert_eq!(
        field("type = \"vector\"\nlength = 2\ndefault = [1.0]"),
        ["fields.f.default"]
    );
    assert_eq!(field("type = \"float\"\nrequired = false"), ["fields.f.required"]);
    assert_eq!(
        field("type = \"float\"\nrequired = true\ndefault = 1"),
        ["fields.f.required"]
    );
    assert_eq!(field("type = \"float\"\ndefault = \"none\""), ["fields.f.default"]);
    assert_eq!(field("type = \"float\"\nmax = 1\ndefault = 2"), ["fields.f.default"]);
    assert_eq!(field("type = \"float\"\nallowed = [\"a\"]"), ["fields.f.allowed[0]"]);
    assert_eq!(field("type = \"image\""), ["fields.f.image"]);
    assert_eq!(
        field("type = \"image\"\nimage = { width = 0, height = 8 }"),
        ["fields.f.image.width"]
    );
    assert_eq!(field("type = \"timestamp\"\nparts = []"), ["fields.f.parts"]);
    assert_eq!(keys("[fields]"), ["fields"]);
}

#[test]
fn a_default_that_the_model_cannot_hold_is_a_problem_before_the_first_event() {
    assert_eq!(
        keys("[fields.f]\ntype = \"float\"\ndefault = 1e300"),
        ["fields.f.default"]
    );
}

#[test]
fn two_members_of_a_prediction_cannot_have_one_name() {
    let file = "[events]\npass_through = [\"/a/id\", \"/b/id\"]\n[fields.f]\ntype = \"float\"";
    assert_eq!(keys(file), ["events.pass_through[1]"]);
}

#[test]
fn settings_of_another_format_are_problems() {
    let file = "[events]\nformat = \"raw\"\nid_field = \"/id\"\n[fields.f]\ntype = \"vector\"\nlength = 2";
    assert_eq!(keys(file), ["events.id_field", "events.raw"]);
    let file = "[events]\nraw = { dtype = \"float32\" }\n[fields.f]\ntype = \"float\"";
    assert_eq!(keys(file), ["events.raw"]);
}
