//! `POST /score`: what the live models say of one event, and that the stream does not notice.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use eddy_tests::service::{PATIENCE, Replica, wait_for};
use eddy_tests::stage::Event;
use serde_json::{Value, json};

use crate::oncall::{TOKEN, WITH_TOKEN, token};
use crate::{BINARY, EXACTLY_ONCE, MLP, stage};

/// Status and answer of `POST /score`.
pub(super) fn score(replica: &Replica, token: Option<&str>, event: &str) -> (u16, Value) {
    let address = replica.admin();
    let address = address.strip_prefix("http://").expect("it is one");
    let mut stream = TcpStream::connect(address).expect("the admin address answers");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket has a timeout");
    let token = token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
    let length = event.len();
    write!(
        stream,
        "POST /score HTTP/1.1\r\nHost: localhost\r\n{token}Content-Length: {length}\r\nConnection: close\r\n\r\n{event}"
    )
    .expect("it is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("that is HTTP");
    let status = head.split_whitespace().nth(1).and_then(|code| code.parse().ok());
    (
        status.expect("that is HTTP"),
        serde_json::from_str(body).expect("the answer is JSON"),
    )
}

fn event(number: usize) -> String {
    let features: Vec<f64> = (0..32)
        .map(|at| ((number * 7 + at * 3) % 11) as f64 / 5.0 - 1.0)
        .collect();
    json!({"id": format!("event-{number}"), "features": features, "at": "2026-05-01T00:00:00Z", "note": number})
        .to_string()
}

/// What must not be changed by a question: everything that is counted, and what stands on the topics.
fn books(replica: &Replica) -> Vec<String> {
    let metrics = replica.get("/metrics").expect("it answers");
    let counted = [
        "eddy_events_",
        "eddy_predictions_",
        "eddy_selections_",
        "eddy_signal",
        "eddy_consumed_",
        "eddy_model_run_",
        "eddy_batch_rows",
    ];
    let is_counted = |line: &&str| counted.iter().any(|name| line.starts_with(name));
    let lines = metrics.lines().filter(is_counted).map(str::to_owned);
    let lines: Vec<String> = lines.collect();
    assert!(
        lines.iter().any(|line| line.starts_with("eddy_events_consumed")),
        "{metrics}"
    );
    lines
}

#[test]
fn an_event_is_scored_as_in_the_stream_and_the_stream_does_not_notice() {
    let text = format!(
        "[events]\nid_field = \"/id\"\ntime_field = \"/at\"\npass_through = [\"/note\"]\n{MLP}signals = [\"margin\", \
         \"entropy\"]\n\n[select]\nconfidence_below = 0.6\n"
    );
    let stage = stage("score", EXACTLY_ONCE, &text);
    token(&stage, TOKEN);
    let events: Vec<String> = (0..20).map(event).collect();
    let sent: Vec<Event> = events.iter().map(|event| Event::new(event.as_str())).collect();
    stage.send(&sent);
    let mut replica = stage.start(BINARY, &WITH_TOKEN);
    stage.wait_for_end(&mut replica);
    wait_for("the service to be ready", || {
        (replica.code("/ready") == Some(200)).then_some(())
    });
    let outputs = stage.outputs();
    let (before, committed) = (books(&replica), stage.committed());
    let mut flagged = 0;
    for (event, message) in events.iter().zip(&outputs.predictions) {
        let mut wanted: Value = serde_json::from_slice(message.value.as_deref().expect("a value")).expect("JSON");
        let (status, answer) = score(&replica, Some(TOKEN), event);
        assert_eq!((status, &answer["outcome"]), (200, &json!("predicted")), "{answer}");
        for of_the_stream in ["format", "source"] {
            wanted.as_object_mut().expect("an object").remove(of_the_stream);
        }
        assert_eq!(answer["prediction"], wanted);
        assert_eq!(answer["id"], wanted["id"]);
        assert_eq!(
            answer["fields"]["features"].as_array().map(Vec::len),
            Some(32),
            "{answer}"
        );
        let model = &wanted["models"]["mlp"];
        for signal in ["margin", "entropy"] {
            assert_eq!(answer["signals"]["mlp"][signal], model["signals"][signal], "{answer}");
        }
        let is_flagged = model["flags"] != json!([]);
        flagged += usize::from(is_flagged);
        let outcome = if is_flagged { "selected" } else { "not_selected" };
        let arm = json!([{"arm": "uncertainty", "model": "mlp", "outcome": outcome}]);
        assert_eq!(answer["selection"], arm, "{answer}");
        assert_eq!(answer["thresholds"]["confidence_below"], json!(0.6), "{answer}");
        let told = answer["told"]["mlp"].to_string();
        assert!(told.contains("select.confidence_below, now 0.6"), "{told}");
    }
    assert_eq!(flagged, outputs.samples.len());

    let (status, answer) = score(&replica, Some(TOKEN), r#"{"id":"x","features":[1]}"#);
    assert_eq!((status, &answer["outcome"]), (200, &json!("dead_letter")), "{answer}");
    assert_eq!(answer["dead_letter"]["reason"], "wrong_shape", "{answer}");
    assert_eq!(score(&replica, Some(TOKEN), "").0, 400);
    assert_eq!(score(&replica, None, &events[0]).0, 401);
    let (status, _) = score(&replica, Some(TOKEN), &" ".repeat((64 << 10) + 1));
    assert_eq!(status, 413);

    assert_eq!(books(&replica), before);
    assert_eq!(stage.committed(), committed);
    let after = stage.outputs();
    assert_eq!(
        (after.predictions.len(), after.samples.len(), after.dead_letters.len()),
        (outputs.predictions.len(), outputs.samples.len(), 0)
    );
    // An event is nobody's business: the audit shows how large it was.
    let log = replica.log();
    assert!(log.contains("score (") && !log.contains("event-7"), "{log}");
    stage.send(&[Event::new(event(20))]);
    stage.wait_for_end(&mut replica);
    assert_eq!(replica.terminate().code(), Some(0), "{}", replica.log());
    assert_eq!(stage.outputs().predictions.len(), 21, "the stream goes on");
}
