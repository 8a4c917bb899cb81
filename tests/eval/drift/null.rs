//! Streams without drift whose law is known.

use eddy_pipeline::fields::{Feature, FeatureKind};
use eddy_pipeline::seed;

use super::rules::{Binned, Rule, Tally, bins};
use super::{WINDOWS, percent};
use crate::report::Report;

/// Rows of a reference.
const REFERENCES: [usize; 3] = [1_000, 10_000, 70_000];
/// References of each size.
const REPEATS: u64 = 10;
/// Events of the stream that is cut into windows, after each reference.
const EVENTS: usize = 200_000;
const STREAMS: [&str; 4] = ["normal", "log-normal", "70 % zeros", "12 categories"];
const WORDS: usize = 12;
const ZEROS: f64 = 0.7;

pub(super) fn report(report: &mut Report) {
    report.section(
        "Drift where nothing drifts",
        &format!(
            "Independent events of four laws, against profiles of three sizes; {REPEATS} references of each, and {EVENTS} \
             events after each. Share of windows that are told of. `v > v*`: PSI is more than noise makes of it in one window \
             of a thousand; alone it is no warning. The columns of Eddy's are over all sizes of windows from 500 on.",
        ),
    );
    let mut rows = Vec::new();
    for reference in REFERENCES {
        let tallies = tallies(reference, REPEATS, EVENTS);
        for (stream, tallies) in STREAMS.iter().zip(tallies) {
            rows.push(row(stream, reference, &tallies));
        }
    }
    report.table(
        &[
            "stream",
            "reference",
            "v > v*: 500",
            "1000",
            "10000",
            "Eddy, warning",
            "Eddy, alert",
            "PSI > 0.1: 200",
            "500",
            "1000",
            "JS > 0.1: 200",
            "500",
            "1000",
            "p < 0.05: 1000",
            "10000",
        ],
        &rows,
    );
    report.say(
        "The law of PSI's noise holds for small and large references and for all four laws of events: one window in a \
         thousand is significant, as stated, and none of them is large enough to be a warning. A reference of 1,000 rows adds \
         noise of its own to every window, which Eddy's rule knows of and a fixed threshold does not. KS on bins is \
         conservative, so its p-values are below 0.05 less often than the 5 % of an exact test.",
    );
}

fn row(stream: &str, reference: usize, tallies: &[Tally]) -> Vec<String> {
    let of = |events: usize| &tallies[WINDOWS.iter().position(|other| *other == events).expect("a size")];
    let at = |rule: Rule, events: usize| percent(of(events).any(rule), of(events).windows);
    let over_all = |rule: Rule| {
        let judged = || tallies.iter().zip(WINDOWS).filter(|(_, events)| *events >= 500);
        let windows = judged().map(|(tally, _)| tally.windows).sum();
        percent(judged().map(|(tally, _)| tally.any(rule)).sum(), windows)
    };
    vec![
        stream.to_owned(),
        reference.to_string(),
        at(Rule::Significant, 500),
        at(Rule::Significant, 1_000),
        at(Rule::Significant, 10_000),
        over_all(Rule::Warning),
        over_all(Rule::Alert),
        at(Rule::Psi1, 200),
        at(Rule::Psi1, 500),
        at(Rule::Psi1, 1_000),
        at(Rule::Js, 200),
        at(Rule::Js, 500),
        at(Rule::Js, 1_000),
        at(Rule::P, 1_000),
        at(Rule::P, 10_000),
    ]
}

/// Of each stream and size of windows.
fn tallies(reference: usize, repeats: u64, events: usize) -> Vec<Vec<Tally>> {
    let mut tallies = vec![vec![Tally::default(); WINDOWS.len()]; STREAMS.len()];
    for repeat in 0..repeats {
        let seed = seed::hash(reference as u64, repeat);
        let bins = bins(&features(), &rows(seed, 0, reference));
        let rows = rows(seed, reference as u64, events);
        for (at, tallies) in tallies.iter_mut().enumerate() {
            let column = rows.iter().skip(at).step_by(STREAMS.len()).copied();
            add(tallies, &bins[at], &bins[at].places(column));
        }
    }
    tallies
}

fn add(tallies: &mut [Tally], bins: &Binned, places: &[u8]) {
    for (tally, events) in tallies.iter_mut().zip(WINDOWS) {
        for window in places.chunks_exact(events) {
            tally.push(&[bins.told(window).0]);
        }
    }
}

fn features() -> Vec<Feature> {
    let feature = |(at, name): (usize, &&str)| Feature {
        name: (*name).to_owned(),
        kind: if at + 1 == STREAMS.len() {
            FeatureKind::Category((0..WORDS).map(|word| word.to_string()).collect())
        } else {
            FeatureKind::Number
        },
    };
    STREAMS.iter().enumerate().map(feature).collect()
}

/// Events of all streams side by side, from one on.
fn rows(seed: u64, first: u64, events: usize) -> Vec<f32> {
    let row = |at: u64| {
        let normal = |of: u64| seed::normal(seed::hash(seed, of), at);
        let amount = if seed::uniform(seed::hash(seed, 2), at) < ZEROS {
            0.0
        } else {
            normal(3).exp()
        };
        // The n-th word is as frequent as 1/n: the logarithm of uniform ranks.
        let word = ((WORDS as f64 + 1.0).powf(seed::uniform(seed::hash(seed, 4), at)) - 1.0).floor();
        [normal(0) as f32, normal(1).exp() as f32, amount as f32, word as f32]
    };
    (first..first + events as u64).flat_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nothing_drifts_eddy_tells_of_nothing_and_simple_thresholds_do() {
        let tallies = tallies(10_000, 2, 100_000);
        let (mut simple, mut windows) = (0, 0);
        for (stream, tallies) in STREAMS.iter().zip(tallies) {
            for (tally, events) in tallies.iter().zip(WINDOWS) {
                assert_eq!(tally.any(Rule::Warning), 0, "{stream} {events}");
                let significant = tally.any(Rule::Significant) as f64 / tally.windows as f64;
                assert!(significant < 0.02, "{stream} {events} {significant}");
            }
            simple += tallies[0].any(Rule::Js);
            windows += tallies[0].windows;
        }
        assert!(simple * 5 > windows, "{simple} {windows}");
    }

    #[test]
    fn every_stream_has_its_law() {
        let rows = rows(1, 0, 20_000);
        let column = |at: usize| rows.iter().skip(at).step_by(STREAMS.len()).copied();
        let share = |at: usize, holds: fn(f32) -> bool| column(at).filter(|x| holds(*x)).count() as f64 / 20_000.0;
        assert!((share(0, |x| x < 0.0) - 0.5).abs() < 0.02);
        assert!((share(1, |x| x < 1.0) - 0.5).abs() < 0.02);
        assert!((share(2, |x| x == 0.0) - ZEROS).abs() < 0.02);
        assert!(column(3).all(|x| x.fract() == 0.0 && (0.0..WORDS as f32).contains(&x)));
        assert!(share(3, |x| x == 0.0) > 2.0 * share(3, |x| x == 3.0));
    }
}
