//! Known shifts, put into windows without any.

use super::WINDOWS;
use super::census::Split;
use super::rules::{Rule, Tally};
use crate::report::Report;
use eddy_pipeline::seed;

/// Columns of the census.
const AGE: usize = 0;
const MARRIED: usize = 2;
const CITIZEN: usize = 6;
const RACE: usize = 15;
/// Part of the events that a flood of a new category takes.
const FLOOD: f64 = 0.2;
const LOST: f64 = 0.05;

/// What is done to the rows.
#[derive(Debug, Clone, Copy)]
enum Shift {
    None,
    /// Age, in its standard deviations.
    Mean(f32),
    Flood,
    Missing,
    Constant,
    Unit,
    Swapped,
}

const SHIFTS: [(Shift, &str); 9] = [
    (Shift::None, "nothing"),
    (Shift::Mean(0.25), "age + 0.25 standard deviations"),
    (Shift::Mean(0.5), "age + 0.5 standard deviations"),
    (Shift::Mean(1.0), "age + 1 standard deviation"),
    (Shift::Flood, "a fifth of race is of a new category"),
    (Shift::Missing, "5 % of age is missing"),
    (Shift::Constant, "age is always its median"),
    (Shift::Unit, "age × 1000"),
    (Shift::Swapped, "marital status and citizenship swapped"),
];

const RULES: [(Rule, &str); 5] = [
    (Rule::Warning, "Eddy's warning"),
    (Rule::Alert, "Eddy's alert"),
    (Rule::Psi1, "PSI > 0.1"),
    (Rule::Js, "JS > 0.1"),
    (Rule::P, "p < 0.05"),
];

impl Shift {
    /// Features that it changes.
    const fn features(self) -> &'static [usize] {
        match self {
            Self::Flood => &[RACE],
            Self::Swapped => &[MARRIED, CITIZEN],
            _ => &[AGE],
        }
    }

    /// A feature of a row after it; `draw` lies between 0 and 1.
    fn value(self, row: &[f32], feature: usize, draw: f64, age: Age) -> f32 {
        match self {
            Self::Mean(deviations) => row[AGE] + deviations * age.deviation,
            // Far beyond every position of a word.
            Self::Flood if draw < FLOOD => 1_000.0,
            Self::Missing if draw < LOST => f32::NAN,
            Self::Constant => age.median,
            Self::Unit => row[AGE] * 1_000.0,
            Self::Swapped if feature == MARRIED => row[CITIZEN],
            Self::Swapped => row[MARRIED],
            _ => row[feature],
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Age {
    median: f32,
    deviation: f32,
}

impl Age {
    fn of(rows: &[f32], width: usize) -> Self {
        let mut ages: Vec<f32> = rows.iter().skip(AGE).step_by(width).copied().collect();
        ages.sort_unstable_by(f32::total_cmp);
        let n = ages.len() as f32;
        let mean = ages.iter().sum::<f32>() / n;
        let variance = ages.iter().map(|age| (age - mean).powi(2)).sum::<f32>() / n;
        Self {
            median: ages[ages.len() / 2],
            deviation: variance.sqrt(),
        }
    }
}

pub(super) fn report(report: &mut Report, splits: &[Split]) {
    report.section(
        "Drift that is known",
        &format!(
            "Shifts put into the windows of `control`: percentage of windows in which a feature that was shifted is told of, \
             by one window alone: {}. Features that were not shifted are left out, as by p-values one of them often is told \
             of. Eddy's alert is by PSI or by the rate of missing values.",
            RULES.map(|(_, name)| name).join(" / ")
        ),
    );
    let rows = SHIFTS.map(|(shift, name)| {
        let cells = WINDOWS.map(|events| {
            let mut tally = Tally::default();
            for (at, split) in splits.iter().enumerate() {
                add(&mut tally, shift, split, at as u64, events);
            }
            let part = |(rule, _)| format!("{:.1}", 100.0 * tally.any(rule) as f64 / tally.windows as f64);
            RULES.map(part).join(" / ")
        });
        [name.to_owned()].into_iter().chain(cells).collect()
    });
    let events = WINDOWS.map(|events| format!("{events} events"));
    let head: Vec<&str> = ["shift"].into_iter().chain(events.iter().map(String::as_str)).collect();
    report.table(&head, &rows);
    report.say(
        "A shift by a quarter of a standard deviation is below what Eddy warns of, and is told of in some windows only; \
         whoever wants to know of it lowers `warn`, or looks at JS or a p-value, which see it in nearly all windows from 500 \
         events on, and much else (see above). From there on Eddy has an alert for every other shift here, in each window. \
         Under that it is silent, however large the shift: a window of 200 events in which age is 1000 times too large is \
         not called drift, and all of the others call it that. Missing values are in no bin, so none of the simple \
         thresholds sees them.",
    );
}

fn add(tally: &mut Tally, shift: Shift, split: &Split, seed: u64, events: usize) {
    let width = split.bins.len();
    let age = Age::of(&split.control, width);
    let places: Vec<Vec<u8>> = shift
        .features()
        .iter()
        .map(|feature| {
            let rows = split.control.chunks_exact(width).enumerate();
            let value = |(at, row): (usize, &[f32])| shift.value(row, *feature, seed::uniform(seed, at as u64), age);
            split.bins[*feature].places(rows.map(value))
        })
        .collect();
    for window in 0..places[0].len() / events {
        let features = shift.features().iter().zip(&places);
        let told = features.map(|(feature, places)| split.bins[*feature].told(&places[window * events..][..events]).0);
        tally.push(&told.collect::<Vec<_>>());
    }
}
