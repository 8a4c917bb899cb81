//! The detectors on confidence as the service feeds them: one mean a second.

use eddy_pipeline::drift::detect::{Adwin, Alarm, Detector, ESr};
use eddy_pipeline::seed;

use super::noise::median;
use super::{BEFORE, CHANGES, CLOCK, DELTA};
use crate::report::Report;

/// Events in a second.
const RATES: [u64; 2] = [10, 100];
/// How much worse than before the reference is.
const TOLERANCE: f64 = 0.02;
const ALPHA: f64 = 1e-5;
/// Seconds before a change.
const CALM: u64 = 1_000;
/// Seconds after it in which it must be told of.
const HORIZON: u64 = 3_000;
const RUNS: u64 = 40;
/// Seconds of a stream without a change.
const NULL_SECONDS: u64 = 10_000;
const NULL_STREAMS: u64 = 20;
/// How far the mean wanders by itself (standard deviation), and what it keeps of that from second to second.
const WANDERS_BY: f64 = 0.01;
const KEEPS: f64 = 0.99;

/// What is fed, and how.
const WAYS: [&str; 3] = ["e-SR, a mean a second", "ADWIN, a mean a second", "e-SR, each event"];

pub(super) fn report(report: &mut Report) {
    report.section(
        "Detectors on confidence",
        &format!(
            "1 − confidence, drawn as a power of a uniform number, which has the stated mean. e-SR (α = {ALPHA}, against the \
             mean before and {TOLERANCE}) and ADWIN (δ = {DELTA}) on means of a second, as the service feeds them, and e-SR \
             on each event to compare. Without a change: false alarms in 10,000 seconds of {NULL_STREAMS} streams of \
             {NULL_SECONDS} s. With one: median delay in seconds (percentage of {RUNS} runs that miss it in {HORIZON} s, \
             percentage with a false alarm in the {CALM} s before). Where the mean wanders, it does so around the stated \
             mean with a standard deviation of {WANDERS_BY}, and what a second keeps of the one before is {KEEPS}.",
        ),
    );
    let mut rows = Vec::new();
    for rate in RATES {
        for (at, before) in BEFORE.iter().enumerate() {
            for (name, wanders_by) in [("no change", 0.0), ("no change, wandering", WANDERS_BY)] {
                let seed = seed::hash(7_000 + rate, at as u64);
                let alarms = without_change(*before, rate, wanders_by, seed);
                let per_10k = alarms.map(|alarms| 10_000.0 * alarms as f64 / (NULL_STREAMS * NULL_SECONDS) as f64);
                rows.push(row(
                    rate,
                    format!("{before}, {name}"),
                    per_10k.map(|x| format!("{x:.2}")),
                ));
            }
        }
        for (at, (before, after)) in CHANGES.iter().enumerate() {
            let seed = seed::hash(8_000 + rate, at as u64);
            let found = with_change(BEFORE[*before], *after, rate, seed);
            rows.push(row(rate, format!("{} → {after}", BEFORE[*before]), found));
        }
    }
    let head: Vec<&str> = ["events a second", "mean"].into_iter().chain(WAYS).collect();
    report.table(&head, &rows);
    report.say(
        "A mean a second costs e-SR most of its speed where events are many: its bets are sized for single errors, and a mean \
         varies far less, so they stake too little. Its delay hardly falls with more events a second, while that on each \
         event does. What it buys is calm: on average it is at least 1/α seconds, a little over a day, to a false alarm, \
         whatever the traffic, and none came in all these streams, wandering ones included, where e-SR on each event has \
         some. ADWIN needs no reference, and its test looks at the variance of what it is fed, so it gains from means: at 100 \
         events a second it is faster than e-SR from 0.2 to 0.25 and 0.3. It is slower elsewhere, and it tells of any change, \
         so that a mean that wanders by 0.01 alarms it once to eight times a day.",
    );
}

fn row<const N: usize>(rate: u64, what: String, cells: [String; N]) -> Vec<String> {
    [rate.to_string(), what].into_iter().chain(cells).collect()
}

/// A stream of events, second by second.
struct Stream {
    seed: u64,
    rate: u64,
    second: u64,
    wanders_by: f64,
    /// Where the mean is, in standard deviations of its wandering.
    away: f64,
}

impl Stream {
    fn new(seed: u64, rate: u64, wanders_by: f64) -> Self {
        Self {
            seed,
            rate,
            second: 0,
            wanders_by,
            away: seed::normal(seed, u64::MAX / 4),
        }
    }

