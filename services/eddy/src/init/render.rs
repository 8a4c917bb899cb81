//! The text of a pipeline file.
//!
//! Owns: its layout. Settings are written as they serialise, without what is the default anyway, so that a key cannot be
//! written that no setting has.

use std::fmt::Write as _;

use eddy_broker::settings::Start;
use eddy_pipeline::fields::{FieldSettings, ImageSettings};
use eddy_pipeline::format::PIPELINE;
use eddy_pipeline::head::HeadSettings;
use serde_json::{Map, Value};

use super::numbers;
use super::{FieldPlan, HeadPlan, Plan};

/// Longest line of a list before each item has its own.
const LINE: usize = 100;
/// The order of keys; those that are not here come last.
const ORDER: [&str; 22] = [
    "type",
    "pointer",
    "from",
    "higher_is",
    "output",
    "spread",
    "label",
    "probabilities",
    "length",
    "elements",
    "min",
    "max",
    "non_finite",
    "categories",
    "parts",
    "default",
    "image",
    "classes",
    "width",
    "height",
    "channels",
    "layout",
];

/// The word of the file.
fn start(start: Start) -> String {
    serde_json::to_value(start).map_or_else(|_| unreachable!("it is a word"), |word| value(&word))
}

/// What a word means, and the other one.
fn starts(start: Start) -> &'static str {
    match start {
        Start::Earliest => "with the oldest event; \"latest\": with what comes next",
        Start::Latest => "with what comes next; \"earliest\": with the oldest event",
        Start::Error => "nowhere, it stops; \"earliest\": with the oldest event",
    }
}

pub(crate) fn file(plan: &Plan) -> String {
    let mut text = String::new();
    head_comment(&mut text, plan);
    line(&mut text, &format!("format = {}", PIPELINE.written));
    line(&mut text, &format!("name = {}", string(&plan.name)));
    line(&mut text, &format!("\n[kafka]\nbrokers = {}", string(&plan.brokers)));
    line(
        &mut text,
        &format!(
            "start = {}    # where a new group begins: {}",
            start(plan.start),
            starts(plan.start)
        ),
    );
    if let Some(events) = &plan.events {
        line(&mut text, &format!("\n[topics]\nevents = {}", string(events)));
    }
    events(&mut text, &plan.fields);
    for field in &plan.fields.fields {
        text.push('\n');
        comment(&mut text, &field.about);
        line(&mut text, &format!("[fields.{}]", key(&field.name)));
        let plain = FieldSettings::of(field.settings.kind);
        let mut keys = settings(&field.settings);
        if let Some(image) = &field.settings.image {
            keys.insert("image".to_owned(), Value::Object(image_keys(image)));
        }
        table(&mut text, &keys, &settings(&plain), &field.notes);
    }
    left_out(&mut text, &plan.fields);
    line(&mut text, "\n[[models]]");
    line(&mut text, &format!("name = {}", string(&plan.name)));
    line(&mut text, &format!("path = {}", string(&plan.path.to_string_lossy())));
    if let Some(profile) = &plan.profile {
        comment(
            &mut text,
            "What the data and the model's outputs were like: signals and thresholds compare with it.",
        );
        line(&mut text, &format!("profile = {}", string(&profile.to_string_lossy())));
    }
    line(&mut text, "\n[models.inputs]");
    for (input, fields) in &plan.fields.inputs {
        let fields: Vec<Value> = fields.iter().map(|field| Value::String(field.clone())).collect();
        line(&mut text, &format!("{} = {}", key(input), value(&Value::Array(fields))));
    }
    text.push('\n');
    comment(&mut text, &plan.head.about);
    line(&mut text, "[models.head]");
    table(&mut text, &head(&plan.head), &Map::new(), &plan.head.notes);
    select(&mut text, &plan.head.settings);
    text
}

fn head_comment(text: &mut String, plan: &Plan) {
    let label = match &plan.label {
        Some(label) => format!(", label `{label}`"),
        None => String::new(),
    };
    comment(
        text,
        &format!(
            "Written by `eddy init` from {} rows of data{label}. What a line rests on stands beside it.",
            plan.rows
        ),
    );
    let remarks: Vec<&str> = plan.remarks().collect();
    if !remarks.is_empty() {
        comment(text, "To look at:");
        for remark in remarks {
            comment(text, &format!("* {remark}"));
        }
    }
    text.push('\n');
}

fn events(text: &mut String, plan: &FieldPlan) {
    let written = serde_json::to_value(&plan.events).unwrap_or_default();
    line(text, "\n[events]");
    line(text, &format!("format = {}", value(&written["format"])));
    comment(
        text,
        "id_field = \"/id\"      # where an event says its own id; else it is its topic, partition and offset",
    );
}

fn left_out(text: &mut String, plan: &FieldPlan) {
    if plan.left_out.is_empty() {
        return;
    }
    line(text, "\n# No fields, so that events may lack them:");
    for (column, why) in &plan.left_out {
        comment(text, &format!("* `{column}` {why}"));
    }
}

fn head(plan: &HeadPlan) -> Map<String, Value> {
    let mut keys = settings(&plan.settings);
    // The threshold that a head has anyway.
    if keys.get("threshold").and_then(Value::as_f64) == Some(0.5) {
        keys.remove("threshold");
    }
    keys
}

