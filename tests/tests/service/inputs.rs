//! Several topics of events, and all topics that match a pattern.

use std::fs;
use std::process::Command;
use std::time::Duration;

use eddy_tests::kafka::{Isolation, Message};
use eddy_tests::oracle::Outputs;
use eddy_tests::service::{Replica, wait_for};
use eddy_tests::stage::{Event, MLP, Plan, Stage, by_id, send};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use crate::{BINARY, EXACTLY_ONCE};

/// Half of what can be scored flows back, at random and in all partitions alike.
const SELECT: &str = "\n[select]\nfraction = 0.5\nshares = { explore = 1.0 }\n";
const EVENTS: usize = 400;
/// Each so many is no event.
const BAD: usize = 10;

/// A stage whose file reads something else than its topic of events.
fn reading(name: &str, events: &str, text: &str) -> Stage {
    let stage = Stage::new(&Plan {
        name,
        guarantee: EXACTLY_ONCE,
        partitions: 2,
        limits: &[],
        text,
    });
    let file = fs::read_to_string(stage.file()).expect("it was just written");
    let one = format!("events = \"{name}-events\"");
    assert!(file.contains(&one), "{file}");
    fs::write(stage.file(), file.replace(&one, &format!("events = {events}"))).expect("it is ours");
    stage
}

fn events(prefix: &str) -> Vec<Event> {
    let event = |number: usize| {
        let features: Vec<f64> = (0..32).map(|at| ((number * 7 + at) % 11) as f64 / 5.0 - 1.0).collect();
        let value = match number % BAD {
            0 => "no JSON".to_owned(),
            _ => format!(r#"{{"features":{features:?}}}"#),
        };
        Event::new(value)
            .named(&format!("{prefix}-{number}"))
            .at((number % 2) as i32)
    };
    (0..EVENTS).map(event).collect()
}

fn wait_for_end(stage: &Stage, replica: &mut Replica, topics: &[&str]) {
    wait_for("every event to be committed", || {
        assert!(replica.is_running(), "the replica ended by itself: {}", replica.log());
        let lag = |topic: &&str| stage.kafka().lag(&stage.group(), topic);
        (topics.iter().map(lag).sum::<i64>() == 0).then_some(())
    });
}

/// Each event has one outcome, which says on which topic it came in, in that topic's order.
fn assert_each_came_in_on(outputs: &Outputs, topics: &[(&str, &str)]) {
    let (predictions, dead) = (by_id(&outputs.predictions), by_id(&outputs.dead_letters));
    for (prefix, topic) in topics {
        for number in 0..EVENTS {
            let id = format!("{prefix}-{number}");
            let source = format!("{topic}/{}/{}", number % 2, number / 2);
            let (here, there) = match number % BAD {
                0 => (&dead, &predictions),
                _ => (&predictions, &dead),
            };
            let found = here.get(id.as_str()).unwrap_or_else(|| panic!("{id} has its output"));
            assert_eq!(found.header("eddy.source"), Some(source.as_str()), "{id}");
            assert!(!there.contains_key(id.as_str()), "{id} has one outcome");
        }
    }
    assert_eq!(predictions.len() + dead.len(), topics.len() * EVENTS);
    let from = |topic: &str, messages: &[Message]| {
        let source = |message: &Message| message.header("eddy.source").expect("each has one").to_owned();
        let sources = messages.iter().map(source);
        sources
            .filter(|source| source.starts_with(&format!("{topic}/")))
            .count()
    };
    for (_, topic) in topics {
        let samples = from(topic, &outputs.samples);
        assert!(samples > 0, "something of `{topic}` flowed back");
    }
}

/// What stands beside the group's offsets.
fn notes(stage: &Stage, topic: &str) -> Vec<String> {
    let mut config = stage.kafka().client();
    config.set("group.id", stage.group());
    let consumer: BaseConsumer = config.create().expect("a consumer can be made");
    let mut wanted = TopicPartitionList::new();
    wanted.add_partition_range(topic, 0, 1);
    let found = consumer.committed_offsets(wanted, Duration::from_secs(60));
    let found = found.expect("the group can be asked");
    found.elements().iter().map(|one| one.metadata().to_owned()).collect()
}

fn eddy(words: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(BINARY).args(words).output();
    let output = output.expect("the program under test was built with the tests");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).expect("it speaks UTF-8"))
}

#[track_caller]
fn says(words: &[&str], code: i32, parts: &[&str]) -> String {
    let (found, said) = eddy(words);
    assert_eq!(found, Some(code), "{words:?}: {said}");
    for part in parts {
        assert!(said.contains(part), "{words:?} says {part}: {said}");
    }
    said
}

