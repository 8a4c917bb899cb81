//! What a pipeline file may ask for.

use serde_json::json;

use super::*;

fn problems(json: serde_json::Value) -> Vec<String> {
    let settings: SelectSettings = serde_json::from_value(json).expect("the settings can be read");
    let mut problems = settings.check();
    if problems.is_empty() {
        problems = Plan::compile(&settings, &offer()).err().unwrap_or_default();
    }
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn a_number_that_makes_no_sense_is_a_problem_at_its_key() {
    let cases = [
        (json!({"confidence_below": -0.1}), "select.confidence_below"),
        (json!({"confidence_below": 1.1}), "select.confidence_below"),
        (json!({"fraction": 0.0}), "select.fraction"),
        (json!({"fraction": 1.5}), "select.fraction"),
        (json!({"per_day": 0}), "select.per_day"),
        (json!({"per_day": 10, "per_hour": 1}), "select.per_day"),
        (
            json!({"fraction": 0.1, "shares": {"explore": -1.0}}),
            "select.shares.explore",
        ),
        (
            json!({"fraction": 0.1, "anomaly": {"false_alarms": 1.0}}),
            "select.anomaly.false_alarms",
        ),
        (json!({"segments": {"field": "region"}}), "select.segments"),
        (
            json!({"fraction": 0.1, "segments": {"field": "region", "most": 0.0}}),
            "select.segments.most",
        ),
        (
            json!({"fraction": 0.1, "uncertainty": {"signal": "confidence"}}),
            "select.uncertainty.signal",
        ),
        (
            json!({"fraction": 0.1, "disagreement": {"signal": "confidence"}}),
            "select.disagreement.signal",
        ),
        (
            json!({"fraction": 0.1, "duplicates": {"period": "0s"}}),
            "select.duplicates.period",
        ),
        (
            json!({"fraction": 0.1, "shares": {"explore": 0, "uncertainty": 0, "anomaly": 0, "disagreement": 0}}),
            "select.shares",
        ),
    ];
    for (settings, key) in cases {
        let found = problems(settings.clone());
        assert!(
            found.iter().any(|problem| problem.starts_with(&format!("{key}:"))),
            "{settings}: {found:?}"
        );
    }
}

#[test]
fn what_no_model_can_serve_is_a_problem_that_says_what_to_do() {
    let mut without_scores = offer();
    without_scores.models.truncate(1);
    let compile = |json, offer: &Offer| Plan::compile(&settings(json), offer).err().unwrap_or_default();
    let found = compile(json!({"anomaly_above": 1.0}), &without_scores);
    assert!(
        found[0].message.contains("no model's head gives an anomaly score"),
        "{}",
        found[0]
    );
    let found = compile(
        json!({"fraction": 0.1, "uncertainty": {"signal": "entropy"}}),
        &without_scores,
    );
    assert!(found[0].message.contains("no model gives `entropy`"), "{}", found[0]);
    let found = compile(json!({"fraction": 0.1, "anomaly": {"signal": "anomaly"}}), &offer());
    assert!(found[0].message.contains("no reference profile"), "{}", found[0]);
    let found = compile(json!({"fraction": 0.1, "segments": {"field": "regoin"}}), &offer());
    assert!(found[0].message.contains("did you mean `region`?"), "{}", found[0]);
}

#[test]
fn shares_of_arms_that_the_pipeline_cannot_serve_go_to_the_others() {
    let plan = plan(json!({"fraction": 0.1}));
    let lotteries: Vec<_> = plan
        .lotteries()
        .iter()
        .map(|lottery| (lottery.name.as_str(), lottery.part))
        .collect();
    assert_eq!(lotteries, [("uncertainty/digits", Some(0.4 / 0.7))]);
}

#[test]
fn an_unknown_key_is_refused_and_an_empty_table_selects_nothing() {
    let parse = |text: &str| serde_json::from_str::<SelectSettings>(text);
    assert_eq!(parse("{}").ok(), Some(SelectSettings::default()));
    assert!(parse(r#"{"confidence_under":0.5}"#).is_err());
    assert!(parse(r#"{"shares":{"exploration":0.5}}"#).is_err());
}

#[test]
fn models_that_only_differ_in_their_values_disagree_by_those_or_not_at_all() {
    let together = |signals: &[Signal]| Offer {
        committee: Some(Committee {
            first: 0,
            signals: signals.to_vec(),
        }),
        ..offer()
    };
    let lotteries = |json, signals: &[Signal]| {
        let plan = Plan::compile(&settings(json), &together(signals))?;
        let is_there = plan.lotteries().iter().any(|lottery| lottery.arm == Arm::Disagreement);
        let column = plan.columns().last().map(|column| column.signal);
        Ok::<_, Vec<crate::settings::Problem>>(column.filter(|_| is_there))
    };
    let budget = || json!({"fraction": 0.1});
    assert_eq!(lotteries(budget(), &[Signal::Delta]), Ok(Some(Signal::Delta)));
    assert_eq!(lotteries(budget(), &[Signal::Bald, Signal::Js]), Ok(Some(Signal::Js)));
    assert_eq!(lotteries(budget(), &[]), Ok(None));
    let named = lotteries(json!({"fraction": 0.1, "disagreement": {"signal": "js"}}), &[]);
    assert!(
        named.unwrap_err()[0]
            .message
            .contains("they give nothing without a reference profile")
    );
}

#[test]
fn budgets_that_would_not_fit_beside_an_offset_are_refused() {
    let words: Vec<String> = (0..31).map(|word| format!("{word}{}", "市".repeat(40))).collect();
    let long = Offer {
        categories: vec![("region".to_owned(), words)],
        ..offer()
    };
    let asked = settings(json!({"fraction": 0.1, "segments": {"field": "region"}}));
    let problems = Plan::compile(&asked, &long).expect_err("4 KB are too much");
    assert_eq!(problems[0].key, "select.segments.field");
    assert!(problems[0].message.contains("Kafka takes 4000"), "{}", problems[0]);
    // As long as it may be, and as it is written down.
    let most: Vec<String> = (0..31).map(|word| format!("{word}{}", "x".repeat(60))).collect();
    let fits = Offer {
        categories: vec![("region".to_owned(), most)],
        ..offer()
    };
    let asked = settings(json!({"per_day": 1_000_000_000, "segments": {"field": "region"}}));
    let mut selection = Selection::new(Arc::new(Plan::compile(&asked, &fits).expect("it fits")));
    selection.take(&[(partition(0), None)], 1, at(0.0));
    for second in 0..100 {
        let batch = (0..64).map(|number| Event {
            segment: number % 31,
            partition: 0,
            ..Event::new(number as u64, 0.5)
        });
        decide_for_good(&mut selection, &batch.collect::<Vec<_>>(), at(1e5 * f64::from(second)));
    }
    let note = serde_json::to_string(&selection.note(partition(0), 0)).expect("JSON");
    assert!((2_000..4_000).contains(&note.len()), "{}: {note}", note.len());
}
