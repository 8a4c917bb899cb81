//! The figures of a comparison, for a page, a terminal or a script to show.
//!
//! Owns: shares with their intervals, quantiles, PSI with its noise. Never does: word them.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Answer, Both, Comparison, First, MOST_PAIRED, Moved, Numbers, QUANTILES, Side, Terms};
use crate::drift::distance::{Bins, Distance, Table};
use crate::drift::noise::Noise;
use crate::select::wilson;

/// Bins of a number for PSI.
const BINS: u64 = 10;
/// Share of windows without drift whose PSI is above the critical value.
const ALPHA: f64 = 0.001;

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Of this document: 1.
    pub format: u32,
    /// What is answered: classes, labels, numbers, an embedding, or an anomaly score.
    pub answer: &'static str,
    /// Events that were read.
    pub read: u64,
    /// The first side, and the second one where there is one.
    pub sides: Vec<SideReport>,
    /// What differs between the two.
    pub pair: Option<Pair>,
}

/// One side.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SideReport {
    /// Events that were scored.
    pub scored: u64,
    /// Events that would be dead letters, by reason.
    pub dead_letters: BTreeMap<String, u64>,
    /// How often each class was decided for, or each label set; those that were.
    pub classes: Vec<ClassShare>,
    /// Confidence, targets or anomaly score.
    pub numbers: Vec<Distribution>,
    /// Events that would be selected; none where that depends on what came before.
    pub selected: Option<Share>,
}

/// A part of a whole.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Share {
    /// The part.
    pub count: u64,
    /// The whole.
    pub of: u64,
    /// Their ratio; 0 of nothing.
    pub share: f64,
    /// The Wilson 95 % interval of the share; none of nothing.
    pub interval: Option<(f64, f64)>,
}

/// How often a class was decided for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassShare {
    /// Its name.
    pub class: String,
    /// How often.
    pub share: Share,
}

/// How numbers are distributed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Distribution {
    /// What they are.
    pub name: String,
    /// How many there are.
    pub count: u64,
    /// Their mean.
    pub mean: Option<f64>,
    /// The least.
    pub least: Option<f32>,
    /// The greatest.
    pub most: Option<f32>,
    /// By name; each to 2⁻¹¹ of itself.
    pub quantiles: Vec<(&'static str, f64)>,
}

/// What differs between two sides.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pair {
    /// Events that both scored.
    pub both: u64,
    /// Outcomes that differ, `scored` or the reason on each side, with their counts.
    pub outcomes: Vec<Difference>,
    /// The first events whose outcomes differ.
    pub unlike: First,
    /// Events whose decision differs; none for heads that decide nothing.
    pub changed: Option<Share>,
    /// Decisions by the class of each side, for up to 256 classes; the largest counts first.
    pub decisions: Vec<Difference>,
    /// Labels that are set by one side only, for the first 256.
    pub labels: Vec<Flips>,
    /// Change of each number that is followed, second minus first.
    pub changes: Vec<Change>,
    /// How far events moved.
    pub moved: Distribution,
    /// What is meant by that.
    pub measure: &'static str,
    /// PSI of the second side against the first.
    pub psi: Vec<Psi>,
    /// Where selection differs; none where it depends on what came before on either side.
    pub selection: Option<SelectionChange>,
    /// The most moved events.
    pub top: Vec<Moved>,
}

/// How often something on the first side met something on the second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// On the first side.
    pub first: String,
    /// On the second side.
    pub second: String,
    /// How often.
    pub count: u64,
}

/// How often a label is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Flips {
    /// The label.
    pub label: String,
    /// By both.
    pub both: u64,
    /// By the first only.
    pub only_first: u64,
    /// By the second only.
    pub only_second: u64,
}

/// A change of numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Second minus first.
    pub change: Distribution,
    /// The mean without signs.
    pub mean_size: Option<f64>,
}

/// PSI, and what it is where nothing drifts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Psi {
    /// Of what.
    pub name: String,
    /// Bins.
    pub bins: usize,
    /// Events of the reference and of what is compared with it.
    pub events: (u64, u64),
    /// PSI; none where there is nothing to compare.
    pub psi: Option<f64>,
    /// Its mean between two independent samples of one distribution.
    pub expected: Option<f64>,
    /// What it then exceeds once in a thousand.
    pub critical: Option<f64>,
}

/// Where selection differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SelectionChange {
    /// Selected by both.
    pub both: u64,
    /// By the first side only.
    pub only_first: Share,
    /// By the second side only.
    pub only_second: Share,
    /// The first events of those.
    pub only_first_events: First,
    /// The first events of those.
    pub only_second_events: First,
}

impl Share {
    /// So many of so many.
    pub fn new(count: u64, of: u64) -> Self {
        Self {
            count,
            of,
            share: if of == 0 { 0.0 } else { count as f64 / of as f64 },
            interval: wilson(count, of),
        }
    }
}

impl Psi {
    /// Of counts over the same bins.
    pub fn of(name: String, reference: &[u64], current: &[u64], is_ordered: bool) -> Self {
        let bins = if is_ordered { Bins::Ordered } else { Bins::Categories };
        let table = Table::new(reference, current, bins).ok();
        let psi = table.as_ref().and_then(|table| Distance::Psi.measure(table));
        let events: (u64, u64) = (reference.iter().sum(), current.iter().sum());
        let noise = Noise::new(reference.len(), events.0 as f64, events.1 as f64);
        Self {
            name,
            bins: reference.len(),
            events,
            psi: psi.map(|measured| measured.value),
            expected: noise.map(Noise::expected),
            critical: noise.and_then(|noise| noise.critical(ALPHA)),
        }
    }
}

