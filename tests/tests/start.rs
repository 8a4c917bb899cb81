//! Starts that cannot succeed: each ends with its exit code and a sentence that names the place and the fault.
//!
//! Whatever a file holds, the process ends by itself: no signal, no panic.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use eddy_tests::kafka::Kafka;
use eddy_tests::service::{Replica, free_port, said, wait_for};
use eddy_tests::stage::{self, MLP, Plan, Stage};
use serde_json::json;
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_eddy-under-test");
const UNREACHABLE: i32 = 69;
const MISSED: i32 = 76;
const CONFIGURATION: i32 = 78;

/// With a model, a pipeline that is sound but for its brokers: nobody listens at port 1.
const HEAD: &str = r#"format = 2
name = "start"

[kafka]
brokers = "127.0.0.1:1"
start = "earliest"
instance = "start"

[admin]
address = "off"
"#;

fn sound() -> String {
    format!("{HEAD}{MLP}").replace("{models}", &stage::models().display().to_string())
}

/// A folder with a pipeline file in it.
fn written(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pipeline.toml");
    std::fs::write(&file, text).unwrap();
    (folder, file)
}

fn eddy(command: &str, file: &Path, variables: &[(&str, &str)]) -> Output {
    Command::new(BINARY)
        .arg(command)
        .arg(file)
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

/// `eddy run` does not start, and says all of `words`.
#[track_caller]
fn refuses(file: &Path, variables: &[(&str, &str)], words: &[&str]) {
    let said = said(&eddy("run", file, variables), CONFIGURATION);
    for word in words {
        assert!(said.contains(word), "`{word}` is missing in: {said}");
    }
}

/// The sound pipeline on the shared broker, for what `eddy check` says when Kafka is there.
fn on_kafka(name: &str) -> Stage {
    Stage::new(&Plan {
        name,
        guarantee: "exactly-once",
        partitions: 1,
        limits: &[],
        text: &format!("[admin]\naddress = \"off\"\n{MLP}"),
    })
}

fn broken_models() -> Vec<PathBuf> {
    let folder = std::fs::read_dir(stage::models().join("broken")).unwrap();
    let mut files: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 9, "{files:?}");
    files
}

#[test]
fn a_file_that_is_no_model_is_named_by_run() {
    let (_folder, file) = written(&sound());
    for model in broken_models() {
        let name = model.file_name().unwrap().to_str().unwrap();
        let path = ("EDDY__MODELS__0__PATH", model.to_str().unwrap());
        // The file itself, or the one it keeps its weights in.
        refuses(&file, &[path], &["models[0].", name]);
    }
    let nowhere = ("EDDY__MODELS__0__PATH", "nowhere.onnx");
    refuses(&file, &[nowhere], &["models[0].path", "nowhere.onnx", "No such file"]);
}

#[test]
fn a_file_that_is_no_model_is_named_by_check_which_finds_the_sound_one_sound() {
    let stage = on_kafka("start-check");
    let sound = said(&eddy("check", &stage.file(), &[]), 0);
    assert!(
        sound.contains("start-check-events") && sound.contains("model mlp 1"),
        "{sound}"
    );
    for model in broken_models() {
        let name = model.file_name().unwrap().to_str().unwrap();
        let path = ("EDDY__MODELS__0__PATH", model.to_str().unwrap());
        let said = said(&eddy("check", &stage.file(), &[path]), CONFIGURATION);
        assert!(said.contains("models[0].") && said.contains(name), "{said}");
    }
}

#[test]
fn a_model_cut_off_anywhere_is_refused() {
    let whole = std::fs::read(stage::models().join("mlp32.onnx")).unwrap();
    let (folder, file) = written(&sound());
    let cut = folder.path().join("cut.onnx");
    for share in 1..8 {
        std::fs::write(&cut, &whole[..whole.len() * share / 8]).unwrap();
        let path = ("EDDY__MODELS__0__PATH", cut.to_str().unwrap());
        refuses(&file, &[path], &["models[0].path", "cut.onnx"]);
    }
}

#[test]
fn a_model_of_another_shape_is_refused_with_both_shapes() {
    let (_folder, file) = written(&sound());
    let three = stage::models().join("two_outputs.onnx");
    let settings = [
        ("EDDY__MODELS__0__PATH", three.to_str().unwrap()),
        (
            "EDDY__MODELS__0__HEAD",
            r#"{ type = "regression", output = "doubled" }"#,
        ),
    ];
    refuses(&file, &settings, &["features", "32", "3"]);
    let head = (
        "EDDY__MODELS__0__HEAD",
        r#"{ type = "classification", from = "logits", output = "logit" }"#,
    );
    refuses(&file, &[head], &["models[0].head.output", "logits"]);
}

