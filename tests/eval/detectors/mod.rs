//! How soon detectors tell of a change, and how often of none.
//!
//! Owns: the streams, and the table that an independent implementation gave. The detectors are the service's own and the
//! yardsticks that it does not run.

mod noise;
mod published;
mod seconds;

use std::num::NonZeroU32;

use eddy_pipeline::drift::detect::{Adwin, Alarm, Detector, ESr};
use eddy_pipeline::seed;
use eddy_pipeline::yardstick::{Confidence, Ddm, Direction, Eddm, HddmA, HddmW, PageHinkley, PageHinkleySettings};

use self::noise::{Interval, Noise};
use self::published::{Cell, PUBLISHED, PUBLISHED_RUNS, PUBLISHED_STREAMS, Published};
use crate::report::Report;

/// Error rates before a change.
const BEFORE: [f64; 2] = [0.05, 0.2];
/// Changes: from a rate before, by its place, to one after.
const CHANGES: [(usize, f64); 5] = [(0, 0.1), (0, 0.2), (1, 0.25), (1, 0.3), (1, 0.5)];
/// Events before a change.
const CALM: usize = 2_000;
/// Events after it in which it must be told of.
const HORIZON: usize = 5_000;
/// Events of a stream without a change.
const NULL_EVENTS: usize = 20_000;
/// Ours are ten times as many as the published, so that nearly all noise is that of the published numbers.
const RUNS: usize = 10 * PUBLISHED_RUNS;
const STREAMS: usize = 10 * PUBLISHED_STREAMS;
/// ADWIN's usual δ and clock.
const DELTA: f64 = 0.002;
const CLOCK: NonZeroU32 = NonZeroU32::new(32).expect("not 0");
/// How much worse than the rate before a change e-SR's reference is.
const TOLERANCE: f64 = 0.01;

/// Adds the tables.
pub(crate) fn report(report: &mut Report) {
    report.section(
        "Detectors",
        &format!(
            "Streams of errors, 1 or 0: {CALM} events at one rate, then up to {HORIZON} at another, and streams of \
             {NULL_EVENTS} events without a change. Without a change: false alarms in 10,000 events. With one: median delay \
             in events (percentage of runs that miss it, percentage with a false alarm before it). Each cell: ours / \
             published for an independent implementation on other draws: within its noise or not. The published numbers rest \
             on {PUBLISHED_RUNS} runs or {PUBLISHED_STREAMS} streams, ours on {RUNS} or {STREAMS}. Noise is what \
             {PUBLISHED_RUNS} of our runs (or {PUBLISHED_STREAMS} streams) drawn with replacement give in 99 of 100 draws, \
             for percentages the binomial interval and for rates of false alarms at least Poisson's. e-SR's reference is the \
             rate before and {TOLERANCE}; α and δ are given; all else is usual. The service runs e-SR and ADWIN alone.",
        ),
    );
    let streams = Streams::new();
    let rows: Vec<Row> = PUBLISHED
        .iter()
        .map(|(kind, name, published)| Row::new(*kind, name, published, &streams))
        .collect();
    let changes = CHANGES.map(|(before, after)| format!("{} → {after}", BEFORE[before]));
    let nulls = BEFORE.map(|before| format!("{before}, no change"));
    let head: Vec<&str> = ["detector"]
        .into_iter()
        .chain(nulls.iter().chain(&changes).map(String::as_str))
        .collect();
    let cells: Vec<Vec<String>> = rows.iter().map(Row::cells).collect();
    report.table(&head, &cells);
    report.say(conclusion(&rows));
    seconds::report(report);
}

fn conclusion(rows: &[Row]) -> String {
    let all = || rows.iter().flat_map(|row| &row.compared);
    let outside: u32 = all().map(|compared| compared.outside).sum();
    let numbers: u32 = all().map(|compared| compared.numbers).sum();
    let row = |name: &str| rows.iter().find(|row| row.name == name).expect("it is in the table");
    let (e_sr, adwin) = (row("e-SR, α = 1e-5"), row("ADWIN, δ = 0.002"));
    let times: Vec<f64> = e_sr.found.iter().zip(&adwin.found).map(|(a, b)| b.0 / a.0).collect();
    let (least_times, most_times) = ends(&times);
    let early = |name: &str| ends(&row(name).found.iter().map(|cell| cell.2).collect::<Vec<f64>>());
    let (ddm, eddm) = (early("DDM"), early("EDDM"));
    format!(
        "{outside} of {numbers} numbers lie outside of the noise of the published ones, where {:.1} would by chance. e-SR knows \
         the rate before the change, which a deployed model has from its profile and the others do not; that is why, of \
         those with a false alarm before the change in less than one run of a hundred, it is the fastest, but for \
         Page-Hinkley from 0.2 to 0.25, which is as fast. It only tells of what is worse than its reference: an improvement, \
         or a change within the tolerance, is ADWIN's to find, which takes {least_times:.1} to {most_times:.1} times as long \
         where both find it, and misses half of the smallest changes. DDM alarms before anything has changed in {:.0} to \
         {:.0} % of the runs and EDDM in {:.0} to {:.0} %, so their short delays are worth nothing.",
        0.01 * f64::from(numbers),
        ddm.0,
        ddm.1,
        eddm.0,
        eddm.1,
    )
}