impl Distribution {
    fn of(name: String, numbers: &Numbers) -> Self {
        let quantiles = QUANTILES.iter();
        Self {
            name,
            count: numbers.count(),
            mean: numbers.mean(),
            least: numbers.least(),
            most: numbers.most(),
            quantiles: quantiles
                .filter_map(|(name, share)| Some((*name, numbers.quantile(*share)?)))
                .collect(),
        }
    }
}

impl Comparison {
    /// The figures. `is_pair`: whether there is a second side.
    pub fn report(&self, terms: &Terms, is_pair: bool) -> Report {
        let mut sides = vec![self.a.report(terms, false)];
        if is_pair {
            sides.push(self.b.report(terms, true));
        }
        Report {
            format: crate::format::REPLAY_REPORT.written,
            answer: terms.answer().words(),
            read: self.read,
            sides,
            pair: is_pair.then(|| self.pair(terms)),
        }
    }

    fn pair(&self, terms: &Terms) -> Pair {
        let both = &self.both;
        let decides = matches!(terms.answer(), Answer::Classes(_) | Answer::Labels(_));
        let outcomes = self.fates.iter();
        Pair {
            both: both.events,
            outcomes: largest(outcomes.map(|((a, b), count)| (a.clone(), b.clone(), count))),
            unlike: self.unlike.clone(),
            changed: decides.then(|| Share::new(both.changed, both.events)),
            decisions: both.table(terms),
            labels: both.flips(terms),
            changes: both.changes(terms),
            moved: Distribution::of(terms.answer().measure().to_owned(), &both.moved),
            measure: terms.answer().measure(),
            psi: self.psi(terms),
            selection: both.selection_change(),
            top: both.top.events().to_vec(),
        }
    }

    fn psi(&self, terms: &Terms) -> Vec<Psi> {
        let mut found = Vec::new();
        if let Answer::Classes(classes) = terms.answer() {
            let first: Vec<u64> = (0..classes.len())
                .map(|class| self.a.classes.of(&(class as u32)))
                .collect();
            let second = (0..classes.len()).map(|class| self.b.classes.of(&(terms.column(class) as u32)));
            found.push(Psi::of("class".to_owned(), &first, &second.collect::<Vec<_>>(), false));
        }
        let followed = self.a.numbers.len();
        for (position, (first, second)) in self.a.numbers.iter().zip(&self.b.numbers).enumerate() {
            let (first, second) = first.in_bins(second, BINS);
            found.push(Psi::of(terms.name(position, followed), &first, &second, true));
        }
        found
    }
}

impl Side {
    fn report(&self, terms: &Terms, is_second: bool) -> SideReport {
        let names = terms.answer().classes().iter().enumerate();
        let classes = names.filter_map(|(class, name)| {
            let column = if is_second { terms.column(class) } else { class };
            let count = self.classes.of(&(column as u32));
            (count > 0).then(|| ClassShare {
                class: name.clone(),
                share: Share::new(count, self.scored),
            })
        });
        let numbers = self.numbers.iter().enumerate();
        let known = self.selected.total();
        SideReport {
            scored: self.scored,
            dead_letters: self
                .rejected
                .iter()
                .map(|(reason, count)| (reason.clone(), count))
                .collect(),
            classes: classes.collect(),
            numbers: numbers
                .map(|(at, numbers)| Distribution::of(terms.name(at, self.numbers.len()), numbers))
                .collect(),
            selected: (known > 0).then(|| Share::new(self.selected.of(&true), known)),
        }
    }
}

impl Both {
    fn table(&self, terms: &Terms) -> Vec<Difference> {
        let Answer::Classes(classes) = terms.answer() else {
            return Vec::new();
        };
        let name = |class: u32| classes.get(class as usize).cloned().unwrap_or_default();
        largest(self.decisions.iter().map(|((a, b), count)| (name(*a), name(*b), count)))
    }

    fn flips(&self, terms: &Terms) -> Vec<Flips> {
        let Answer::Labels(labels) = terms.answer() else {
            return Vec::new();
        };
        let labels = labels.iter().take(MOST_PAIRED).enumerate();
        labels
            .map(|(at, label)| {
                let count = |how: u32| self.decisions.of(&(at as u32, how));
                Flips {
                    label: label.clone(),
                    both: count(3),
                    only_first: count(2),
                    only_second: count(1),
                }
            })
            .collect()
    }

    fn changes(&self, terms: &Terms) -> Vec<Change> {
        let pairs = self.changes.iter().zip(&self.sizes).enumerate();
        pairs
            .map(|(at, (change, size))| Change {
                change: Distribution::of(terms.name(at, self.changes.len()), change),
                mean_size: size.mean(),
            })
            .collect()
    }

    fn selection_change(&self) -> Option<SelectionChange> {
        let known = self.selection.total();
        let count = |pair: (bool, bool)| self.selection.of(&pair);
        (known > 0).then(|| SelectionChange {
            both: count((true, true)),
            only_first: Share::new(count((true, false)), known),
            only_second: Share::new(count((false, true)), known),
            only_first_events: self.only_a_selects.clone(),
            only_second_events: self.only_b_selects.clone(),
        })
    }
}

/// The largest counts first, equal ones by name.
fn largest(found: impl Iterator<Item = (String, String, u64)>) -> Vec<Difference> {
    let mut all: Vec<Difference> = found
        .map(|(first, second, count)| Difference { first, second, count })
        .collect();
    all.sort_by(|one, other| {
        let names = |it: &Difference| (it.first.clone(), it.second.clone());
        other.count.cmp(&one.count).then_with(|| names(one).cmp(&names(other)))
    });
    all
}
