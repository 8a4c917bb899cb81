use proptest::prelude::*;

use super::*;

fn partition(number: i32) -> Partition {
    Partition { topic: 0, number }
}

fn at(seconds: i64) -> Now {
    Now {
        monotonic: std::time::Duration::from_secs(seconds as u64),
        unix_ms: seconds * 1000,
    }
}

fn purse(slots: &[(&str, f64, f64, f64)], partitions: u32) -> Purse {
    let mut purse = Purse::default();
    let slots = slots.iter().map(|(name, per_event, per_second, cap)| Slot {
        name: (*name).to_owned(),
        per_event: *per_event,
        per_second: *per_second,
        cap: *cap,
    });
    purse.set_slots(slots.collect());
    purse.set_partitions(partitions);
    purse
}

#[test]
fn a_token_is_earned_by_as_many_events_as_the_budget_says() {
    let mut purse = purse(&[("a", 0.25, 0.0, 10.0)], 1);
    for _ in 0..3 {
        purse.earn(partition(0), at(0));
        assert!(!purse.affords(0));
    }
    purse.earn(partition(0), at(0));
    assert!(purse.affords(0));
    purse.pay(0);
    assert_eq!(purse.level(0), 0.0);
}

#[test]
fn no_more_is_saved_up_than_the_cap() {
    let mut purse = purse(&[("a", 0.5, 100.0, 4.0)], 1);
    (0..1000).for_each(|_| purse.earn(partition(0), at(0)));
    assert_eq!(purse.level(0), 4.0);
    purse.pass(at(1000));
    assert_eq!(purse.level(0), 4.0);
}

#[test]
fn time_earns_in_proportion_to_the_partitions_held() {
    let mut purse = purse(&[("a", 0.0, 8.0, 1e9)], 8);
    (0..2).for_each(|number| purse.take(partition(number), None, at(0)));
    purse.pass(at(10));
    assert_eq!(purse.level(0), 20.0);
}

#[test]
fn a_partition_takes_its_account_along_also_a_debt() {
    let mut here = purse(&[("a", 0.5, 0.0, 10.0), ("b", 0.0, 1.0, 10.0)], 2);
    (0..2).for_each(|number| here.take(partition(number), None, at(0)));
    (0..4).for_each(|_| here.earn(partition(0), at(0)));
    here.charge(partition(1), 0, 1.0);
    here.pass(at(4));
    let notes = [0, 1].map(|number| here.note(partition(number)).expect("it is here"));
    let text = serde_json::to_string(&notes).expect("JSON");
    let notes: [Note; 2] = serde_json::from_str(&text).expect("JSON");

    let mut there = purse(&[("b", 0.0, 1.0, 10.0), ("a", 0.5, 0.0, 10.0)], 2);
    there.take(partition(1), Some(&notes[1]), at(4));
    assert_eq!((there.level(1), there.level(0)), (-1.0, 2.0));
    there.take(partition(0), Some(&notes[0]), at(4));
    assert_eq!((there.level(1), there.level(0)), (here.level(0), here.level(1)));
}

#[test]
fn what_time_earned_while_nobody_owned_the_partition_is_not_lost_and_not_beyond_the_cap() {
    let mut purse = purse(&[("a", 0.0, 1.0, 30.0)], 1);
    purse.take(partition(0), None, at(0));
    purse.pass(at(5));
    let note = purse.note(partition(0));
    purse.take(partition(0), note.as_ref(), at(15));
    purse.pass(at(15));
    assert_eq!(purse.level(0), 15.0);
    purse.take(partition(0), note.as_ref(), at(1000));
    purse.pass(at(1000));
    assert_eq!(purse.level(0), 30.0);
}

#[test]
fn a_clock_that_goes_back_earns_nothing_and_costs_nothing() {
    let mut purse = purse(&[("a", 0.0, 1.0, 30.0)], 1);
    purse.take(partition(0), None, at(100));
    purse.pass(at(110));
    purse.pass(at(50));
    assert_eq!(purse.level(0), 10.0);
}