/// The least and the largest.
fn ends(numbers: &[f64]) -> (f64, f64) {
    let least = numbers.iter().copied().fold(f64::INFINITY, f64::min);
    (least, numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max))
}

/// One detector beside its published numbers.
struct Row {
    name: &'static str,
    compared: Vec<Compared>,
    /// Of each change, ours.
    found: Vec<Cell>,
}

impl Row {
    fn new(kind: Kind, name: &'static str, published: &Published, streams: &Streams) -> Self {
        let nulls = BEFORE.iter().enumerate().map(|(at, before)| {
            let found = Null::of(|| kind.detector(*before), &streams.nulls[at]);
            found.compare(published.nulls[at])
        });
        let mut compared: Vec<Compared> = nulls.collect();
        let mut found = Vec::new();
        for (at, (before, _)) in CHANGES.iter().enumerate() {
            let runs = Runs::of(|| kind.detector(BEFORE[*before]), &streams.changes[at]);
            compared.push(runs.compare(published.changes[at]));
            found.push(Runs::cell(&runs.0));
        }
        Self { name, compared, found }
    }

    fn cells(&self) -> Vec<String> {
        let texts = self.compared.iter().map(|compared| compared.text.clone());
        [self.name.to_owned()].into_iter().chain(texts).collect()
    }
}

/// A detector and its settings.
#[derive(Debug, Clone, Copy)]
enum Kind {
    ESr(f64),
    Adwin(f64),
    Ddm,
    Eddm,
    HddmA(Confidence),
    HddmW,
    PageHinkley,
}

const USUAL: Confidence = Confidence {
    drift: 0.001,
    warning: 0.005,
};
const STRICT: Confidence = Confidence {
    drift: 1e-5,
    warning: 1e-4,
};

impl Kind {
    /// The detector for a rate of errors before any change.
    fn detector(self, before: f64) -> Box<dyn Detector> {
        match self {
            Self::ESr(alpha) => Box::new(ESr::new(before + TOLERANCE, alpha).expect("they are rates")),
            Self::Adwin(delta) => Box::new(Adwin::new(delta, CLOCK)),
            Self::Ddm => Box::new(Ddm::new(30, 2.0, 3.0)),
            Self::Eddm => Box::new(Eddm::new(30, 0.95, 0.9)),
            Self::HddmA(confidence) => Box::new(HddmA::new(confidence, Direction::Up)),
            Self::HddmW => Box::new(HddmW::new(USUAL, 0.05, Direction::Up)),
            Self::PageHinkley => Box::new(PageHinkley::new(PageHinkleySettings {
                min_instances: 30,
                delta: 0.005,
                threshold: 50.0,
                alpha: 0.9999,
                direction: Direction::Both,
            })),
        }
    }
}

/// Errors of all runs.
struct Streams {
    nulls: Vec<Vec<Vec<bool>>>,
    changes: Vec<Vec<Vec<bool>>>,
}

impl Streams {
    fn new() -> Self {
        let errors = |seed: u64, events: usize, rate: &dyn Fn(usize) -> f64| -> Vec<bool> {
            let event = |at: usize| seed::uniform(seed, at as u64) < rate(at);
            (0..events).map(event).collect()
        };
        let null = |(at, before): (usize, &f64)| {
            let stream = |run| errors(seed::hash(at as u64, run as u64), NULL_EVENTS, &|_| *before);
            (0..STREAMS).map(stream).collect()
        };
        let change = |(at, (before, after)): (usize, &(usize, f64))| {
            let rate = |event| if event < CALM { BEFORE[*before] } else { *after };
            let stream = |run| errors(seed::hash(100 + at as u64, run as u64), CALM + HORIZON, &rate);
            (0..RUNS).map(stream).collect()
        };
        Self {
            nulls: BEFORE.iter().enumerate().map(null).collect(),
            changes: CHANGES.iter().enumerate().map(change).collect(),
        }
    }
}

/// What one detector said of one error.
fn is_drift(detector: &mut dyn Detector, error: bool) -> bool {
    detector.update(f64::from(u8::from(error))) == Some(Alarm::Drift)
}

/// A cell of the table.
struct Compared {
    text: String,
    numbers: u32,
    /// Numbers outside of the noise.
    outside: u32,
}

/// Alarms in each stream without a change.
struct Null {
    alarms: Vec<u32>,
}

impl Null {
    fn of(detector: impl Fn() -> Box<dyn Detector>, streams: &[Vec<bool>]) -> Self {
        let alarms = |stream: &Vec<bool>| {
            let mut detector = detector();
            let drifts = stream.iter().filter(|error| is_drift(&mut *detector, **error));
            drifts.count() as u32
        };
        Self {
            alarms: streams.iter().map(alarms).collect(),
        }
    }

