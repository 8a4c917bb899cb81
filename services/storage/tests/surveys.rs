//! What a survey finds in a data set: against pandas and numpy for the numbers, and kind by kind.

use std::fmt::Write as _;
use std::path::Path;

use eddy_storage::data::DataSet;
use eddy_storage::survey::{Candidate, Column, Content, Distinct, Kind, Limits, Survey};

fn data(name: &str, content: &str) -> (tempfile::TempDir, DataSet) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    let data = DataSet::open(path).unwrap_or_else(|error| panic!("{error}"));
    (folder, data)
}

fn survey_with(name: &str, content: &str, limits: Limits) -> Survey {
    let (_folder, data) = data(name, content);
    Survey::of(&data, limits).unwrap_or_else(|error| panic!("{error}"))
}

fn survey(name: &str, content: &str) -> Survey {
    survey_with(name, content, Limits::default())
}

/// A CSV file of one column.
fn column(cells: impl IntoIterator<Item = impl std::fmt::Display>) -> Column {
    let mut text = "x,alone\n".to_owned();
    for cell in cells {
        writeln!(text, "\"{cell}\",1").unwrap();
    }
    survey("t.csv", &text).columns.remove(0)
}

fn lines(objects: &[&str]) -> Survey {
    survey("t.jsonl", &objects.join("\n"))
}

