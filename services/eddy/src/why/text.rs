//! An event's story as a person reads it: one line of time for each thing that happened, the details below it.
//!
//! Owns: the words. Never does: leave out why an event was not selected, as far as outputs tell it.

use std::fmt::Write as _;

use serde_json::Value;

use super::story::{Arrival, DeadLetter, Prediction, Sampled, Seen, Story, parsed};
use crate::plain::{clipped, plain};
use crate::recall::counted;

/// Elements of a list that are shown before the rest is only counted.
const SHOWN: usize = 8;
/// Letters of a text that are shown.
const LETTERS: usize = 80;

/// The whole story.
pub(super) fn render(story: &Story) -> String {
    let mut text = String::new();
    match &story.id {
        Some(id) => line(&mut text, 0, &format!("event `{id}` of pipeline `{}`", story.pipeline)),
        None => line(
            &mut text,
            0,
            &format!(
                "nothing was found of `{}` in pipeline `{}`",
                story.asked, story.pipeline
            ),
        ),
    }
    let mut parts: Vec<(Option<i64>, String)> = Vec::new();
    let mut add = |seen: &Seen, what: &str, tell: &dyn Fn(&mut String)| {
        let mut part = String::new();
        let time = seen.time.as_deref().unwrap_or("at no known time       ");
        line(&mut part, 0, &format!("\n{time}  {what}"));
        tell(&mut part);
        parts.push((seen.time_ms, part));
    };
    for event in &story.events {
        add(&event.seen, &format!("came in at {}", event.seen.place), &|text| {
            arrival(event, text);
        });
    }
    for one in &story.predictions {
        add(&one.seen, &format!("predicted, at {}", one.seen.place), &|text| {
            prediction(one, story, text);
        });
    }
    for one in &story.samples {
        add(
            &one.seen,
            &format!("selected for a label, at {}", one.seen.place),
            &|text| {
                sample(one, text);
            },
        );
    }
    for one in &story.dead_letters {
        add(&one.seen, &format!("dead letter, at {}", one.seen.place), &|text| {
            dead_letter(one, text);
        });
    }
    parts.sort_by_key(|(time, _)| *time);
    parts.into_iter().for_each(|(_, part)| text.push_str(&part));
    ending(story, &mut text);
    text
}

fn ending(story: &Story, text: &mut String) {
    if story.left_out > 0 {
        let more = counted(story.left_out, "more output");
        line(text, 0, &format!("\nand {more} under this name"));
    }
    for unread in &story.thresholds.unread {
        line(text, 0, &format!("\nthresholds are told without {unread}"));
    }
    for gone in &story.gone {
        line(text, 0, &format!("\nnothing is at {gone} (any more)"));
    }
    if let Some(draw) = story.control_draw {
        let draw = rounded(draw);
        let said = format!("\nthe control arm draws {draw} for it: selected where its rate is above that");
        line(text, 0, &said);
    }
    line(text, 0, "\nlooked at");
    for looked in &story.looked {
        let (topic, records) = (&looked.topic, counted(looked.records, "record"));
        let (since, until) = (&looked.since, &looked.until);
        line(text, 1, &format!("{topic}  from {since} up to {until}: {records}"));
    }
    if story.is_empty() {
        line(text, 1, "an older one is found with a longer --since");
    }
}

fn arrival(event: &Arrival, text: &mut String) {
    let bytes = match event.bytes {
        Some(bytes) => counted(bytes as u64, "byte"),
        None => "a tombstone".into(),
    };
    let key = event
        .key
        .as_ref()
        .map_or("no key".into(), |key| format!("key `{}`", clipped(key, LETTERS)));
    line(text, 1, &format!("{bytes}, {key}"));
    if let Some(time) = &event.event_time {
        line(text, 1, &format!("event time {time}"));
    }
    if let Some(why) = &event.rejection {
        line(
            text,
            1,
            &format!("the pipeline file as it is now does not take it: {why}"),
        );
    }
    let width = event.fields.keys().map(|name| name.chars().count()).max().unwrap_or(0);
    for (name, value) in &event.fields {
        line(text, 1, &format!("{name:width$}  {}", exact(value)));
    }
    match event.is_done {
        Some(true) => line(
            text,
            1,
            "the pipeline is past it, and none of its outputs is where it was looked for",
        ),
        Some(false) => line(text, 1, "the pipeline has not committed it yet"),
        None => {}
    }
}