    fn per_10k(alarms: f64, streams: usize) -> f64 {
        alarms * 10_000.0 / (streams * NULL_EVENTS) as f64
    }

    fn compare(&self, published: f64) -> Compared {
        let all: u32 = self.alarms.iter().sum();
        let ours = Self::per_10k(f64::from(all), self.alarms.len());
        let interval = Noise::new(1).alarms(&self.alarms, PUBLISHED_STREAMS);
        let interval = Interval {
            low: Self::per_10k(interval.low, PUBLISHED_STREAMS),
            high: Self::per_10k(interval.high, PUBLISHED_STREAMS),
        };
        // The published rates are rounded to two digits.
        let is_inside = interval.widened(0.005).holds(published);
        Compared {
            text: format!("{ours:.2} / {published:.2}: {}", verdict(is_inside)),
            numbers: 1,
            outside: u32::from(!is_inside),
        }
    }
}

/// One run with a change.
#[derive(Debug, Clone, Copy)]
struct Run {
    alarmed_before: bool,
    /// Events from the change to the first alarm after it; infinite where there is none.
    delay: f64,
}

/// Runs with a change.
struct Runs(Vec<Run>);

impl Runs {
    fn of(detector: impl Fn() -> Box<dyn Detector>, streams: &[Vec<bool>]) -> Self {
        let run = |stream: &Vec<bool>| {
            let mut detector = detector();
            let (before, after) = stream.split_at(CALM);
            let alarms = before.iter().filter(|error| is_drift(&mut *detector, **error));
            let alarmed_before = alarms.count() > 0;
            let told = after.iter().position(|error| is_drift(&mut *detector, *error));
            Run {
                alarmed_before,
                delay: told.map_or(f64::INFINITY, |delay| delay as f64),
            }
        };
        Self(streams.iter().map(run).collect())
    }

    /// Median delay of the runs that tell of the change, percentage of those that do not, and of those with an alarm before.
    fn cell(runs: &[Run]) -> Cell {
        let mut told: Vec<f64> = runs.iter().map(|run| run.delay).filter(|x| x.is_finite()).collect();
        let part = |count: usize| 100.0 * count as f64 / runs.len() as f64;
        (
            noise::median(&mut told),
            part(runs.len() - told.len()),
            part(runs.iter().filter(|run| run.alarmed_before).count()),
        )
    }

    fn compare(&self, published: Cell) -> Compared {
        let ours = Self::cell(&self.0);
        let medians = Noise::new(2).resampled(&self.0, PUBLISHED_RUNS, |runs| Self::cell(runs).0);
        let percentage = |ours: f64| {
            let (count, runs) = (ours / 100.0 * self.0.len() as f64, self.0.len() as f64);
            let interval = noise::binomial(count.round(), runs, PUBLISHED_RUNS);
            Interval {
                low: 100.0 * interval.low / PUBLISHED_RUNS as f64,
                high: 100.0 * interval.high / PUBLISHED_RUNS as f64,
            }
        };
        let inside = [
            medians.holds(published.0),
            percentage(ours.1).widened(1e-9).holds(published.1),
            percentage(ours.2).widened(1e-9).holds(published.2),
        ];
        let outside = inside.iter().filter(|is_inside| !**is_inside).count() as u32;
        Compared {
            text: format!("{} / {}: {}", words(ours), words(published), verdict(outside == 0)),
            numbers: inside.len() as u32,
            outside,
        }
    }
}

fn words((delay, missed, before): Cell) -> String {
    let delay = if delay.is_finite() {
        format!("{delay:.0}")
    } else {
        "none".to_owned()
    };
    format!("{delay} ({missed:.1}, {before:.1})")
}

const fn verdict(is_inside: bool) -> &'static str {
    if is_inside { "yes" } else { "**no**" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e_sr_is_as_fast_and_calm_as_published() {
        let streams = Streams::new();
        let (kind, _, published) = PUBLISHED[0];
        for (at, (before, _)) in CHANGES.iter().enumerate() {
            let found = Runs::of(|| kind.detector(BEFORE[*before]), &streams.changes[at][..60]);
            let compared = found.compare(published.changes[at]);
            assert_eq!(compared.outside, 0, "{}", compared.text);
        }
    }

    #[test]
    fn a_detector_that_is_late_is_told_from_one_in_time() {
        let runs = |delay: usize| {
            let run = |at: usize| Run {
                alarmed_before: false,
                delay: (delay + at) as f64,
            };
            Runs((0..RUNS).map(run).collect())
        };
        let published = (200.0, 0.0, 0.0);
        assert_eq!(runs(0).compare(published).outside, 0);
        assert_eq!(runs(300).compare(published).outside, 1);
        let none = Runs(vec![
            Run {
                alarmed_before: true,
                delay: f64::INFINITY
            };
            RUNS
        ]);
        assert_eq!(none.compare(published).outside, 3);
        assert_eq!(none.compare((f64::INFINITY, 100.0, 100.0)).outside, 0);
    }
}
