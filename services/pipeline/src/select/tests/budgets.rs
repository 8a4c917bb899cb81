//! Many events: what is spent.

use serde_json::json;

use super::*;

fn selected(decisions: &[Decision], arm: Arm) -> usize {
    decisions.iter().filter(|decision| decision.arms.contains(&arm)).count()
}

#[test]
fn an_arm_spends_its_part_of_the_fraction_and_never_more() {
    for fraction in [0.002, 0.02, 0.2] {
        let mut selection = Selection::new(plan(json!({"fraction": fraction, "shares": {"explore": 0.0}})));
        let events: Vec<_> = (0..100_000)
            .map(|number| Event::new(number, spread(number).powi(3)))
            .collect();
        let decisions = decide(&mut selection, &events, at(0.0));
        let (spent, budget) = (selected(&decisions, Arm::Uncertainty) as f64, fraction * 100_000.0);
        assert!(spent <= budget && spent >= 0.93 * budget, "{spent} of {budget}");
        let utility: f64 = decisions
            .iter()
            .zip(&events)
            .filter(|(decision, _)| !decision.arms.is_empty())
            .map(|(_, event)| f64::from(event.margin))
            .sum();
        assert!(utility / spent > 1.0 - 2.0 * fraction.max(0.05), "{}", utility / spent);
    }
}

#[test]
fn ten_million_tied_events_spend_the_budget_and_no_more() {
    let mut selection = Selection::new(plan(json!({
        "fraction": 0.001, "shares": {"explore": 0.0}, "duplicates": {"suppress": false},
    })));
    let mut spent = 0;
    let mut number = 0;
    for _ in 0..1_000 {
        let events: Vec<_> = (number..number + 1_000)
            .map(|number| Event::new(number, if number % 100 == 0 { spread(number) } else { 0.0 }))
            .collect();
        number += 1_000;
        spent += selected(&decide(&mut selection, &events, at(0.0)), Arm::Uncertainty);
    }
    assert!((950..=1_000).contains(&spent), "{spent}");
}

/// A day of a topic of 20 partitions under a number of replicas that changes; returns what was selected.
fn day(settings: serde_json::Value, partition_of: impl Fn(u64) -> i32) -> usize {
    let fleet_sizes = [(0.0, 2), (0.3, 10), (0.7, 1)];
    let mut lanes: Vec<(Selection, Vec<i32>)> = Vec::new();
    let mut notes: Vec<Option<Note>> = vec![None; 20];
    let (mut spent, mut number) = (0, 0);
    for minute in 0..1440 {
        let now = at(f64::from(minute) * 60.0);
        if let Some((_, replicas)) = fleet_sizes.iter().find(|(from, _)| (from * 1440.0) as i32 == minute) {
            lanes = (0..*replicas)
                .map(|_| (Selection::new(plan(settings.clone())), vec![]))
                .collect();
            for partition in 0..20 {
                lanes[partition as usize % replicas].1.push(partition);
            }
            for (selection, own) in &mut lanes {
                let taken: Vec<_> = own
                    .iter()
                    .map(|number| (partition(*number), notes[*number as usize].clone()))
                    .collect();
                selection.take(&taken, 20, now);
            }
        }
        // A quiet night and a busy day.
        let events = if minute < 480 { 20 } else { 200 };
        let batch: Vec<Event> = (number..number + events)
            .map(|number| Event {
                partition: partition_of(number),
                ..Event::new(number, spread(number))
            })
            .collect();
        number += events;
        for (selection, own) in &mut lanes {
            let mine: Vec<Event> = batch
                .iter()
                .filter(|event| own.contains(&event.partition))
                .cloned()
                .collect();
            let decisions = decide_for_good(selection, &mine, now);
            spent += decisions.iter().filter(|decision| !decision.arms.is_empty()).count();
            for number in own {
                notes[*number as usize] = selection.note(partition(*number), 0);
            }
        }
    }
    spent
}

#[test]
fn the_daily_number_holds_while_replicas_come_and_go_and_whatever_the_keys() {
    let settings = json!({"per_day": 2400});
    let spread_keys = day(settings.clone(), |number| (number * 7 % 20) as i32);
    let few_keys = day(settings.clone(), |number| (number % 100 * 7 % 20) as i32);
    let no_keys = day(settings, |number| (number / 16 % 20) as i32);
    for spent in [spread_keys, few_keys, no_keys] {
        assert!((2000..=2400 + 40).contains(&spent), "{spent}");
    }
}

