//! From a model and a data set to a running pipeline, by the commands alone; then what its profile and a policy promise.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use eddy_tests::kafka::Message;
use eddy_tests::oracle::Outputs;
use eddy_tests::service::{Replica, said, wait_for};
use eddy_tests::stage::{Event, Stage};
use serde_json::{Map, Value};

use crate::{BINARY, EXACTLY_ONCE, PICK, stage};

const ROWS: usize = 3_000;

/// A pipeline that `eddy init` wrote, with the topics of a stage of its own.
pub(crate) struct Onboarded {
    pub(crate) stage: Stage,
    temporary: tempfile::TempDir,
    report: String,
}

impl Onboarded {
    /// By `eddy init` from an example's model and these lines of CSV.
    fn new(name: &str, example: &str, csv: &str) -> Self {
        Self::over(stage(name, EXACTLY_ONCE, PICK), example, csv)
    }

    /// The same with the topics of this stage, whose file is not used.
    pub(crate) fn over(stage: Stage, example: &str, csv: &str) -> Self {
        let temporary = tempfile::tempdir().expect("a temporary folder");
        // The pipeline and its model are called like this.
        let folder = temporary.path().join(example);
        std::fs::create_dir(&folder).expect("the temporary folder takes a folder");
        let at = |name: &str| folder.join(name);
        let model = eddy_tests::stage::examples().join(example).join("model.onnx");
        std::fs::copy(model, at("model.onnx")).expect("the example is there");
        std::fs::write(at("train.csv"), csv).expect("the temporary folder takes a file");
        let output = Command::new(BINARY)
            .arg("init")
            .arg("--model")
            .arg(at("model.onnx"))
            .arg("--data")
            .arg(at("train.csv"))
            .output()
            .expect("the program under test was built with the tests");
        said(&output, 0);
        Self {
            report: String::from_utf8(output.stdout).expect("it speaks UTF-8"),
            stage,
            temporary,
        }
    }

    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.file().with_file_name(name)
    }

    fn file(&self) -> PathBuf {
        let only = std::fs::read_dir(self.temporary.path()).expect("it is there").next();
        only.expect("a folder")
            .expect("it can be read")
            .path()
            .join("pipeline.toml")
    }

    /// Where it is reached, and which topics are whose.
    fn settings(&self) -> Vec<(String, String)> {
        let topics = ["events", "predictions", "retraining", "dead-letters"];
        let topics = topics.map(|topic| {
            let key = format!("EDDY__TOPICS__{}", topic.replace('-', "_").to_uppercase());
            (key, self.stage.topic(topic))
        });
        let kafka = [
            ("EDDY__KAFKA__BROKERS".to_owned(), self.stage.kafka().bootstrap()),
            ("EDDY__KAFKA__GROUP".to_owned(), self.stage.group()),
        ];
        topics.into_iter().chain(kafka).collect()
    }

    pub(crate) fn start(&self, name: &str, more: &[(&str, &str)]) -> Replica {
        let settings = self.settings();
        let pairs = settings.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let settings: Vec<_> = pairs.chain(more.iter().copied()).collect();
        Replica::start(BINARY, &self.file(), name, &settings)
    }

    fn wait_for_end(&self, replica: &mut Replica) {
        wait_for("every event to be committed", || {
            assert!(replica.is_running(), "the replica ended by itself: {}", replica.log());
            (self.stage.lag() == 0).then_some(())
        });
    }

    fn run(&self, more: &[(&str, &str)]) -> Outputs {
        let mut replica = self.start("replica-0", more);
        self.wait_for_end(&mut replica);
        assert_eq!(replica.terminate().code(), Some(0), "{}", replica.log());
        self.stage.outputs()
    }

    pub(crate) fn eddy(&self, words: &[&str]) -> String {
        let output = Command::new(BINARY)
            .args(words)
            .envs(self.settings())
            .output()
            .expect("the program under test was built with the tests");
        said(&output, 0);
        String::from_utf8(output.stdout).expect("it speaks UTF-8")
    }

    /// The table `[select]` that init wrote.
    pub(crate) fn selection(&self) -> String {
        let text = std::fs::read_to_string(self.file()).expect("it was written");
        let (_, selection) = text.split_once("[select]").expect("init writes [select]");
        format!("[select]{selection}")
    }

    /// Adds lines to the pipeline file: `text` goes below `[[models]]`, `tables` to the end.
    pub(crate) fn write(&self, model: &str, tables: &str) {
        let text = std::fs::read_to_string(self.file()).expect("it was written");
        let (before, selection) = text.split_once("# Which events also go").expect("init writes [select]");
        assert!(selection.contains("[select]"));
        let text = before.replacen("[[models]]", &format!("[[models]]\n{model}"), 1) + tables;
        std::fs::write(self.file(), text).expect("the temporary folder takes a file");
    }
}