#[test]
fn a_model_with_another_digest_is_refused_with_both_digests() {
    let (_folder, file) = written(&sound());
    let digest = "0123456789abcdef".repeat(4);
    let settings = [("EDDY__MODELS__0__SHA256", digest.as_str())];
    refuses(&file, &settings, &["models[0].sha256", "mlp32.onnx", &digest]);
}

#[test]
fn golden_rows_that_do_not_fit_refuse_the_model() {
    let (folder, file) = written(&sound());
    let digits = stage::examples().join("digits/golden.json");
    let other = ("EDDY__MODELS__0__GOLDEN", digits.to_str().unwrap());
    refuses(&file, &[other], &["models[0].golden", "golden.json"]);

    let wrong = folder.path().join("wrong.json");
    let row = vec![0.5; 32];
    let text =
        json!({"format": 1, "tolerance": 1e-4, "inputs": {"features": [row]}, "outputs": {"logits": [vec![1e9; 10]]}});
    std::fs::write(&wrong, text.to_string()).unwrap();
    let wrong = ("EDDY__MODELS__0__GOLDEN", wrong.to_str().unwrap());
    refuses(
        &file,
        &[wrong],
        &["models[0].golden", "wrong.json", "mlp32.onnx", "`logits`"],
    );

    let nowhere = ("EDDY__MODELS__0__GOLDEN", "nowhere.json");
    refuses(&file, &[nowhere], &["models[0].golden", "nowhere.json"]);
}

#[test]
fn a_runtime_that_is_not_there_is_asked_for_by_name() {
    let (_folder, file) = written(&sound());
    let variable = ("EDDY_ONNXRUNTIME", "nowhere/libonnxruntime.so");
    refuses(&file, &[variable], &["nowhere/libonnxruntime.so", "EDDY_ONNXRUNTIME"]);

    // A file that is there, and no library.
    let no_library = ("EDDY_ONNXRUNTIME", file.to_str().unwrap());
    refuses(&file, &[no_library], &[file.to_str().unwrap()]);
}

#[test]
fn a_pipeline_file_that_is_not_there_is_named() {
    for command in ["run", "check"] {
        let said = said(&eddy(command, Path::new("nowhere/pipeline.toml"), &[]), CONFIGURATION);
        assert!(said.contains("nowhere/pipeline.toml"), "{said}");
    }
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_key_that_was_meant() {
    let (_folder, file) = written(&sound().replace(
        "start = \"earliest\"",
        "start = \"earliest\"\ngarantee = \"exactly-once\"",
    ));
    refuses(&file, &[], &["pipeline.toml:7:1", "garantee", "guarantee"]);
    let (_folder, file) = written(&sound());
    let variable = ("EDDY__KAFKA__GARANTEE", "exactly-once");
    refuses(&file, &[variable], &["EDDY__KAFKA__GARANTEE", "EDDY__KAFKA__GUARANTEE"]);
}

#[test]
fn a_taken_admin_port_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (_folder, file) = written(&sound());
    refuses(
        &file,
        &[("EDDY__ADMIN__ADDRESS", &address)],
        &[&address, "admin.address"],
    );
}

#[test]
fn while_no_broker_answers_it_lives_is_not_ready_and_then_ends_as_unreachable() {
    let address = format!("127.0.0.1:{}", free_port());
    let (_folder, file) = written(&sound());
    let mut replica = Replica::start(BINARY, &file, "alone", &[("EDDY__KAFKA__BROKERS", &address)]);
    wait_for("the admin address to answer", || {
        replica.code("/live").filter(|code| *code == 200)
    });
    let ready: serde_json::Value = serde_json::from_str(&replica.get("/ready").unwrap()).unwrap();
    assert_eq!(replica.code("/ready"), Some(503), "{ready}");
    assert_eq!(ready["causes"][0]["detail"], "starting", "{ready}");
    assert_eq!(replica.wait().code(), Some(UNREACHABLE), "{}", replica.log());
    let log = replica.log();
    assert!(log.contains(&address) || log.contains("kafka.brokers"), "{log}");
    assert!(!log.contains("panicked"), "{log}");
}

#[test]
fn a_start_that_is_asked_to_end_does_not_outlast_the_deadline() {
    let broker = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = broker.local_addr().unwrap().to_string();
    let (_folder, file) = written(&sound());
    let variables = [
        ("EDDY__KAFKA__BROKERS", address.as_str()),
        ("EDDY__DRAIN__DEADLINE", "100ms"),
    ];
    let mut replica = Replica::start(BINARY, &file, "hasty", &variables);
    // It is answered nothing, so the start goes no further for as long as that takes.
    let (_client, _) = broker.accept().expect("the start asks the broker");
    assert_eq!(replica.terminate().code(), Some(MISSED), "{}", replica.log());
    let log = replica.log();
    assert!(log.contains("step 0, the start"), "{log}");
    let last = log.lines().last().expect("a log");
    assert!(last.contains("exit code 76"), "{last}");
}

