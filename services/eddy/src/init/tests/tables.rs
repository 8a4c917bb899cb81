//! Columns as fields.

use super::*;

const GAPS: &str = "\
n,whole,x,flag,city,note,when,empty,y
1,1.0,0.5,true,Rome,some words,2026-05-01,,a
2,,1.5,,Oslo,others,,,b
,3.0,,false,,,2026-05-03,,a
4,2.0,2.5,true,Rome,more still,2026-05-04,,b
5,2.0,-7.5,true,Rome,the last,2026-05-05,,a
";

fn gaps() -> Data {
    let Data { _folder, set } = data("t.csv", GAPS);
    Data {
        _folder,
        set: set.with_label("y").unwrap(),
    }
}

#[test]
fn gaps_have_a_default_and_every_number_its_reason() {
    let data = gaps();
    let inputs = ["n", "whole", "x", "flag", "city", "when"].map(|name| floats(name, &[1]));
    let inputs = [inputs.to_vec(), vec![spec("note", DType::String, &[1])]].concat();
    let (plan, file, _) = planned(&data.set, &model(inputs, probabilities(2)));
    let default = |name: &str| serde_json::to_value(&file.fields[name].default).unwrap();
    let defaults = ["n", "x", "flag", "city", "when", "note"].map(default);
    let expected = serde_json::json!([2, 0.5, true, "Rome", "2026-05-05T00:00:00Z", ""]);
    assert_eq!(serde_json::json!(defaults)[0], expected[0]);
    for (found, expected) in defaults.iter().zip(expected.as_array().unwrap()) {
        assert!(
            found == expected || found.as_f64() == expected.as_f64(),
            "{found} {expected}"
        );
    }
    assert_eq!(default("whole").as_f64(), Some(2.0));
    let text = plan.to_toml();
    for reason in [
        "min = 0    # the data: 1, never below 0",
        "min = -18    # the data: -7.5",
        "the median: 1 of 5 rows have none; write \"nan\" if the model was trained on gaps",
        "# -7.5 to 2.5, median 0.5; missing in 1 of 5 rows",
        "# 1 to 5, median 2; 1 (1), 2 (1), 4 (1), 5 (1); missing in 1 of 5 rows",
        "# the model gets a word's place in this list, from 0. Sorted, as scikit-learn's OrdinalEncoder and pandas'",
        "# * `empty` is called like no input of the model",
        "from 5 rows of data, label `y`.",
        "# * nothing says which class is which word; write them into the head in the model's order: classes = [\"a\", \"b\"]",
    ] {
        assert!(text.contains(reason), "{reason}\n{text}");
    }
}

#[test]
fn a_column_that_cannot_feed_its_input_is_told_why() {
    let data = gaps();
    let of = |name: &str, dtype: DType| {
        problems(
            &data.set,
            &model(vec![spec(name, dtype, &[1]), floats("x", &[1])], probabilities(2)),
        )
    };
    assert!(of("note", DType::Float32).contains("column `note` holds texts, and the model takes numbers"));
    assert!(of("x ", DType::Float32).contains("column `x` would feed two inputs"));
    assert!(of("whole", DType::Bool).contains("column `whole` holds numbers, and the model takes truth values"));
    assert!(of("flag", DType::String).contains("column `flag` holds truth values, and the model takes texts"));
    assert!(of("empty", DType::Float32).contains("column `empty` has no value in any row"));
    assert!(of("absent", DType::Float32).contains("no column has this name"));
    let wide = data_of_one("1e39");
    assert!(
        problems(
            &wide.set,
            &model(vec![floats("x", &[1]), floats("y", &[1])], probabilities(2))
        )
        .contains("does not fit into the model's float32")
    );
    let mixed = super::data("t.jsonl", "{\"x\":1}\n{\"x\":\"a\"}\n");
    assert!(
        problems(&mixed.set, &model(vec![floats("x", &[1])], probabilities(2))).contains("values of different types")
    );
}

fn data_of_one(value: &str) -> Data {
    data("t.csv", &format!("x,y\n{value},1\n1,2\n"))
}

#[test]
fn columns_that_are_seldom_trained_on_go_first_and_only_as_far_as_they_must() {
    let data = table("id,at,fixed,a,b", |i| {
        format!("{i},2026-05-{:02},7,{}.5,{}", i % 28 + 1, i * 7 % 5, i % 3)
    });
    let fields = |width: usize| {
        let (plan, ..) = planned(&data.set, &model(vec![floats("x", &[width])], probabilities(2)));
        plan.fields.inputs[0].1.clone()
    };
    assert_eq!(fields(5), ["id", "at", "fixed", "a", "b"]);
    assert_eq!(fields(4), ["at", "fixed", "a", "b"]);
    assert_eq!(fields(3), ["fixed", "a", "b"]);
    assert_eq!(fields(2), ["a", "b"]);
    let few = problems(&data.set, &model(vec![floats("x", &[1])], probabilities(2)));
    assert!(
        few.contains("has 2 values a row for it (`a`, `b`); column `id` differs in every row"),
        "{few}"
    );
    assert!(
        few.contains("leave out the columns that it was not trained on"),
        "{few}"
    );
    let many = problems(&data.set, &model(vec![floats("x", &[9])], probabilities(2)));
    assert!(many.contains("pass the data that it was trained on"), "{many}");
    let mut open = floats("x", &[1]);
    open.row_shape = vec![None];
    let (plan, ..) = planned(&data.set, &model(vec![open], probabilities(2)));
    assert_eq!(plan.fields.inputs[0].1, ["at", "fixed", "a", "b"]);
}

#[test]
fn names_that_toml_and_pointers_treat_as_their_own_are_written_so_that_they_read_back() {
    let data = data(
        "t.jsonl",
        "{\"a b\":{\"c/d~\":1},\"a b_c/d~\":2,\"\u{e4}\\\"\\n\":3,\"\":4}\n{\"a b\":{\"c/d~\":5}, \"\":1,\"a b_c/d~\":3,\"\u{e4}\\\"\\n\":3}\n",
    );
    let (plan, ..) = planned(&data.set, &model(vec![floats("in.put:0", &[4])], probabilities(2)));
    let names: Vec<&str> = plan.fields.fields.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(names, ["a b_c/d~", "a b_c/d~_2", "\u{e4}\"\n", ""]);
}

#[test]
fn a_data_set_without_rows_teaches_nothing() {
    let data = data("t.csv", "x,y\n");
    assert!(problems(&data.set, &model(vec![floats("x", &[1])], probabilities(2))).contains("has no rows"));
}

#[test]
fn any_name_becomes_one_that_a_pipeline_can_have() {
    for (text, expected) in [
        ("Churn_v2.final", "churn-v2-final"),
        ("--", "pipeline"),
        ("\u{c4}rger", "rger"),
        ("a__", "a"),
    ] {
        assert_eq!(pipeline_name(text), expected);
    }
    assert_eq!(pipeline_name(&"x".repeat(99)).len(), 64);
}
