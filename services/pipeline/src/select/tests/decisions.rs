//! One event: which arms select it, and with what probability.

use serde_json::json;

use super::*;

fn with_anomaly(number: u64, margin: f32, anomaly: f32) -> Event {
    Event {
        anomaly,
        ..Event::new(number, margin)
    }
}

#[test]
fn without_a_threshold_or_a_budget_nothing_is_selected() {
    let mut selection = Selection::new(plan(json!({})));
    let decisions = decide(&mut selection, &[with_anomaly(1, 1.0, 1e30)], at(0.0));
    assert_eq!(decisions[0].arms, []);
    assert_eq!(decisions[0].probability, 0.0);
}

#[test]
fn a_threshold_without_a_budget_selects_whatever_passes_it_with_certainty() {
    let mut selection = Selection::new(plan(json!({"confidence_below": 0.75, "anomaly_above": 2.0})));
    let events = [
        with_anomaly(1, 0.2, 1.0),
        with_anomaly(2, 0.5, 2.0),
        with_anomaly(3, 0.8, 1.0),
        with_anomaly(4, 0.2, 2.5),
        with_anomaly(5, 0.8, 2.5),
        with_anomaly(6, f32::NAN, f32::NAN),
    ];
    let decisions = decide(&mut selection, &events, at(0.0));
    let arms: Vec<_> = decisions.iter().map(|decision| decision.arms.clone()).collect();
    let (uncertain, anomalous) = (Arm::Uncertainty, Arm::Anomaly);
    assert_eq!(
        arms,
        [
            vec![],
            vec![],
            vec![uncertain],
            vec![anomalous],
            vec![uncertain, anomalous],
            vec![]
        ]
    );
    let selected = decisions.iter().filter(|decision| !decision.arms.is_empty());
    assert!(selected.clone().all(|decision| decision.probability == 1.0));
}

#[test]
fn the_control_arm_takes_its_share_of_events_whatever_they_are() {
    let mut selection = Selection::new(plan(json!({"fraction": 0.1})));
    let events: Vec<_> = (0..50_000).map(|number| Event::new(number, spread(number))).collect();
    let decisions = decide(&mut selection, &events, at(0.0));
    let explored = |decision: &&Decision| decision.arms.contains(&Arm::Explore);
    // Shares 0.3 of (0.3 + 0.4 + 0): nothing says what is anomalous, and there is no committee.
    let expected = 50_000.0 * 0.1 * 0.3 / 0.7;
    let count = decisions.iter().filter(explored).count() as f64;
    assert!(
        (count - expected).abs() < 4.0 * expected.sqrt(),
        "{count}, not {expected}"
    );
    let upper = decisions
        .iter()
        .zip(&events)
        .filter(|(decision, event)| explored(decision) && event.margin > 0.5);
    let upper = upper.count() as f64;
    assert!((upper - count / 2.0).abs() < 2.0 * count.sqrt(), "{upper} of {count}");
}

#[test]
fn the_control_arm_is_the_same_however_often_and_wherever_an_event_is_read() {
    let events: Vec<_> = (0..5_000).map(|number| Event::new(number, spread(number))).collect();
    let explored = |json, order: &mut dyn Iterator<Item = usize>| {
        let mut selection = Selection::new(plan(json));
        let events: Vec<_> = order.map(|at| events[at].clone()).collect();
        let decisions = decide(&mut selection, &events, at(0.0));
        let picked = decisions.iter().zip(&events);
        let mut ids: Vec<String> = picked
            .filter(|(decision, _)| decision.arms.contains(&Arm::Explore))
            .map(|(_, event)| event.id.clone())
            .collect();
        ids.sort();
        ids
    };
    let settings = json!({"fraction": 0.05, "shares": {"uncertainty": 0.7}});
    let once = explored(settings.clone(), &mut (0..5_000));
    assert!(once.len() > 20, "{}", once.len());
    assert_eq!(once, explored(settings, &mut (0..5_000).rev()));
    let another_pipeline = json!({"fraction": 0.015, "shares": {"uncertainty": 0.0}});
    assert_eq!(once, explored(another_pipeline, &mut (0..5_000)));
}

