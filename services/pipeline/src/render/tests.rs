use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::head::{HeadSettings, compile};
use crate::select::{Arm, Chance, Drawn};
use crate::tensor::{DType, Data, TensorSpec, View};

/// A head with the given settings and the predictions that it reads from one row.
fn predicted(settings: Value, width: usize, row: &[f32]) -> (Box<dyn Head>, Predictions) {
    let settings: HeadSettings = serde_json::from_value(settings).expect("the settings are right");
    let spec = TensorSpec {
        name: "out".to_owned(),
        dtype: DType::Float32,
        row_shape: vec![Some(width)],
    };
    let head = compile(&settings, &[spec], None).expect("the head fits");
    let mut predictions = Predictions::new();
    predictions.reset(1);
    let view = View {
        width,
        data: Data::Float32(row),
    };
    head.read(&[view], 0..1, &mut predictions).expect("the row can be read");
    (head, predictions)
}

fn classifier() -> (Box<dyn Head>, Predictions) {
    let settings = json!({"type": "classification", "from": "probabilities", "classes": ["six", "seven"]});
    predicted(settings, 2, &[0.02, 0.98])
}

fn renderer() -> Renderer {
    Renderer::new([
        ModelName {
            name: "digits",
            version: "1",
            sha256: "ab12",
            profile: None,
        },
        ModelName {
            name: "outliers",
            version: "2.0",
            sha256: "cd34",
            profile: Some("9f86d081"),
        },
    ])
}

/// One lottery's word on the event.
fn chance(arm: Arm, model: usize, probability: f64, drawn: Drawn) -> Chance {
    Chance {
        arm,
        model: Some(model),
        probability,
        draw: 0.25,
        drawn,
    }
}

fn verdict<'a>(model: usize, (head, predictions): &'a (Box<dyn Head>, Predictions), pick: Pick<'a>) -> Verdict<'a> {
    Verdict {
        model,
        head: &**head,
        predictions,
        row: 0,
        signals: &[],
        features: &[],
        pick,
    }
}

const EVENT: Named<'static> = Named {
    id: "e-1",
    source: "events/0/42",
    time_ms: Some(1_700_000_000_000),
    fields: b"",
    pick: Pick::NONE,
};

fn prediction<'a>(event: &Named<'_>, verdicts: impl IntoIterator<Item = Verdict<'a>>) -> String {
    let mut json = Vec::new();
    renderer().prediction(event, verdicts, &mut json);
    String::from_utf8(json).expect("JSON is UTF-8")
}

#[test]
fn a_prediction_holds_its_members_in_their_order() {
    let classified = classifier();
    let text = prediction(&EVENT, [verdict(0, &classified, Pick::NONE)]);
    assert_eq!(
        text,
        r#"{"format":1,"id":"e-1","source":"events/0/42","time":1700000000000,"models":{"digits":{"version":"1","label":"seven","confidence":0.98,"probabilities":[0.02,0.98],"flags":[]}}}"#
    );
}

#[test]
fn several_models_stand_side_by_side_each_with_its_own_flags() {
    let classified = classifier();
    let scored = predicted(json!({"type": "anomaly", "higher_is": "normal"}), 1, &[-0.25]);
    let event = Named {
        time_ms: None,
        fields: br#"{"device":"a1"}"#,
        ..EVENT
    };
    let chances = [
        chance(Arm::Uncertainty, 0, 1.0, Drawn::Selected),
        chance(Arm::Anomaly, 1, 1.0, Drawn::Selected),
    ];
    let pick = Pick {
        chances: &chances,
        probability: 1.0,
    };
    let verdicts = [verdict(0, &classified, pick), verdict(1, &scored, pick)];
    let value: Value = serde_json::from_str(&prediction(&event, verdicts)).expect("the prediction is JSON");
    assert_eq!(value["time"], Value::Null);
    assert_eq!(value["fields"], json!({"device": "a1"}));
    assert_eq!(value["models"]["digits"]["flags"], json!(["uncertainty"]));
    assert_eq!(
        value["models"]["outliers"],
        json!({"version": "2.0", "score": 0.25, "flags": ["anomaly"]})
    );
}