/// The rows of a CSV file, each as the event that a producer would write and with its label; gaps are left out.
pub(crate) fn rows(csv: &str, label: &str) -> Vec<(Map<String, Value>, String)> {
    let mut lines = csv.lines();
    let names: Vec<&str> = lines.next().expect("a line of names").split(',').collect();
    let row = |line: &str| {
        let mut members = Map::new();
        let mut its_label = String::new();
        for (name, cell) in names.iter().zip(line.split(',')) {
            if *name == label {
                cell.clone_into(&mut its_label);
            } else if let Ok(number) = cell.parse::<f64>() {
                // Whole numbers are written as such.
                let whole = number.fract() == 0.0;
                members.insert(
                    (*name).to_owned(),
                    if whole {
                        Value::from(number as i64)
                    } else {
                        Value::from(number)
                    },
                );
            } else if !cell.is_empty() {
                members.insert((*name).to_owned(), Value::from(cell));
            }
        }
        (members, its_label)
    };
    lines.map(row).collect()
}

pub(crate) fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/init").join(name);
    std::fs::read_to_string(path).expect("the fixture is there")
}

/// The passengers of the Titanic several times over, no two the same: ages and fares differ by a little.
pub(crate) fn passengers(csv: &str) -> String {
    let mut lines = csv.lines();
    let mut text = format!("{}\n", lines.next().expect("a line of names"));
    let lines: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    for number in 0..ROWS {
        let line = &lines[number % lines.len()];
        let turn = (number / lines.len()) as f64;
        for (at, cell) in line.iter().enumerate() {
            let gap = if at == 0 { "" } else { "," };
            match cell.parse::<f64>() {
                // `age` and `fare`.
                Ok(value) if at == 5 || at == 6 => write!(text, "{gap}{:.3}", value + turn / 8.0),
                _ => write!(text, "{gap}{cell}"),
            }
            .expect("writing to a String cannot fail");
        }
        text.push('\n');
    }
    text
}

fn value(message: &Message) -> Value {
    serde_json::from_slice(message.value.as_deref().expect("it has a value")).expect("it is JSON")
}

fn send(stage: &Stage, rows: &[(Map<String, Value>, String)]) {
    let event = |(number, (members, _)): (usize, &(Map<String, Value>, String))| {
        Event::new(Value::from(members.clone()).to_string()).named(&number.to_string())
    };
    stage.send(&rows.iter().enumerate().map(event).collect::<Vec<_>>());
}

#[test]
fn a_model_and_its_data_become_a_running_pipeline_that_is_as_accurate_on_the_stream_as_on_the_data() {
    let csv = fixture("cancer.csv");
    let onboarded = Onboarded::new("onboarded", "cancer", &csv);
    let rows = rows(&csv, "diagnosis");
    send(&onboarded.stage, &rows);
    let outputs = onboarded.run(&[]);
    assert_eq!((outputs.predictions.len(), outputs.dead_letters.len()), (rows.len(), 0));
    let right = outputs.predictions.iter().filter(|message| {
        let number: usize = message
            .header("eddy.id")
            .and_then(|id| id.parse().ok())
            .expect("a number");
        let prediction = value(message);
        let (_, model) = prediction["models"]
            .as_object()
            .and_then(|models| models.iter().next())
            .expect("a model");
        model["label"] == rows[number].1.as_str()
    });
    let accuracy = right.count() as f64 / rows.len() as f64;
    let said = format!("accuracy     {accuracy:.4} on {} rows", rows.len());
    assert!(onboarded.report.contains(&said), "{said}: {}", onboarded.report);
}

