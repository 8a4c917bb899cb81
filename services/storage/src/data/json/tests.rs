//! Whole JSON files: where rows begin, what is refused and where, and that nothing panics.

use proptest::prelude::*;

use crate::data::{DataSet, Event};
use crate::error::{At, Error};
use crate::limits::ROW_BYTES;

fn read(name: &str, content: &[u8]) -> Result<Vec<(String, At)>, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    let rows = DataSet::open(&path)?.rows()?;
    rows.map(|row| {
        let row = row?;
        let Event::Json(json) = row.event else {
            panic!("an image")
        };
        Ok((json, row.at))
    })
    .collect()
}

fn rows(name: &str, content: &str) -> Vec<(String, At)> {
    read(name, content.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}

fn row(json: &str, line: u64) -> (String, At) {
    (json.to_owned(), At::Line(line))
}

#[test]
fn a_line_is_a_row_as_it_stands() {
    let text = "\u{feff}\n{\"a\":  1.50}\r\n\n  {\"a\": 12345678901234567890, \"b\": {\"c\": [1, null]}} \n{}";
    let second = "{\"a\": 12345678901234567890, \"b\": {\"c\": [1, null]}}";
    assert_eq!(
        rows("t.jsonl", text),
        [row("{\"a\":  1.50}", 2), row(second, 4), row("{}", 5)]
    );
}

#[test]
fn an_element_of_the_list_is_a_row_as_it_stands() {
    let text = "\n [\n{\"a\": \"]}\\\"[{\"} ,\n\n {\n  \"b\": [{}, \"\\\\\"]\n }\n ]\n\n";
    let second = "{\n  \"b\": [{}, \"\\\\\"]\n }";
    assert_eq!(rows("t.json", text), [row("{\"a\": \"]}\\\"[{\"}", 3), row(second, 5)]);
    assert_eq!(rows("t.json", "[]"), []);
    assert_eq!(
        rows("t.json", "{\"a\":1}\n{\"a\":2}\n"),
        [row("{\"a\":1}", 1), row("{\"a\":2}", 2)]
    );
}

#[test]
fn what_is_out_of_shape_is_refused_with_its_line() {
    let long = format!("{{\"a\":1}}\n{{\"a\":\"{}", "x".repeat(ROW_BYTES));
    let cases: [(&str, &[u8], &str); 13] = [
        ("t.jsonl", b"", ": holds no JSON objects; write one object"),
        ("t.jsonl", b"1\n", ": holds no JSON objects; write one object"),
        (
            "t.jsonl",
            b"{\"a\":1}\n{\"a\":}\n",
            ", line 2: expected value at column 6; every line must be one whole JSON object",
        ),
        ("t.jsonl", b"{\n\"a\":1}\n", ", line 1: EOF while parsing"),
        ("t.jsonl", b"{} {}\n", ", line 1: trailing characters at column 4"),
        (
            "t.jsonl",
            b"{\"a\":1,\"a\":2}\n",
            ", line 1: `a` stands in an object twice",
        ),
        ("t.jsonl", b"{\"a\":\"\xff\"}\n", ", line 1: is not UTF-8; save"),
        (
            "t.jsonl",
            long.as_bytes(),
            ", line 2: the row that begins here has more than",
        ),
        (
            "t.json",
            b"[{}\n,\n1]",
            ", line 3: '1' stands where an object should begin;",
        ),
        (
            "t.json",
            b"[{}\n{}]",
            ", line 2: '{' stands where an object should begin;",
        ),
        (
            "t.json",
            b"[{},\n]",
            ", line 2: ']' stands where an object should begin;",
        ),
        (
            "t.json",
            b"[{\"a\":\n\n1,}]",
            ", line 3: trailing comma at column 3; every element",
        ),
        ("t.json", b"[{}\n", ", line 2: the file ends within the list; write"),
    ];
    for (name, content, expected) in cases {
        let error = read(name, content).unwrap_err().to_string();
        let message = error.split_once(name).map_or(error.as_str(), |(_, rest)| rest);
        assert!(message.starts_with(expected), "{message}");
    }
    let error = read("t.json", b"[{}]\n\n{}").unwrap_err().to_string();
    assert!(error.contains("line 3: something follows the list;"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn property_any_text_that_looks_like_json_is_rows_of_json_or_an_error(
        opening in "[\\[{ ]{1,2}", content in "([\\[\\]{}:,\"\\\\ \n0-9a-eE.-]|\"a\":|true|null|\\PC){0,60}",
    ) {
        for name in ["t.json", "t.jsonl"] {
            match read(name, format!("{opening}{content}").as_bytes()) {
                Ok(rows) => for (event, _) in rows {
                    let value: Result<serde_json::Value, _> = serde_json::from_str(&event);
                    prop_assert!(value.is_ok_and(|value| value.is_object()), "{}", event);
                },
                Err(error) => prop_assert!(error.to_string().contains(name)),
            }
        }
    }

    #[test]
    fn property_lines_and_list_hold_the_same_rows(numbers in prop::collection::vec(any::<i64>(), 1..9), text in "\\PC{0,8}") {
        let object = |n: &i64| serde_json::json!({"n": n, "text": text, "nested": {"list": [n, null]}});
        let objects: Vec<_> = numbers.iter().map(object).collect();
        let compact: Vec<String> = objects.iter().map(ToString::to_string).collect();
        let pretty = serde_json::to_string_pretty(&objects).unwrap();
        let values = |rows: Vec<(String, At)>| -> Vec<serde_json::Value> {
            rows.iter().map(|(json, _)| serde_json::from_str(json).unwrap()).collect()
        };
        prop_assert_eq!(&values(rows("t.jsonl", &compact.join("\n"))), &objects);
        prop_assert_eq!(&values(rows("t.json", &pretty)), &objects);
    }
}
