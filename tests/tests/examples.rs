//! The example pipelines of `config/`: their predictions are those of the framework that trained the model.
//!
//! Each folder's `expected.jsonl` was written by that framework (never by ONNX Runtime); `eddy test` compares it with the
//! JSON that a reader of the predictions topic gets. What a comparison must find is tried here too.

use std::path::{Path, PathBuf};
use std::process::Command;

use eddy_tests::kafka::{Isolation, Kafka};
use eddy_tests::service::{Replica, wait_for};
use eddy_tests::stage::{self, Event};
use serde_json::{Value, json};
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_eddy-under-test");
/// What two runtimes may differ by, relative for numbers above one.
const TOLERANCE: f64 = 1e-4;

/// What the program says with these words about a pipeline file, and its exit code. Kafka is never there: port 1 is
/// nobody's.
fn eddy(words: &[&str], file: &Path) -> (Option<i32>, String, String) {
    let output = Command::new(BINARY)
        .args(words)
        .arg(file)
        .env("EDDY__KAFKA__BROKERS", "127.0.0.1:1")
        .output()
        .expect("the program under test was built with the tests");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("it speaks UTF-8");
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// The folders that hold an example.
fn examples() -> Vec<PathBuf> {
    let folders = std::fs::read_dir(stage::examples()).unwrap();
    let mut folders: Vec<PathBuf> = folders.map(|entry| entry.unwrap().path()).collect();
    folders.retain(|folder| folder.join("pipeline.toml").exists());
    folders.sort();
    assert!(folders.len() >= 8, "{folders:?}");
    folders
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// An example in a folder that can be written: its files are links, but for those that stand beside the pipeline file to
/// test it.
struct Copied {
    folder: TempDir,
}

impl Copied {
    fn of(example: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(example).unwrap() {
            let path = entry.unwrap().path();
            let copy = folder.path().join(path.file_name().unwrap());
            match path.extension().and_then(|ending| ending.to_str()) {
                Some("jsonl" | "toml") => drop(std::fs::copy(&path, &copy).unwrap()),
                _ => std::os::unix::fs::symlink(std::fs::canonicalize(&path).unwrap(), &copy).unwrap(),
            }
        }
        Self { folder }
    }

    fn named(name: &str) -> Self {
        Self::of(&stage::examples().join(name))
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn expected(&self) -> Vec<Value> {
        lines(&self.at("expected.jsonl"))
    }

    fn write(&self, name: &str, lines: &[Value]) {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(self.at(name), text).unwrap();
    }

    /// Changes what is expected.
    fn expect(&self, change: impl FnOnce(&mut Vec<Value>)) {
        let mut expected = self.expected();
        change(&mut expected);
        self.write("expected.jsonl", &expected);
    }

    fn test(&self, words: &[&str]) -> (Option<i32>, String, String) {
        eddy(&[&["test"], words].concat(), &self.at("pipeline.toml"))
    }
}

#[test]
fn every_example_predicts_what_the_framework_that_trained_it_predicts() {
    for example in examples() {
        let expected = lines(&example.join("expected.jsonl"));
        assert!(expected.len() >= 60, "{}", example.display());
        let is_about_numbers = |line: &Value| {
            let models = line["models"].as_object().unwrap().values();
            models
                .flat_map(|model| model.as_object().unwrap().values())
                .any(|value| value.is_f64() || value.is_array())
        };
        assert!(expected.iter().all(is_about_numbers), "{}", example.display());
        let (code, said, error) = eddy(&["test"], &example.join("pipeline.toml"));
        assert_eq!(code, Some(0), "{said}{error}");
        let words = format!("{} events, {} as expected", expected.len(), expected.len());
        assert!(said.contains(&words), "{said}");
    }
}

#[test]
fn an_expectation_that_is_changed_fails_by_the_name_of_the_event_and_the_path() {
    for example in examples() {
        let copied = Copied::of(&example);
        let (mut id, mut path) = (String::new(), String::new());
        copied.expect(|lines| {
            let line = &mut lines[7];
            id = line["id"].as_str().unwrap().to_owned();
            let (model, says) = line["models"].as_object_mut().unwrap().iter_mut().next().unwrap();
            let mut members = says.as_object_mut().unwrap().iter_mut();
            let (member, value) = members
                .find(|(_, value)| value.is_f64() || numbers(value).is_some())
                .unwrap();
            path = format!("models.{model}.{member}");
            match value {
                Value::Array(items) => {
                    items[1] = json!(items[1].as_f64().unwrap() + 0.000_5);
                    path.push_str("[1]");
                }
                number => *number = json!(number.as_f64().unwrap() * 1.01 + 0.01),
            }
        });
        let (code, said, error) = copied.test(&[]);
        assert_eq!(code, Some(78), "{said}{error}");
        assert!(said.contains(&format!("\n{id} (")), "{id}: {said}");
        assert!(said.contains("expected.jsonl:8)"), "{said}");
        assert!(said.contains(&format!("\n  {path}: expected ")), "{path}: {said}");
        assert_eq!(said.matches(": expected ").count(), 1, "nothing else differs: {said}");
        // What is wrong by that much is right with a tolerance that bears it.
        let (code, said, _) = copied.test(&["--tolerance", "0.5"]);
        assert_eq!(code, Some(0), "{said}");
    }
}

/// The numbers of a list of them.
fn numbers(value: &Value) -> Option<Vec<f64>> {
    let items = value.as_array().filter(|items| !items.is_empty())?;
    items.iter().map(Value::as_f64).collect()
}

#[test]
fn what_was_selected_and_what_was_passed_through_is_compared_too() {
    let cancer = Copied::named("cancer");
    cancer.expect(|lines| lines[0]["models"]["cancer"]["flags"] = json!(["uncertainty"]));
    let (code, said, _) = cancer.test(&[]);
    assert_eq!(code, Some(78));
    assert!(
        said.contains("models.cancer.flags: expected [\"uncertainty\"], got []"),
        "{said}"
    );
    let diabetes = Copied::named("diabetes");
    diabetes.expect(|lines| lines[3]["fields"]["label"] = json!(128.000_1));
    let (code, said, _) = diabetes.test(&[]);
    assert_eq!(code, Some(78));
    assert!(said.contains("fields.label: expected 128.0001, got 128"), "{said}");
}

#[test]
fn dead_letters_are_expected_with_their_reasons() {
    let diabetes = Copied::named("diabetes");
    let mut events = lines(&diabetes.at("events.jsonl"));
    events[0]["age"] = json!(180);
    events[1].as_object_mut().unwrap().remove("bmi");
    diabetes.write("events.jsonl", &events);
    let (code, said, _) = diabetes.test(&[]);
    assert_eq!(code, Some(78));
    let told = "diabetes-228 (events.jsonl:1, expected.jsonl:1)\n  dead_letter: expected a prediction, got {";
    assert!(said.contains(told) && said.contains("out_of_range"), "{said}");
    diabetes.expect(|lines| {
        lines[0] = json!({"id": "diabetes-228", "dead_letter": {"stage": "validate", "reason": "out_of_range"}});
        lines[1] = json!({"id": "diabetes-231", "dead_letter": {"reason": "missing_field"}});
    });
    let (code, said, error) = diabetes.test(&[]);
    assert_eq!(code, Some(0), "{said}{error}");
    diabetes.expect(|lines| lines[1]["dead_letter"]["reason"] = json!("not_finite"));
    let (code, said, _) = diabetes.test(&[]);
    assert_eq!(code, Some(78));
    let told = "dead_letter.reason: expected \"not_finite\", got \"missing_field\"";
    assert!(said.contains(told), "{said}");
}

#[test]
fn missing_and_surplus_events_are_told_and_an_update_brings_the_file_up_to_date() {
    let cancer = Copied::named("cancer");
    let before = cancer.expected();
    cancer.expect(|lines| {
        let mut gone = lines.remove(5);
        gone["id"] = "nobody".into();
        lines.insert(2, gone);
        lines[0]["models"]["cancer"]["label"] = "malignant".into();
    });
    let (code, said, _) = cancer.test(&[]);
    assert_eq!(code, Some(78));
    let surplus = before[5]["id"].as_str().unwrap();
    for part in [
        "60 events, 58 as expected",
        "models.cancer.label: expected \"malignant\", got \"benign\"",
        "nobody (expected.jsonl:3): it is expected, and no event has this id",
        &format!("{surplus} (events.jsonl:6): nothing is expected of this event"),
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let (code, said, error) = cancer.test(&["--update"]);
    assert_eq!(code, Some(0), "{error}");
    assert!(said.contains("written anew: 1 changed, 1 added, 1 removed"), "{said}");
    let after = cancer.expected();
    assert_eq!(
        after[..5],
        before[..5],
        "what was expected of them is so again, by the same members"
    );
    assert_eq!(after[6..], before[6..]);
    assert_eq!(after[5]["id"], before[5]["id"]);
    assert_eq!(
        after[5]["models"]["cancer"]["label"],
        before[5]["models"]["cancer"]["label"]
    );
    let (code, ..) = cancer.test(&[]);
    assert_eq!(code, Some(0));
    // Nothing to change: not a byte is.
    let text = std::fs::read_to_string(cancer.at("expected.jsonl")).unwrap();
    let (code, said, _) = cancer.test(&["--update"]);
    assert_eq!((code, said.contains("written anew")), (Some(0), false), "{said}");
    assert_eq!(std::fs::read_to_string(cancer.at("expected.jsonl")).unwrap(), text);
}

#[test]
fn a_first_update_writes_expectations_and_without_it_their_want_is_an_error() {
    let titanic = Copied::named("titanic");
    std::fs::remove_file(titanic.at("expected.jsonl")).unwrap();
    let (code, said, error) = titanic.test(&[]);
    assert_eq!((code, said.as_str()), (Some(78), ""));
    assert!(
        error.contains("expected.jsonl is not there") && error.contains("--update"),
        "{error}"
    );
    let (code, said, _) = titanic.test(&["--update"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("0 changed, 60 added, 0 removed"), "{said}");
    // What it wrote is what the framework says, and more.
    for (got, wanted) in titanic
        .expected()
        .iter()
        .zip(lines(&stage::examples().join("titanic/expected.jsonl")))
    {
        assert_holds(got, &wanted, &wanted["id"].to_string());
    }
}

#[test]
fn limits_are_kept_and_named() {
    let cancer = Copied::named("cancer");
    let (code, said, error) = cancer.test(&["--events", "59"]);
    assert_eq!((code, said.as_str()), (Some(78), ""));
    assert!(
        error.contains("events.jsonl: has more than 59") && error.contains("--events"),
        "{error}"
    );
    let (code, _, error) = cancer.test(&["--bytes", "4KiB"]);
    assert_eq!(code, Some(78));
    assert!(
        error.contains("more than 4 KiB") && error.contains("--bytes"),
        "{error}"
    );
    let (code, said, error) = cancer.test(&["--events", "60"]);
    assert_eq!(code, Some(0), "{said}{error}");
}

#[test]
fn for_scripts_the_findings_are_one_json_document() {
    let cancer = Copied::named("cancer");
    cancer.expect(|lines| lines[0]["models"]["cancer"]["label"] = "malignant".into());
    let (code, said, _) = cancer.test(&["--json"]);
    assert_eq!(code, Some(78));
    let report: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&report["passed"], &report["events"]), (&json!(false), &json!(60)));
    let differences = json!([{"path": "models.cancer.label", "expected": "malignant", "got": "benign"}]);
    let [finding] = &report["findings"].as_array().unwrap()[..] else {
        panic!("{said}");
    };
    assert_eq!(
        (&finding["id"], &finding["differences"]),
        (&json!("cancer-394"), &differences)
    );
    let report: Value =
        serde_json::from_str(&eddy(&["test", "--json"], &stage::examples().join("cancer/pipeline.toml")).1).unwrap();
    assert_eq!((&report["passed"], &report["findings"]), (&json!(true), &json!([])));
}

#[test]
fn under_a_label_budget_flags_are_not_compared_and_that_is_said() {
    let cancer = Copied::named("cancer");
    let text = std::fs::read_to_string(cancer.at("pipeline.toml")).unwrap();
    let text = text.replace("confidence_below = 0.8", "fraction = 0.1");
    std::fs::write(cancer.at("pipeline.toml"), text).unwrap();
    cancer.expect(|lines| lines[0]["models"]["cancer"]["flags"] = json!(["anomaly"]));
    let (code, said, error) = cancer.test(&[]);
    assert_eq!(code, Some(0), "{said}{error}");
    assert!(said.contains("`flags` are not compared"), "{said}");
}

#[test]
fn every_example_is_sound_without_kafka_and_the_report_says_what_was_not_asked() {
    for example in examples() {
        let (code, said, error) = eddy(&["check", "--offline"], &example.join("pipeline.toml"));
        assert_eq!(code, Some(0), "{said}{error}");
        for part in [
            "is sound",
            "Kafka was not asked",
            "--offline",
            "Prometheus: ",
            "series of each replica",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
    let (code, ..) = eddy(&["check"], &stage::examples().join("cancer/pipeline.toml"));
    assert_eq!(code, Some(69), "with Kafka, nobody is there");
}

/// Whether a prediction has all of what is expected, written without Eddy's own comparison.
fn assert_holds(got: &Value, wanted: &Value, context: &str) {
    match wanted {
        Value::Object(members) => {
            for (name, wanted) in members {
                assert_holds(&got[name], wanted, &format!("{context}, {name}"));
            }
        }
        Value::Array(items) => {
            let found = got.as_array().unwrap_or_else(|| panic!("{context}: {got}"));
            assert_eq!(found.len(), items.len(), "{context}");
            for (got, wanted) in found.iter().zip(items) {
                assert_holds(got, wanted, context);
            }
        }
        Value::Number(number) => {
            let wanted = number.as_f64().unwrap();
            let off = (got.as_f64().unwrap_or(f64::NAN) - wanted).abs();
            assert!(
                off <= TOLERANCE * wanted.abs().max(1.0),
                "{context}: {got} instead of {wanted}"
            );
        }
        other => assert_eq!(got, other, "{context}"),
    }
}

/// The events of an example as a producer writes them. An image cannot hold its id; a header does.
fn events(example: &Path) -> Vec<Event> {
    if let Ok(text) = std::fs::read_to_string(example.join("events.jsonl")) {
        return text.lines().map(Event::new).collect();
    }
    let expected = lines(&example.join("expected.jsonl"));
    let ids = expected.iter().map(|line| line["id"].as_str().unwrap());
    ids.map(|id| {
        let image = std::fs::read(example.join("events").join(format!("{id}.png"))).unwrap();
        Event::new(image).header("id", id)
    })
    .collect()
}

/// `eddy run config/NAME/pipeline.toml` as it stands there; only addresses and names of topics come from outside.
fn runs_on_kafka(name: &str) {
    let (kafka, example) = (Kafka::shared(), stage::examples().join(name));
    let topic = |suffix: &str| format!("example-{name}-{suffix}");
    for suffix in ["events", "predictions", "retraining", "dead-letters"] {
        kafka.create_topic(&topic(suffix), 1, &[]);
    }
    stage::send(kafka, &topic("events"), &events(&example));
    let log = tempfile::tempdir().unwrap();
    let settings = [
        ("EDDY__KAFKA__BROKERS", kafka.bootstrap()),
        ("EDDY__TOPICS__EVENTS", topic("events")),
        ("EDDY__TOPICS__PREDICTIONS", topic("predictions")),
        ("EDDY__TOPICS__RETRAINING", topic("retraining")),
        ("EDDY__TOPICS__DEAD_LETTERS", topic("dead-letters")),
    ];
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut replica = Replica::start_logging_to(log.path(), BINARY, &example.join("pipeline.toml"), &settings);
    wait_for("every event to be committed", || {
        assert!(replica.is_running(), "{}", replica.log());
        let lag = kafka.lag(&format!("eddy-{name}"), &topic("events"));
        (lag == 0).then_some(())
    });
    assert_eq!(replica.terminate().code(), Some(0), "{}", replica.log());

    let read = |suffix| kafka.read_all(&topic(suffix), Isolation::ReadCommitted);
    let predictions = read("predictions");
    let json =
        |message: &eddy_tests::kafka::Message| serde_json::from_slice(message.value.as_deref().unwrap()).unwrap();
    let predictions: Vec<Value> = predictions.iter().map(json).collect();
    let expected = lines(&example.join("expected.jsonl"));
    assert_eq!(predictions.len(), expected.len());
    for (prediction, wanted) in predictions.iter().zip(&expected) {
        assert_holds(prediction, wanted, &wanted["id"].to_string());
    }
    assert!(read("dead-letters").is_empty());
    let flagged = predictions.iter().filter(|prediction| {
        let mut models = prediction["models"].as_object().unwrap().values();
        models.any(|model| model["flags"] != json!([]))
    });
    assert_eq!(
        read("retraining").len(),
        flagged.count(),
        "what is flagged flows back, and nothing else"
    );
}

#[test]
fn digits_stream_through_a_real_kafka() {
    runs_on_kafka("digits");
}

#[test]
fn cancer_streams_through_a_real_kafka() {
    runs_on_kafka("cancer");
}
