//! Comparisons against counts of their own, written without the accumulators.

use std::collections::BTreeMap;
use std::ops::Range;

use proptest::prelude::*;

use super::*;
use crate::drift::distance::psi;
use crate::head::{Head, Holds, Member, Predictions, Values};
use crate::score::RunError;
use crate::tensor::View;

/// A head that only says what it answers.
#[derive(Debug)]
struct Talk {
    values: Values,
    classes: Vec<String>,
    thresholds: Vec<f32>,
}

impl Head for Talk {
    fn read(&self, _: &[View<'_>], _: Range<usize>, _: &mut Predictions) -> Result<(), RunError> {
        Ok(())
    }

    fn render(&self, _: &Predictions, _: usize, _: &mut Vec<u8>) {}

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn thresholds(&self) -> &[f32] {
        &self.thresholds
    }

    fn members(&self) -> Vec<Member> {
        Vec::new()
    }

    fn holds(&self) -> Holds {
        Holds::only(self.values)
    }
}

fn head(values: Values, classes: &[&str]) -> Talk {
    Talk {
        values,
        classes: classes.iter().map(|name| (*name).to_owned()).collect(),
        thresholds: vec![0.5; classes.len()],
    }
}

fn classes(names: &[&str]) -> Talk {
    head(Values::Classes(names.len()), names)
}

fn best(values: &[f32]) -> usize {
    (0..values.len())
        .max_by(|one, other| values[*one].total_cmp(&values[*other]))
        .unwrap_or_default()
}

/// An event that both sides scored: its number, what each says, and whether each selects it.
type BothScored<'a> = (usize, &'a Vec<f32>, &'a Vec<f32>, bool, bool);

/// What a side says of an event, `None` for a dead letter, and whether it selects it.
type Word = (Option<Vec<f32>>, bool);

fn fate(word: &Word, reason: Reason) -> Fate<'_> {
    match &word.0 {
        None => Fate::Rejected(reason),
        Some(values) => Fate::Scored {
            said: said(values),
            selected: Some(word.1),
        },
    }
}

fn said(values: &[f32]) -> Said<'_> {
    Said {
        class: Some(best(values)),
        confidence: values.get(best(values)).copied(),
        anomaly: values.first().copied(),
        values,
    }
}

fn compare<'a>(terms: &Terms, events: impl Iterator<Item = (usize, &'a (Word, Word))>) -> Comparison {
    go_on(Comparison::default(), terms, events)
}

fn go_on<'a>(
    mut comparison: Comparison,
    terms: &Terms,
    events: impl Iterator<Item = (usize, &'a (Word, Word))>,
) -> Comparison {
    for (at, (a, b)) in events {
        let place = format!("events/0/{at}");
        let event = Event {
            order: (0, at as i64),
            place: &place,
            id: &place,
        };
        let (a, b) = (fate(a, Reason::MissingField), fate(b, Reason::Malformed));
        comparison
            .take(terms, event, &a, Some(&b))
            .expect("as many numbers on both sides");
    }
    comparison
}

fn word() -> impl Strategy<Value = Word> {
    // Few different numbers, so that many events move equally far.
    let one = (0..8u8).prop_map(|number| f32::from(number) / 8.0);
    let values = proptest::collection::vec(one, 3);
    (proptest::option::weighted(0.9, values), any::<bool>())
}

fn stream() -> impl Strategy<Value = Vec<(Word, Word)>> {
    proptest::collection::vec((word(), word()), 0..150)
}

#[test]
fn property_a_comparison_that_was_cut_and_written_down_is_that_of_the_whole_in_any_order() {
    let head = classes(&["x", "y", "z"]);
    let terms = Terms::of(&head, Some(&head)).unwrap();
    proptest!(|(events in stream(), at in 0usize..150)| {
        let whole = compare(&terms, events.iter().enumerate());
        let at = at.min(events.len());
        let first = compare(&terms, events.iter().enumerate().take(at));
        let text = serde_json::to_string(&first).unwrap();
        let back: Comparison = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&back, &first);
        prop_assert_eq!(&go_on(back, &terms, events.iter().enumerate().skip(at)), &whole);
        prop_assert_eq!(&compare(&terms, events.iter().enumerate().rev()), &whole);
    });
}

/// The twenty events that moved most, of equal ones the first; the second side's z x y is read as x y z.
fn furthest(both: &[BothScored<'_>]) -> Vec<(f32, usize)> {
    let moved = |a: &[f32], b: &[f32]| {
        let b = [b[1], b[2], b[0]];
        a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0f32, f32::max)
    };
    let mut far: Vec<(f32, usize)> = both.iter().map(|(at, a, b, ..)| (moved(a, b), *at)).collect();
    far.retain(|(by, _)| *by > 0.0);
    far.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
    far.truncate(20);
    far
}

