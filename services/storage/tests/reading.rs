//! Data sets that pandas and pyarrow wrote are read as `tests/fixtures/make.py` says they mean.

use std::path::{Path, PathBuf};

use eddy_storage::Error;
use eddy_storage::data::{DataSet, Event};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn fixture(name: &str) -> DataSet {
    DataSet::open(fixtures().join(name)).unwrap_or_else(|error| panic!("{error}"))
}

fn events(data: &DataSet) -> Vec<String> {
    rows(data).into_iter().map(|(event, _)| event).collect()
}

fn rows(data: &DataSet) -> Vec<(String, Option<String>)> {
    let rows = data.rows().unwrap_or_else(|error| panic!("{error}"));
    rows.map(|row| match row.unwrap_or_else(|error| panic!("{error}")) {
        row if matches!(row.event, Event::Image(_)) => panic!("an image"),
        row => (
            String::from_utf8(row.event.as_bytes().to_vec()).expect("JSON is UTF-8"),
            row.label,
        ),
    })
    .collect()
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn every_fixture_has_the_rows_that_were_put_into_it() {
    let mut names: Vec<String> = std::fs::read_dir(fixtures())
        .unwrap()
        .filter_map(|entry| {
            entry
                .unwrap()
                .file_name()
                .into_string()
                .unwrap()
                .strip_suffix(".expected.jsonl")
                .map(str::to_owned)
        })
        .collect();
    names.sort();
    assert!(names.len() >= 13, "{names:?}");
    for name in names {
        let expected = std::fs::read_to_string(fixtures().join(format!("{name}.expected.jsonl"))).unwrap();
        let expected: Vec<&str> = expected.lines().collect();
        let found = events(&fixture(&name));
        if name.contains(".json") {
            // An object that came as JSON keeps its own text.
            let values = |texts: &mut dyn Iterator<Item = &str>| texts.map(json).collect::<Vec<_>>();
            assert_eq!(
                values(&mut found.iter().map(String::as_str)),
                values(&mut expected.into_iter()),
                "{name}"
            );
        } else {
            assert_eq!(found, expected, "{name}");
        }
    }
}

#[test]
fn a_data_set_can_be_read_again_and_again() {
    for name in ["pandas.csv", "pandas.parquet", "pandas.json", "pandas.jsonl"] {
        let data = fixture(name);
        assert_eq!(events(&data), events(&data), "{name}");
    }
}

#[test]
fn the_label_stands_beside_the_event_and_what_is_left_out_stands_nowhere() {
    for name in ["pandas.csv", "pandas.parquet", "pandas.jsonl", "pandas.json"] {
        let data = fixture(name)
            .without(&["name", "when"])
            .and_then(|data| data.with_label("survived"))
            .unwrap();
        let rows = rows(&data);
        let labels: Vec<_> = rows
            .iter()
            .map(|(_, label)| label.as_deref().expect("each has one"))
            .collect();
        assert_eq!(labels, ["0", "1", "1", "0"], "{name}");
        for (event, _) in rows {
            let event = json(&event);
            for gone in ["name", "when", "survived"] {
                assert_eq!(event.get(gone), None, "{name}");
            }
            for kept in ["age", "fare", "sex", "alone"] {
                assert!(event.get(kept).is_some(), "{name}");
            }
        }
    }
}

#[test]
fn a_label_within_a_struct_is_found_by_its_pointer() {
    let data = fixture("nested.parquet").with_label("/point/x").unwrap();
    let rows = rows(&data);
    assert_eq!(rows[0].1.as_deref(), Some("1.5"));
    assert_eq!(json(&rows[0].0)["point"], json(r#"{"tags":["a",null]}"#));
    assert_eq!((rows[1].1.as_deref(), rows[2].1.as_deref()), (None, None));
}

#[test]
fn a_column_that_is_not_there_is_named_with_those_that_are() {
    for name in ["pandas.csv", "pandas.parquet"] {
        let error = fixture(name).with_label("label").unwrap_err().to_string();
        assert!(
            error.contains("column `label`: there is none of this name; there are"),
            "{error}"
        );
        assert!(error.contains("`age`, `fare`, `sex`"), "{error}");
        assert!(fixture(name).without(&["/label"]).is_err());
        assert!(
            events(&fixture(name).without(&["/age"]).unwrap())
                .iter()
                .all(|event| !event.contains("\"age\""))
        );
    }
    let data = fixture("pandas.jsonl").with_label("label").unwrap();
    let last = data.rows().unwrap().last().unwrap();
    assert!(matches!(last, Err(Error::Column { column, .. }) if column == "label"));
}

#[test]
fn a_column_that_no_event_can_hold_is_an_error_until_it_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.parquet");
    std::fs::copy(fixtures().join("durations.parquet"), &path).unwrap();
    let data = DataSet::open(&path).unwrap();
    let error = data.rows().unwrap_err().to_string();
    assert!(error.contains("column `took`: is of the type Duration"), "{error}");
    assert_eq!(events(&data.without(&["took"]).unwrap()), ["{\"x\":1}", "{\"x\":2}"]);
}

#[test]
fn times_without_a_zone_are_taken_for_utc_and_named() {
    assert_eq!(fixture("pandas.csv").assumed_utc(), ["when"]);
    assert_eq!(fixture("pandas.parquet").assumed_utc(), ["when"]);
    assert_eq!(fixture("hard.csv").assumed_utc(), ["when"]);
    assert_eq!(fixture("types.parquet").assumed_utc(), ["s", "ms", "us", "ns"]);
    assert!(fixture("pandas.jsonl").assumed_utc().is_empty());
}

#[test]
fn a_damaged_parquet_file_is_an_error_and_never_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.parquet");
    for name in ["types.parquet", "nested.parquet", "types_snappy.parquet"] {
        let sound = std::fs::read(fixtures().join(name)).unwrap();
        // Between the two magic words bytes are damaged one at a time, each in another way.
        for at in (4..sound.len() - 4).step_by(23) {
            let mut damaged = sound.clone();
            damaged[at] = damaged[at].wrapping_add(1 << (at % 8));
            std::fs::write(&path, damaged).unwrap();
            if let Ok(rows) = DataSet::open(&path).and_then(|data| data.rows()) {
                for row in rows.flatten() {
                    json(std::str::from_utf8(row.event.as_bytes()).unwrap());
                }
            }
        }
    }
}