#[test]
fn the_probability_of_an_event_is_that_of_being_selected_by_any_arm() {
    let mut selection = Selection::new(plan(json!({"fraction": 0.2, "duplicates": {"suppress": false}})));
    let events: Vec<_> = (0..20_000).map(|number| Event::new(number, 0.5)).collect();
    let decisions = decide(&mut selection, &events, at(0.0));
    let (mut seen_fraction, explore) = (0, 0.2 * 0.3 / 0.7);
    for decision in decisions.iter().filter(|decision| !decision.arms.is_empty()) {
        let others = decision.chances.iter().filter(|chance| chance.arm != Arm::Explore);
        let missed = others.fold(1.0 - explore, |missed, chance| missed * (1.0 - chance.probability));
        assert!((decision.probability - (1.0 - missed)).abs() < 1e-12, "{decision:?}");
        seen_fraction += usize::from(decision.probability < 1.0 && decision.chances.len() > 1);
    }
    assert!(seen_fraction > 10, "ties are broken by lot: {seen_fraction}");
}

#[test]
fn a_number_that_is_none_is_no_utility() {
    let mut selection = Selection::new(plan(json!({"fraction": 0.5, "shares": {"explore": 0.0}})));
    let events: Vec<_> = (0..2_000).map(|number| Event::new(number, f32::NAN)).collect();
    let decisions = decide(&mut selection, &events, at(0.0));
    assert!(decisions.iter().all(|decision| decision.arms.is_empty()));
}

#[test]
fn what_was_selected_once_is_not_selected_again_but_by_the_control_arm() {
    let mut selection = Selection::new(plan(
        json!({"fraction": 1.0, "shares": {"explore": 0.2, "uncertainty": 0.8}}),
    ));
    let events: Vec<_> = (0..4_000)
        .map(|number| Event {
            exact: 7,
            ..Event::new(number, 0.5)
        })
        .collect();
    let decisions = decide_for_good(&mut selection, &events, at(0.0));
    let by = |arm: Arm| decisions.iter().filter(|decision| decision.arms.contains(&arm)).count();
    assert_eq!(by(Arm::Uncertainty), 1);
    assert!(by(Arm::Explore) > 600, "{}", by(Arm::Explore));
    let refused = decisions.iter().flat_map(|decision| &decision.chances);
    let refused = refused.filter(|chance| chance.drawn == Drawn::Duplicate);
    assert!(refused.clone().count() > 100 && refused.clone().all(|chance| chance.probability == 0.0));
    // Undone work is no reason to take an event for its own duplicate.
    let mut selection = Selection::new(plan(json!({"fraction": 1.0, "shares": {"explore": 0.0}})));
    decide_for_good(&mut selection, &[Event::new(1, 0.5), Event::new(2, 0.5)], at(0.0));
    let once = decide(&mut selection, &[Event::new(9, 0.9)], at(1.0));
    selection.rollback();
    let again = decide(&mut selection, &[Event::new(9, 0.9)], at(1.0));
    assert_eq!((once.clone(), once[0].arms.len()), (again, 1));
}

#[test]
fn work_that_is_undone_is_forgotten_to_the_last_token() {
    let settings = json!({"fraction": 0.05, "segments": {"field": "region", "most": 0.6}});
    let mut selection = Selection::new(plan(settings));
    let batch = |from: u64| -> Vec<Event> {
        (from..from + 500)
            .map(|number| Event::new(number, spread(number)))
            .collect()
    };
    for turn in 0..10 {
        decide_for_good(&mut selection, &batch(turn * 500), at(turn as f64));
    }
    let once = decide(&mut selection, &batch(5_000), at(10.0));
    selection.mark();
    decide(&mut selection, &batch(5_500), at(11.0));
    selection.rollback();
    assert_eq!(decide(&mut selection, &batch(5_000), at(10.0)), once);
}

#[test]
fn where_another_arm_might_have_selected_an_event_the_draw_of_the_control_arm_is_told_too() {
    let mut selection = Selection::new(plan(json!({"fraction": 0.2, "duplicates": {"suppress": false}})));
    let events: Vec<_> = (0..4_000).map(|number| Event::new(number, 0.5)).collect();
    let decisions = decide(&mut selection, &events, at(0.0));
    let told = decisions.iter().filter(|decision| !decision.chances.is_empty());
    for decision in told.clone() {
        assert_eq!(decision.chances[0].arm, Arm::Explore, "{decision:?}");
        let missed: f64 = decision.chances.iter().map(|chance| 1.0 - chance.probability).product();
        assert!((decision.probability - (1.0 - missed)).abs() < 1e-12, "{decision:?}");
        assert!(
            decision.chances.len() > 1 || decision.arms == [Arm::Explore],
            "{decision:?}"
        );
    }
    assert!(told.clone().any(|decision| decision.arms == [Arm::Uncertainty]));
}