/// Which events go back, under a budget that every head can serve.
fn select(text: &mut String, head: &HeadSettings) {
    line(
        text,
        "\n# Which events also go to the retraining topic, to be labelled: at most one in a thousand.",
    );
    line(text, "[select]");
    line(text, "fraction = 0.001");
    comment(
        text,
        "per_day = 500    # most events a day, over all replicas; beside `fraction` or instead of it",
    );
    match head {
        HeadSettings::Anomaly(_) => comment(
            text,
            "anomaly_above = 0.0    # only what is stranger than this; 0 is where scikit-learn draws the line",
        ),
        HeadSettings::MultiLabel(_)
        | HeadSettings::Binary(_)
        | HeadSettings::Sklearn(_)
        | HeadSettings::Classification(_) => comment(
            text,
            "confidence_below = 0.6    # only what the model is less sure of than this, besides the control arm",
        ),
        HeadSettings::Regression(_) | HeadSettings::Embedding(_) | HeadSettings::Reconstruction(_) => {}
    }
    text.push('\n');
    comment(
        text,
        "How the budget is shared among those of the arms that the pipeline can serve. `explore` is the control arm, uniform \
         over all events: accuracy measured on it is that of the traffic.",
    );
    comment(text, "[select.shares]");
    for share in [
        "explore = 0.3",
        "uncertainty = 0.4",
        "anomaly = 0.2",
        "disagreement = 0.1",
    ] {
        comment(text, share);
    }
}

fn settings(settings: &impl serde::Serialize) -> Map<String, Value> {
    match serde_json::to_value(settings) {
        Ok(Value::Object(keys)) => keys,
        _ => Map::new(),
    }
}

/// The keys of an image, without those that are the default.
fn image_keys(image: &ImageSettings) -> Map<String, Value> {
    let size = serde_json::json!({ "width": image.width, "height": image.height });
    let plain: Map<String, Value> = serde_json::from_value::<ImageSettings>(size)
        .map(|plain| settings(&plain))
        .unwrap_or_default();
    let is_size = |name: &str| name == "width" || name == "height";
    settings(image)
        .into_iter()
        .filter(|(name, value)| is_size(name) || plain.get(name) != Some(value))
        .collect()
}

/// The keys of a table, without those that are as in `plain`; the type is written in any case.
fn table(text: &mut String, keys: &Map<String, Value>, plain: &Map<String, Value>, notes: &[(&'static str, String)]) {
    let is_said =
        |(name, value): &(&String, &Value)| !value.is_null() && (*name == "type" || plain.get(*name) != Some(value));
    let mut said: Vec<(&String, &Value)> = keys.iter().filter(is_said).collect();
    said.sort_by_key(|(name, _)| (place(name), (*name).clone()));
    for (name, written) in said {
        let note = notes.iter().find(|(key, _)| key == name).map(|(_, note)| note.as_str());
        let written = match (name.as_str(), written.as_f64().filter(|_| written.is_f64())) {
            // A default says its type by its point; ends of a range are easier to read without.
            ("default", Some(x)) => format!("{x:?}"),
            _ => value(written),
        };
        let setting = format!("{} = {written}", key(name));
        match note {
            Some(note) if setting.len() + note.len() + 4 <= LINE + 20 && !setting.contains('\n') => {
                line(text, &format!("{setting}    # {note}"));
            }
            Some(note) => {
                comment(text, note);
                line(text, &setting);
            }
            None => line(text, &setting),
        }
    }
}

fn place(name: &str) -> usize {
    ORDER.iter().position(|known| *known == name).unwrap_or(ORDER.len())
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

/// A comment, broken between words into lines of the file's width.
fn comment(text: &mut String, comment: &str) {
    let mut width = 0;
    // What cannot stand in a comment is not needed in one.
    let plain: String = comment.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    for word in plain.split(' ') {
        let length = word.chars().count();
        if width > 0 && width + 1 + length > LINE + 18 {
            text.push('\n');
            width = 0;
        }
        text.push_str(if width == 0 { "# " } else { " " });
        text.push_str(word);
        width += length + 1;
    }
    text.push('\n');
}

/// A key, quoted where it must be.
fn key(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(is_bare) {
        name.to_owned()
    } else {
        string(name)
    }
}

/// A text as TOML's basic string.
fn string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            c if c.is_control() => {
                write!(quoted, "\\u{:04X}", u32::from(c)).expect("writing to a String cannot fail");
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn value(json: &Value) -> String {
    match json {
        Value::Null => "\"\"".to_owned(),
        Value::Bool(b) => b.to_string(),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(i), _) => i.to_string(),
            (None, Some(x)) => numbers::text(x),
            (None, None) => number.to_string(),
        },
        Value::String(text) => string(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(value).collect();
            let short = format!("[{}]", items.join(", "));
            if short.chars().count() <= LINE {
                return short;
            }
            let mut lines = vec![String::new()];
            for item in items {
                if lines
                    .last()
                    .is_some_and(|line| line.chars().count() + item.chars().count() > LINE)
                {
                    lines.push(String::new());
                }
                if let Some(line) = lines.last_mut() {
                    write!(line, "{}{item},", if line.is_empty() { "    " } else { " " })
                        .expect("writing to a String cannot fail");
                }
            }
            format!("[\n{}\n]", lines.join("\n"))
        }
        Value::Object(members) => {
            let mut members: Vec<(&String, &Value)> = members.iter().collect();
            members.sort_by_key(|(name, _)| (place(name), (*name).clone()));
            let members = members
                .into_iter()
                .map(|(name, member)| format!("{} = {}", key(name), value(member)));
            format!("{{ {} }}", members.collect::<Vec<_>>().join(", "))
        }
    }
}
