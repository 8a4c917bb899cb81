//! What the first version wrote is read, with the values that it meant. The files are never changed; see their README.

use std::path::{Path, PathBuf};

use eddy::file;
use eddy::settings::history::History;
use eddy::settings::migration::migrate;
use eddy::settings::{self, Loaded, Source};
use eddy_broker::settings::{Guarantee, Kafka, Settings, Start, Topics};
use eddy_pipeline::format::{PIPELINE, POLICY};
use eddy_pipeline::policy::PolicyFile;
use eddy_pipeline::profile::Profile;
use eddy_pipeline::settings::{Bytes, Span};
use serde::Deserialize;
use serde_json::{Value, json};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/frozen/format-1")
}

fn text(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn pipeline(text: &str) -> Loaded<file::PipelineFile> {
    let source = Source {
        name: "pipeline.toml",
        text,
    };
    file::read(source, []).unwrap_or_else(|problems| panic!("{problems}"))
}

/// That a value is this, number by number: 32-bit numbers have more digits when they are shown.
#[track_caller]
fn is(place: &str, value: &Value, expected: &Value) {
    match (value, expected) {
        (Value::Object(_), Value::Object(members)) => {
            for (name, member) in members {
                is(&format!("{place}.{name}"), &value[name], member);
            }
        }
        (Value::Array(items), Value::Array(others)) if items.len() == others.len() => {
            let pairs = items.iter().zip(others).enumerate();
            pairs.for_each(|(number, (item, other))| is(&format!("{place}[{number}]"), item, other));
        }
        (Value::Number(number), Value::Number(other)) => {
            let (number, other) = (number.as_f64().expect("a number"), other.as_f64().expect("a number"));
            assert!(
                (number - other).abs() <= 1e-6 * other.abs(),
                "{place}: {number} is not {other}"
            );
        }
        _ => assert_eq!(value, expected, "{place}"),
    }
}

#[test]
fn every_table_of_a_pipeline_file_of_format_1_is_read() {
    let loaded = pipeline(&text("pipeline.toml"));
    let file = &loaded.settings;
    assert_eq!((file.format, file.name.as_str()), (PIPELINE.written, "frozen"));
    let kafka = &file.kafka;
    assert_eq!((kafka.start, kafka.guarantee), (Start::Latest, Guarantee::ExactlyOnce));
    assert_eq!(kafka.transaction_timeout, Span::seconds(90));
    // By their old names.
    assert_eq!(file.dead_letters.window_events, 2000);
    assert_eq!(file.models[0].max_file_bytes, Bytes(1 << 30));
    assert_eq!(file.models[1].max_file_bytes, Bytes(4096));
    let value = serde_json::to_value(file).expect("settings are plain values");
    is("", &value, &expected_head());
    is("", &value, &expected_tables());
    is("fields", &value["fields"], &expected_fields());
    is("models", &value["models"], &expected_models());
}

fn expected_head() -> Value {
    json!({
        "kafka": {
            "brokers": "a:9092,b:9092", "group": "g", "instance": "i-0", "guarantee": "exactly-once", "start": "latest",
            "lanes": 2, "membership": "static", "session_timeout": "16s", "linger": "2ms", "compression": "zstd",
            "max_output_bytes": "2 MiB",
            "tls": { "ca": "ca.pem", "certificate": "c.pem", "key": "k.pem", "key_password": { "env": "P" } },
            "sasl": { "mechanism": "OAUTHBEARER", "oidc": {
                "token_endpoint": "https://login.example/token", "client_id": "eddy", "client_secret": { "file": "secret" },
                "scope": "kafka", "audience": "brokers", "ca": "idp.pem", "timeout": "11s",
            } },
            "properties": { "socket.keepalive.enable": "true" },
        },
        "topics": { "events": "in", "predictions": "out", "retraining": "back", "dead_letters": "dead" },
        "events": {
            "format": "json", "id_header": "ce_id", "id_field": "/id", "time_field": "/a~1b/0", "time_unit": "us",
            "pass_through": ["/c", "/d/e"], "unknown_fields": "reject",
        },
    })
}

fn expected_tables() -> Value {
    json!({
        "batch": { "rows": 128, "bytes": "8 MiB", "wait": "2ms", "time": "200ms", "run_limit": "9s" },
        "checkpoint": {
            "interval": "90ms", "records": 4000, "delivery_timeout": "29s", "held_bytes": "15 MiB", "renewal_pause": "9s",
            "stall_after": "50s",
        },
        "select": {
            "fraction": 0.01, "per_day": 500, "confidence_below": 0.6,
            "shares": {
                "explore": 0.25, "uncertainty": 0.35, "anomaly": 0.2, "disagreement": 0.15, "class_floor": 0.05,
            },
            "uncertainty": { "signal": "margin" },
            "anomaly": { "signal": "energy", "false_alarms": 0.02 },
            "disagreement": { "signal": "js" },
            "segments": { "field": "c", "most": 0.4 },
            "duplicates": { "suppress": true, "near_bits": 2, "near_events": 2048, "period": "2h" },
        },
        "drift": {
            "export": "values", "max_series": 4000, "window": "30m", "widest": "12h", "statistics": ["js", "hellinger"],
            "catching_up_lag": 5000, "segment": "c", "max_segments": 5,
            "verdict": {
                "false_alarms": 0.002, "warn": 0.15, "alert": 0.25, "least_events": 400, "least_events_per_bin": 40,
                "evaluations": 4,
            },
            "missing": { "z": 5.0, "least": 0.02, "relative": 0.4, "least_events": 300 },
            "confidence": { "tolerance": 0.03, "false_alarms": 0.0001, "delta": 0.003 },
        },
        "policy": { "path": "policy.toml", "every": "6s" },
        "limits": {
            "record_bytes": "1000 B", "depth": 12, "elements": 100, "string_bytes": "1 KiB", "headers": 16,
            "header_bytes": "2 KiB", "pixels": 10_000,
        },
        "dead_letters": { "flood_share": 0.25, "retry": "31s" },
        "runtime": {
            "library": "lib/libonnxruntime.so", "calibration": "150ms", "trial_limit": "3m",
            "rehearsal": {
                "enabled": false, "memory": "8 GiB", "processor_time": "30s", "deadline": "1m", "open_files": 128,
            },
        },
        "admin": {
            "address": "0.0.0.0:9181", "connections": 32, "header_bytes": "8 KiB", "header_timeout": "9s",
            "request_timeout": "29s", "token": { "file": "token" }, "attempts": 5, "body_bytes": "32 KiB",
        },
        "log": { "format": "json", "level": "info,eddy=debug" },
        "drain": { "deadline": "19s", "last_scrape": "16s" },
        "process": { "core_dumps": true },
    })
}

fn expected_fields() -> Value {
    json!({
        "x": {
            "type": "float", "pointer": "/deep/x", "default": "nan", "min": -1.0, "max": 1000.0, "out_of_range": "clamp",
            "non_finite": "allow", "allowed": [1.0, 2.5],
        },
        "n": { "type": "integer", "required": false, "default": -1, "parse_strings": true },
        "b": { "type": "boolean", "zero_one": true, "null": "reject" },
        "c": { "type": "category", "categories": ["r", "g"], "other": -1 },
        "s": { "type": "string", "allowed": ["a", "b"] },
        "t": { "type": "timestamp", "unit": "ms", "parts": ["epoch", "age"] },
        "v": { "type": "vector", "length": 3, "elements": "integer", "default": [1, 2, 3] },
        "i": { "type": "image", "image": {
            "width": 8, "height": 9, "resize": "shorter-side", "shorter_side": 10, "filter": "lanczos", "channels": "bgr",
            "layout": "hwc", "scale": 1.0, "mean": [0.5], "std": [0.2, 0.3, 0.4], "orientation": "ignore",
        } },
    })
}

fn expected_models() -> Value {
    let model =
        |name: &str, head: Value| json!({ "name": name, "path": format!("{name}.onnx"), "version": "1", "head": head });
    json!([
        {
            "name": "m", "version": "2", "path": "m.onnx",
            "sha256": "0000000000000000000000000000000000000000000000000000000000000001",
            "external_data": { "m.onnx.data": "0000000000000000000000000000000000000000000000000000000000000002" },
            "golden": "golden.json", "tolerance": 0.01, "profile": "profile.json", "signals": ["entropy", "margin"],
            "max_rows": 64, "intra_threads": 2, "providers": ["cuda", "cpu"], "fallback": "cpu", "device": 1,
            "inputs": { "a": ["x", "n"], "b": ["v"] },
            "head": { "type": "classification", "from": "logits", "output": "o", "classes": ["a", "b"] },
            "limits": { "nodes": 1000, "tensors": 1001, "tensor_bytes": "1 MiB", "depth": 4 },
        },
        model("binary", json!({
            "type": "binary", "from": "probabilities", "output": "p", "classes": ["no", "yes"], "threshold": 0.25,
        })),
        model("sklearn", json!({ "type": "sklearn", "label": "l", "probabilities": "p", "classes": ["0", "1"] })),
        model("multi-label", json!({
            "type": "multi-label", "from": "logits", "output": "o", "threshold": [0.5, 0.25], "classes": ["a", "b"],
        })),
        model("regression", json!({
            "type": "regression", "output": "y", "spread": "s", "lower": "l", "upper": "u",
        })),
        model("embedding", json!({ "type": "embedding", "output": "e" })),
        model("anomaly", json!({ "type": "anomaly", "higher_is": "normal", "output": "a" })),
        model("reconstruction", json!({ "type": "reconstruction", "output": "r" })),
    ])
}

#[test]
fn its_old_names_are_told_and_it_means_the_same_once_it_is_migrated() {
    let old = text("pipeline.toml");
    let before = pipeline(&old);
    let told: Vec<String> = before.document.deprecated().lines().collect();
    let begins = [
        "`models[0].max_bytes`",
        "`models[1].max_bytes`",
        "`dead_letters.window`",
    ];
    assert!(
        told.len() == 3 && told.iter().zip(begins).all(|(told, begin)| told.contains(begin)),
        "{told:#?}"
    );
    assert!(
        told.iter().all(|told| told.contains("version 0.2 will no longer read")),
        "{told:#?}"
    );
    let source = Source {
        name: "pipeline.toml",
        text: &old,
    };
    let migrated = migrate(source, &file::HISTORY).unwrap_or_else(|problems| panic!("{problems}"));
    let after = pipeline(&migrated.text);
    // By their text: the default of a field in it is NaN, which is equal to nothing.
    let shown = |loaded: &Loaded<file::PipelineFile>| format!("{:?}", loaded.settings);
    assert_eq!(shown(&after), shown(&before));
    assert!(after.document.deprecated().is_empty());
    let differ = old.lines().zip(migrated.text.lines()).filter(|(old, new)| old != new);
    let differ: Vec<(&str, &str)> = differ.collect();
    assert_eq!(
        differ,
        [
            ("format = 1", "format = 2"),
            ("max_bytes = \"1 GiB\"", "max_file_bytes = \"1 GiB\""),
            (
                "\"max_bytes\" = 4096   # quoted, and a plain number",
                "max_file_bytes = 4096   # quoted, and a plain number"
            ),
            (
                "window = 2000        # as many as an hour brings",
                "window_events = 2000        # as many as an hour brings"
            ),
        ]
    );
    assert_eq!(old.lines().count(), migrated.text.lines().count());
}

#[test]
fn a_policy_of_format_1_is_read() {
    let text = text("policy.toml");
    let source = Source {
        name: "policy.toml",
        text: &text,
    };
    let loaded = settings::read(source, [], &History::of(&POLICY), PolicyFile::check)
        .unwrap_or_else(|problems| panic!("{problems}"));
    let policy = loaded.settings;
    let select = policy.select.expect("it selects");
    assert_eq!(
        (select.per_hour, select.per_day, select.confidence_below),
        (Some(40), None, Some(0.55))
    );
    let point = &policy.models["binary"];
    assert_eq!((point.threshold, point.field.as_deref()), (Some(0.4), Some("c")));
    assert_eq!(
        point
            .thresholds
            .iter()
            .map(|(word, at)| (word.as_str(), *at))
            .collect::<Vec<_>>(),
        [("r", 0.2), ("g", 0.3)]
    );
}

#[test]
fn a_profile_of_format_1_is_read_and_keeps_its_id() {
    let bytes = text("profile.json").into_bytes();
    let profile = Profile::from_json(&bytes).unwrap_or_else(|error| panic!("{error}"));
    let document: Value = serde_json::from_slice(&bytes).expect("JSON");
    assert_eq!(
        (profile.format, profile.model.as_str(), profile.version.as_str()),
        (1, "digits", "1")
    );
    assert_eq!(
        json!([profile.rows, profile.sampled]),
        json!([document["rows"], document["sampled"]])
    );
    assert_eq!(
        profile.features.len(),
        document["features"].as_array().expect("a list").len()
    );
    // Its id is in metrics, in dashboards and in the headers of samples.
    assert_eq!(profile.to_json(), bytes.trim_ascii_end(), "it is written as it was");
}

#[test]
fn transactional_ids_are_those_of_scheme_1_to_the_byte() {
    #[derive(Deserialize)]
    struct Frozen {
        pipeline: String,
        group: Option<String>,
        instance: String,
        lane: u16,
        redrive: Option<String>,
        id: String,
    }
    let all: Vec<Frozen> = serde_json::from_str(&text("transactional-ids.json")).expect("JSON");
    assert!(all.len() >= 4);
    for frozen in all {
        let kafka: Kafka = serde_json::from_value(json!({
            "brokers": "a:1", "start": "earliest", "group": frozen.group, "instance": frozen.instance,
        }))
        .expect("a sound table");
        let settings = Settings {
            pipeline: frozen.pipeline,
            kafka,
            topics: Topics::default(),
        };
        let settings = match &frozen.redrive {
            Some(job) => settings.for_redrive(job),
            None => settings,
        };
        assert_eq!(settings.transactional_id(frozen.lane), frozen.id);
        assert!(
            frozen.id.starts_with(&settings.transactional_ids()),
            "permissions go by it"
        );
    }
}
