//! Tables that are written are whole, and hold what was put in: read back by the `parquet` crate and as data sets.

use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMillisecondType};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use eddy_storage::data::{DataSet, Event};
use eddy_storage::survey::{Limits, Survey};
use eddy_storage::table::{Cell, Column, ColumnType, Compression, Existing, Options, TableWriter, Written};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;

const TYPES: [(&str, ColumnType); 8] = [
    ("n", ColumnType::Integer),
    ("x", ColumnType::Float),
    ("b", ColumnType::Boolean),
    ("te,xt", ColumnType::Text),
    ("at", ColumnType::Timestamp),
    ("words", ColumnType::Texts),
    ("v", ColumnType::Floats),
    ("w", ColumnType::Floats32),
];

fn columns() -> Vec<Column> {
    TYPES.map(|(name, kind)| Column::new(name, kind)).to_vec()
}

fn rows() -> [Vec<Cell<'static>>; 3] {
    [
        vec![
            Cell::Integer(i64::MIN),
            Cell::Float(0.1),
            Cell::Boolean(true),
            Cell::text("it's \"ä\",\n;"),
            Cell::TimestampMs(1_777_638_615_250),
            Cell::Texts(vec!["a".to_owned(), String::new(), "b,\"c\"".to_owned()].into()),
            Cell::Floats(vec![1.5, -1e-7].into()),
            Cell::Floats32(vec![0.1f32].into()),
        ],
        vec![
            Cell::Integer(i64::MAX),
            Cell::Float(f64::INFINITY),
            Cell::Boolean(false),
            Cell::text("x"),
            Cell::TimestampMs(-1),
            Cell::Texts(vec![].into()),
            Cell::Floats(vec![].into()),
            Cell::Floats32(vec![].into()),
        ],
        vec![Cell::Null; 8],
    ]
}

fn write(path: &Path, options: &Options) -> Written {
    let mut table = TableWriter::create(path, columns(), options).unwrap_or_else(|error| panic!("{error}"));
    for row in rows() {
        table.append(&row).unwrap_or_else(|error| panic!("{error}"));
    }
    table.finish().unwrap_or_else(|error| panic!("{error}"))
}

fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

fn events(path: &Path) -> Vec<String> {
    let data = DataSet::open(path).unwrap_or_else(|error| panic!("{error}"));
    let rows = data.rows().unwrap_or_else(|error| panic!("{error}"));
    rows.map(|row| match row.unwrap_or_else(|error| panic!("{error}")).event {
        Event::Json(json) => json,
        Event::Image(_) => panic!("an image"),
    })
    .collect()
}

fn batch(path: &Path) -> RecordBatch {
    let file = std::fs::File::open(path).unwrap();
    let mut reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    reader.next().unwrap().unwrap()
}

#[test]
fn a_parquet_file_has_the_types_and_values_of_its_columns() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.parquet");
    let written = write(&path, &Options::default());
    assert_eq!((written.rows, written.bytes), (3, path.metadata().unwrap().len()));
    let batch = batch(&path);
    let types: Vec<DataType> = batch
        .schema()
        .fields()
        .iter()
        .map(|field| field.data_type().clone())
        .collect();
    assert_eq!(
        types[..4],
        [DataType::Int64, DataType::Float64, DataType::Boolean, DataType::Utf8]
    );
    assert_eq!(types[4], DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())));
    for (found, expected) in types[5..]
        .iter()
        .zip([DataType::Utf8, DataType::Float64, DataType::Float32])
    {
        let DataType::List(element) = found else {
            panic!("{found}")
        };
        assert_eq!(element.data_type(), &expected);
    }
    assert!((0..8).all(|at| batch.column(at).is_null(2) && !batch.column(at).is_null(0)));
    let column = |at: usize| batch.column(at);
    assert_eq!(
        column(0).as_primitive::<Int64Type>().values()[..2],
        [i64::MIN, i64::MAX]
    );
    assert_eq!(
        column(1).as_primitive::<Float64Type>().values()[..2],
        [0.1, f64::INFINITY]
    );
    assert_eq!(column(3).as_string::<i32>().value(0), "it's \"ä\",\n;");
    assert_eq!(
        column(4).as_primitive::<TimestampMillisecondType>().values()[..2],
        [1_777_638_615_250, -1]
    );
    let words = column(5).as_list::<i32>().value(0);
    assert_eq!(
        words.as_string::<i32>().iter().collect::<Vec<_>>(),
        [Some("a"), Some(""), Some("b,\"c\"")]
    );
    assert_eq!(
        (column(6).as_list::<i32>().value_length(1), column(6).is_null(1)),
        (0, false)
    );
}

