use super::*;

const NOW: Duration = Duration::from_secs(3);

fn sent(tally: &mut Tally, label: u8, phase: Phase) -> u64 {
    tally.sent(Sent {
        label,
        phase,
        picture: [label; 64],
        bytes: 100,
    })
}

fn says(digit: u8, confidence: f32) -> Prediction {
    Prediction {
        digit,
        confidence,
        selected: confidence < 0.6,
    }
}

fn sample(number: u64) -> Sample {
    Sample {
        number,
        reasons: vec!["uncertainty".to_owned()],
        said: Some((1, 0.4)),
    }
}

#[test]
fn every_event_has_one_outcome_in_the_end() {
    let mut tally = Tally::default();
    let numbers: Vec<u64> = (0..4).map(|digit| sent(&mut tally, digit, Phase::Straight)).collect();
    assert_eq!(tally.unanswered_bytes(), 400);
    tally.predicted(numbers[0], says(0, 0.9), NOW);
    tally.predicted(numbers[1], says(7, 0.4), NOW);
    tally.died(numbers[2], "malformed", NOW);
    assert_eq!((tally.facts(NOW).unanswered(), tally.facts(NOW).complete()), (1, false));
    tally.predicted(numbers[3], says(3, 0.9), NOW);
    assert!(!tally.facts(NOW).complete(), "a selected event has not flowed back yet");
    tally.flowed_back(sample(numbers[1]));
    let facts = tally.facts(NOW);
    assert!(facts.complete());
    assert_eq!(
        (facts.events, facts.predictions, facts.dead(), facts.samples),
        (4, 3, 1, 1)
    );
    assert_eq!(facts.unanswered_bytes, 0);
}

#[test]
fn an_outcome_that_comes_again_does_not_count_again() {
    let mut tally = Tally::default();
    let number = sent(&mut tally, 1, Phase::Straight);
    tally.predicted(number, says(1, 0.5), NOW);
    tally.predicted(number, says(1, 0.5), NOW);
    tally.died(number, "malformed", NOW);
    tally.flowed_back(sample(number));
    tally.flowed_back(sample(number));
    let facts = tally.facts(NOW);
    assert_eq!(
        (facts.predictions, facts.dead(), facts.samples, facts.repeated),
        (1, 0, 1, 3)
    );
}

#[test]
fn what_was_never_sent_counts_as_repeated_only() {
    let mut tally = Tally::default();
    tally.predicted(9, says(1, 0.5), NOW);
    tally.flowed_back(sample(u64::MAX));
    let facts = tally.facts(NOW);
    assert_eq!(
        (facts.events, facts.predictions, facts.samples, facts.repeated),
        (0, 0, 0, 2)
    );
}

#[test]
fn an_event_that_could_not_be_sent_is_not_waited_for() {
    let mut tally = Tally::default();
    let number = sent(&mut tally, 1, Phase::Straight);
    tally.withdrawn(number);
    assert!(tally.facts(NOW).complete());
    assert_eq!(tally.facts(NOW).events, 0);
}

#[test]
fn accuracy_is_kept_apart_before_and_after_the_tilt() {
    let mut tally = Tally::default();
    for (phase, said) in [
        (Phase::Straight, 1),
        (Phase::Straight, 1),
        (Phase::Tilting, 5),
        (Phase::Tilted, 1),
        (Phase::Tilted, 5),
    ] {
        let number = sent(&mut tally, 1, phase);
        tally.predicted(number, says(said, 0.9), NOW);
    }
    let facts = tally.facts(NOW);
    assert_eq!((facts.accuracy_before, facts.accuracy_after), (Some(1.0), Some(0.5)));
}

#[test]
fn the_timeline_has_a_gap_where_nothing_came_and_never_grows_over_its_length() {
    let mut tally = Tally::default();
    for (second, confidence) in [(0, 0.5), (0, 1.0), (2, 0.25)] {
        let number = sent(&mut tally, 1, Phase::Straight);
        tally.predicted(number, says(1, confidence), Duration::from_secs(second));
    }
    let facts = tally.facts(NOW);
    assert_eq!(facts.confidence, [Some(0.75), None, Some(0.25), None]);
    assert_eq!(facts.outcomes_per_second, 1.0);
    assert_eq!((facts.histogram[2], facts.histogram[5], facts.histogram[9]), (1, 1, 1));
    let later = tally.facts(Duration::from_secs(1_000_000));
    assert_eq!(
        (later.confidence.len(), later.outcomes_per_second),
        (TIMELINE_SECONDS, 0.0)
    );
}

#[test]
fn the_newest_prediction_comes_with_its_picture() {
    let mut tally = Tally::default();
    let numbers: Vec<u64> = (0..3).map(|digit| sent(&mut tally, digit, Phase::Tilted)).collect();
    tally.predicted(numbers[2], says(5, 0.9), NOW);
    tally.predicted(numbers[1], says(5, 0.3), NOW);
    let seen = tally.facts(NOW).latest.expect("there was a prediction");
    assert_eq!((seen.picture, seen.label, seen.prediction.digit), ([1; 64], 1, 5));
}

#[test]
fn memory_is_bounded_by_what_waits_for_its_outcome() {
    let mut tally = Tally::default();
    for _ in 0..REMEMBERED + 50_000 {
        let number = sent(&mut tally, 1, Phase::Straight);
        tally.predicted(number, says(1, 0.9), NOW);
    }
    assert_eq!(tally.entries.len(), REMEMBERED);
    let waits = sent(&mut tally, 1, Phase::Straight);
    tally.predicted(waits, says(1, 0.9), NOW);
    assert_eq!(tally.facts(NOW).predictions, REMEMBERED as u64 + 50_001);
}

#[test]
fn reasons_beyond_the_limit_are_counted_together() {
    let mut counts = BTreeMap::new();
    for number in 0..REASONS + 10 {
        count(&mut counts, &format!("reason {number}"));
    }
    assert_eq!((counts.len(), counts["other"]), (REASONS + 1, 10));
}

#[test]
fn silence_counts_only_while_an_outcome_is_waited_for() {
    let mut tally = Tally::default();
    let number = sent(&mut tally, 1, Phase::Straight);
    tally.predicted(number, says(1, 0.9), NOW);
    assert_eq!(tally.facts(NOW + Duration::from_secs(20)).silent_seconds, 0);
    let waits = sent(&mut tally, 1, Phase::Straight);
    assert_eq!(tally.facts(NOW + Duration::from_secs(30)).silent_seconds, 30);
    tally.died(waits, "malformed", NOW + Duration::from_secs(30));
    assert_eq!(tally.facts(NOW + Duration::from_secs(30)).silent_seconds, 0);
}
