use super::*;
use crate::head::{HeadSettings, compile};
use crate::tensor::{DType, Data, TensorSpec, View};

fn head(settings: serde_json::Value) -> Box<dyn Head> {
    let settings: HeadSettings = serde_json::from_value(settings).expect("the settings are right");
    let spec = TensorSpec {
        name: "out".to_owned(),
        dtype: DType::Float32,
        row_shape: vec![],
    };
    compile(&settings, &[spec], None).expect("the head fits")
}

fn binary() -> Box<dyn Head> {
    head(serde_json::json!({"type": "binary", "from": "probabilities"}))
}

fn anomaly() -> Box<dyn Head> {
    head(serde_json::json!({"type": "anomaly", "higher_is": "anomalous"}))
}

fn predictions(head: &dyn Head, rows: &[f32]) -> Predictions {
    let mut predictions = Predictions::new();
    predictions.reset(rows.len());
    let view = View {
        width: 1,
        data: Data::Float32(rows),
    };
    head.read(&[view], 0..rows.len(), &mut predictions)
        .expect("the rows can be read");
    predictions
}

fn arms_of(selector: Selector, predictions: &Predictions) -> Vec<Vec<Arm>> {
    (0..predictions.rows())
        .map(|row| selector.decide(predictions, row).iter().collect())
        .collect()
}

#[test]
fn without_a_threshold_nothing_is_selected() {
    let selector = Selector::new(SelectSettings::default());
    assert!(selector.decide(&predictions(&*binary(), &[0.5]), 0).is_empty());
    assert!(selector.decide(&predictions(&*anomaly(), &[1e30]), 0).is_empty());
}

#[test]
fn a_confidence_below_the_threshold_selects_and_one_at_it_does_not() {
    let selector = Selector::new(SelectSettings {
        confidence_below: Some(0.75),
        ..Default::default()
    });
    let predictions = predictions(&*binary(), &[0.9, 0.75, 0.5, 0.3, 0.1]);
    assert_eq!(
        arms_of(selector, &predictions),
        [vec![], vec![], vec![Arm::Uncertainty], vec![Arm::Uncertainty], vec![]]
    );
}

#[test]
fn an_anomaly_score_above_the_threshold_selects_and_one_at_it_does_not() {
    let selector = Selector::new(SelectSettings {
        anomaly_above: Some(2.0),
        ..Default::default()
    });
    let predictions = predictions(&*anomaly(), &[1.0, 2.0, 2.5]);
    assert_eq!(arms_of(selector, &predictions), [vec![], vec![], vec![Arm::Anomaly]]);
}

#[test]
fn a_row_that_is_not_finite_is_never_selected() {
    let selector = Selector::new(SelectSettings {
        confidence_below: Some(1.0),
        anomaly_above: Some(-1e30),
    });
    for head in [binary(), anomaly()] {
        let predictions = predictions(&*head, &[f32::NAN, f32::INFINITY]);
        assert_eq!(arms_of(selector, &predictions), [vec![], vec![]] as [Vec<Arm>; 2]);
    }
}

#[test]
fn a_threshold_outside_its_range_is_a_problem_at_its_key() {
    for threshold in [-0.1, 1.1, f32::NAN, f32::INFINITY] {
        let settings = SelectSettings {
            confidence_below: Some(threshold),
            ..Default::default()
        };
        assert_eq!(settings.check()[0].key, "select.confidence_below");
    }
    let settings = SelectSettings {
        anomaly_above: Some(f32::NAN),
        ..Default::default()
    };
    assert_eq!(settings.check()[0].key, "select.anomaly_above");
    let edges = SelectSettings {
        confidence_below: Some(1.0),
        anomaly_above: Some(-3.5),
    };
    assert_eq!(edges.check(), []);
}

#[test]
fn an_arm_that_no_head_can_serve_is_a_problem() {
    let settings = SelectSettings {
        confidence_below: Some(0.6),
        anomaly_above: Some(1.0),
    };
    let (binary, anomaly) = (binary(), anomaly());
    assert_eq!(settings.check_against([&*binary, &*anomaly]), []);
    let problems = settings.check_against([&*binary]);
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].key, "select.anomaly_above");
    assert!(problems[0].message.contains("an anomaly score"), "{}", problems[0]);
}

#[test]
fn an_unknown_key_is_refused_and_an_empty_table_selects_nothing() {
    let parse = |text: &str| serde_json::from_str::<SelectSettings>(text);
    assert_eq!(parse("{}").ok(), Some(SelectSettings::default()));
    assert!(parse(r#"{"confidence_under":0.5}"#).is_err());
}