fn prediction(one: &Prediction, story: &Story, text: &mut String) {
    let document = parsed(&one.prediction);
    let mut is_selected = false;
    for (name, model) in document["models"].as_object().into_iter().flatten() {
        said_by(name, model, text);
        members("signals", &model["signals"], text);
        let flags = &model["flags"];
        if flags.as_array().is_some_and(|flags| !flags.is_empty()) {
            is_selected = true;
            line(text, 2, &format!("selected by {}", words(flags)));
        }
        for told in story.thresholds.tell(name, model, &story.events) {
            line(text, 2, &told);
        }
    }
    let draws = document["draws"].as_array();
    draws.into_iter().flatten().for_each(|one| draw(one, text));
    if story.thresholds.has_budget {
        // A draw of the control arm alone is not written: its line at the end says what it draws.
        let said = match (draws.is_some(), is_selected) {
            (true, _) => "any other arm gave it no chance at that moment",
            (false, true) => "no draw was needed: its selection was certain",
            (false, false) => "not selected: no arm but the control arm gave it a chance at that moment",
        };
        line(text, 1, said);
    }
    members("passed through", &document["fields"], text);
}

/// `cancer 1: label "benign", confidence 0.62`
fn said_by(name: &str, model: &Value, text: &mut String) {
    let about = ["version", "signals", "flags"];
    let members = model.as_object().into_iter().flatten();
    let said: Vec<String> = members
        .filter(|(member, _)| !about.contains(&member.as_str()))
        .map(|(member, value)| format!("{member} {}", short(value)))
        .collect();
    let version = model["version"].as_str().unwrap_or("?");
    line(text, 1, &format!("{name} {version}: {}", said.join(", ")));
}

/// `uncertainty (cancer): drew 0.7, probability 0.3: not drawn`
fn draw(one: &Value, text: &mut String) {
    let model = one["model"]
        .as_str()
        .map_or(String::new(), |model| format!(" ({model})"));
    let outcome = match one["outcome"].as_str().unwrap_or_default() {
        "selected" => "selected",
        "not_drawn" => "not selected: the draw is not below the probability",
        "no_budget" => "not selected: the arm's budget was spent just then",
        "segment_full" => "not selected: its segment had taken its part of the budget",
        "duplicate" => "not selected: one like it was selected before",
        other => other,
    };
    let arm = one["arm"].as_str().unwrap_or("?");
    let (draw, probability) = (short(&one["draw"]), short(&one["probability"]));
    line(
        text,
        1,
        &format!("arm {arm}{model}: drew {draw}, probability {probability}; {outcome}"),
    );
}

fn sample(one: &Sampled, text: &mut String) {
    if let (Some(probability), Some(weight)) = (one.probability, one.weight) {
        line(
            text,
            1,
            &format!(
                "inclusion probability {}, so it counts for {}",
                rounded(probability),
                rounded(weight)
            ),
        );
    }
    let hash = |what: &str, hash: &Option<String>| hash.as_ref().map(|hash| format!("{what} {hash}"));
    let about = [
        hash("configuration", &one.config),
        hash("policy", &one.policy),
        hash("body", &one.body),
    ];
    let about: Vec<String> = about.into_iter().flatten().collect();
    line(text, 1, &about.join(", "));
    for model in parsed(&one.selection).as_array().into_iter().flatten() {
        let name = model["model"].as_str().unwrap_or("?");
        let version = model["version"].as_str().unwrap_or("?");
        line(text, 1, &format!("{name} {version}: {}", words(&model["arms"])));
        line(text, 2, &format!("sha256 {}", model["sha256"].as_str().unwrap_or("?")));
        if let Some(profile) = model["profile"].as_str() {
            line(text, 2, &format!("reference profile {profile}"));
        }
        members("scores", &model["scores"], text);
        members("probability by arm", &model["probabilities"], text);
        members("features that contributed most", &model["features"], text);
    }
}