#[test]
fn each_head_writes_its_own_members() {
    let regression = predicted(json!({"type": "regression"}), 1, &[12.5]);
    let targets = predicted(json!({"type": "regression"}), 2, &[1.5, -2.0]);
    let embedding = predicted(json!({"type": "embedding"}), 3, &[0.5, 0.25, 1e-7]);
    let labels = predicted(
        json!({"type": "multi-label", "from": "probabilities", "classes": ["a", "b", "c"]}),
        3,
        &[0.75, 0.25, 0.5],
    );
    let members = |prediction: &(Box<dyn Head>, Predictions)| {
        let mut json = Vec::new();
        prediction.0.render(&prediction.1, 0, &mut json);
        String::from_utf8(json).expect("JSON is UTF-8")
    };
    assert_eq!(members(&regression), r#""value":12.5"#);
    assert_eq!(members(&targets), r#""value":[1.5,-2.0]"#);
    assert_eq!(members(&embedding), r#""embedding":[0.5,0.25,1e-7]"#);
    assert_eq!(
        members(&labels),
        r#""labels":["a","c"],"confidence":0.5,"probabilities":[0.75,0.25,0.5]"#
    );
}

#[test]
fn a_selection_has_one_entry_for_each_model_that_selected() {
    let classified = classifier();
    let scored = predicted(json!({"type": "anomaly", "higher_is": "anomalous"}), 1, &[3.5]);
    let explored = Chance {
        model: None,
        ..chance(Arm::Explore, 0, 0.5, Drawn::NotDrawn)
    };
    let chances = [explored, chance(Arm::Anomaly, 1, 0.75, Drawn::Selected)];
    let pick = Pick {
        chances: &chances,
        probability: 0.875,
    };
    let signals = [(Signal::Hbos, vec![12.5]), (Signal::Energy, vec![f32::NAN])];
    let verdicts = [
        verdict(0, &classified, pick),
        Verdict {
            signals: &signals,
            features: &[("age", 3.5), ("width[2]", 1.0)],
            ..verdict(1, &scored, pick)
        },
    ];
    let mut json = Vec::new();
    renderer().selection(verdicts, &mut json);
    assert_eq!(
        String::from_utf8(json).expect("JSON is UTF-8"),
        r#"[{"model":"outliers","version":"2.0","sha256":"cd34","profile":"9f86d081","prediction":{"score":3.5},"arms":["anomaly"],"scores":{"anomaly":3.5,"hbos":12.5},"probabilities":{"explore":0.5,"anomaly":0.75},"features":{"age":3.5,"width[2]":1.0}}]"#
    );
}

#[test]
fn an_event_that_could_have_been_selected_says_what_was_drawn() {
    let classified = classifier();
    let chances = [
        chance(Arm::Uncertainty, 0, 0.125, Drawn::NotDrawn),
        chance(Arm::Anomaly, 1, 0.0, Drawn::NoBudget),
        chance(Arm::ClassFloor, 0, 1.0, Drawn::Selected),
    ];
    let event = Named {
        pick: Pick {
            chances: &chances,
            probability: 1.0,
        },
        ..EVENT
    };
    let signals = [(Signal::Margin, vec![0.04]), (Signal::Energy, vec![f32::NAN])];
    let verdict = Verdict {
        signals: &signals,
        ..verdict(0, &classified, event.pick)
    };
    let value: Value = serde_json::from_str(&prediction(&event, [verdict])).expect("the prediction is JSON");
    assert_eq!(value["models"]["digits"]["signals"], json!({"margin": 0.04}));
    assert_eq!(value["models"]["digits"]["flags"], json!(["class_floor"]));
    assert_eq!(
        value["draws"],
        json!([
            {"arm": "uncertainty", "model": "digits", "probability": 0.125, "draw": 0.25, "outcome": "not_drawn"},
            {"arm": "anomaly", "model": "outliers", "probability": 0.0, "draw": 0.25, "outcome": "no_budget"},
        ])
    );
}

#[test]
fn property_whatever_an_id_or_a_name_holds_the_prediction_is_json() {
    let classified = classifier();
    proptest!(|(id: String, source: String, name: String, version: String, time_ms: Option<i64>)| {
        let renderer = Renderer::new([ModelName { name: &name, version: &version, sha256: "", profile: None }]);
        let event = Named { id: &id, source: &source, time_ms, fields: b"", pick: Pick::NONE };
        let mut json = Vec::new();
        renderer.prediction(&event, [verdict(0, &classified, Pick::NONE)], &mut json);
        let value: Value = serde_json::from_slice(&json).expect("the prediction is JSON");
        prop_assert_eq!(&value["id"], &json!(id));
        prop_assert_eq!(&value["source"], &json!(source));
        prop_assert_eq!(&value["time"], &json!(time_ms));
        prop_assert_eq!(&value["models"][&name]["version"], &json!(version));
    });
}