#[test]
fn what_was_written_is_what_a_data_set_reads() {
    let folder = tempfile::tempdir().unwrap();
    let parquet = [
        r#"{"n":-9223372036854775808,"x":0.1,"b":true,"te,xt":"it's \"ä\",\n;","at":"2026-05-01T12:30:15.25Z","words":["a","","b,\"c\""],"v":[1.5,-1e-7],"w":[0.1]}"#,
        r#"{"n":9223372036854775807,"x":"Infinity","b":false,"te,xt":"x","at":"1969-12-31T23:59:59.999Z","words":[],"v":[],"w":[]}"#,
        r#"{"n":null,"x":null,"b":null,"te,xt":null,"at":null,"words":null,"v":null,"w":null}"#,
    ];
    for compression in [Compression::Zstd, Compression::Snappy] {
        let path = folder.path().join(format!("{compression:?}.parquet"));
        let options = Options {
            compression,
            ..Options::default()
        };
        write(&path, &options);
        assert_eq!(events(&path), parquet);
    }
    let path = folder.path().join("t.csv");
    write(&path, &Options::default());
    // Lists are JSON in a cell, so they come back as texts.
    let csv = [
        r#"{"n":-9223372036854775808,"x":0.1,"b":true,"te,xt":"it's \"ä\",\n;","at":"2026-05-01T12:30:15.25Z","words":"[\"a\",\"\",\"b,\\\"c\\\"\"]","v":"[1.5,-1e-7]","w":"[0.1]"}"#,
        r#"{"n":9223372036854775807,"x":"Infinity","b":false,"te,xt":"x","at":"1969-12-31T23:59:59.999Z","words":"[]","v":"[]","w":"[]"}"#,
        r#"{"n":null,"x":null,"b":null,"te,xt":null,"at":null,"words":null,"v":null,"w":null}"#,
    ];
    assert_eq!(events(&path), csv);
}

#[test]
fn a_file_has_its_name_only_when_it_is_whole() {
    for name in ["t.parquet", "t.csv"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        let mut table = TableWriter::create(&path, columns(), &Options::default()).unwrap();
        table.append(&rows()[0]).unwrap();
        assert!(!path.exists());
        assert!(files(folder.path()).iter().all(|file| file.starts_with('.')));
        drop(table);
        assert!(
            files(folder.path()).is_empty(),
            "a table that was given up leaves nothing"
        );
        write(&path, &Options::default());
        assert_eq!(files(folder.path()), [name]);
    }
}

#[test]
fn a_file_that_is_there_stays_unless_it_is_to_be_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    std::fs::write(&path, "mine").unwrap();
    let error = TableWriter::create(&path, columns(), &Options::default())
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with("t.csv: is there already; choose another name, or say that it is to be replaced"),
        "{error}"
    );
    let replace = Options {
        existing: Existing::Replace,
        ..Options::default()
    };
    let table = TableWriter::create(&path, columns(), &replace).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    table.finish().unwrap();
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        "n,x,b,\"te,xt\",at,words,v,w\n"
    );
}

#[test]
fn a_file_that_appears_while_another_is_written_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.parquet");
    let table = TableWriter::create(&path, columns(), &Options::default()).unwrap();
    std::fs::write(&path, "faster").unwrap();
    assert!(table.finish().unwrap_err().to_string().contains("is there already"));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "faster");
    assert_eq!(files(folder.path()), ["t.parquet"]);
}

#[test]
fn a_table_without_rows_has_its_columns() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["t.parquet", "t.csv"] {
        let path = folder.path().join(name);
        let table = TableWriter::create(&path, columns(), &Options::default()).unwrap();
        assert_eq!(table.finish().unwrap().rows, 0);
        let data = DataSet::open(&path).unwrap();
        assert_eq!(data.columns().map(<[String]>::len), Some(8));
        assert!(events(&path).is_empty());
    }
}