#[test]
fn two_topics_are_read_as_one_stream_and_every_command_knows_which_is_which() {
    let name = "inputs-two";
    let (first, second) = ("inputs-two-events", "inputs-two-more");
    let stage = reading(name, &format!("[\"{first}\", \"{second}\"]"), &format!("{MLP}{SELECT}"));
    stage.kafka().create_topic(second, 2, &[]);
    let file = stage.file().display().to_string();
    says(
        &["check", &file],
        0,
        &[&format!("{first} (2 partitions)"), &format!("{second} (2 partitions)")],
    );

    send(stage.kafka(), first, &events("a"));
    send(stage.kafka(), second, &events("b"));
    let mut replica = stage.start(BINARY, &[]);
    wait_for_end(&stage, &mut replica, &[first, second]);
    let status = replica.status().expect("it runs");
    let held = status["lanes"][0]["partitions"].to_string();
    assert!(
        held.contains(&format!("{first}/1")) && held.contains(&format!("{second}/0")),
        "{held}"
    );
    wait_for("the lag of both topics", || {
        let metrics = replica.get("/metrics")?;
        let has = |topic: &str| metrics.contains(&format!("topic=\"{topic}\""));
        (has(first) && has(second)).then_some(())
    });
    assert_eq!(replica.terminate().code(), Some(0), "{}", replica.log());

    assert_each_came_in_on(&stage.outputs(), &[("a", first), ("b", second)]);
    for topic in [first, second] {
        let notes = notes(&stage, topic);
        assert!(notes.iter().all(|note| note.starts_with('{')), "`{topic}`: {notes:?}");
    }

    let story = says(&["why", &file, "b-3"], 0, &[&format!("{second}/1/1")]);
    assert!(!story.contains(first), "{story}");
    let table = stage.file().with_file_name("samples.csv").display().to_string();
    let samples = says(&["samples", &file, "--since", "1d", "--out", &table], 0, &["explore"]);
    assert!(!samples.contains("another pipeline"), "{samples}");
    let job = ["redrive", &file, "--from", "dead_letters", "--job", "j", "--dry-run"];
    says(&job, 64, &["--topic", first, second]);
    let bad = EVENTS / BAD;
    let one = [&job[..], &["--topic", second]].concat();
    says(&one, 0, &[&format!("{bad} events would be sent"), second]);
    says(&["replay", &file, "--from", "1d"], 64, &["--topic", first, second]);
    says(
        &["replay", &file, "--from", "1d", "--topic", "other"],
        64,
        &["does not read `other`"],
    );
    says(&["replay", &file, "--from", "1d", "--topic", second], 0, &[second]);
    says(
        &["topics", &file],
        0,
        &[&format!("--topic {first}"), &format!("--topic {second}")],
    );
}

const PATTERN: &str = "{ pattern = \"^inputs-in-[a-z]+$\", most = 2 }";
const REFRESH: &str = "\n[kafka.consumer]\n\"topic.metadata.refresh.interval.ms\" = 500\n";

#[test]
fn a_topic_that_comes_to_match_is_read_from_its_beginning_and_one_too_many_is_told_by_name() {
    let stage = reading("inputs-pattern", PATTERN, &format!("{MLP}{SELECT}{REFRESH}"));
    let (first, second) = ("inputs-in-a", "inputs-in-b");
    stage.kafka().create_topic(first, 2, &[]);
    stage.kafka().create_topic("inputs-in-1", 1, &[]);
    let file = stage.file().display().to_string();
    let said = says(&["check", &file], 0, &[&format!("{first} (2 partitions)")]);
    assert!(!said.contains("inputs-in-1"), "it does not match: {said}");
    says(
        &["topics", &file],
        0,
        &["--operation Read --topic inputs-in- --resource-pattern-type prefixed"],
    );

    let old = [Event::pair(1.0, 1.0).named("old")];
    send(stage.kafka(), first, &old);
    let mut replica = stage.start(BINARY, &[("EDDY__KAFKA__START", "latest")]);
    wait_for("the group to have begun", || {
        let committed = stage.kafka().committed(&stage.group(), first);
        (committed == [Some(1), Some(0)]).then_some(())
    });
    // Frozen for a moment, so that it hears of the topic when its events are there.
    assert!(replica.signal("STOP"), "{}", replica.log());
    replica.wait_until_frozen();
    stage.kafka().create_topic(second, 2, &[]);
    send(stage.kafka(), second, &events("b"));
    assert!(replica.signal("CONT"), "{}", replica.log());
    wait_for_end(&stage, &mut replica, &[first, second]);
    let outputs = stage.outputs();
    assert_each_came_in_on(&outputs, &[("b", second)]);

    stage.kafka().create_topic("inputs-in-c", 1, &[]);
    wait_for("the end of the replica", || (!replica.is_running()).then_some(()));
    let log = replica.log();
    assert!(
        log.contains("`inputs-in-c`") && log.contains("topics.events.most"),
        "{log}"
    );
    assert_eq!(
        stage
            .kafka()
            .read_all(&stage.topic("dead-letters"), Isolation::ReadCommitted)
            .len(),
        outputs.dead_letters.len()
    );
}