    /// The events of the next second, whose mean is around this one.
    fn next(&mut self, mean: f64) -> Vec<f64> {
        let step = seed::normal(seed::hash(self.seed, 1), self.second);
        self.away = KEEPS * self.away + (1.0 - KEEPS * KEEPS).sqrt() * step;
        let mean = (mean + self.wanders_by * self.away).clamp(1e-3, 0.99);
        let first = self.second * self.rate;
        self.second += 1;
        let power = 1.0 / mean - 1.0;
        let event = |at| seed::uniform(self.seed, first + at).powf(power);
        (0..self.rate).map(event).collect()
    }
}

/// The three ways.
struct Watched {
    by_second: [Box<dyn Detector>; 2],
    by_event: ESr,
}

impl Watched {
    fn new(before: f64) -> Self {
        let e_sr = || ESr::new(before + TOLERANCE, ALPHA).expect("they are rates");
        Self {
            by_second: [Box::new(e_sr()), Box::new(Adwin::new(DELTA, CLOCK))],
            by_event: e_sr(),
        }
    }

    /// Alarms of a second.
    fn update(&mut self, events: &[f64]) -> [u64; WAYS.len()] {
        let mean = events.iter().sum::<f64>() / events.len() as f64;
        let is_alarm = |alarm: Option<Alarm>| u64::from(alarm == Some(Alarm::Drift));
        let [e_sr, adwin] = &mut self.by_second;
        let each = events.iter().map(|event| is_alarm(self.by_event.update(*event))).sum();
        [is_alarm(e_sr.update(mean)), is_alarm(adwin.update(mean)), each]
    }
}

fn without_change(mean: f64, rate: u64, wanders_by: f64, seed: u64) -> [u64; WAYS.len()] {
    let mut all = [0; WAYS.len()];
    for run in 0..NULL_STREAMS {
        let (mut stream, mut watched) = (Stream::new(seed::hash(seed, run), rate, wanders_by), Watched::new(mean));
        for _ in 0..NULL_SECONDS {
            let alarms = watched.update(&stream.next(mean));
            all.iter_mut().zip(alarms).for_each(|(all, alarms)| *all += alarms);
        }
    }
    all
}

fn with_change(before: f64, after: f64, rate: u64, seed: u64) -> [String; WAYS.len()] {
    let (mut delays, mut alarmed) = ([const { Vec::new() }; WAYS.len()], [0; WAYS.len()]);
    for run in 0..RUNS {
        let (mut stream, mut watched) = (Stream::new(seed::hash(seed, run), rate, 0.0), Watched::new(before));
        let mut has_alarmed = [false; WAYS.len()];
        for _ in 0..CALM {
            let alarms = watched.update(&stream.next(before));
            has_alarmed
                .iter_mut()
                .zip(alarms)
                .for_each(|(had, alarms)| *had |= alarms > 0);
        }
        alarmed
            .iter_mut()
            .zip(has_alarmed)
            .for_each(|(all, had)| *all += u64::from(had));
        let mut told = [None; WAYS.len()];
        for second in 1..=HORIZON {
            let alarms = watched.update(&stream.next(after));
            for (told, _) in told.iter_mut().zip(alarms).filter(|(_, alarms)| *alarms > 0) {
                told.get_or_insert(second as f64);
            }
            if told.iter().all(Option::is_some) {
                break;
            }
        }
        delays
            .iter_mut()
            .zip(told)
            .for_each(|(delays, told)| delays.extend(told));
    }
    let mut alarmed = alarmed.into_iter();
    delays.map(|mut delays| {
        let part = |count: u64| 100.0 * count as f64 / RUNS as f64;
        let missed = part(RUNS - delays.len() as u64);
        let before = part(alarmed.next().expect("one for each way"));
        let delay = median(&mut delays);
        let delay = if delay.is_finite() {
            format!("{delay:.0} s")
        } else {
            "none".to_owned()
        };
        format!("{delay} ({missed:.1}, {before:.1})")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_have_the_stated_mean_and_wander_around_it() {
        for (mean, wanders_by) in [(0.05, 0.0), (0.2, 0.0), (0.2, 0.01)] {
            let mut stream = Stream::new(1, 50, wanders_by);
            let seconds: Vec<f64> = (0..4_000)
                .map(|_| stream.next(mean).iter().sum::<f64>() / 50.0)
                .collect();
            let found = seconds.iter().sum::<f64>() / seconds.len() as f64;
            assert!((found - mean).abs() < 0.003, "{found} {mean}");
            assert!(stream.next(mean).iter().all(|x| (0.0..=1.0).contains(x)));
        }
    }
}
