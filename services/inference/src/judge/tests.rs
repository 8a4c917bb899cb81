use eddy_pipeline::head::compile;
use eddy_pipeline::tensor::{DType, TensorSpec};
use serde_json::json;

use super::*;

fn head(settings: serde_json::Value, width: usize) -> Box<dyn Head> {
    let settings = serde_json::from_value(settings).expect("the settings are right");
    let spec = TensorSpec {
        name: "out".to_owned(),
        dtype: DType::Float32,
        row_shape: vec![Some(width)],
    };
    compile(&settings, &[spec], None).expect("the head fits")
}

fn classifier(width: usize) -> Box<dyn Head> {
    head(json!({"type": "classification", "from": "logits"}), width)
}

fn judged(select: serde_json::Value, models: &[Judged<'_>]) -> Result<Judgement, Vec<Problem>> {
    let select: SelectSettings = serde_json::from_value(select).expect("the settings are right");
    judge((&select, &DriftSettings::default()), models, Vec::new())
}

fn signals(judgement: &Judgement, model: usize) -> Vec<Signal> {
    let measures = judgement.signals.models[model].measures.iter();
    measures.map(|measured| measured.measure.signal()).collect()
}

#[test]
fn without_a_budget_nothing_is_measured_but_what_the_file_names() {
    let head = classifier(3);
    let bare = Judged::bare("m", &*head);
    let judgement = judged(json!({}), &[bare]).expect("it fits");
    assert_eq!((signals(&judgement, 0), judgement.needs_features), (vec![], false));
    let named = Judged {
        shown: Some(&[Signal::Energy]),
        ..bare
    };
    let judgement = judged(json!({}), &[named]).expect("it fits");
    assert_eq!(
        (signals(&judgement, 0), judgement.needs_features),
        (vec![Signal::Energy], false)
    );
    let nothing_shown = Judged {
        shown: Some(&[]),
        ..bare
    };
    let judgement = judged(json!({"fraction": 0.1}), &[nothing_shown]).expect("it fits");
    assert_eq!(signals(&judgement, 0), [Signal::Margin], "the plan reads it");
    assert_eq!(judgement.signals.models[0].shown, 0);
    assert!(judgement.needs_features, "they tell duplicates");
}

#[test]
fn the_committee_is_the_largest_group_of_models_that_can_disagree() {
    let heads = [
        classifier(3),
        head(json!({"type": "regression"}), 1),
        classifier(4),
        classifier(3),
    ];
    let models: Vec<Judged<'_>> = ["a", "b", "c", "d"]
        .iter()
        .zip(&heads)
        .map(|(name, head)| Judged::bare(name, &**head))
        .collect();
    let judgement = judged(json!({"fraction": 0.1}), &models).expect("it fits");
    let peers = |model: usize| judgement.signals.models[model].peers.clone();
    assert_eq!(
        [peers(0), peers(1), peers(2), peers(3)],
        [vec![3], vec![], vec![], vec![0]]
    );
    assert!(
        signals(&judgement, 0).contains(&Signal::Js),
        "{:?}",
        signals(&judgement, 0)
    );
    assert!(!signals(&judgement, 3).contains(&Signal::Js), "it is measured once");
}

#[test]
fn what_a_model_cannot_give_is_a_problem_at_its_place_that_says_what_it_gives() {
    let head = classifier(3);
    let asked = Judged {
        shown: Some(&[Signal::Margin, Signal::Hbos]),
        ..Judged::bare("m", &*head)
    };
    let problems = judged(json!({}), &[asked]).expect_err("it has no profile");
    assert_eq!(problems[0].key, "models[0].signals[1]");
    assert!(problems[0].message.contains("margin") && problems[0].message.contains("reference profile"));
}

#[test]
fn every_operating_point_that_does_not_fit_is_told() {
    let (three, target) = (classifier(3), head(json!({"type": "regression"}), 1));
    let point = OperatingPoint {
        threshold: Some(0.5),
        ..OperatingPoint::default()
    };
    let with_point = |name, head| Judged {
        operating_point: Some(&point),
        ..Judged::bare(name, head)
    };
    let models = [with_point("a", &*three), with_point("b", &*target)];
    let problems = judged(json!({}), &models).expect_err("neither has two classes");
    let keys: Vec<&str> = problems.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(keys, ["models.a", "models.b"]);
}