#[test]
fn why_it_does_not_start_is_one_object_a_line_where_the_log_is() {
    let (_folder, file) = written(&sound());
    let nowhere = [("EDDY__MODELS__0__PATH", "nowhere.onnx"), ("EDDY__LOG__FORMAT", "json")];
    let said = said(&eddy("run", &file, &nowhere), CONFIGURATION);
    let lines: Vec<serde_json::Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let [.., why, end] = &lines[..] else {
        panic!("two lines: {said}")
    };
    assert!(why["message"].as_str().unwrap().contains("nowhere.onnx"), "{why}");
    assert!(end["message"].as_str().unwrap().ends_with("(exit code 78)"), "{end}");
}

#[test]
fn check_calls_an_unreachable_broker_unreachable() {
    let (_folder, file) = written(&sound());
    let said = said(&eddy("check", &file, &[]), UNREACHABLE);
    assert!(said.contains("kafka.brokers"), "{said}");
}

#[test]
fn a_missing_topic_is_named_whichever_it_is() {
    let stage = on_kafka("start-topics");
    for (key, variable) in [
        ("topics.events", "EDDY__TOPICS__EVENTS"),
        ("topics.predictions", "EDDY__TOPICS__PREDICTIONS"),
        ("topics.retraining", "EDDY__TOPICS__RETRAINING"),
        ("topics.dead_letters", "EDDY__TOPICS__DEAD_LETTERS"),
    ] {
        let missing = [(variable, "start-nowhere")];
        refuses(&stage.file(), &missing, &["`start-nowhere`", "does not exist"]);
        let said = said(&eddy("check", &stage.file(), &missing), CONFIGURATION);
        assert!(said.contains(key) && said.contains("`start-nowhere`"), "{said}");
    }
}

#[test]
fn a_password_is_never_shown() {
    let password = "correct-horse-battery-staple";
    let (folder, file) = written(&sound());
    std::fs::write(folder.path().join("password"), password).unwrap();
    let brokers = Kafka::shared().bootstrap();
    let references = [r#"{ file = "password" }"#, r#"{ env = "START_PASSWORD" }"#];
    let (brokers, file) = (brokers.as_str(), file.as_path());
    // These brokers ask nobody who he is.
    std::thread::scope(|scope| {
        for (reference, command) in references
            .into_iter()
            .flat_map(|reference| [(reference, "run"), (reference, "check")])
        {
            scope.spawn(move || {
                let settings = [
                    ("EDDY__KAFKA__BROKERS", brokers),
                    ("EDDY__KAFKA__SASL__MECHANISM", "PLAIN"),
                    ("EDDY__KAFKA__SASL__USERNAME", "somebody"),
                    ("EDDY__KAFKA__SASL__PASSWORD", reference),
                    ("EDDY__KAFKA__PROPERTIES", r#"{ debug = "all" }"#),
                    ("EDDY__LOG__LEVEL", "trace"),
                    ("START_PASSWORD", password),
                ];
                let said = said(&eddy(command, file, &settings), CONFIGURATION);
                assert!(said.contains("remove [kafka.sasl]"), "{said}");
                assert!(
                    command == "check" || said.contains("librdkafka"),
                    "it says all that it can: {said}"
                );
                assert!(
                    !said.contains(password) && !said.contains("battery"),
                    "{command}: {said}"
                );
            });
        }
    });
}

#[test]
fn a_password_that_is_not_there_is_asked_for_at_its_place() {
    let (_folder, file) = written(&sound());
    let settings = [
        ("EDDY__KAFKA__SASL__MECHANISM", "PLAIN"),
        ("EDDY__KAFKA__SASL__USERNAME", "somebody"),
    ];
    for (reference, place) in [
        (r#"{ file = "nowhere-password" }"#, "nowhere-password"),
        (r#"{ env = "START_NO_PASSWORD" }"#, "START_NO_PASSWORD"),
    ] {
        let password = ("EDDY__KAFKA__SASL__PASSWORD", reference);
        refuses(&file, &[settings[0], settings[1], password], &[place]);
    }
    // Written in the open, it is refused and not repeated.
    let open = ("EDDY__KAFKA__SASL__PASSWORD", "hunter2-in-the-open");
    let said = said(&eddy("run", &file, &[settings[0], settings[1], open]), CONFIGURATION);
    assert!(
        said.contains("kafka.sasl.password") && !said.contains("hunter2"),
        "{said}"
    );
}

#[test]
fn a_failpoint_that_does_not_exist_is_refused_with_those_that_do() {
    let (_folder, file) = written(&sound());
    let mut command = Command::new(BINARY);
    let output = command.arg("run").arg(&file).env("EDDY_FAILPOINT", "comit:after");
    let output = output.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(CONFIGURATION), "{said}");
    assert!(
        said.contains("EDDY_FAILPOINT: `comit:after`") && said.contains("send_offsets, commit, abort"),
        "{said}"
    );
}