#[test]
fn counts_ends_quantiles_and_words_are_those_of_pandas_and_numpy() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let expected = std::fs::read_to_string(fixtures.join("survey.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&expected).unwrap();
    let expected = expected.as_object().unwrap();
    let data = DataSet::open(fixtures.join("survey.csv")).unwrap();
    let survey = Survey::of(&data, Limits::default()).unwrap();
    assert_eq!(
        (survey.rows, survey.is_part, survey.columns.len()),
        (500, false, expected.len())
    );
    for (name, expected) in expected {
        let column = survey.column(name).unwrap();
        let number = |key: &str| expected[key].as_u64().unwrap();
        assert_eq!(
            (column.present, column.missing),
            (number("present"), number("missing")),
            "{name}"
        );
        assert_eq!(column.distinct, Distinct::Exactly(number("distinct")), "{name}");
        let words: Option<Vec<(String, u64)>> = expected.get("words").map(|words| {
            words
                .as_object()
                .unwrap()
                .iter()
                .map(|(word, n)| (word.clone(), n.as_u64().unwrap()))
                .collect()
        });
        assert_eq!(column.words, words, "{name}");
        if let Some(min) = expected.get("min") {
            let numbers = column.numbers.as_ref().unwrap();
            assert_eq!(
                [numbers.min, numbers.max].map(Some),
                [min.as_f64(), expected["max"].as_f64()],
                "{name}"
            );
            let quantiles: Vec<f64> = numbers.quantiles.iter().map(|(_, x)| *x).collect();
            assert_eq!(serde_json::json!(quantiles), expected["quantiles"], "{name}");
        }
        if let Some(from) = expected.get("from") {
            let (found, to) = column.times.unwrap();
            assert_eq!(
                [found, to].map(|time| time.to_string()),
                [from.as_str().unwrap(), expected["to"].as_str().unwrap()]
            );
        }
    }
    let kinds: Vec<Kind> = survey.columns.iter().map(|column| column.kind).collect();
    let expected = [
        Kind::Identifier,
        Kind::Identifier,
        Kind::Float,
        Kind::Integer,
        Kind::Integer,
        Kind::Float,
        Kind::Category,
        Kind::Text,
        Kind::Boolean,
        Kind::Timestamp,
        Kind::Constant,
        Kind::Empty,
        Kind::Category,
    ];
    assert_eq!(kinds, expected);
    let candidates = survey.label_candidates();
    assert_eq!(candidates[0].column, "Churned");
    assert_eq!(
        candidates[0].reason,
        "is called like a label and is the last column and has 2 distinct values"
    );
}

#[test]
fn an_identifier_differs_in_every_row_and_a_measurement_may_too() {
    assert_eq!(column((0..20).map(|i| format!("u-{i}"))).kind, Kind::Identifier);
    assert_eq!(column((0..19).map(|i| format!("u-{i}"))).kind, Kind::Text);
    assert_eq!(column((0..20).map(|i| format!("name {i}"))).kind, Kind::Text);
    assert_eq!(column((0..20).map(|i| i * 3)).kind, Kind::Identifier);
    assert_eq!(column((0..20).map(|i| (i * 7) % 20)).kind, Kind::Integer);
    assert_eq!(column((0..20).map(|i| f64::from(i) + 0.5)).kind, Kind::Float);
    let named = |name: &str, values: &str| survey("t.csv", &format!("{name},b\n{values}")).columns[0].kind;
    for name in ["id", "PassengerId", "customer_id", "customerID", "UUID", ""] {
        assert_eq!(named(name, "7,1\n3,1\n5,1\n"), Kind::Identifier, "{name}");
        assert_eq!(named(name, "7,1\n7,1\n5,1\n"), Kind::Integer, "{name}");
    }
    assert_eq!(named("paid", "7,1\n3,1\n5,1\n"), Kind::Integer);
}

#[test]
fn few_words_that_come_again_are_a_category_and_many_are_text() {
    let words = |n: usize| column((0..200).map(|i| format!("w{}", i % n)));
    assert_eq!(words(50).kind, Kind::Category);
    assert_eq!(words(50).words.map(|words| words.len()), Some(50));
    assert_eq!((words(51).kind, words(51).words), (Kind::Text, None));
    assert_eq!(column(["a", "b", "a"]).kind, Kind::Category);
    assert_eq!(column(["a", "b", "c"]).kind, Kind::Text);
}

#[test]
fn a_constant_with_gaps_is_not_constant() {
    assert_eq!(column(["yes", "yes"]).kind, Kind::Constant);
    assert_eq!(column(["yes", ""]).kind, Kind::Category);
    assert_eq!(column([5, 5]).content, Content::Integers);
}

#[test]
fn integers_with_few_values_and_whole_floats_are_told() {
    let column_of = column([3, 1, 2, 1, 3, 3]);
    assert_eq!(column_of.kind, Kind::Integer);
    let words = [("1", 2), ("2", 1), ("3", 3)].map(|(word, n)| (word.to_owned(), n));
    assert_eq!(column_of.words, Some(words.to_vec()));
    let whole = column(["1.0", "2.0", "", "2e3"]);
    assert_eq!((whole.kind, whole.missing), (Kind::Float, 1));
    assert!(whole.numbers.unwrap().is_whole);
}

#[test]
fn infinities_are_counted_and_leave_the_range_alone() {
    let numbers = column(["1", "inf", "-inf", "3"]);
    assert_eq!((numbers.kind, numbers.present), (Kind::Float, 4));
    let numbers = numbers.numbers.unwrap();
    assert_eq!((numbers.min, numbers.max, numbers.not_finite), (1.0, 3.0, 2));
    let found = lines(&[r#"{"x":1}"#, r#"{"x":"NaN"}"#]);
    assert_eq!(found.columns[0].numbers.as_ref().unwrap().not_finite, 1);
}

#[test]
fn lists_of_numbers_of_one_length_are_vectors() {
    let found = lines(&[
        r#"{"v":[1,2.5],"w":[1,2],"n":[1,null],"l":[1],"t":["a"],"e":[]}"#,
        r#"{"v":[-3,4],"w":[3,4],"n":[1,2],"l":[1,2],"t":["b"],"e":[]}"#,
    ]);
    let kinds: Vec<Kind> = found.columns.iter().map(|column| column.kind).collect();
    assert_eq!(
        kinds,
        [
            Kind::Vector(2),
            Kind::Vector(2),
            Kind::List,
            Kind::List,
            Kind::List,
            Kind::List
        ]
    );
    let numbers = found.columns[0].numbers.as_ref().unwrap();
    assert_eq!((numbers.min, numbers.max), (-3.0, 4.0));
    assert_eq!(
        found.columns[0].content,
        Content::Vectors {
            length: 2,
            is_whole: false
        }
    );
    assert_eq!(
        found.columns[1].content,
        Content::Vectors {
            length: 2,
            is_whole: true
        }
    );
}

#[test]
fn what_lies_in_objects_is_a_column_of_its_own() {
    let found = lines(&[
        r#"{"a":{"x":1,"b/c":{"y":true}},"z":null}"#,
        r#"{"z":"w","a":null}"#,
        r#"{"a":{"x":2}}"#,
    ]);
    let columns: Vec<_> = found
        .columns
        .iter()
        .map(|c| (c.pointer(), c.kind, c.present, c.missing))
        .collect();
    let expected = [
        ("/a/x".to_owned(), Kind::Integer, 2, 1),
        ("/a/b~1c/y".to_owned(), Kind::Boolean, 1, 2),
        ("/z".to_owned(), Kind::Category, 1, 2),
    ];
    assert_eq!(columns, expected);
}

#[test]
fn values_of_different_types_are_a_mixture() {
    for pair in [
        ("1", "\"a\""),
        ("true", "1"),
        ("[1]", "1"),
        ("{\"y\":1}", "1"),
        ("\"a\"", "false"),
    ] {
        let found = lines(&[&format!("{{\"x\":{}}}", pair.0), &format!("{{\"x\":{}}}", pair.1)]);
        assert_eq!(found.columns[0].kind, Kind::Mixture, "{pair:?}");
    }
}

#[test]
fn the_label_is_surveyed_beside_the_events() {
    let (_folder, data) = data("t.csv", "x,y\n1,b\n2,a\n3,\n4,a\n");
    let found = Survey::of(&data.with_label("y").unwrap(), Limits::default()).unwrap();
    assert_eq!(found.columns.len(), 1);
    let label = found.label.unwrap();
    assert_eq!((label.name(), label.missing), ("y".to_owned(), 1));
    assert_eq!(label.words, Some(vec![("a".to_owned(), 2), ("b".to_owned(), 1)]));
}

#[test]
fn a_label_of_numbers_is_one_of_numbers_whatever_the_format() {
    for (name, content) in [
        ("t.csv", "x,y\n1,0.5\n2,-1\n"),
        ("t.jsonl", "{\"x\":1,\"y\":0.5}\n{\"x\":2,\"y\":-1}\n"),
    ] {
        let (_folder, data) = data(name, content);
        let found = Survey::of(&data.with_label("y").unwrap(), Limits::default()).unwrap();
        let label = found.label.unwrap();
        assert_eq!((label.kind, label.content), (Kind::Float, Content::Floats));
        assert_eq!(
            label.numbers.map(|numbers| (numbers.min, numbers.max)),
            Some((-1.0, 0.5))
        );
    }
}

#[test]
fn the_folders_of_images_are_the_words_of_the_label() {
    let folder = tempfile::tempdir().unwrap();
    for (class, count) in [("cat", 2), ("dog", 1)] {
        std::fs::create_dir(folder.path().join(class)).unwrap();
        for i in 0..count {
            std::fs::write(folder.path().join(class).join(format!("{i}.png")), b"\x89PNG\r\n\x1a\n").unwrap();
        }
    }
    let found = Survey::of(&DataSet::open(folder.path()).unwrap(), Limits::default()).unwrap();
    assert_eq!((found.rows, found.images, found.columns.len()), (3, 3, 0));
    assert_eq!(
        found.label.unwrap().words,
        Some(vec![("cat".to_owned(), 2), ("dog".to_owned(), 1)])
    );
}

fn candidates(header: &str) -> Vec<Candidate> {
    let cells = ["1.5", "2.5", "3.5"].map(|cell| vec![cell; header.split(',').count()].join(","));
    survey("t.csv", &format!("{header}\n{}\n", cells.join("\n"))).label_candidates()
}

#[test]
fn candidates_for_the_label_are_ranked_each_with_its_reason() {
    let names = |header: &str| candidates(header).into_iter().map(|c| c.column).collect::<Vec<_>>();
    assert_eq!(names("species,x,Target,LABEL"), ["LABEL", "Target", "species"]);
    assert_eq!(names("y,loan_default,x,Is-Fraud"), ["y", "Is-Fraud", "loan_default"]);
    assert_eq!(candidates("loan_default,x")[0].reason, "has `default` in its name");
    assert!(names("x,length,why").is_empty());
    let last = survey("t.csv", "x,kind\n1,a\n1,a\n2,b\n2,b\n").label_candidates();
    assert_eq!(last[0].reason, "is the last column and has 2 distinct values");
    let constant = survey("t.csv", "x,label\n1,a\n2,a\n").label_candidates();
    assert!(constant.is_empty(), "a constant is no label: {constant:?}");
}

#[test]
fn a_survey_keeps_no_more_than_its_limits_and_says_what_it_knows_in_part() {
    let mut text = "a,b\n".to_owned();
    for i in 0..1000 {
        writeln!(text, "{},{}", (i * 7) % 1000, i % 3).unwrap();
    }
    let limits = Limits {
        distinct: 100,
        ..Limits::default()
    };
    let found = survey_with("t.csv", &text, limits);
    assert_eq!(found.columns[0].distinct, Distinct::AtLeast(100));
    assert_eq!(found.columns[1].distinct, Distinct::Exactly(3));
    let found = survey_with("t.csv", &text, Limits { kept: 50, ..limits });
    let Distinct::AtLeast(kept) = found.columns[0].distinct else {
        panic!("there is room for 50 in all");
    };
    assert!(kept < 50, "{kept}");
    let found = survey_with("t.csv", &text, Limits { rows: 10, ..limits });
    assert_eq!((found.rows, found.is_part), (10, true));
    let found = survey_with("t.csv", &text, Limits { rows: 1000, ..limits });
    assert_eq!((found.rows, found.is_part), (1000, false));
}

#[test]
fn objects_whose_names_are_values_are_refused_before_they_fill_the_memory() {
    let text: Vec<String> = (0..20_000).map(|i| format!("{{\"k{i}\":1}}")).collect();
    let (_folder, data) = data("t.jsonl", &text.join("\n"));
    let error = Survey::of(&data, Limits::default()).unwrap_err().to_string();
    assert!(error.contains("line 16385: brings more than 16384 members"), "{error}");
}
