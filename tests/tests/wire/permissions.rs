//! What our principal must be allowed: with exactly these permissions everything works, without any one of them nothing
//! does, and the message names that one.

use std::path::Path;
use std::process::Command;

use eddy_broker::settings::{Permission, Resource, Settings, Topics};
use eddy_tests::secure::{Door, SecureKafka, password_of};
use eddy_tests::service::wait_for;
use eddy_tests::stage::{Event, Stage, by_id};

use crate::{
    AT_LEAST_ONCE, BINARY, CONFIGURATION, Client, EXACTLY_ONCE, GUARANTEE_LOST, allow_all, events, granted,
    permissions_of, recall_permissions_of, said, stage,
};

fn client(user: &str) -> Client {
    Client::through(Door::Sasl).named("PLAIN", user, &password_of(user))
}

/// What an operator is told to run.
fn command(user: &str, arguments: &str) -> String {
    let address = SecureKafka::shared().address(Door::Sasl);
    format!("kafka-acls.sh --bootstrap-server {address} --add --allow-principal 'User:{user}' {arguments}")
}

#[test]
fn without_any_one_permission_the_pipeline_does_not_start_and_the_message_names_that_one() {
    let stage = stage("wire-without", EXACTLY_ONCE);
    let permissions = permissions_of(&stage);
    assert_eq!(permissions.len(), 6);
    for (at, lacking) in permissions.iter().enumerate() {
        let user = format!("without-{at}");
        let others = permissions.iter().filter(|one| *one != lacking);
        let acls: Vec<_> = others.map(|one| granted(one, &format!("User:{user}"))).collect();
        SecureKafka::shared().kafka().allow(&acls);

        let client = client(&user);
        let command = command(&user, &lacking.arguments());
        let mut replica = client.start(&stage);
        let status = replica.wait();
        let log = replica.log();
        assert_eq!(status.code(), Some(CONFIGURATION), "{log}");
        assert!(
            log.contains(&command) && log.matches("kafka-acls.sh").count() == 1,
            "{command}: {log}"
        );

        // Looking whether an id may be taken over is taking it over, which a check does not: it tells the command.
        let is_untried = lacking.resource == Resource::TransactionalIds;
        let code = if is_untried { 0 } else { CONFIGURATION };
        let said = said(&client.check(&stage), code);
        assert!(
            said.contains(&command) && said.matches("kafka-acls.sh").count() == 1,
            "{command}: {said}"
        );
    }
}

#[test]
fn without_permissions_at_all_every_one_is_named_at_once() {
    let stage = stage("wire-nobody", EXACTLY_ONCE);
    let said = said(&client("nobody").check(&stage), CONFIGURATION);
    for permission in permissions_of(&stage) {
        if permission.resource != Resource::TransactionalIds {
            assert!(said.contains(&permission.arguments()), "{permission:?}: {said}");
        }
    }
}

#[test]
fn the_script_allows_what_is_needed_and_takes_it_back() {
    let stage = stage("wire-script", EXACTLY_ONCE);
    let folder = tempfile::tempdir().unwrap();
    let tool = eddy_tests::kafka::write_acls_tool(folder.path());
    let client = client("acls");
    said(&client.check(&stage), CONFIGURATION);
    script(&stage, &tool, &["--dry-run"]);
    said(&client.check(&stage), CONFIGURATION);
    script(&stage, &tool, &[]);
    client.works(&stage);
    script(&stage, &tool, &["--remove"]);
    said(&client.check(&stage), CONFIGURATION);
}

fn script(stage: &Stage, tool: &Path, more: &[&str]) {
    let path = eddy_tests::stage::examples().join("acls.sh");
    let topics = ["events", "predictions", "retraining", "dead-letters"];
    let output = Command::new(path)
        .env("KAFKA_ACLS", tool)
        .args(["--bootstrap-server", &SecureKafka::shared().kafka().bootstrap()])
        .args(["--principal", "User:acls", "--group", &stage.group()])
        .args(
            topics
                .iter()
                .flat_map(|topic| [format!("--{topic}"), stage.topic(topic)]),
        )
        .args(more)
        .output()
        .unwrap();
    said(&output, 0);
}

