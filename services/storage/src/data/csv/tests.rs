//! Whole CSV files: what is refused and where, and that nothing panics.

use proptest::prelude::*;

use crate::data::{DataSet, Event};
use crate::error::Error;
use crate::limits::{CELL_BYTES, COLUMNS, NAME_BYTES};

fn read(content: &[u8]) -> Result<Vec<(String, Option<String>)>, Error> {
    read_with(content, Ok)
}

fn read_with(
    content: &[u8],
    choose: impl FnOnce(DataSet) -> Result<DataSet, Error>,
) -> Result<Vec<(String, Option<String>)>, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    std::fs::write(&path, content).unwrap();
    let rows = choose(DataSet::open(&path)?)?.rows()?;
    rows.map(|row| {
        let row = row?;
        let Event::Json(json) = row.event else {
            panic!("an image")
        };
        Ok((json, row.label))
    })
    .collect()
}

fn events(content: &str) -> Vec<String> {
    let rows = read(content.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    rows.into_iter().map(|(event, _)| event).collect()
}

fn refusal(content: &[u8]) -> String {
    let error = read(content).unwrap_err().to_string();
    error
        .split_once("t.csv")
        .map_or(error.clone(), |(_, rest)| rest.to_owned())
}

#[test]
fn the_delimiter_is_the_one_that_stands_most_often_in_the_header() {
    for delimiter in [",", ";", "\t"] {
        let text = "a|b|\"c,;\t,;\t\"\n1|2|x;y\n".replace(';', "-").replace('|', delimiter);
        assert_eq!(events(&text).len(), 1);
        assert!(events(&text)[0].starts_with("{\"a\":1,\"b\":2,"), "{text}");
    }
    assert_eq!(events("a;b,c;d\n1;2;3\n"), ["{\"a\":1,\"b,c\":2,\"d\":3}"]);
    assert_eq!(events("alone\n1\n"), ["{\"alone\":1}"]);
}

#[test]
fn the_index_that_pandas_writes_has_the_name_that_pandas_gives_it() {
    assert_eq!(events(",a\n0,x\n"), ["{\"Unnamed: 0\":0,\"a\":\"x\"}"]);
}

#[test]
fn a_header_alone_has_no_rows() {
    assert!(events("a,b\n").is_empty());
    assert!(events("a,b").is_empty());
}

#[test]
fn a_type_is_settled_by_all_rows_before_the_first_is_given() {
    assert_eq!(events("a\nNA\n1\n"), ["{\"a\":null}", "{\"a\":1}"]);
    assert_eq!(
        events("a\nNA\n1\nx\n"),
        ["{\"a\":\"NA\"}", "{\"a\":\"1\"}", "{\"a\":\"x\"}"]
    );
}

#[test]
fn what_is_out_of_shape_is_refused_with_its_line_and_column() {
    let long_name = format!("{}\n1\n", "n".repeat(NAME_BYTES + 1));
    let long_cell = format!("a,b\n1,2\n1,{}\n", "x".repeat(CELL_BYTES + 1));
    let wide = format!(
        "{}\n",
        (0..=COLUMNS).map(|i| format!("c{i}")).collect::<Vec<_>>().join(",")
    );
    let cases: [(&[u8], &str); 12] = [
        (b"", ": is empty; write a header line"),
        (b"\n\r\n", ": is empty; write a header line"),
        (
            b"a,b\n1,2\n3\n",
            ", line 3: has 1 cells, and the header names 2 columns",
        ),
        (
            b"a,b\n1,2\n\n3,4,5\n",
            ", line 4: has 3 cells, and the header names 2 columns",
        ),
        (b"a,b,a\n", ", line 1: two columns are called `a`"),
        (b"1,2.5\n3,4\n", ", line 1: holds values and no names"),
        (b"a,\xff\n1,2\n", ", line 1: the name of column 2 is not UTF-8"),
        (b"a,b\n1,caf\xe9\n", ", line 2, column `b`: is not UTF-8 after 3 bytes"),
        (b"a,b\n1,\"2\n", ", line 2: a quote is opened"),
        (long_name.as_bytes(), ", line 1: the name of column 1 has more than"),
        (long_cell.as_bytes(), ", line 3, column `b`: has 8388609 bytes"),
        (wide.as_bytes(), ", line 1: has 16385 columns, and 16384 are read"),
    ];
    for (content, expected) in cases {
        let message = refusal(content);
        assert!(message.starts_with(expected), "{message}");
        assert!(message.contains(';'), "it does not say what to do: {message}");
    }
}

#[test]
fn the_label_is_beside_the_event_with_its_text() {
    let text = b"x,y\n1, 1.50\n2,NA\n3,\n";
    let rows = read_with(text, |data| data.with_label("y")).unwrap();
    let labels: Vec<_> = rows.iter().map(|(_, label)| label.as_deref()).collect();
    assert_eq!(labels, [Some("1.50"), None, None]);
    assert_eq!(rows[0].0, "{\"x\":1}");
}

#[test]
fn a_file_that_changes_after_it_was_opened_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    for changed in ["a\n1\nx\n", "b\n1\n2\n", "a,b\n1,2\n"] {
        std::fs::write(&path, "a\n1\n2\n").unwrap();
        let data = DataSet::open(&path).unwrap();
        std::fs::write(&path, changed).unwrap();
        let outcome: Result<Vec<_>, _> = data.rows().and_then(Iterator::collect);
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains("let nothing write to the file"), "{error}");
    }
}