#[test]
fn a_restart_neither_refills_a_budget_nor_loses_it() {
    let settings = json!({"per_hour": 240, "shares": {"explore": 0.0}});
    let run = |restarts: bool| {
        let mut selection = Selection::new(plan(settings.clone()));
        selection.take(&[(partition(0), None)], 1, at(0.0));
        let mut spent = 0;
        for second in 0..3600_u64 {
            let now = at(second as f64);
            if restarts && second % 60 == 30 {
                let note = selection.note(partition(0), 0);
                selection = Selection::new(plan(settings.clone()));
                selection.take(&[(partition(0), note)], 1, now);
            }
            let events: Vec<_> = (second * 50..second * 50 + 50)
                .map(|number| Event {
                    partition: 0,
                    ..Event::new(number, spread(number))
                })
                .collect();
            spent += selected(&decide_for_good(&mut selection, &events, now), Arm::Uncertainty);
        }
        spent
    };
    let (steady, restarted) = (run(false), run(true));
    assert!((200..=240).contains(&steady), "{steady}");
    assert!((190..=240).contains(&restarted), "{restarted} instead of {steady}");
}

#[test]
fn no_segment_takes_more_than_its_part() {
    let settings = json!({
        "fraction": 0.02, "shares": {"explore": 0.0}, "segments": {"field": "region", "most": 0.4},
    });
    let mut selection = Selection::new(plan(settings));
    // All uncertain events come from one segment.
    let events: Vec<_> = (0..50_000)
        .map(|number| Event {
            segment: (number % 3) as usize,
            ..Event::new(
                number,
                if number % 3 == 1 {
                    0.5 + spread(number) / 2.0
                } else {
                    spread(number) / 2.0
                },
            )
        })
        .collect();
    let decisions = decide(&mut selection, &events, at(0.0));
    let mut by_segment = [0; 3];
    for (decision, event) in decisions.iter().zip(&events) {
        by_segment[event.segment] += usize::from(!decision.arms.is_empty());
    }
    let budget = 1_000.0;
    assert!(by_segment[1] as f64 <= 0.4 * budget + 10.0, "{by_segment:?}");
    assert!(by_segment.iter().sum::<usize>() as f64 > 0.9 * budget, "{by_segment:?}");
    let full = decisions.iter().flat_map(|decision| &decision.chances);
    assert!(full.clone().any(|chance| chance.drawn == Drawn::SegmentFull));
}

#[test]
fn a_floor_selects_rare_classes_that_nothing_else_would() {
    let settings = json!({
        "fraction": 0.01, "shares": {"explore": 0.0, "uncertainty": 0.5, "class_floor": 0.5},
    });
    let mut selection = Selection::new(plan(settings));
    let events: Vec<_> = (0..60_000)
        .map(|number| Event {
            class: if number % 1_000 == 0 { 2 } else { (number % 2) as usize },
            ..Event::new(number, if number % 1_000 == 0 { 0.0 } else { spread(number) })
        })
        .collect();
    let decisions = decide(&mut selection, &events, at(0.0));
    let rare = decisions.iter().zip(&events).filter(|(_, event)| event.class == 2);
    let selected_rare = rare.filter(|(decision, _)| decision.arms == [Arm::ClassFloor]).count();
    assert!(selected_rare >= 50, "{selected_rare} of 60");
    assert!(selected(&decisions, Arm::ClassFloor) <= 300);
}

#[test]
fn another_plan_keeps_what_was_spent_and_known() {
    let before = json!({"fraction": 0.02, "shares": {"explore": 0.0}});
    let mut selection = Selection::new(plan(before));
    let batch = |from: u64| -> Vec<Event> {
        (from..from + 1_000)
            .map(|number| Event::new(number, spread(number)))
            .collect()
    };
    let first = decide_for_good(&mut selection, &batch(0), at(0.0));
    selection.set_plan(plan(
        json!({"fraction": 0.02, "shares": {"explore": 0.0}, "anomaly_above": 3.0, "confidence_below": 0.9}),
    ));
    let second = decide_for_good(&mut selection, &batch(1_000), at(1.0));
    let spent = selected(&first, Arm::Uncertainty) + selected(&second, Arm::Uncertainty);
    assert!(spent <= 40, "{spent}");
    selection.set_plan(plan(json!({})));
    let third = decide_for_good(&mut selection, &batch(2_000), at(2.0));
    assert!(third.iter().all(|decision| decision.arms.is_empty()));
}

/// Decides on batches of so many events at these seconds, all of one partition; returns what each arm selected.
fn batches(
    selection: &mut Selection,
    (events, partition): (u64, i32),
    seconds: impl Iterator<Item = u64>,
) -> (usize, usize) {
    let mut spent = (0, 0);
    for second in seconds {
        let batch: Vec<_> = (second * events..(second + 1) * events)
            .map(|number| Event {
                partition,
                ..Event::new(number, spread(number))
            })
            .collect();
        let decisions = decide_for_good(selection, &batch, at(second as f64));
        spent.0 += selected(&decisions, Arm::Explore);
        spent.1 += selected(&decisions, Arm::Uncertainty);
    }
    spent
}