#[test]
fn the_script_allows_what_the_code_needs_and_nothing_more() {
    for (guarantee, count) in [(EXACTLY_ONCE, 6), (AT_LEAST_ONCE, 5)] {
        let permissions = of_digits(guarantee).permissions();
        assert_eq!(permissions.len(), count);
        is_what_the_script_allows(&permissions, &["--guarantee", guarantee]);
    }
    is_what_the_script_allows(&of_digits(EXACTLY_ONCE).recall_permissions(), &["--recall"]);
}

fn of_digits(guarantee: &str) -> Settings {
    let kafka = serde_json::json!({ "brokers": "b:1", "start": "earliest", "guarantee": guarantee });
    Settings {
        pipeline: "digits".into(),
        kafka: serde_json::from_value(kafka).unwrap(),
        topics: Topics::default(),
    }
}

#[track_caller]
fn is_what_the_script_allows(permissions: &[Permission], options: &[&str]) {
    let output = Command::new(eddy_tests::stage::examples().join("acls.sh"))
        .args(["--bootstrap-server", "b:1", "--principal", "User:x", "--dry-run"])
        .args(["--group", "eddy-digits"])
        .args(options)
        .output()
        .unwrap();
    let said = said(&output, 0);
    for permission in permissions {
        let wanted = permission.arguments();
        let is_there = |line: &str| wanted.split(' ').all(|word| line.split(' ').any(|other| other == word));
        assert!(said.lines().any(is_there), "{wanted}: {said}");
    }
    let resources = ["--topic", "--group", "--transactional-id", "--cluster"];
    let named = said.split_whitespace().filter(|word| resources.contains(word));
    assert_eq!(named.count(), permissions.len(), "{said}");
}

/// What a person does with a pipeline whose stream has run, one command for each way of reading back.
fn commands(stage: &Stage, user: &str, folder: &Path) -> Vec<Vec<String>> {
    let file = stage.file().display().to_string();
    let table = folder.join("week.parquet").display().to_string();
    let profile = folder.join("profile.json").display().to_string();
    [
        vec!["why", &file, "0000", "--json"],
        vec!["why", &file, "not-yet"],
        vec!["samples", &file, "--out", &table, "--force"],
        // Each of them has something to send.
        vec!["redrive", &file, "--job", user, "--from", "dead_letters"],
        vec!["profile", &file, "--since", "1h", "--out", &profile],
    ]
    .map(|words| words.into_iter().map(str::to_owned).collect())
    .to_vec()
}

#[test]
fn with_exactly_these_permissions_a_person_reads_topics_back_and_sends_again() {
    let stage = stage("wire-person", EXACTLY_ONCE);
    allow_all(&stage, "User:plain");
    stage.send(&(0..20).flat_map(|part| events(60 * part)).collect::<Vec<_>>());
    stage.send(&[Event::new("no pair").named("bad")]);
    let flood = [("EDDY__DEAD_LETTERS__FLOOD_SHARE", "1.0")];
    let pipeline = client("plain");
    stage.run(BINARY, &[&pipeline.settings()[..], &flood].concat());
    stage.send(&[Event::pair(1.0, 2.0).named("not-yet")]);

    let permissions = recall_permissions_of(&stage);
    let folder = tempfile::tempdir().unwrap();
    let does = |user: &str| -> Vec<(Option<i32>, String)> {
        let client = client(user);
        let run = |words: &Vec<String>| {
            let output = Command::new(BINARY).args(words).envs(client.settings()).output();
            let output = output.expect("the program under test was built with the tests");
            (
                output.status.code(),
                String::from_utf8_lossy(&output.stderr).into_owned(),
            )
        };
        commands(&stage, user, folder.path()).iter().map(run).collect()
    };
    let kafka = SecureKafka::shared().kafka();
    let all: Vec<_> = permissions.iter().map(|one| granted(one, "User:person")).collect();
    kafka.allow(&all);
    for (code, said) in does("person") {
        assert_eq!(code, Some(0), "{said}");
    }
    for (at, lacking) in permissions.iter().enumerate() {
        let user = format!("person-{at}");
        let others = permissions.iter().filter(|one| *one != lacking);
        let acls: Vec<_> = others.map(|one| granted(one, &format!("User:{user}"))).collect();
        kafka.allow(&acls);
        let done = does(&user);
        let failed: Vec<_> = done.iter().filter(|(code, _)| *code != Some(0)).collect();
        assert!(!failed.is_empty(), "nothing needs {lacking:?}");
        for (code, said) in failed {
            assert_eq!(*code, Some(CONFIGURATION), "{lacking:?}: {said}");
            let resource = lacking.name.as_str();
            assert!(
                said.contains(resource) && said.contains("kafka-acls.sh"),
                "{lacking:?}: {said}"
            );
        }
    }
}

