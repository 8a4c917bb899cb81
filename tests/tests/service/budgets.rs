//! A label budget on a real Kafka: what was spent stays spent, and the control arm is the same however often it is read.

use std::collections::BTreeSet;
use std::fs;

use eddy_pipeline::select::Salt;
use eddy_tests::oracle::Outputs;
use eddy_tests::service::{Replica, wait_for};
use eddy_tests::stage::{AT_LEAST_ONCE, Event, MLP, Stage};
use serde_json::Value;

use crate::{BINARY, EXACTLY_ONCE, PICK, Plan, stage};

const EVENTS: usize = 3000;
/// Of all events: three tenths for the control arm, seven for the uncertain ones.
const SELECT: &str = r#"
[select]
fraction = 0.1
shares = { explore = 0.3, uncertainty = 0.7 }

[batch]
rows = 16
"#;

/// Events like no other, spread over four partitions.
fn events(range: std::ops::Range<usize>) -> Vec<Event> {
    let feature = |number: usize, at: usize| Salt::new(at as u64).draw(&number.to_string()) * 4.0 - 2.0;
    let event = |number: usize| {
        let features: Vec<String> = (0..32).map(|at| format!("{:.4}", feature(number, at))).collect();
        let value = format!(r#"{{"features":[{}]}}"#, features.join(","));
        Event::new(value)
            .named(&format!("event-{number}"))
            .at((number % 4) as i32)
    };
    range.map(event).collect()
}

fn four_partitions(name: &str, guarantee: &str) -> Stage {
    Stage::new(&Plan {
        name,
        guarantee,
        partitions: 4,
        limits: &[],
        text: &format!("{MLP}{SELECT}"),
    })
}

/// Ids of the samples that an arm selected, each once.
fn selected_by(outputs: &Outputs, arm: &str) -> BTreeSet<String> {
    let samples = outputs.samples.iter().filter(|sample| {
        let selection: Value = serde_json::from_str(sample.header("eddy.selection").unwrap()).unwrap();
        selection[0]["arms"].as_array().unwrap().contains(&Value::from(arm))
    });
    samples
        .map(|sample| sample.header("eddy.id").unwrap().to_owned())
        .collect()
}

fn assert_budget_kept(outputs: &Outputs) {
    let id = |number: usize| format!("event-{number}");
    let drawn = (0..EVENTS).map(id).filter(|id| Salt::named("explore").draw(id) < 0.03);
    assert_eq!(
        selected_by(outputs, "explore"),
        drawn.collect(),
        "the control arm is a matter of ids only"
    );
    let (spent, budget) = (selected_by(outputs, "uncertainty").len(), EVENTS * 7 / 100);
    assert!(spent <= budget, "{spent} of {budget} were spent");
    assert!(
        spent * 10 >= budget * 8,
        "only {spent} of {budget} were spent: something was lost"
    );
}

fn wait_for_commits(stage: &Stage, replica: &mut Replica, events: usize) {
    wait_for("some events to be committed", || {
        assert!(replica.is_running(), "the replica ended by itself: {}", replica.log());
        (stage.committed() >= events as i64).then_some(())
    });
}

#[test]
fn kills_neither_refill_a_budget_nor_lose_it_exactly_once() {
    let stage = four_partitions("budget-kills", EXACTLY_ONCE);
    for turn in 0..5 {
        stage.send(&events(turn * EVENTS / 5..(turn + 1) * EVENTS / 5));
        let mut replica = stage.start(BINARY, &[]);
        if turn < 4 {
            wait_for_commits(&stage, &mut replica, turn * EVENTS / 5 + EVENTS / 10);
            replica.kill();
        } else {
            stage.wait_for_end(&mut replica);
            assert_eq!(replica.terminate().code(), Some(0), "{}", replica.log());
        }
    }
    let outputs = stage.outputs();
    assert_eq!(outputs.predictions.len(), EVENTS);
    assert_budget_kept(&outputs);
}

#[test]
fn an_event_that_is_read_twice_meets_the_same_control_arm_at_least_once() {
    let stage = four_partitions("budget-twice", AT_LEAST_ONCE);
    stage.send(&events(0..EVENTS));
    for turn in 1..4 {
        let mut replica = stage.start(BINARY, &[]);
        wait_for("some predictions", || {
            (stage.outputs().predictions.len() >= turn * EVENTS / 5).then_some(())
        });
        replica.kill();
    }
    let outputs = stage.run(BINARY, &[]);
    let id = |number: usize| format!("event-{number}");
    let drawn = (0..EVENTS).map(id).filter(|id| Salt::named("explore").draw(id) < 0.03);
    assert_eq!(selected_by(&outputs, "explore"), drawn.collect());
}

#[test]
fn a_budget_moves_with_its_partitions() {
    let stage = four_partitions("budget-moves", EXACTLY_ONCE);
    let start = |instance: &str| Replica::start(BINARY, &stage.file(), instance, &[]);
    stage.send(&events(0..EVENTS / 3));
    let mut first = start("replica-0");
    wait_for_commits(&stage, &mut first, EVENTS / 6);
    let mut second = start("replica-1");
    wait_for("the partitions to be shared", || {
        let partitions = |replica: &Replica| {
            let status = replica.status().unwrap_or_default();
            status["lanes"][0]["partitions"].as_array().map_or(0, Vec::len)
        };
        (partitions(&first) == 2 && partitions(&second) == 2).then_some(())
    });
    stage.send(&events(EVENTS / 3..EVENTS * 2 / 3));
    wait_for_commits(&stage, &mut second, EVENTS / 2);
    assert_eq!(first.terminate().code(), Some(0), "{}", first.log());
    stage.send(&events(EVENTS * 2 / 3..EVENTS));
    stage.wait_for_end(&mut second);
    assert_eq!(second.terminate().code(), Some(0), "{}", second.log());
    assert_budget_kept(&stage.outputs());
}

#[test]
fn a_policy_is_taken_up_between_batches_and_a_broken_one_is_not() {
    let text = format!("{PICK}\n[policy]\npath = \"policy.toml\"\nevery = \"1s\"\n");
    let stage = stage("policy", EXACTLY_ONCE, &text);
    let policy = stage.file().with_file_name("policy.toml");
    fs::write(&policy, "format = 1\n").unwrap();
    let mut replica = stage.start(BINARY, &[]);
    let send = |range: std::ops::Range<usize>| {
        let event = |number: usize| Event::pair((number % 10) as f64, number as f64).named(&format!("event-{number}"));
        stage.send(&range.map(event).collect::<Vec<_>>());
    };
    send(0..100);
    stage.wait_for_end(&mut replica);
    let hash = |replica: &Replica| replica.status()?["policy"].as_str().map(str::to_owned);
    let before = hash(&replica).expect("there is a policy");
    fs::write(&policy, "format = 1\n[select]\nfraction = 0.5\nshare = 1\n").unwrap();
    wait_for("the broken policy to be refused", || {
        replica.log().contains("is not taken up").then_some(())
    });
    assert!(replica.log().contains("did you mean `shares`?"), "{}", replica.log());
    assert_eq!(hash(&replica).as_ref(), Some(&before));
    fs::write(
        &policy,
        "format = 1\n[select]\nfraction = 1.0\nshares = { explore = 1.0 }\n",
    )
    .unwrap();
    let after = wait_for("the policy to be in force", || {
        hash(&replica).filter(|hash| *hash != before)
    });
    send(100..200);
    stage.wait_for_end(&mut replica);
    assert_eq!(replica.terminate().code(), Some(0), "{}", replica.log());
    let samples = stage.outputs().samples;
    // The lane may still finish the turn in which it had looked.
    assert!(samples.len() >= 50, "{}", samples.len());
    assert!(
        samples
            .iter()
            .all(|sample| sample.header("eddy.policy") == Some(after.as_str()))
    );
    assert!(
        samples
            .iter()
            .all(|sample| sample.header("eddy.probability") == Some("1"))
    );
}