#[test]
fn a_row_that_does_not_fit_is_refused_and_the_table_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["t.parquet", "t.csv"] {
        let path = folder.path().join(name);
        let kinds = vec![
            Column::new("n", ColumnType::Integer),
            Column::new("at", ColumnType::Timestamp),
        ];
        let mut table = TableWriter::create(&path, kinds, &Options::default()).unwrap();
        table.append(&[Cell::Integer(1), Cell::Null]).unwrap();
        let refused = [
            (vec![Cell::Integer(2)], "row 2: has 1 cells for 2 columns;"),
            (
                vec![Cell::Float(2.0), Cell::Null],
                "row 2, column `n`: holds whole numbers and is given numbers;",
            ),
            (
                vec![Cell::Null, Cell::TimestampMs(i64::MAX)],
                "row 2, column `at`: is given 9223372036854775807 ms",
            ),
        ];
        for (row, expected) in refused {
            let error = table.append(&row).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        table.append(&[Cell::Integer(2), Cell::Null]).unwrap();
        assert_eq!(table.finish().unwrap().rows, 2);
        assert_eq!(events(&path), [r#"{"n":1,"at":null}"#, r#"{"n":2,"at":null}"#]);
    }
}

#[test]
fn a_table_that_cannot_be_is_refused_before_a_file_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let one = || vec![Column::new("a", ColumnType::Text)];
    let refused = [
        ("t.xlsx", one(), "call it .parquet or .csv"),
        ("none/t.csv", one(), "cannot be written"),
        ("t.csv", vec![], "a table has 1 to 16384 columns"),
        ("t.csv", [one(), one()].concat(), "two columns have this name"),
        (
            "t.csv",
            vec![Column::new("", ColumnType::Text)],
            "a name has 1 to 1024 bytes",
        ),
    ];
    for (name, columns, expected) in refused {
        let error = TableWriter::create(folder.path().join(name), columns, &Options::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert!(files(folder.path()).is_empty());
}

#[test]
fn a_column_alone_keeps_its_nulls_as_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    let mut table = TableWriter::create(&path, vec![Column::new("a", ColumnType::Float)], &Options::default()).unwrap();
    for cell in [Cell::Null, Cell::Float(f64::NAN), Cell::Float(2.5)] {
        table.append(&[cell]).unwrap();
    }
    table.finish().unwrap();
    assert_eq!(events(&path), [r#"{"a":null}"#, r#"{"a":null}"#, r#"{"a":2.5}"#]);
}

#[test]
fn a_parquet_file_carries_what_it_is_told_about_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.parquet");
    let options = Options {
        metadata: vec![("eddy.format".into(), "1".into())],
        ..Options::default()
    };
    write(&path, &options);
    let file = std::fs::File::open(&path).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let pairs = reader.metadata().file_metadata().key_value_metadata().unwrap();
    assert!(
        pairs
            .iter()
            .any(|pair| pair.key == "eddy.format" && pair.value.as_deref() == Some("1"))
    );
}

#[test]
fn more_rows_than_a_batch_come_back_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["t.parquet", "t.csv"] {
        let path = folder.path().join(name);
        let columns = vec![
            Column::new("n", ColumnType::Integer),
            Column::new("t", ColumnType::Text),
        ];
        let mut table = TableWriter::create(&path, columns, &Options::default()).unwrap();
        let long = "x".repeat(4096);
        for n in 0..10_000 {
            table.append(&[Cell::Integer(n), Cell::text(&long)]).unwrap();
        }
        table.finish().unwrap();
        let data = DataSet::open(&path).unwrap();
        let numbers = data.rows().unwrap().map(|row| {
            let row = row.unwrap();
            let event: serde_json::Value = serde_json::from_slice(row.event.as_bytes()).unwrap();
            event["n"].as_i64().unwrap()
        });
        assert!(numbers.eq(0..10_000), "{name}");
        assert_eq!(Survey::of(&data, Limits::default()).unwrap().rows, 10_000);
    }
}

#[cfg(unix)]
#[test]
fn a_table_is_as_readable_as_any_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let (path, plain) = (folder.path().join("t.csv"), folder.path().join("plain"));
    write(&path, &Options::default());
    std::fs::write(&plain, "").unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode();
    assert_eq!(mode(&path), mode(&plain));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn property_any_texts_and_numbers_come_back_from_parquet(
        rows in prop::collection::vec((any::<Option<i64>>(), any::<Option<String>>(), prop::collection::vec(any::<f32>(), 0..4)), 0..20),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.parquet");
        let columns = vec![
            Column::new("n", ColumnType::Integer), Column::new("t", ColumnType::Text), Column::new("v", ColumnType::Floats32),
        ];
        let mut table = TableWriter::create(&path, columns, &Options::default()).unwrap();
        for (n, text, floats) in &rows {
            let cells = [
                n.map_or(Cell::Null, Cell::Integer),
                text.as_deref().map_or(Cell::Null, Cell::text),
                Cell::Floats32(floats.as_slice().into()),
            ];
            table.append(&cells).unwrap();
        }
        table.finish().unwrap();
        let found = events(&path);
        prop_assert_eq!(found.len(), rows.len());
        for ((n, text, floats), event) in rows.iter().zip(found) {
            let event: serde_json::Value = serde_json::from_str(&event).unwrap();
            prop_assert_eq!(event["n"].as_i64(), *n);
            prop_assert_eq!(event["t"].as_str(), text.as_deref());
            let back: Vec<Option<f32>> = event["v"].as_array().unwrap().iter().map(|x| x.as_f64().map(|x| x as f32)).collect();
            prop_assert_eq!(back, floats.iter().map(|x| Some(*x)).collect::<Vec<_>>());
        }
    }
}
