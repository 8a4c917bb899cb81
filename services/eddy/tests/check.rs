//! `eddy check` on pipelines with faults of every layer. Kafka is never there: port 1 is nobody's.

use std::path::Path;

use eddy::assemble::assemble;
use eddy::check::{Findings, examine, examine_offline};
use eddy::file;
use eddy_broker::embedded::EmbeddedBroker;
use eddy_host::ExitCode;

const NOBODY: (&str, &str) = ("EDDY__KAFKA__BROKERS", "127.0.0.1:1");

fn example(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config").join(name)
}

fn findings(file: &Path, variables: &[(&str, &str)]) -> Findings {
    let variables = variables.iter().chain([&NOBODY]);
    let variables = variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    examine(file, variables).expect_err("nobody listens at port 1")
}

fn lines(findings: &Findings) -> Vec<String> {
    findings.to_string().lines().map(str::to_owned).collect()
}

/// What is wrong with the digits example under a variable, once its model is loaded.
fn misfits((name, value): (&str, &str)) -> String {
    let variables = [(name.to_owned(), value.to_owned())];
    let pipeline = file::load(&example("digits").join("pipeline.toml"), variables).unwrap();
    assemble(&pipeline).expect_err("it is wrong on purpose").to_string()
}

/// The lines of what is wrong with a text, without models and brokers.
fn problems(text: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipeline.toml");
    std::fs::write(&path, text).unwrap();
    let problems = file::load(&path, []).expect_err("the text is wrong on purpose");
    let prefix = format!("{}/", folder.path().display());
    problems
        .to_string()
        .lines()
        .map(|line| line.replace(&prefix, ""))
        .collect()
}

#[test]
fn a_sound_file_without_brokers_is_unreachable_and_not_wrong() {
    let findings = findings(&example("digits").join("pipeline.toml"), &[]);
    assert_eq!(findings.exit_code(), ExitCode::Unreachable, "{findings}");
    assert!(findings.problems.is_empty());
}

