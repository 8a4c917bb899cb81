//! Traces that producers begin go on through the service, and a collector is told where the time of each event went.

use std::collections::BTreeMap;

use eddy_tests::collector::spans;
use eddy_tests::kafka::Message;
use eddy_tests::registry::{Mood, StandIn};
use eddy_tests::service::{said, wait_for};
use eddy_tests::stage::{AT_LEAST_ONCE, EXACTLY_ONCE, Event, Stage};
use serde_json::Value;

use crate::{BINARY, all_unsure, stage};

const ID: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";
/// What no span may hold.
const SECRET: &str = "Ada Lovelace";

fn collector() -> StandIn {
    let collector = StandIn::start();
    collector.set_mood(Mood::Odd(String::new()));
    collector
}

fn traced(name: &str, guarantee: &str, (collector, more): (&StandIn, &str)) -> Stage {
    let url = format!("url = \"{}/v1/traces\"", collector.url());
    stage(name, guarantee, &format!("{}\n[traces]\n{url}\n{more}", all_unsure()))
}

fn event(id: &str, flags: Option<&str>) -> Event {
    let event = Event::new(format!(r#"{{"features":{:?},"name":"{SECRET}"}}"#, [0.25; 32])).named(id);
    match flags {
        Some(flags) => event.header("traceparent", format!("00-{ID}-{PARENT}-{flags}")),
        None => event,
    }
}

/// The header `traceparent` of an output: id of the trace, and of the span that sent it.
fn trace_of(message: &Message) -> Option<(&str, &str)> {
    let header = message.header("traceparent")?;
    let parts: Vec<&str> = header.split('-').collect();
    Some((parts[1], parts[2]))
}

#[test]
fn outputs_go_on_with_the_trace_of_their_event_and_spans_tell_what_became_of_it() {
    let collector = collector();
    let stage = traced("traces", EXACTLY_ONCE, (&collector, ""));
    let bad = Event::new(SECRET)
        .named("bad")
        .header("traceparent", format!("00-{ID}-{PARENT}-01"));
    // Of two the last is its producer's own.
    let other = ID.replace('4', "5");
    let good = event("good", None)
        .header("traceparent", format!("00-{other}-{PARENT}-01"))
        .header("traceparent", format!("00-{ID}-{PARENT}-01"))
        .header("tracestate", "vendor=1");
    stage.send(&[good, bad, event("unsampled", Some("00")), event("none", None)]);
    let outputs = stage.run(BINARY, &[]);
    let bodies = collector.bodies();
    let all = spans(&bodies);
    assert!(all.iter().all(|span| span["trace"] == ID), "{all:?}");
    assert!(collector.asked().iter().all(|asked| asked == "POST /v1/traces"));
    for body in &bodies {
        assert!(
            !String::from_utf8_lossy(body).contains(SECRET),
            "a span holds nothing of an event"
        );
    }

    let topic = |topic: &str| stage.topic(topic);
    let of = |offset: i64| -> (&Value, BTreeMap<&str, &Value>) {
        let process = all
            .iter()
            .find(|span| span["attributes"]["messaging.kafka.offset"] == offset);
        let process = process.unwrap_or_else(|| panic!("offset {offset} has no span: {all:?}"));
        let below = all.iter().filter(|span| span["parent"] == process["span"]);
        (
            process,
            below
                .map(|span| (span["name"].as_str().expect("a name"), span))
                .collect(),
        )
    };
    let (good, below) = of(0);
    assert_eq!(
        (&good["parent"], &good["kind"]),
        (&PARENT.into(), &"SPAN_KIND_CONSUMER".into())
    );
    assert_eq!(good["name"], format!("process {}", topic("events")));
    let said = &good["attributes"];
    assert_eq!(said["messaging.destination.name"], topic("events"));
    assert_eq!(said["messaging.destination.partition.id"], "0");
    assert_eq!(said["messaging.consumer.group.name"], stage.group());
    assert_eq!(
        (&said["eddy.outcome"], &said["eddy.arms"]),
        (&"selected".into(), &"uncertainty".into())
    );
    assert_eq!(good["resource"]["service.name"], "traces");
    assert_eq!(good["resource"]["service.instance.id"], "replica-0");
    let sends = [&outputs.predictions[0], &outputs.samples[0]].map(trace_of);
    for (output, sent) in ["predictions", "retraining"].into_iter().zip(sends) {
        let send = below[format!("send {}", topic(output)).as_str()];
        assert_eq!(sent, Some((ID, send["span"].as_str().expect("an id"))));
        assert_eq!(send["kind"], "SPAN_KIND_PRODUCER");
        assert_eq!(send["end"], good["end"], "both end when they are durable");
    }
    for output in [&outputs.predictions[0], &outputs.samples[0]] {
        let of_trace = output.headers.iter().filter(|(name, _)| name == "traceparent");
        assert_eq!(of_trace.count(), 1, "{output:?}");
        assert_eq!(output.header("tracestate"), Some("vendor=1"), "{output:?}");
    }
    let score = below["score"];
    let times = [&good["start"], &score["start"], &score["end"], &good["end"]].map(|time| time.as_u64().expect("ns"));
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(below.len(), 3);

    let (bad, below) = of(1);
    assert_eq!(
        (&bad["status"], &bad["attributes"]["error.type"]),
        (&"STATUS_CODE_ERROR".into(), &"malformed".into())
    );
    let send = below[format!("send {}", topic("dead-letters")).as_str()];
    assert_eq!(
        trace_of(&outputs.dead_letters[0]),
        Some((ID, send["span"].as_str().expect("an id")))
    );
    assert_eq!(
        (below.len(), all.len()),
        (1, 6),
        "the unsampled and the one without have none"
    );
    assert_eq!(
        trace_of(&outputs.predictions[1]),
        Some((ID, PARENT)),
        "what is not recorded passes as it came"
    );
    assert_eq!(outputs.predictions[2].header("traceparent"), None);
}

#[test]
fn a_share_of_events_without_a_trace_begins_one() {
    let collector = collector();
    let stage = traced("begun-traces", AT_LEAST_ONCE, (&collector, "ratio = 1.0"));
    let none = event("none", None).header("tracestate", "vendor=1");
    stage.send(&[none, event("unsampled", Some("00"))]);
    let outputs = stage.run(BINARY, &[]);
    let all = spans(&collector.bodies());
    let process = all
        .iter()
        .find(|span| span["kind"] == "SPAN_KIND_CONSUMER")
        .expect("a span");
    assert_eq!(process["parent"], "");
    let (trace, _) = trace_of(&outputs.predictions[0]).expect("a trace");
    assert_eq!(process["trace"], trace);
    assert_eq!(
        outputs.predictions[0].header("tracestate"),
        None,
        "it is about no trace that begins here"
    );
    assert_eq!(trace_of(&outputs.predictions[1]), Some((ID, PARENT)));
}

#[test]
fn a_collector_in_trouble_is_asked_again_and_holds_nothing_up() {
    let collector = collector();
    collector.set_mood(Mood::Status(503, "later".into()));
    let stage = traced("traces-later", EXACTLY_ONCE, (&collector, ""));
    stage.send(&[event("good", Some("01"))]);
    let mut replica = stage.start(BINARY, &[]);
    stage.wait_for_end(&mut replica);
    wait_for("the collector to be asked again", || {
        (collector.asked().len() > 2).then_some(())
    });
    collector.set_mood(Mood::Odd(String::new()));
    let exported = "eddy_trace_spans_total{outcome=\"exported\",pipeline=\"traces-later\"} 4";
    wait_for("the spans to be taken", || {
        replica.get("/metrics")?.contains(exported).then_some(())
    });
    let bodies = collector.bodies();
    assert!(bodies.iter().all(|body| *body == bodies[0]), "it is offered the same");

    // Nobody takes what comes now, and the end waits for nobody.
    collector.set_mood(Mood::Silent);
    stage.send(&[event("late", Some("01"))]);
    stage.wait_for_end(&mut replica);
    wait_for("it to be asked", || {
        (collector.asked().len() > bodies.len()).then_some(())
    });
    assert_eq!(replica.terminate().code(), Some(0), "{}", replica.log());
    assert!(
        replica.log().contains("the last spans were not sent in time"),
        "{}",
        replica.log()
    );
    collector.set_mood(Mood::Hasty);
    assert_eq!(stage.outputs().predictions.len(), 2);
}

#[test]
fn spans_that_a_collector_wants_later_than_they_are_kept_are_dropped_and_the_next_ones_sent() {
    let collector = collector();
    collector.set_mood(Mood::Busy(u64::MAX));
    let stage = traced("traces-dropped", EXACTLY_ONCE, (&collector, ""));
    stage.send(&[event("early", Some("01"))]);
    let mut replica = stage.start(BINARY, &[]);
    let spans =
        |outcome: &str| format!("eddy_trace_spans_total{{outcome=\"{outcome}\",pipeline=\"traces-dropped\"}} 4");
    wait_for("the spans to be dropped", || {
        replica.get("/metrics")?.contains(&spans("dropped")).then_some(())
    });
    collector.set_mood(Mood::Odd(String::new()));
    stage.send(&[event("late", Some("01"))]);
    wait_for("the next spans to be taken", || {
        replica.get("/metrics")?.contains(&spans("exported")).then_some(())
    });
    assert_eq!(replica.terminate().code(), Some(0), "{}", replica.log());
}

#[test]
fn what_a_collector_refuses_is_counted_and_said_without_the_secret() {
    let collector = collector();
    collector.set_mood(Mood::Status(400, "no hunter2 here".into()));
    let stage = traced(
        "traces-refused",
        EXACTLY_ONCE,
        (&collector, "headers = { authorization = { env = \"API_KEY\" } }"),
    );
    stage.send(&[event("good", Some("01"))]);
    let mut replica = stage.start(BINARY, &[("API_KEY", "Bearer hunter2")]);
    let refused = "eddy_trace_spans_total{outcome=\"refused\",pipeline=\"traces-refused\"} 4";
    wait_for("the spans to be refused", || {
        replica.get("/metrics")?.contains(refused).then_some(())
    });
    assert_eq!(replica.terminate().code(), Some(0), "{}", replica.log());
    let log = replica.log();
    assert!(log.contains("does not take them") && log.contains("no … here"), "{log}");
    assert!(!log.contains("hunter2"), "{log}");
}

#[test]
fn eddy_check_says_what_is_wrong_with_the_collector() {
    let collector = collector();
    let stage = traced("traces-checked", EXACTLY_ONCE, (&collector, ""));
    let check = |more: &[(&str, &str)]| {
        let mut check = std::process::Command::new(BINARY);
        check.arg("check").arg(stage.file()).envs(more.iter().copied());
        check.output().expect("it runs")
    };
    assert!(!said(&check(&[]), 0).contains("traces.url"));
    collector.set_mood(Mood::Status(404, "not found".into()));
    let warned = said(&check(&[]), 0);
    assert!(
        warned.contains("traces.url") && warned.contains("/v1/traces"),
        "{warned}"
    );
    let tls = [
        ("EDDY__TRACES__URL", "https://127.0.0.1:1/"),
        ("EDDY__TRACES__CA", "nowhere.pem"),
    ];
    let refused = said(&check(&tls), 78);
    assert!(
        refused.contains("traces.ca") && refused.contains("nowhere.pem"),
        "{refused}"
    );
}