#[test]
fn thresholds_of_a_profile_quotas_and_operating_points_hold_on_the_stream() {
    let csv = passengers(&fixture("titanic.csv"));
    let onboarded = Onboarded::new("operating", "titanic", &csv);
    assert!(onboarded.beside("profile.json").exists(), "{}", onboarded.report);
    onboarded.write(
        "signals = [\"margin\", \"mahalanobis\", \"knn\"]",
        "[policy]\npath = \"policy.toml\"\n[select]\nfraction = 1.0\n",
    );
    let policy = "format = 1
[select]
fraction = 0.2
shares = { explore = 0, uncertainty = 0.5, anomaly = 0.5 }
anomaly = { signal = \"mahalanobis\", false_alarms = 0.05 }
segments = { field = \"sex\", most = 0.3 }
duplicates = { suppress = false }
[models.titanic]
threshold = 0.9
field = \"sex\"
thresholds = { female = 0.2 }
";
    std::fs::write(onboarded.beside("policy.toml"), policy).expect("the folder takes a file");
    let rows = rows(&csv, "survived");
    send(&onboarded.stage, &rows);
    let outputs = onboarded.run(&[("EDDY__EVENTS__PASS_THROUGH", "[\"/sex\"]")]);
    assert_eq!((outputs.predictions.len(), outputs.dead_letters.len()), (ROWS, 0));

    let of_row = |message: &Message| {
        let number: usize = message
            .header("eddy.id")
            .and_then(|id| id.parse().ok())
            .expect("a number");
        rows[number].0["sex"].as_str().expect("everybody has one").to_owned()
    };
    let mut decided = [0; 2];
    for message in &outputs.predictions {
        let model = value(message)["models"]["titanic"].clone();
        let survives = model["probabilities"][1].as_f64().expect("a probability");
        let threshold = if of_row(message) == "female" { 0.2 } else { 0.9 };
        let expected = if survives >= threshold { "survived" } else { "died" };
        assert_eq!(model["label"], expected, "{model}");
        decided[usize::from((survives >= 0.5) != (survives >= threshold))] += 1;
        // It costs much and decides nothing, so it is there for selected events alone.
        let is_selected = model["flags"].as_array().is_some_and(|flags| !flags.is_empty());
        assert_eq!(model["signals"]["knn"].is_number(), is_selected, "{model}");
        assert!(model["signals"]["mahalanobis"].is_number(), "{model}");
    }
    assert!(
        decided[1] > 20,
        "some are decided otherwise than at a half: {decided:?}"
    );

    let id = outputs.samples[0].header("eddy.id").expect("a sample has an id");
    let story = onboarded.eddy(&["why", &onboarded.file().display().to_string(), id, "--json"]);
    let story: Value = serde_json::from_str(&story).expect("it is JSON");
    let threshold = &story["thresholds"]["models"]["titanic"]["ordinary_up_to"]["mahalanobis"];
    let threshold = threshold.as_f64().expect("the profile certifies it");
    let (mut anomalous, mut by_sex) = (0, [0; 2]);
    for sample in &outputs.samples {
        let selection: Value =
            serde_json::from_str(sample.header("eddy.selection").expect("a selection")).expect("JSON");
        by_sex[usize::from(of_row(sample) == "female")] += 1;
        if selection[0]["arms"]
            .as_array()
            .expect("arms")
            .contains(&"anomaly".into())
        {
            let score = selection[0]["scores"]["mahalanobis"].as_f64().expect("a score");
            assert!(score > threshold, "{score} is not above {threshold}");
            let features = selection[0]["features"].as_object().map_or(0, Map::len);
            assert!((1..=3).contains(&features), "{selection}");
            anomalous += 1;
        }
    }
    assert!(anomalous > 20, "{anomalous} of {}", outputs.samples.len());
    // A quota of three tenths of 600, and what a segment may save up.
    assert!(by_sex.iter().all(|count| (50..=190).contains(count)), "{by_sex:?}");
}

/// The counts of a page by feature and bin.
fn bins_of(page: &str) -> BTreeMap<(String, String), u64> {
    let lines = page.lines().filter(|line| line.starts_with("eddy_feature_bin_total{"));
    let label = |line: &str, name: &str| -> String {
        let (_, rest) = line
            .split_once(&format!("{name}=\""))
            .expect("the series has the label");
        rest.split('"').next().unwrap_or_default().to_owned()
    };
    let count = |line: &str| {
        line.rsplit(' ')
            .next()
            .and_then(|value| value.parse().ok())
            .expect("a count")
    };
    lines
        .map(|line| ((label(line, "feature"), label(line, "bin")), count(line)))
        .collect()
}

/// What a profile counted in its bins.
fn bins_of_profile(profile: &Value) -> BTreeMap<(String, String), u64> {
    let mut bins = BTreeMap::new();
    for feature in profile["features"].as_array().expect("features") {
        let (kind, feature) = feature
            .as_object()
            .and_then(|only| only.iter().next())
            .expect("a feature");
        let labels = super::prometheus::labels(kind, feature);
        let name = feature["name"].as_str().expect("a name");
        for (label, count) in labels.into_iter().zip(feature["counts"].as_array().expect("counts")) {
            bins.insert((name.to_owned(), label), count.as_u64().expect("a count"));
        }
    }
    bins
}

#[test]
fn the_data_of_a_profile_as_a_stream_are_counted_as_the_profile_counted_them_and_a_kill_doubles_nothing() {
    let csv = passengers(&fixture("titanic.csv"));
    let onboarded = Onboarded::new("counted", "titanic", &csv);
    let profile = std::fs::read(onboarded.beside("profile.json")).expect("there are enough rows for one");
    let expected = bins_of_profile(&serde_json::from_slice(&profile).expect("it is JSON"));
    let rows = rows(&csv, "survived");
    send(&onboarded.stage, &rows);
    let mut replica = onboarded.start("replica-0", &[]);
    onboarded.wait_for_end(&mut replica);
    let counted = wait_for("the books to be shown", || {
        let counted = bins_of(&replica.get("/metrics")?);
        (counted.values().sum::<u64>() == expected.values().sum::<u64>()).then_some(counted)
    });
    assert_eq!(counted, expected);

    // What a killed replica had shown, and what the next one shows, is no more than there was.
    const TIMES: u64 = 5;
    (0..TIMES).for_each(|_| send(&onboarded.stage, &rows));
    wait_for("some of it to be shown", || {
        (bins_of(&replica.get("/metrics")?) != expected).then_some(())
    });
    let shown = bins_of(&replica.get("/metrics").expect("it answers"));
    replica.kill();
    let mut next = onboarded.start("replica-1", &[]);
    onboarded.wait_for_end(&mut next);
    let both = wait_for("the next replica's books to be shown", || {
        let page = next.get("/metrics")?;
        let counted = bins_of(&page);
        let is_done = !counted.is_empty() && page.contains("eddy_events_in_flight{pipeline=\"titanic\"} 0");
        let sum = counted
            .into_iter()
            .map(|(bin, count)| (bin.clone(), count + shown[&bin]));
        is_done.then(|| sum.collect::<BTreeMap<_, _>>())
    });
    for (bin, count) in &expected {
        let all = count * (1 + TIMES);
        assert!(both[bin] <= all, "{bin:?}: {} of {all}", both[bin]);
    }
    assert_eq!(next.terminate().code(), Some(0), "{}", next.log());
    assert_eq!(onboarded.stage.outputs().predictions.len(), ROWS * (1 + TIMES as usize));
}