fn dead_letter(one: &DeadLetter, text: &mut String) {
    let part = |part: &Option<String>| part.clone().unwrap_or_else(|| "?".into());
    let (stage, reason) = (part(&one.stage), part(&one.reason));
    line(text, 1, &format!("{reason}, at stage {stage}: {}", part(&one.detail)));
    if let Some(body) = &one.body {
        let digest = one
            .sha256
            .as_ref()
            .map_or(String::new(), |sha256| format!(", sha256 {sha256}"));
        line(
            text,
            1,
            &format!("body {body}{digest}, configuration {}", part(&one.config)),
        );
    }
}

/// `signals: margin 0.2, entropy 0.9`; nothing for nothing.
fn members(what: &str, value: &Value, text: &mut String) {
    let members: Vec<String> = value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| format!("{name} {}", short(value)))
        .collect();
    if !members.is_empty() {
        line(text, 2, &format!("{what}: {}", members.join(", ")));
    }
}

/// The texts of a list, with commas.
fn words(list: &Value) -> String {
    let words = list.as_array().into_iter().flatten().filter_map(Value::as_str);
    words.collect::<Vec<_>>().join(", ")
}

/// A number to six digits: more of them tell a person nothing, and reading JSON may change the last.
fn rounded(x: f64) -> f64 {
    format!("{x:.5e}").parse().unwrap_or(x)
}

/// A value of an output on one line.
fn short(value: &Value) -> String {
    match value {
        Value::Array(list) => exact(&list.iter().map(short_number).collect()),
        value => exact(&short_number(value)),
    }
}

fn short_number(value: &Value) -> Value {
    match value.as_f64() {
        Some(x) if value.is_f64() => Value::from(rounded(x)),
        _ => value.clone(),
    }
}

/// A value on one line, long ones cut short.
fn exact(value: &Value) -> String {
    match value {
        Value::Array(list) if list.len() > SHOWN => {
            let first: Vec<String> = list[..SHOWN].iter().map(Value::to_string).collect();
            format!("[{},… {} in all]", first.join(","), list.len())
        }
        Value::Null => "(missing)".into(),
        value => clipped(&value.to_string(), LETTERS),
    }
}

fn line(text: &mut String, depth: usize, what: &str) {
    let (breaks, what) = match what.strip_prefix('\n') {
        Some(rest) => ("\n", rest),
        None => ("", what),
    };
    let (what, indent) = (plain(what), depth * 4);
    writeln!(text, "{breaks}{:indent$}{what}", "").expect("writing to a String cannot fail");
}

#[cfg(test)]
mod tests {
    use eddy_pipeline::event::{Partition, Source};
    use serde_json::json;
    use serde_json::value::RawValue;

    use super::super::story::Looked;
    use super::super::thresholds::Thresholds;
    use super::*;

    fn seen(place: &str, time_ms: i64) -> Seen {
        let (topic, partition, offset) = eddy_pipeline::event::place(place).expect("a place");
        Seen::of(&eddy_pipeline::event::Record {
            source: Source {
                partition: Partition {
                    topic: 0,
                    number: partition,
                },
                offset,
            },
            topic,
            timestamp_ms: Some(time_ms),
            key: None,
            value: None,
            headers: &[],
        })
    }

    fn story() -> Story {
        let thresholds = Thresholds {
            confidence_below: Some(0.6),
            has_budget: true,
            ..Thresholds::default()
        };
        Story::new("p", "a", thresholds)
    }

    fn raw(value: &Value) -> Option<Box<RawValue>> {
        Some(RawValue::from_string(value.to_string()).expect("a value is JSON"))
    }

    fn rendered(prediction: Value) -> String {
        let mut story = story();
        story.predictions.push(Prediction {
            seen: Seen {
                id: Some("a".into()),
                ..seen("predictions/0/1", 2)
            },
            prediction: raw(&prediction),
        });
        story.settle();
        render(&story)
    }

