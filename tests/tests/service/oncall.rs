//! What the person on call does from the command line, on services that run: pause, resume, skip, health.

use std::process::{Command, Output};

use eddy_tests::certificates::{Authority, Validity};
use eddy_tests::service::{Replica, free_port, wait_for};
use eddy_tests::stage::{Event, Plan, Stage, by_id};

use crate::{AT_LEAST_ONCE, BINARY, EXACTLY_ONCE, PICK, stage};

/// The number, and the offset, of the event that is skipped.
const SKIPPED: i64 = 77;
pub(super) const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// Laid over the file: the token is in a file beside it.
pub(super) const WITH_TOKEN: [(&str, &str); 1] = [("EDDY__ADMIN__TOKEN", r#"{ file = "token" }"#)];

/// Writes the token beside the pipeline file; returns its path.
pub(super) fn token(stage: &Stage, text: &str) -> String {
    let path = stage.file().with_file_name("token");
    std::fs::write(&path, text).expect("the stage's folder takes a file");
    path.display().to_string()
}

fn eddy(words: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(BINARY).args(words).output();
    let Output { status, stdout, stderr } = output.expect("the program under test was built with the tests");
    let said = [stdout, stderr].map(|bytes| String::from_utf8(bytes).expect("it speaks UTF-8"));
    (status.code(), said.concat())
}

#[track_caller]
pub(super) fn succeeds(words: &[&str], expected: &str) {
    let (code, said) = eddy(words);
    assert_eq!(code, Some(0), "{words:?}: {said}");
    assert!(said.contains(expected), "{words:?}: {said}");
}

#[track_caller]
fn fails(words: &[&str], code: i32, expected: &str) {
    let (ended, said) = eddy(words);
    assert_eq!(ended, Some(code), "{words:?}: {said}");
    assert!(
        said.contains(expected) && !said.contains("panicked"),
        "{words:?}: {said}"
    );
}

fn events(numbers: std::ops::Range<usize>) -> Vec<Event> {
    let event = |number: usize| Event::pair((number % 10) as f64, 1.0).named(&number.to_string());
    numbers.map(event).collect()
}

pub(super) fn wait_until_ready(replica: &mut Replica) {
    wait_for("the service to be ready", || {
        assert!(replica.is_running(), "{}", replica.log());
        (replica.code("/ready") == Some(200)).then_some(())
    });
}

fn a_record_is_skipped_while_the_stream_is_paused(name: &str, guarantee: &str) {
    let stage = stage(name, guarantee, PICK);
    let token_file = token(&stage, TOKEN);
    stage.send(&events(0..50));
    let mut replica = stage.start(BINARY, &WITH_TOKEN);
    stage.wait_for_end(&mut replica);
    wait_until_ready(&mut replica);
    let admin = replica.admin();
    let whom = ["--admin", &admin, "--token-file", &token_file];
    let ask = |words: &[&'static str]| [words, &whom].concat();

    succeeds(&ask(&["pause"]), "durable");
    wait_for("the pause to be shown", || {
        let ready = replica.get("/ready")?;
        (ready.contains("lane 0: operator") && ready.contains("paused by 127.0.0.1")).then_some(())
    });
    assert_eq!((replica.code("/ready"), replica.code("/live")), (Some(503), Some(200)));
    let metric = format!("eddy_lane_paused{{cause=\"operator\",lane=\"0\",pipeline=\"{name}\"}} 1");
    assert!(replica.get("/metrics").expect("the page answers").contains(&metric));

    stage.send(&events(50..100));
    let record = |offset: i64| format!("{}/0/{offset}", stage.topic("events"));
    let skip = |offset: i64| {
        let record = record(offset);
        let words = [&["skip", &record], &whom[..]].concat();
        eddy(&words)
    };
    let (code, said) = skip(3);
    assert!(
        code == Some(64) && said.contains("committed already"),
        "{code:?} {said}"
    );
    fails(&ask(&["skip", "elsewhere/0/3"]), 64, "does not read");
    for words in ["becomes a dead letter", "already"] {
        let (code, said) = skip(SKIPPED);
        assert!(code == Some(0) && said.contains(words), "{code:?} {said}");
    }
    let status = replica.status().expect("the page answers");
    assert_eq!(status["skips"], serde_json::json!([record(SKIPPED)]), "{status}");
    assert_eq!(stage.committed(), 50, "nothing is taken while it is paused");

    succeeds(&ask(&["resume"]), "goes on");
    stage.wait_for_end(&mut replica);
    wait_for("the order to be done", || {
        (replica.status()?["skips"] == serde_json::json!([])).then_some(())
    });
    wait_until_ready(&mut replica);
    assert_eq!(replica.terminate().code(), Some(0), "{}", replica.log());

    let outputs = stage.outputs();
    let [dead] = outputs.dead_letters.as_slice() else {
        panic!("{} dead letters", outputs.dead_letters.len())
    };
    assert_eq!(dead.header("eddy.id"), Some(SKIPPED.to_string().as_str()));
    assert_eq!(
        (dead.header("eddy.stage"), dead.header("eddy.reason")),
        (Some("operator"), Some("skipped"))
    );
    assert!(dead.header("eddy.detail").expect("it says why").contains("127.0.0.1"));
    assert_eq!(by_id(&outputs.predictions).len(), 99);

    let log = replica.log();
    for verb in ["pause", "skip", "resume"] {
        let lines = log
            .lines()
            .filter(|line| line.contains("eddy::audit") && line.contains(verb));
        assert!(lines.count() >= 1, "{verb}: {log}");
    }
    assert!(!log.contains(TOKEN), "a token is never logged");
}

#[test]
fn exactly_once_a_paused_stream_takes_nothing_and_a_skipped_record_becomes_a_dead_letter() {
    a_record_is_skipped_while_the_stream_is_paused("oncall-eo", EXACTLY_ONCE);
}

#[test]
fn at_least_once_a_paused_stream_takes_nothing_and_a_skipped_record_becomes_a_dead_letter() {
    a_record_is_skipped_while_the_stream_is_paused("oncall-alo", AT_LEAST_ONCE);
}

#[test]
fn whichever_replica_owns_the_partition_skips_the_record() {
    const PARTITIONS: i32 = 2;
    let stage = Stage::new(&Plan {
        name: "oncall-two",
        guarantee: EXACTLY_ONCE,
        partitions: PARTITIONS,
        limits: &[],
        text: PICK,
    });
    let token_file = token(&stage, TOKEN);
    let start = |instance| Replica::start(BINARY, &stage.file(), instance, &WITH_TOKEN);
    let mut replicas = [start("replica-0"), start("replica-1")];
    wait_for("each to have a partition", || {
        let holds = |replica: &Replica| Some(replica.status()?["lanes"][0]["partitions"].as_array()?.len() == 1);
        replicas
            .iter()
            .all(|replica| holds(replica) == Some(true))
            .then_some(())
    });
    let [first, second] = [replicas[0].admin(), replicas[1].admin()];
    let whom = ["--admin", &first, "--admin", &second, "--token-file", &token_file];
    let records: Vec<_> = (0..PARTITIONS)
        .map(|partition| format!("{}/{partition}/1", stage.topic("events")))
        .collect();
    for record in &records {
        succeeds(&[&["skip", record][..], &whom].concat(), "ask the other replicas too");
    }
    let in_both = |event: Event| (0..PARTITIONS).map(move |partition| event.clone().at(partition));
    let events: Vec<Event> = events(0..20).into_iter().flat_map(in_both).collect();
    stage.send(&events);
    for replica in &mut replicas {
        stage.wait_for_end(replica);
    }
    wait_for("every replica to know that it is done", || {
        // The one that does not hold a partition asks the group, once a minute.
        let is_done = |replica: &Replica| Some(replica.status()?["skips"] == serde_json::json!([]));
        replicas
            .iter()
            .all(|replica| is_done(replica) == Some(true))
            .then_some(())
    });
    for replica in &mut replicas {
        assert_eq!(replica.terminate().code(), Some(0), "{}", replica.log());
    }
    let outputs = stage.outputs();
    let mut skipped: Vec<_> = outputs
        .dead_letters
        .iter()
        .map(|dead| dead.header("eddy.source").expect("it says which").to_owned())
        .collect();
    skipped.sort_unstable();
    assert_eq!(skipped, records);
    assert_eq!(outputs.predictions.len(), events.len() - records.len());
}

#[test]
fn who_may_not_or_cannot_ask_is_told_by_exit_code_and_sentence() {
    let stage = stage("oncall-codes", EXACTLY_ONCE, PICK);
    let token_file = token(&stage, TOKEN);
    let mut replica = stage.start(BINARY, &WITH_TOKEN);
    wait_until_ready(&mut replica);
    let admin = replica.admin();
    let nobody = format!("http://127.0.0.1:{}", free_port());

    fails(&["pause", "--admin", &admin], 78, "the token is missing or wrong");
    let other = stage.file().with_file_name("other");
    std::fs::write(&other, "f".repeat(64)).expect("the stage's folder takes a file");
    let other = other.display().to_string();
    fails(
        &["pause", "--admin", &admin, "--token-file", &other],
        78,
        "the token is missing or wrong",
    );
    fails(
        &["pause", "--admin", &nobody, "--token-file", &token_file],
        69,
        "does not answer",
    );
    // One that does not answer does not keep the other from being asked.
    let both = [
        "resume",
        "--admin",
        &nobody,
        "--admin",
        &admin,
        "--token-file",
        &token_file,
    ];
    fails(&both, 69, "not paused");
    fails(&["skip", "events/0", "--admin", &admin], 64, "topic/partition/offset");

    succeeds(&["health", "--admin", &admin], "alive");
    succeeds(&["health", "--ready", "--admin", &admin], "ready");
    fails(&["health", "--admin", &nobody], 69, "does not answer");
    succeeds(&["pause", "--admin", &admin, "--token-file", &token_file], "durable");
    wait_for("the pause to be shown", || {
        (replica.code("/ready") == Some(503)).then_some(())
    });
    fails(&["health", "--ready", "--admin", &admin], 69, "operator");
    succeeds(&["health", "--admin", &admin], "alive");
    assert_eq!(
        replica.terminate().code(),
        Some(0),
        "a paused service drains: {}",
        replica.log()
    );

    let mut closed = stage.start(BINARY, &[]);
    wait_until_ready(&mut closed);
    let admin = closed.admin();
    let ask = ["pause", "--admin", &admin, "--token-file", &token_file];
    fails(&ask, 78, "set `admin.token`");
    assert_eq!(closed.terminate().code(), Some(0), "{}", closed.log());
}

#[test]
fn an_encrypted_admin_address_is_asked_as_the_pipeline_file_says() {
    let stage = stage("oncall-tls", EXACTLY_ONCE, PICK);
    token(&stage, TOKEN);
    let authority = Authority::new("an authority");
    let ours = authority.issue("eddy", &["eddy.test"], Validity::Now);
    let beside = |name: &str, text: String| {
        let path = stage.file().with_file_name(name);
        std::fs::write(&path, text).expect("the stage's folder takes a file");
        path.display().to_string()
    };
    beside("admin.pem", ours.certificate_pem());
    let (ca, pipeline) = (beside("ca.pem", authority.pem()), stage.file().display().to_string());
    let key = ours.key_pem();
    let mut settings = WITH_TOKEN.to_vec();
    settings.extend([
        ("EDDY__ADMIN__TLS__CERTIFICATE", "admin.pem"),
        ("EDDY__ADMIN__TLS__KEY", r#"{ env = "ADMIN_KEY" }"#),
        ("ADMIN_KEY", &key),
    ]);
    let mut replica = stage.start(BINARY, &settings);
    let address = format!("127.0.0.1:{}", replica.port());
    let ask = |words: &[&str]| {
        let mut command = Command::new(BINARY);
        command
            .args(words)
            .envs(settings.iter().copied())
            .env("EDDY__ADMIN__ADDRESS", &address);
        let output = command.output().expect("the program runs");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).expect("it speaks UTF-8"))
    };
    wait_for("the service to be ready", || {
        assert!(replica.is_running(), "{}", replica.log());
        (ask(&["health", "--ready", &pipeline]).0 == Some(0)).then_some(())
    });
    let (code, said) = ask(&["pause", &pipeline]);
    assert!(code == Some(0) && said.contains("durable"), "{code:?} {said}");
    succeeds(
        &["health", "--admin", &format!("https://{address}"), "--ca", &ca],
        "alive",
    );
    assert_eq!(replica.code("/live"), Some(400), "it is not asked in the open");
    // The certificate lasts for two days.
    let (code, said) = ask(&["check", &pipeline]);
    assert!(
        code == Some(0) && said.contains("admin.pem") && said.contains("renew it in time"),
        "{code:?} {said}"
    );
    assert_eq!(replica.terminate().code(), Some(0), "{}", replica.log());
    let log = replica.log();
    assert!(log.contains("renew it in time") && !log.contains(TOKEN), "{log}");
    let secret = key.lines().nth(1).expect("a line of the key");
    assert!(!log.contains(secret), "{log}");
}
