//! The log of a service that runs: its level is changed from the command line, and at no level does it show what events hold.

use eddy_tests::service::{Replica, wait_for};
use eddy_tests::stage::Event;
use serde_json::json;

use crate::oncall::{TOKEN, WITH_TOKEN, succeeds, token, wait_until_ready};
use crate::score::score;
use crate::{BINARY, EXACTLY_ONCE, PICK, stage};

/// Stands in every part of some events, and nowhere else.
const PLANTED: &str = "planted-Zx81";
/// The same as a number: the row of a table that is not there, so that the run fails.
const PLANTED_ROW: u32 = 8_118_118;

/// Events that are predicted, refused for many reasons, and make a model fail.
fn events() -> Vec<Event> {
    let planted = |value: String| Event::new(value).keyed(PLANTED).header("h", PLANTED);
    let good = format!(r#"{{"features":[1,1],"note":"{PLANTED}"}}"#);
    vec![
        planted(good.clone()),
        planted(format!(r#"{{"features":["{PLANTED}",1]}}"#)),
        planted(format!(r#"{{"features":"{PLANTED}"}}"#)),
        planted(format!(r#"{{"{PLANTED}":1}}"#)),
        planted(format!(r#"{{"features":[1,1],"features":"{PLANTED}"}}"#)),
        planted(PLANTED.to_owned()),
        planted(format!(r#"{{"features":[1,1]}} {PLANTED}"#)),
        planted(format!(r#"{{"features":[{PLANTED_ROW},1]}}"#)),
        planted(good),
    ]
}

fn level(replica: &Replica) -> serde_json::Value {
    replica.status().expect("the page answers")["log"].clone()
}

#[test]
fn the_level_is_changed_for_a_while_and_at_none_are_events_shown() {
    let stage = stage("logs", EXACTLY_ONCE, PICK);
    let token_file = token(&stage, TOKEN);
    let mut settings = WITH_TOKEN.to_vec();
    settings.push(("EDDY__DEAD_LETTERS__FLOOD_SHARE", "1.0"));
    // The client says all that it can once the log lets it.
    settings.push(("EDDY__KAFKA__PROPERTIES", r#"{ debug = "all" }"#));
    let mut replica = stage.start(BINARY, &settings);
    wait_until_ready(&mut replica);
    let configured = json!({ "level": "info", "until": null });
    assert_eq!(level(&replica), configured);
    assert!(!replica.log().contains(" DEBUG "), "{}", replica.log());
    let admin = replica.admin();
    let log = |words: &[&'static str]| {
        let whom = ["--admin", &admin, "--token-file", &token_file];
        [&["log"], words, &whom[..]].concat()
    };

    succeeds(&log(&["trace", "--for", "1h"]), "before it was `info`");
    let now = level(&replica);
    assert!(now["level"] == "trace" && now["until"].is_string(), "{now}");
    stage.send(&events());
    stage.wait_for_end(&mut replica);
    let (status, answer) = score(&replica, Some(TOKEN), &format!(r#"{{"features":["{PLANTED}",1]}}"#));
    assert_eq!(status, 200, "{answer}");
    wait_for("the client to be heard", || {
        replica.log().contains(" DEBUG librdkafka").then_some(())
    });

    succeeds(&log(&["configured"]), "before it was `trace`");
    assert_eq!(level(&replica), configured);
    succeeds(&log(&["off", "--for", "1s"]), "`off` is logged until");
    wait_for("the configured level to come back", || {
        (level(&replica) == configured).then_some(())
    });
    assert_eq!(replica.terminate().code(), Some(0), "{}", replica.log());

    let outputs = stage.outputs();
    assert_eq!((outputs.predictions.len(), outputs.dead_letters.len()), (2, 7));
    let text = replica.log();
    let said = |words: &str| {
        text.lines()
            .filter(|line| line.contains("eddy::audit") && line.contains(words))
            .count()
    };
    assert_eq!(said("what=\"log "), 3, "{text}");
    assert_eq!(said("the time of the changed log level is over"), 1, "{text}");
    for planted in [PLANTED, &PLANTED_ROW.to_string()] {
        let shown: Vec<&str> = text.lines().filter(|line| line.contains(planted)).collect();
        assert!(shown.is_empty(), "the log shows what an event holds: {shown:#?}");
    }
}