#[test]
fn offline_neither_brokers_nor_secrets_are_needed_and_all_else_is_looked_at() {
    let offline = |more: &[(&str, &str)]| {
        let variables = more
            .iter()
            .chain([&NOBODY, &("EDDY__ADMIN__TOKEN", r#"{ file = "no-such-token" }"#)]);
        let variables = variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        examine_offline(&example("digits").join("pipeline.toml"), variables)
    };
    let registry = [("EDDY__REGISTRY__URL", "http://127.0.0.1:1")];
    let report = offline(&registry).unwrap_or_else(|error| panic!("{error}")).to_string();
    for part in [
        "pipeline.toml is sound",
        "model digits 1",
        "Kafka was not asked, and no secret was read (--offline)",
        "Prometheus: ",
        "series of the partitions of the events topic are not among them",
        "schema registry\n  not asked (--offline)",
    ] {
        assert!(report.contains(part), "`{part}` is missing in:\n{report}");
    }
    assert!(!report.contains("topics.dead_letters"), "{report}");
    let findings = offline(&[("EDDY__MODELS__0__PATH", "no-such-model.onnx")]).expect_err("there is no model");
    assert_eq!(findings.exit_code(), ExitCode::Configuration);
    assert_eq!(findings.unreachable, None);
    assert!(findings.to_string().contains("no-such-model.onnx"), "{findings}");
}

#[test]
fn a_sound_pipeline_is_described_with_its_models_topics_and_sessions() {
    let broker = EmbeddedBroker::start().unwrap();
    for topic in ["events", "predictions", "retraining", "dead-letters"] {
        broker.create_topic(topic, 2).unwrap();
    }
    let bootstrap = broker.bootstrap();
    let variables = [
        ("EDDY__KAFKA__BROKERS", bootstrap.as_str()),
        ("EDDY__KAFKA__LANES", "2"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let report = examine(&example("digits").join("pipeline.toml"), variables).unwrap_or_else(|error| panic!("{error}"));
    let report = report.to_string();
    for line in [
        "model digits 1",
        "input     `image` float32[N,1,8,8] from image",
        "output    `logits` float32[N,10]",
        "head      classification",
        "provider  cpu",
        "topics.dead_letters  dead-letters (2 partitions)",
        "2 lanes × 1 model: 2 sessions",
        "each further lane: ",
    ] {
        assert!(report.contains(line), "`{line}` is missing in:\n{report}");
    }
}

#[test]
fn a_missing_topic_is_a_problem_at_the_key_that_names_it() {
    let broker = EmbeddedBroker::start().unwrap();
    for topic in ["events", "predictions", "retraining"] {
        broker.create_topic(topic, 2).unwrap();
    }
    let bootstrap = broker.bootstrap();
    let variables = [("EDDY__KAFKA__BROKERS".to_owned(), bootstrap)];
    let findings = examine(&example("digits").join("pipeline.toml"), variables).expect_err("a topic is missing");
    assert_eq!(findings.exit_code(), ExitCode::Configuration, "{findings}");
    assert!(findings.to_string().contains("`topics.dead_letters`: "), "{findings}");
}

#[test]
fn a_model_that_does_not_load_does_not_hide_the_brokers() {
    let file = example("digits").join("pipeline.toml");
    let findings = findings(&file, &[("EDDY__MODELS__0__PATH", "no-such-model.onnx")]);
    assert_eq!(findings.exit_code(), ExitCode::Configuration);
    assert!(findings.unreachable.is_some(), "{findings}");
    let lines = lines(&findings);
    assert!(
        lines[0].starts_with("environment variable EDDY__MODELS__0__PATH: `models[0].path`: "),
        "{lines:?}"
    );
    assert!(lines[0].contains("no-such-model.onnx"), "{lines:?}");
}

#[test]
fn a_wrong_digest_is_reported_at_its_key() {
    let digest = "0".repeat(64);
    let problems = misfits(("EDDY__MODELS__0__SHA256", &digest));
    assert!(
        problems.starts_with("environment variable EDDY__MODELS__0__SHA256: `models[0].sha256`"),
        "{problems}"
    );
}

#[test]
fn a_head_that_does_not_fit_shows_what_the_model_has() {
    let problems = misfits(("EDDY__MODELS__0__HEAD__OUTPUT", "logit"));
    assert!(
        problems.contains("`models[0].head.output`") && problems.contains("logits"),
        "{problems}"
    );
}

#[test]
fn faults_of_fields_models_and_tables_are_listed_together() {
    let text = r#"format = 1
name = "Not A Name"

[kafka]
brokers = "localhost:9092"
start = "earliest"

[kafka.properties]
"enable.auto.commit" = true

[kafka.sasl]
mechanism = "PLAIN"
username = "me"
password = "hunter2"

[topics]
predictions = "events"

[fields]
age = { type = "float", min = 10, max = 1 }

[[models]]
name = "m"
path = "model.onnx"
inputs = { x = ["agee"] }
head = { type = "regression" }
"#;
    let lines = problems(text);
    let starts = [
        "pipeline.toml:2:8: `name`: ",
        "pipeline.toml:9:24: `kafka.properties.\"enable.auto.commit\"`: ",
        "pipeline.toml:14:12: `kafka.sasl.password` must be a table { file = … } or { env = … }; found a string",
        "pipeline.toml:17:15: `topics.predictions`: ",
        "pipeline.toml:20:31: `fields.age.min`: ",
        "pipeline.toml:25:17: `models[0].inputs.x[0]`: there is no field `agee`; did you mean `age`?",
    ];
    assert_eq!(lines.len(), starts.len(), "{lines:#?}");
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{line} does not start with {start}");
        assert!(!line.contains("hunter2"), "{line}");
    }
}

#[test]
fn a_file_of_another_format_is_said_to_be_one_and_nothing_else() {
    let lines = problems("format = 3\nwhatever = true\n");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains("reads formats 1 and 2 of pipeline files"),
        "{lines:?}"
    );
}

#[test]
fn an_old_name_of_a_key_is_a_note() {
    let old = ("EDDY__DEAD_LETTERS__WINDOW".to_owned(), "500".to_owned());
    let report = examine_offline(&example("digits").join("pipeline.toml"), [old]);
    let report = report.unwrap_or_else(|findings| panic!("{findings}")).to_string();
    let note = "note: environment variable EDDY__DEAD_LETTERS__WINDOW: `dead_letters.window` is called \
                `dead_letters.window_events` since format 2, and version 0.2 will no longer read the old name; call it \
                EDDY__DEAD_LETTERS__WINDOW_EVENTS";
    assert!(report.contains(note), "{report}");
}

#[test]
fn what_is_no_pipeline_file_is_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let latin = folder.path().join("latin.toml");
    std::fs::write(&latin, b"name = \"M\xfcller\"").unwrap();
    for path in [folder.path().to_owned(), folder.path().join("none.toml"), latin] {
        let problems = file::load(&path, []).expect_err("none of them is a pipeline file");
        assert_eq!(problems.to_string().lines().count(), 1, "{problems}");
        assert!(problems.to_string().contains(&path.display().to_string()), "{problems}");
    }
}

#[test]
fn a_token_that_could_be_guessed_is_a_problem_at_its_key_and_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "hunter2").unwrap();
    let reference = format!("{{ file = \"{}\" }}", token.display());
    let file = example("digits").join("pipeline.toml");
    let problems = findings(&file, &[("EDDY__ADMIN__TOKEN", &reference)]).to_string();
    assert!(
        problems.contains("`admin.token`: ") && problems.contains("32 bytes"),
        "{problems}"
    );
    assert!(!problems.contains("hunter2"), "{problems}");
}
