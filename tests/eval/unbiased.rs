//! Whether the recorded probabilities are right: with them, accuracy estimated from what was selected is that of the
//! stream.

use std::sync::Arc;

use eddy_pipeline::conformal::Conformal;
use eddy_pipeline::seed::{normal, uniform};
use eddy_pipeline::select::{Arm, Chance, Drawn, Selection, Served, hajek};
use eddy_pipeline::signal::Signal;
use serde_json::json;

use crate::report::Report;
use crate::stream::{self, Event, at};

const SEEDS: u64 = 200;
const EVENTS: u64 = 6_000;
const BATCH: usize = 250;
const FRACTION: f64 = 0.08;
/// Shares of the control arm in the budget, in the first and in the second half.
const EXPLORE: [f64; 2] = [0.6, 0.2];

/// A number over seeds: mean and standard error.
#[derive(Debug, Clone, Copy)]
struct Spread {
    mean: f64,
    error: f64,
}

/// How far estimates were from the truth.
#[derive(Debug)]
struct Errors {
    hajek: Spread,
    explore: Spread,
    naive: Spread,
    /// Events selected in each stream.
    selected: f64,
    /// Part of the streams whose accuracy lies within two of the standard errors that the estimate states.
    covered: f64,
}

/// Adds the table.
pub(crate) fn report(report: &mut Report) {
    report.section(
        "Inclusion probability",
        &format!(
            "{SEEDS} streams of {EVENTS} events; a budget of {} %; the arms explore, uncertainty and anomaly on; the control \
             arm's share of the budget falls from {} to {} midway. Accuracy of a model that is less often right where it is \
             unsure or the event is unlike others, estimated from the selected events, minus that of the whole stream.",
            FRACTION * 100.0,
            EXPLORE[0],
            EXPLORE[1]
        ),
    );
    let errors = errors();
    let row = |name: &str, spread: Spread, expected: &str| {
        vec![
            name.to_owned(),
            format!("{:+.5}", spread.mean),
            format!("{:.5}", spread.error),
            format!("{:+.1}", spread.mean / spread.error),
            expected.to_owned(),
        ]
    };
    report.table(
        &[
            "estimate",
            "mean error",
            "standard error",
            "in standard errors",
            "expected",
        ],
        &[
            row("Hájek, all arms", errors.hajek, "within ± 2"),
            row("Hájek, control arm only", errors.explore, "within ± 2"),
            row("plain mean of what was selected", errors.naive, "far off"),
        ],
    );
    report.say(format!(
        "{:.0} events are selected in a stream. The truth lies within two of the standard errors that the estimate over all \
         arms states in {:.0} % of the streams.",
        errors.selected,
        errors.covered * 100.0
    ));
}

fn errors() -> Errors {
    let (mut all, mut explore, mut naive) = (Vec::new(), Vec::new(), Vec::new());
    let (mut selected, mut covered) = (0, 0);
    for seed in 0..SEEDS {
        let (truth, samples) = replay(seed);
        let every = samples.iter().map(|sample| (sample.value, sample.probability));
        let control = samples
            .iter()
            .filter_map(|sample| Some((sample.value, sample.explored?)));
        let estimate = hajek(every.clone()).expect("something is selected");
        let plain = every.map(|(value, _)| value).sum::<f64>() / samples.len() as f64;
        all.push(estimate.value - truth);
        explore.push(hajek(control).expect("something is explored").value - truth);
        naive.push(plain - truth);
        selected += samples.len();
        covered += usize::from((estimate.value - truth).abs() <= 2.0 * estimate.variance.sqrt());
    }
    Errors {
        hajek: spread(&all),
        explore: spread(&explore),
        naive: spread(&naive),
        selected: selected as f64 / SEEDS as f64,
        covered: covered as f64 / SEEDS as f64,
    }
}

fn spread(numbers: &[f64]) -> Spread {
    let n = numbers.len() as f64;
    let mean = numbers.iter().sum::<f64>() / n;
    let variance = numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
    Spread {
        mean,
        error: (variance / n).sqrt(),
    }
}

/// A selected event.
struct Sample {
    /// 1 where the model was right.
    value: f64,
    probability: f64,
    /// The control arm's probability, if it selected the event.
    explored: Option<f64>,
}

/// One stream: its accuracy, and what was selected of it.
fn replay(seed: u64) -> (f64, Vec<Sample>) {
    let plan = |explore: f64| {
        let tail = Conformal::new((0..2_000).map(|n| normal(999, n).abs() as f32).collect()).expect("numbers");
        let served = Served {
            model: "model".to_owned(),
            signals: vec![(Signal::Margin, None), (Signal::Anomaly, Some(Arc::new(tail)))],
            classes: 2,
        };
        let rest = 1.0 - explore;
        let shares = json!({"explore": explore, "uncertainty": 0.7 * rest, "anomaly": 0.3 * rest});
        let settings = json!({
            "fraction": FRACTION, "shares": shares,
            "anomaly": {"signal": "anomaly", "false_alarms": 0.05}, "duplicates": {"suppress": false},
        });
        stream::plan(settings, served)
    };
    let mut selection = Selection::new(plan(EXPLORE[0]));
    let (mut right, mut samples) = (0.0, Vec::new());
    let events: Vec<(Event, f64)> = (0..EVENTS).map(|number| event(seed, number)).collect();
    for (at_batch, batch) in events.chunks(BATCH).enumerate() {
        if at_batch == events.len() / BATCH / 2 {
            selection.set_plan(plan(EXPLORE[1]));
        }
        let (sightings, values): (Vec<Event>, Vec<f64>) = batch.iter().cloned().unzip();
        let mut values = values.into_iter();
        stream::decide(&mut selection, &sightings, at(at_batch as u64), |_, pick| {
            let value = values.next().expect("one for each event");
            right += value;
            if pick.all_arms().is_empty() {
                return;
            }
            let by_explore = |chance: &&Chance| (chance.arm, chance.drawn) == (Arm::Explore, Drawn::Selected);
            let explored = pick.chances.iter().find(by_explore);
            samples.push(Sample {
                value,
                probability: pick.probability,
                explored: explored.map(|chance| chance.probability),
            });
        });
    }
    (right / EVENTS as f64, samples)
}

/// An event, and 1 where the model was right about it. In the second half the model is worse.
fn event(seed: u64, number: u64) -> (Event, f64) {
    let draw = |of: u64| uniform(seed.wrapping_mul(1_000_003).wrapping_add(of), number);
    let margin = draw(1).powi(3);
    let anomaly = normal(seed.wrapping_mul(1_000_003).wrapping_add(2), number).abs();
    let drift = if number * 2 < EVENTS { 0.0 } else { 0.08 };
    let wrong = 0.05 + 0.4 * margin + drift + if anomaly > 2.0 { 0.2 } else { 0.0 };
    let event = Event {
        id: format!("{seed}/{number}"),
        partition: (number % 4) as i32,
        margin: margin as f32,
        anomaly: anomaly as f32,
    };
    (event, f64::from(u8::from(draw(3) >= wrong)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accuracy_by_recorded_probabilities_is_that_of_the_stream_and_the_plain_mean_is_not() {
        let errors = errors();
        for unbiased in [errors.hajek, errors.explore] {
            assert!(unbiased.mean.abs() <= 2.0 * unbiased.error, "{errors:?}");
        }
        assert!(errors.naive.mean < -20.0 * errors.naive.error, "{errors:?}");
        assert!(errors.naive.mean < -0.05, "{errors:?}");
        assert!(errors.covered > 0.85, "{errors:?}");
    }
}