fn rows_are_json_or_an_error(content: &[u8]) -> Result<(), TestCaseError> {
    for choose in [Ok, |data: DataSet| {
        let first = data
            .columns()
            .and_then(|names| names.first().cloned())
            .unwrap_or_default();
        data.with_label(&first)
    }] {
        match read_with(content, choose) {
            Ok(rows) => {
                for (event, _) in rows {
                    let value: Result<serde_json::Value, _> = serde_json::from_str(&event);
                    prop_assert!(value.is_ok_and(|value| value.is_object()), "{}", event);
                }
            }
            Err(error) => prop_assert!(error.to_string().contains("t.csv")),
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn property_any_bytes_are_rows_of_json_or_an_error(content in prop::collection::vec(any::<u8>(), 0..200)) {
        rows_are_json_or_an_error(&content)?;
    }

    #[test]
    fn property_any_text_that_looks_like_csv_is_rows_of_json_or_an_error(
        content in "([a-z,;\t\"\n\r ]|[-+.0-9eE]{1,6}|NA|inf|true|2026-05-01|\\PC){0,80}",
    ) {
        rows_are_json_or_an_error(content.as_bytes())?;
    }

    #[test]
    fn property_any_table_reads_back_as_it_was_written(
        rows in prop::collection::vec(prop::collection::vec("[^\0]{0,12}", 3), 1..12),
    ) {
        let quoted = |cell: &String| format!("\"{}\"", cell.replace('"', "\"\""));
        let lines: Vec<String> = rows.iter().map(|row| row.iter().map(quoted).collect::<Vec<_>>().join(",")).collect();
        // The first row makes every column one of texts.
        let text = format!("a,b,c\nx,y,z\n{}\n", lines.join("\n"));
        let found = events(&text);
        prop_assert_eq!(found.len(), rows.len() + 1);
        for (row, event) in rows.iter().zip(&found[1..]) {
            let event: serde_json::Value = serde_json::from_str(event).unwrap();
            for (name, cell) in ["a", "b", "c"].into_iter().zip(row) {
                let expected = if cell.is_empty() { serde_json::Value::Null } else { cell.as_str().into() };
                prop_assert_eq!(&event[name], &expected);
            }
        }
    }

    #[test]
    fn property_any_number_that_json_knows_keeps_its_text(number in "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,20})?([eE][-+]?[0-9]{1,2})?") {
        prop_assert_eq!(events(&format!("a\n{number}\n")), [format!("{{\"a\":{number}}}")]);
    }
}