#[test]
fn at_least_once_needs_no_transactional_id() {
    let stage = stage("wire-at-least-once", AT_LEAST_ONCE);
    assert_eq!(permissions_of(&stage).len(), 5);
    allow_all(&stage, "User:plain");
    client("plain").works(&stage);
}

/// Takes one permission back while the service runs: it ends and names it; given back, nothing is lost and nothing twice.
fn revoked_while_running(name: &str, guarantee: &str, at: usize) {
    let stage = stage(name, guarantee);
    allow_all(&stage, "User:revoked");
    let client = client("revoked");
    let revoked = permissions_of(&stage)[at].clone();
    let acl = [granted(&revoked, "User:revoked")];
    let kafka = SecureKafka::shared().kafka();

    let mut replica = client.start(&stage);
    stage.send(&events(0));
    stage.wait_for_end(&mut replica);
    kafka.forbid(&acl);
    stage.send(&events(60));
    let status = replica.wait();
    let log = replica.log();
    assert_eq!(status.code(), Some(GUARANTEE_LOST), "{log}");
    let command = command("revoked", &revoked.arguments());
    assert!(log.contains(&command), "`{command}` is missing in: {log}");

    kafka.allow(&acl);
    let outputs = stage.run(BINARY, &client.settings());
    let ids: Vec<_> = outputs
        .predictions
        .iter()
        .filter_map(|output| output.header("eddy.id"))
        .collect();
    if guarantee == EXACTLY_ONCE {
        assert_eq!(by_id(&outputs.predictions).len(), 120);
    }
    let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), 120, "every event came out");
}

#[test]
fn permission_to_read_events_taken_back_while_running_ends_the_service_by_name() {
    revoked_while_running("wire-revoked-events", EXACTLY_ONCE, 0);
}

#[test]
fn permission_to_read_the_group_taken_back_while_running_ends_the_service_by_name() {
    revoked_while_running("wire-revoked-group", EXACTLY_ONCE, 1);
}

#[test]
fn permission_to_write_an_output_taken_back_while_running_ends_the_service_by_name() {
    revoked_while_running("wire-revoked-output", EXACTLY_ONCE, 2);
}

#[test]
fn permission_for_transactions_taken_back_while_running_ends_the_service_by_name() {
    revoked_while_running("wire-revoked-id", EXACTLY_ONCE, 5);
}

#[test]
fn permission_to_read_the_group_taken_back_at_least_once_ends_the_service_by_name() {
    revoked_while_running("wire-revoked-group-alo", AT_LEAST_ONCE, 1);
}

#[test]
fn permission_to_write_an_output_taken_back_at_least_once_ends_the_service_by_name() {
    revoked_while_running("wire-revoked-output-alo", AT_LEAST_ONCE, 2);
}

/// A topic that may be seen but not written shows only when something is written.
#[test]
fn an_output_that_may_be_seen_and_not_written_pauses_nothing_and_ends_the_service_by_name() {
    let stage = stage("wire-seen", EXACTLY_ONCE);
    let kafka = SecureKafka::shared().kafka();
    allow_all(&stage, "User:seen");
    let written = granted(&permissions_of(&stage)[2], "User:seen");
    kafka.forbid(std::slice::from_ref(&written));
    let seen = eddy_tests::kafka::Acl {
        operation: eddy_tests::kafka::Operation::Describe,
        ..written.clone()
    };
    kafka.allow(&[seen]);
    let client = client("seen");
    stage.send(&events(0));
    let mut replica = client.start(&stage);
    let status = replica.wait();
    let log = replica.log();
    assert_eq!(status.code(), Some(GUARANTEE_LOST), "{log}");
    assert!(
        log.contains(&command("seen", &permissions_of(&stage)[2].arguments())),
        "{log}"
    );
    assert!(stage.outputs().predictions.is_empty());
    wait_for("the offsets to stand where they were", || {
        (stage.committed() == 0).then_some(())
    });

    kafka.allow(&[written]);
    let outputs = stage.run(BINARY, &client.settings());
    assert_eq!(by_id(&outputs.predictions).len(), 60);
}