#[test]
fn the_rate_is_measured_over_a_second_at_least_and_moves_with_a_partition() {
    let mut purse = purse(&[], 2);
    assert_eq!(purse.rate(at(0)), None);
    (0..500).for_each(|_| purse.arrive(partition(0), at(0)));
    assert_eq!(purse.rate(at(0)), Some(500.0));
    purse.pass(at(5));
    assert_eq!(purse.rate(at(5)), Some(100.0));
    let note = purse.note(partition(0));
    purse.take(partition(0), note.as_ref(), at(5));
    assert_eq!(purse.rate(at(5)), Some(100.0));
}

#[test]
fn a_stream_that_begins_after_a_quiet_hour_is_taken_at_its_present_pace() {
    let mut purse = purse(&[], 1);
    purse.take(partition(0), None, at(0));
    (1..3600).for_each(|second| purse.pass(at(second)));
    assert_eq!(purse.rate(at(3600)), None);
    (0..900).for_each(|_| purse.arrive(partition(0), at(3600)));
    assert!(purse.rate(at(3600)).is_some_and(|rate| rate >= 450.0));
    purse.pass(at(3601));
    assert!(purse.rate(at(3601)).is_some_and(|rate| rate >= 450.0));
}

#[test]
fn property_tokens_are_neither_made_nor_lost_while_partitions_move() {
    proptest!(|(moves in prop::collection::vec((0..4u8, 0..6i32, 0..3usize), 1..200))| {
        let slots = [("a", 0.25, 0.0, 1e9)];
        let mut lanes = [purse(&slots, 6), purse(&slots, 6), purse(&slots, 6)];
        let (mut owner, mut notes) = ([0; 6], vec![None; 6]);
        (0..6).for_each(|number| lanes[0].take(partition(number), None, at(0)));
        let mut expected = 0.0;
        for (what, number, lane) in moves {
            let own = &mut owner[number as usize];
            if what == 3 {
                lanes[*own].drop(partition(number));
                *own = lane;
                lanes[lane].take(partition(number), notes[number as usize].as_ref(), at(0));
                continue;
            }
            // One span: what it touches is written down.
            lanes[*own].earn(partition(number), at(0));
            expected += 0.25;
            if what == 2 && lanes[*own].affords(0) {
                lanes[*own].pay(0);
                expected -= 1.0;
            }
            notes[number as usize] = lanes[*own].note(partition(number));
            lanes[*own].close();
        }
        let total: f64 = lanes.iter().map(|lane| lane.level(0)).sum();
        prop_assert!((total - expected).abs() < 1e-3 && total <= expected + 1e-9, "{total}, not {expected}");
        prop_assert!(total >= -6.0, "at most one for each partition is spent ahead: {total}");
    });
}

#[test]
fn new_slots_keep_the_levels_of_old_ones_by_their_names() {
    let mut purse = purse(&[("a", 1.0, 0.0, 10.0), ("b", 2.0, 0.0, 10.0)], 1);
    purse.earn(partition(0), at(0));
    let slot = |name: &str| Slot {
        name: name.to_owned(),
        per_event: 0.0,
        per_second: 0.0,
        cap: 10.0,
    };
    purse.set_slots(vec![slot("b"), slot("c")]);
    assert_eq!((purse.level(0), purse.level(1)), (2.0, 0.0));
}

#[test]
fn a_partition_without_events_keeps_nobody_from_spending_what_the_lane_may() {
    // One token in ten seconds, half of it by either partition; events come from one alone.
    let mut purse = purse(&[("a", 0.0, 0.1, 4.0)], 2);
    (0..2).for_each(|number| purse.take(partition(number), None, at(0)));
    let mut spent = 0;
    for second in 1..=3600 {
        purse.pass(at(second));
        purse.earn(partition(0), at(second));
        if purse.affords(0) {
            purse.pay(0);
            spent += 1;
        }
        purse.close();
    }
    assert!((355..=360).contains(&spent), "{spent}");
}

