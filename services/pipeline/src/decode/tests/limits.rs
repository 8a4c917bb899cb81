//! Limits hold for what is read and for what is skipped.

use super::*;

fn limited(limits: &str) -> Rig {
    rig(&format!("[fields.x]\ntype = \"float\"\n[limits]\n{limits}"))
}

#[test]
fn depth_holds_for_ignored_values_too() {
    let mut rig = limited("depth = 3");
    assert_eq!(rig.decode(r#"{"x":1,"y":[[]]}"#), Ok(vec![1.0]));
    assert_eq!(rig.decode(r#"{"x":1,"y":{"z":{}}}"#), Ok(vec![1.0]));
    assert_eq!(rig.reason(r#"{"x":1,"y":[[[]]]}"#), Some(Reason::LimitExceeded));
    assert_eq!(rig.reason(r#"{"x":1,"y":[{"a":{}}]}"#), Some(Reason::LimitExceeded));
}

#[test]
fn ten_thousand_levels_are_refused_and_not_overflowed() {
    for file in ["depth = 64", "depth = 120"] {
        let mut rig = limited(file);
        let deep = format!(r#"{{"y":{}1{},"x":1}}"#, "[".repeat(10_000), "]".repeat(10_000));
        assert_eq!(rig.reason(deep), Some(Reason::LimitExceeded));
        assert_eq!(rig.reason("[".repeat(1_000_000)), Some(Reason::WrongType));
        assert_eq!(rig.reason(r#"{"a":"#.repeat(100_000)), Some(Reason::LimitExceeded));
    }
}

#[test]
fn the_deepest_depth_that_can_be_asked_for_can_be_reached() {
    let mut rig = limited("depth = 120");
    let at_limit = format!(r#"{{"y":{}{},"x":1}}"#, "[".repeat(119), "]".repeat(119));
    assert_eq!(rig.decode(at_limit), Ok(vec![1.0]));
}

#[test]
fn depth_holds_within_copied_members() {
    let mut rig = rig("[events]\npass_through = [\"/y\"]\n[limits]\ndepth = 3\n[fields.x]\ntype = \"float\"");
    assert_eq!(rig.decode(r#"{"x":1,"y":[[]]}"#), Ok(vec![1.0]));
    assert_eq!(rig.reason(r#"{"x":1,"y":[[[]]]}"#), Some(Reason::LimitExceeded));
    let deep = format!(r#"{{"x":1,"y":{}{}}}"#, "[".repeat(50_000), "]".repeat(50_000));
    assert_eq!(rig.reason(deep), Some(Reason::LimitExceeded));
}

#[test]
fn elements_of_all_levels_count() {
    let mut rig = limited("elements = 6");
    assert_eq!(rig.decode(r#"{"x":1,"y":[1,{"a":2},3]}"#), Ok(vec![1.0]));
    assert_eq!(
        rig.reason(r#"{"x":1,"y":[1,{"a":2},3,4]}"#),
        Some(Reason::LimitExceeded)
    );
}

#[test]
fn elements_of_a_vector_count() {
    let file = "[fields.v]\ntype = \"vector\"\nlength = 3\n[limits]\nelements = 3";
    for dtype in [DType::Float64, DType::Float32] {
        let mut rig = rig_of(file, &[spec("x", dtype, &[3])]);
        assert_eq!(rig.reason(r#"{"v":[1,2,3]}"#), Some(Reason::LimitExceeded));
    }
}

#[test]
fn a_million_elements_are_refused_by_default_where_they_are_ignored() {
    let mut rig = limited("record_bytes = \"4 MiB\"");
    let many = format!(r#"{{"y":[{}1],"x":1}}"#, "1,".repeat(1_000_000));
    assert_eq!(rig.reason(many), Some(Reason::LimitExceeded));
}

#[test]
fn texts_and_keys_have_a_longest_length() {
    let mut rig = limited("string_bytes = 4");
    assert_eq!(rig.decode(r#"{"x":1,"y":"abcd","abcd":1}"#), Ok(vec![1.0]));
    assert_eq!(rig.reason(r#"{"x":1,"y":"abcde"}"#), Some(Reason::LimitExceeded));
    assert_eq!(rig.reason(r#"{"x":1,"abcde":1}"#), Some(Reason::LimitExceeded));
    assert_eq!(rig.reason(r#"{"x":1,"y":[{"abcde":1}]}"#), Some(Reason::LimitExceeded));
}

#[test]
fn records_and_headers_have_a_largest_size() {
    let mut rig = limited("record_bytes = 10\nheaders = 2\nheader_bytes = 6");
    assert_eq!(
        rig.decode(r#"{"x":12345"#.to_owned() + "}").unwrap_err().reason,
        Reason::TooLarge
    );
    let header = |value| Header { name: "abc", value };
    assert!(rig.decode_with(r#"{"x":1}"#, &[header(Some(b"def"))]).is_ok());
    let rejection = rig.decode_with(r#"{"x":1}"#, &[header(Some(b"defg"))]).unwrap_err();
    assert_eq!(rejection.reason, Reason::TooManyHeaders);
}

#[test]
fn limits_that_cannot_be_kept_are_problems() {
    let file = "[fields.x]\ntype = \"float\"\n[limits]\ndepth = 500\nrecord_bytes = 0";
    let problems = compile(file, &[spec("x", DType::Float64, &[0])], &[]).unwrap_err();
    let keys: Vec<&str> = problems.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(keys, ["limits.depth", "limits.record_bytes"]);
}