    #[test]
    fn a_prediction_tells_outputs_signals_thresholds_and_every_draw() {
        let text = rendered(json!({
            "models": {"m": {"version": "2", "label": "x", "confidence": 0.7, "signals": {"margin": 0.25},
                             "flags": ["uncertainty"]}},
            "draws": [{"arm": "explore", "probability": 0.5, "draw": 0.75, "outcome": "not_drawn"},
                      {"arm": "uncertainty", "model": "m", "probability": 0.5, "draw": 0.25, "outcome": "selected"},
                      {"arm": "anomaly", "model": "m", "probability": 0.5, "draw": 0.25, "outcome": "no_budget"}],
        }));
        for part in [
            "m 2: confidence 0.7, label \"x\"",
            "signals: margin 0.25",
            "selected by uncertainty",
            "confidence 0.7 is not below select.confidence_below, now 0.6",
            "arm explore: drew 0.75, probability 0.5; not selected: the draw is not below the probability",
            "arm uncertainty (m): drew 0.25, probability 0.5; selected",
            "the arm's budget was spent",
        ] {
            let sorted = part.replace("confidence 0.7, label \"x\"", "label \"x\", confidence 0.7");
            assert!(text.contains(part) || text.contains(&sorted), "{part}: {text}");
        }
    }

    #[test]
    fn an_event_that_nobody_drew_for_is_told_why() {
        let model = |flags: Value| json!({"models": {"m": {"version": "1", "flags": flags}}});
        let told = rendered(model(json!([])));
        let (at, draws) = (
            told.find("not selected: no arm but the control arm gave it a chance at that moment"),
            told.find("the control arm draws 0."),
        );
        assert!(at.is_some() && at < draws, "{told}");
        assert!(rendered(model(json!(["anomaly"]))).contains("its selection was certain"));
    }

    #[test]
    fn numbers_of_outputs_are_told_to_six_digits() {
        assert_eq!(short(&json!(0.092_561_633_962_921_61)), "0.0925616");
        assert_eq!(short(&json!([0.159_095_36, 3])), "[0.159095,3]");
        assert_eq!((rounded(0.5), rounded(7.777_777_777)), (0.5, 7.77778));
    }

    #[test]
    fn every_word_for_the_outcome_of_a_draw_is_explained() {
        use eddy_pipeline::select::Drawn;
        for drawn in [
            Drawn::Selected,
            Drawn::NotDrawn,
            Drawn::NoBudget,
            Drawn::SegmentFull,
            Drawn::Duplicate,
        ] {
            let mut text = String::new();
            draw(&json!({"arm": "anomaly", "outcome": drawn.as_str()}), &mut text);
            assert!(!text.contains('_'), "{text}");
        }
    }

    #[test]
    fn what_happened_is_told_in_the_order_of_time() {
        let mut story = story();
        story.id = Some("a".into());
        story.predictions.push(Prediction {
            seen: seen("predictions/0/1", 2_000),
            prediction: None,
        });
        story.dead_letters.push(DeadLetter {
            seen: seen("dead-letters/0/1", 1_000),
            stage: Some("decode".into()),
            reason: Some("malformed".into()),
            detail: Some("it is no JSON".into()),
            config: None,
            body: Some("original".into()),
            sha256: None,
        });
        let text = render(&story);
        let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part}: {text}"));
        assert!(at("1970-01-01T00:00:01.000Z  dead letter") < at("1970-01-01T00:00:02.000Z  predicted"));
        assert!(text.contains("malformed, at stage decode: it is no JSON"), "{text}");
    }

    #[test]
    fn of_an_unknown_event_it_is_told_where_it_was_looked_for_and_up_to_when() {
        let mut story = story();
        story
            .looked
            .push(Looked::new("predictions", (0, 1_777_593_600_000), 12));
        let text = render(&story);
        assert!(text.starts_with("nothing was found of `a`"), "{text}");
        let looked = "predictions  from 1970-01-01T00:00:00.000Z up to 2026-05-01T00:00:00.000Z: 12 records";
        assert!(text.contains(looked), "{text}");
    }

    #[test]
    fn long_values_are_cut() {
        let long = short(&json!((0..100).collect::<Vec<_>>()));
        assert_eq!(long, "[0,1,2,3,4,5,6,7,… 100 in all]");
    }
}