#[test]
fn what_a_full_account_gives_away_is_not_earned_again_by_its_next_owner() {
    let slots = [("a", 0.0, 0.1, 4.0)];
    let mut here = purse(&slots, 2);
    let notes = [0, 1].map(|number| {
        here.take(partition(number), None, at(0));
        here.note(partition(number))
    });
    here.pass(at(1000));
    assert_eq!(here.level(0), 4.0);
    // The other partition's account was never written down again.
    let mut there = purse(&slots, 2);
    there.take(partition(1), notes[1].as_ref(), at(1000));
    there.pass(at(1000));
    assert_eq!(there.level(0), 2.0);
}

#[test]
fn savings_do_not_outlive_a_budget_that_is_lowered_nor_one_that_is_made_up() {
    let mut purse = purse(&[("a", 0.0, 10.0, 1000.0), ("b", 0.5, 0.0, 100.0)], 1);
    purse.take(partition(0), None, at(0));
    (0..100).for_each(|_| purse.earn(partition(0), at(0)));
    purse.pass(at(100));
    assert_eq!((purse.level(0), purse.level(1)), (1000.0, 50.0));
    let slot = |name: &str, per_event, per_second, cap| Slot {
        name: name.to_owned(),
        per_event,
        per_second,
        cap,
    };
    purse.set_slots(vec![slot("a", 0.0, 0.1, 10.0), slot("b", 0.01, 0.0, 5.0)]);
    purse.pass(at(100));
    assert_eq!((purse.level(0), purse.level(1)), (10.0, 5.0));
    let hostile: Note =
        serde_json::from_str(r#"{"at": -9223372036854775808, "levels": {"a": 1e300}}"#).expect("a note");
    purse.take(partition(0), Some(&hostile), at(100));
    purse.pass(at(100));
    assert_eq!(purse.level(0), 10.0);
}

#[test]
fn what_is_borrowed_from_savings_by_events_is_paid_back_and_borrowed_again() {
    let mut purse = purse(&[("a", 0.1, 0.0, 3.0)], 2);
    (0..50).for_each(|_| purse.earn(partition(1), at(0)));
    purse.close();
    let mut spent = 0;
    for _ in 0..1000 {
        purse.earn(partition(0), at(0));
        if purse.affords(0) {
            purse.pay(0);
            spent += 1;
        }
        purse.close();
    }
    assert!((99..=101).contains(&spent), "{spent}");
}

#[test]
fn frozen_notes_are_read_with_and_without_a_number() {
    let without = include_str!("../../../../../tests/fixtures/frozen/format-1/budget-note-without-number.json");
    let note = Note::read(without).expect("a note of format 1");
    assert_eq!(
        (note.format, note.at, note.rate, note.explore),
        (1, 1_777_593_600_000, 12.5, Some(0.0125))
    );
    let levels: Vec<(&str, f64)> = note
        .levels
        .iter()
        .map(|(name, level)| (name.as_str(), *level))
        .collect();
    assert_eq!(levels, [("explore", 1.25), ("uncertainty/m", -0.5)]);

    let with = Note::read(include_str!(
        "../../../../../tests/fixtures/frozen/format-1/budget-note.json"
    ));
    let with = with.expect("a note of format 1");
    assert_eq!(
        (with.format, with.at, with.rate, with.explore),
        (1, 1_795_780_311_881, 0.0, Some(0.25))
    );
    assert_eq!(with.levels, BTreeMap::from([("uncertainty/mlp".to_owned(), 5.0)]));
}

#[test]
fn a_note_of_a_newer_format_is_told_apart_from_what_is_none() {
    let newer = Note::read(r#"{"format":2,"at":"elsewhere"}"#).expect_err("it is newer");
    assert!(newer.contains("is of format 2"), "{newer}");
    let foreign = Note::read("mine").expect_err("it is no note");
    assert!(foreign.contains("is not Eddy's"), "{foreign}");
}