#[test]
fn property_every_figure_is_that_of_a_plain_count() {
    // The second head has the same classes in another order.
    let (first, second) = (classes(&["x", "y", "z"]), classes(&["z", "x", "y"]));
    let terms = Terms::of(&first, Some(&second)).unwrap();
    let (names_a, names_b) = (["x", "y", "z"], ["z", "x", "y"]);
    proptest!(|(events in stream())| {
        let report = compare(&terms, events.iter().enumerate()).report(&terms, true);
        let pair = report.pair.as_ref().unwrap();
        let both: Vec<BothScored<'_>> = events
            .iter()
            .enumerate()
            .filter_map(|(at, (a, b))| Some((at, a.0.as_ref()?, b.0.as_ref()?, a.1, b.1)))
            .collect();
        prop_assert_eq!((report.read, pair.both), (events.len() as u64, both.len() as u64));
        let dead = |missing: usize| if missing == 0 { None } else { Some(missing as u64) };
        let missing_a = events.iter().filter(|(a, _)| a.0.is_none()).count();
        let missing_b = events.iter().filter(|(_, b)| b.0.is_none()).count();
        prop_assert_eq!(report.sides[0].dead_letters.get("missing_field").copied(), dead(missing_a));
        prop_assert_eq!(report.sides[1].dead_letters.get("malformed").copied(), dead(missing_b));

        let mut table: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for (_, a, b, ..) in &both {
            *table.entry((names_a[best(a)], names_b[best(b)])).or_default() += 1;
        }
        let found: BTreeMap<(&str, &str), u64> =
            pair.decisions.iter().map(|cell| ((cell.first.as_str(), cell.second.as_str()), cell.count)).collect();
        let changed: u64 = table.iter().filter(|((a, b), _)| a != b).map(|(_, count)| count).sum();
        prop_assert_eq!(found, table);
        prop_assert_eq!(pair.changed.unwrap().count, changed);

        let top: Vec<(f32, usize)> = pair.top.iter().map(|moved| (moved.by, moved.event.order.1 as usize)).collect();
        prop_assert_eq!(top, furthest(&both));

        let only = |wanted: (bool, bool)| both.iter().filter(move |event| (event.3, event.4) == wanted).map(|event| event.0);
        if let Some(selection) = &pair.selection {
            prop_assert_eq!(selection.only_first.count as usize, only((true, false)).count());
            let first: Vec<usize> = only((false, true)).take(20).collect();
            let named = selection.only_second_events.events().iter();
            prop_assert_eq!(named.map(|(event, _)| event.order.1 as usize).collect::<Vec<_>>(), first);
        } else {
            prop_assert!(both.is_empty());
        }
        if !both.is_empty() {
            let sum: f64 = both.iter().map(|(_, a, b, ..)| f64::from(b[best(b)]) - f64::from(a[best(a)])).sum();
            let mean = pair.changes[0].change.mean.unwrap();
            prop_assert!((mean - sum / both.len() as f64).abs() < 1e-12, "{mean} {sum}");
        }
    });
}

#[test]
fn psi_of_decisions_is_that_of_smoothed_shares_and_without_a_change_it_is_nothing() {
    let head = classes(&["x", "y"]);
    let terms = Terms::of(&head, Some(&head)).unwrap();
    let sure = |class: usize| (Some(if class == 0 { vec![1.0, 0.0] } else { vec![0.0, 1.0] }), false);
    let events: Vec<(Word, Word)> = (0..100)
        .map(|at| (sure(usize::from(at >= 80)), sure(usize::from(at >= 50))))
        .collect();
    let report = compare(&terms, events.iter().enumerate()).report(&terms, true);
    let found = &report.pair.as_ref().unwrap().psi[0];
    let share = |count: f64| (count + 0.5) / 101.0;
    let by_hand = psi([(share(80.0), share(50.0)), (share(20.0), share(50.0))]);
    assert!((found.psi.unwrap() - by_hand).abs() < 1e-12, "{found:?}");
    // One degree of freedom: χ²₁ exceeds 10.8276 once in a thousand (any table), times 1/100 + 1/100.
    assert!((found.critical.unwrap() - 0.02 * 10.827_566).abs() < 1e-6, "{found:?}");
    assert_eq!(found.expected, Some(0.02));
    let same: Vec<(Word, Word)> = events.iter().map(|(a, _)| (a.clone(), a.clone())).collect();
    let report = compare(&terms, same.iter().enumerate()).report(&terms, true);
    let pair = report.pair.unwrap();
    assert_eq!(pair.psi[0].psi, Some(0.0));
    assert_eq!((pair.changed.unwrap().count, pair.top.len()), (0, 0));
}