#[test]
fn a_partition_without_events_keeps_no_arm_from_its_budget() {
    for partitions in [1, 2, 20] {
        let mut selection = Selection::new(plan(json!({"per_day": 480, "duplicates": {"suppress": false}})));
        let taken: Vec<_> = (0..partitions).map(|number| (partition(number), None)).collect();
        selection.take(&taken, partitions as u32, at(0.0));
        let (explore, uncertainty) = batches(&mut selection, (5, 0), 0..86_400);
        // Shares 3 to 4 of 480 but for the 20 that cannot be saved up in time.
        assert!((150..=236).contains(&explore), "{explore} with {partitions} partitions");
        // A partition alone borrows one token at a time of what 19 others save, so it now and then has to wait.
        let least = if partitions == 20 { 210 } else { 240 };
        assert!((least..=275).contains(&uncertainty), "{uncertainty} with {partitions}");
    }
}

#[test]
fn a_burst_after_a_quiet_night_spends_no_more_than_was_saved_up() {
    let mut selection = Selection::new(plan(json!({"per_day": 100})));
    selection.take(&[(partition(0), None)], 1, at(0.0));
    batches(&mut selection, (1, 0), 0..3_600);
    for second in 3_600..40_000 {
        decide_for_good(&mut selection, &[], at(f64::from(second)));
    }
    let (explore, uncertainty) = batches(&mut selection, (256, 0), 40_000..40_060);
    assert!(
        explore <= 4 && uncertainty <= 4,
        "{explore} and {uncertainty} of a day's 100"
    );
}

#[test]
fn a_stream_that_comes_in_bursts_has_its_control_arm_all_the_same() {
    let mut selection = Selection::new(plan(json!({"per_day": 2400})));
    selection.take(&[(partition(0), None)], 1, at(0.0));
    let mut explored = 0;
    for burst in 0..1_440 {
        for quiet in 1..60 {
            decide_for_good(&mut selection, &[], at(f64::from(burst * 60 + quiet)));
        }
        explored += batches(&mut selection, (600, 0), std::iter::once(burst as u64 * 60 + 60)).0;
    }
    // 3 of 7 shares, but for what cannot be saved up in time.
    assert!((700..=1_030).contains(&explored), "{explored}");
}

#[test]
fn the_first_selections_of_a_backlog_are_worth_as_much_as_the_later_ones() {
    let mut selection = Selection::new(plan(json!({"per_day": 2400, "shares": {"explore": 0.0}})));
    selection.take(&[(partition(0), None)], 1, at(0.0));
    let mut worth = Vec::new();
    for second in 0..3_600_u64 {
        let batch: Vec<_> = (second * 256..(second + 1) * 256)
            .map(|number| Event {
                partition: 0,
                ..Event::new(number, spread(number))
            })
            .collect();
        let decisions = decide_for_good(&mut selection, &batch, at(second as f64));
        let picked = decisions
            .iter()
            .zip(&batch)
            .filter(|(decision, _)| !decision.arms.is_empty());
        worth.extend(picked.map(|(_, event)| event.margin));
    }
    let mean = worth.iter().sum::<f32>() / worth.len() as f32;
    assert!(worth.len() > 80 && mean > 0.97, "{mean} of {}", worth.len());
}

#[test]
fn what_was_written_down_of_a_control_arm_that_is_gone_or_was_larger_is_not_taken_up() {
    let of = |json: serde_json::Value, explore: f64| {
        let note = json!({"at": 0, "rate": 10.0, "explore": explore, "levels": {}});
        let note: Note = serde_json::from_value(note).expect("a note");
        let mut selection = Selection::new(plan(json));
        selection.take(&[(partition(0), Some(note))], 1, at(0.0));
        let batch: Vec<_> = (0..1_000).map(|number| Event::new(number * 4, 0.5)).collect();
        selected(&decide(&mut selection, &batch, at(0.0)), Arm::Explore)
    };
    assert_eq!(of(json!({"per_day": 100, "shares": {"explore": 0.0}}), 1.0), 0);
    let some = of(json!({"fraction": 0.01}), 1.0);
    assert!(some <= 20, "{some}");
}

#[test]
fn a_budget_that_a_policy_brings_begins_with_nothing_and_one_that_comes_back_as_it_was() {
    let day = json!({"per_day": 24_000, "shares": {"explore": 0.0}});
    let mut selection = Selection::new(plan(json!({})));
    selection.take(&[(partition(0), None)], 1, at(0.0));
    batches(&mut selection, (10, 0), 0..3_600);
    selection.set_plan(plan(day.clone()));
    let (_, first) = batches(&mut selection, (1_000, 0), 3_600..3_601);
    assert!(first <= 1, "{first} at once");
    batches(&mut selection, (1_000, 0), 3_601..3_660);
    let levels = |selection: &Selection| selection.note(partition(0), 0);
    let before = levels(&selection);
    selection.set_plan(plan(json!({})));
    assert_eq!(levels(&selection), None);
    selection.set_plan(plan(day));
    assert_eq!(levels(&selection), before);
}