#[test]
fn labels_are_compared_one_by_one_at_the_thresholds_of_each_side() {
    let first = head(Values::Labels(2), &["cat", "dog"]);
    let mut second = head(Values::Labels(2), &["dog", "cat"]);
    second.thresholds = vec![0.9, 0.5];
    let terms = Terms::of(&first, Some(&second)).unwrap();
    // The first sets cat and dog, the second only cat: its dog is below 0.9. Nothing moved but the thresholds.
    let events = [((Some(vec![0.6, 0.7]), false), (Some(vec![0.7, 0.6]), false))];
    let report = compare(&terms, events.iter().enumerate()).report(&terms, true);
    let pair = report.pair.unwrap();
    assert_eq!(pair.changed.unwrap().count, 1);
    let found: Vec<(&str, u64, u64, u64)> = pair
        .labels
        .iter()
        .map(|label| (label.label.as_str(), label.both, label.only_first, label.only_second))
        .collect();
    assert_eq!(found, [("cat", 1, 0, 0), ("dog", 0, 1, 0)]);
    assert_eq!(pair.moved.most, Some(0.0));
}

#[test]
fn embeddings_move_by_their_cosine_distance_scores_and_targets_by_their_difference() {
    let moved = |values: Values, a: &[f32], b: &[f32]| {
        let head = head(values, &[]);
        let terms = Terms::of(&head, Some(&head)).unwrap();
        let events = [((Some(a.to_vec()), false), (Some(b.to_vec()), false))];
        let report = compare(&terms, events.iter().enumerate()).report(&terms, true);
        report.pair.unwrap().moved.most.unwrap()
    };
    assert_eq!(moved(Values::Vector, &[1.0, 0.0], &[0.0, 2.0]), 1.0);
    assert_eq!(moved(Values::Vector, &[1.0, 2.0], &[-1.0, -2.0]), 2.0);
    assert!(moved(Values::Vector, &[1.0, 2.0], &[10.0, 20.0]) < 1e-7);
    assert_eq!(moved(Values::Vector, &[0.0, 0.0], &[0.0, 0.0]), 0.0);
    assert_eq!(moved(Values::Targets, &[1.0, -2.0], &[1.5, -4.0]), 2.0);
    assert_eq!(moved(Values::Score, &[0.25], &[1.0]), 0.75);
    assert_eq!(moved(Values::Targets, &[f32::MAX], &[f32::MIN]), f32::MAX);
}

#[test]
fn heads_that_do_not_answer_the_same_are_refused_by_what_differs() {
    let refused = |first: &Talk, second: &Talk| Terms::of(first, Some(second)).unwrap_err().to_string();
    let said = refused(&classes(&["a", "b"]), &classes(&["a", "c"]));
    assert!(
        said.contains("only the first has `b`") && said.contains("only the second has `c`"),
        "{said}"
    );
    let said = refused(&classes(&["a", "b"]), &head(Values::Targets, &[]));
    assert!(said.contains("one class") && said.contains("numbers"), "{said}");

    let targets = head(Values::Targets, &[]);
    let terms = Terms::of(&targets, Some(&targets)).unwrap();
    let event = Event {
        order: (0, 0),
        place: "",
        id: "",
    };
    let of = |values: &'static [f32]| Fate::Scored {
        said: said_of(values),
        selected: None,
    };
    let error = Comparison::default()
        .take(&terms, event, &of(&[1.0]), Some(&of(&[1.0, 2.0])))
        .unwrap_err();
    assert!(
        error.to_string().contains("1 numbers") && error.to_string().contains("second 2"),
        "{error}"
    );
}

fn said_of(values: &'static [f32]) -> Said<'static> {
    Said {
        class: None,
        confidence: None,
        anomaly: None,
        values,
    }
}

#[test]
fn what_a_budget_decides_is_not_compared() {
    let head = classes(&["x", "y"]);
    let terms = Terms::of(&head, Some(&head)).unwrap();
    let event = Event {
        order: (0, 0),
        place: "events/0/0",
        id: "e",
    };
    let fate = |selected| Fate::Scored {
        said: said_of(&[0.5, 0.5]),
        selected,
    };
    let mut comparison = Comparison::default();
    comparison
        .take(&terms, event, &fate(Some(true)), Some(&fate(None)))
        .unwrap();
    let report = comparison.report(&terms, true);
    assert_eq!(report.sides[0].selected.map(|share| share.count), Some(1));
    assert_eq!(report.sides[1].selected, None);
    assert_eq!(report.pair.unwrap().selection, None);
}
