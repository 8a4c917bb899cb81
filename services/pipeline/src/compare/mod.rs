//! Two versions of a pipeline over the same events: what each said, and where they differ.
//!
//! Owns: which heads can be compared and by what, the accumulators, the figures of a report.
//! Never does: score an event, read a topic, or say which side is right: there are no labels here.
//!
//! Invariant: a [`Comparison`] is an exact sum over events, in any order, so a run that was cut in two gives what an
//! uninterrupted one gives; and it has a bound in memory that the number of events does not move.

mod counts;
mod kept;
mod report;
mod terms;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use self::counts::{Counts, ExactSum, Numbers, QUANTILES};
pub use self::kept::{First, Moved, NAMED, Named, Order, Shown, Top};
pub use self::report::{
    Change, ClassShare, Difference, Distribution, Flips, Pair, Psi, Report, SelectionChange, Share, SideReport,
};
pub use self::terms::{Answer, Terms, Unlike};
use crate::rejection::Reason;

/// Most classes whose every pair is counted. Of more, only how many decisions changed, and how often each side chose each.
pub const MOST_PAIRED: usize = 256;
/// Most values of a prediction whose numbers are followed one by one, each in sketches of its own. How much an event moved looks
/// at all of them.
pub const MOST_FOLLOWED: usize = 16;
/// Counts as the outcome of an event that was scored, beside the words of the reasons.
const SCORED: &str = "scored";

/// What a head said about an event.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    /// Position of the predicted class.
    pub class: Option<usize>,
    /// Its confidence.
    pub confidence: Option<f32>,
    /// Its anomaly score.
    pub anomaly: Option<f32>,
    /// Probabilities, targets or the embedding; for a reconstruction nothing.
    pub values: &'a [f32],
}

/// What became of an event on one side.
#[derive(Debug, Clone, Copy)]
pub enum Fate<'a> {
    /// It would be a dead letter.
    Rejected(Reason),
    /// It was scored.
    Scored {
        /// What the head said.
        said: Said<'a>,
        /// Whether it would be selected; `None` where that depends on what came before.
        selected: Option<bool>,
    },
}

impl Fate<'_> {
    const fn word(&self) -> &'static str {
        match self {
            Self::Rejected(reason) => reason.as_str(),
            Self::Scored { .. } => SCORED,
        }
    }
}

/// Which event it is.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// Where it stands.
    pub order: Order,
    /// The same in words.
    pub place: &'a str,
    /// Its id.
    pub id: &'a str,
}

impl Event<'_> {
    fn named(&self) -> Named {
        Named::new(self.order, self.place, self.id)
    }
}

/// What was counted of one side.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Side {
    scored: u64,
    /// By the word of the reason.
    rejected: Counts<String>,
    selected: Counts<bool>,
    /// By the position of the class that was decided for; of labels, each that was decided on.
    classes: Counts<u32>,
    /// Confidence, targets or anomaly score.
    numbers: Vec<Numbers>,
}

/// What was counted of events that both sides scored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Both {
    events: u64,
    /// Events whose decision differs: the class, or any label.
    changed: u64,
    /// Decisions by classes of the first and the second side; of labels, by label, and whether it was set by each.
    decisions: Counts<(u32, u32)>,
    /// Second minus first, of each number that is followed.
    changes: Vec<Numbers>,
    /// The same without its sign.
    sizes: Vec<Numbers>,
    /// How far each event moved.
    moved: Numbers,
    top: Top,
    /// Whether the first and the second side would select.
    selection: Counts<(bool, bool)>,
    only_a_selects: First,
    only_b_selects: First,
}

/// One or two versions of a pipeline over the same events.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    read: u64,
    a: Side,
    b: Side,
    both: Both,
    /// Outcomes on the first and the second side, where they differ.
    fates: Counts<(String, String)>,
    /// Events that one side alone rejects, or each for a reason of its own.
    unlike: First,
}

impl Comparison {
    /// Takes in what became of an event, on one side or on two.
    ///
    /// # Errors
    /// [`Unlike::Width`] when the two predictions have not as many numbers.
    pub fn take(&mut self, terms: &Terms, event: Event<'_>, a: &Fate<'_>, b: Option<&Fate<'_>>) -> Result<(), Unlike> {
        self.read += 1;
        self.a.take(terms, a, terms.first());
        let Some(b) = b else { return Ok(()) };
        self.b.take(terms, b, terms.second());
        let (word_a, word_b) = (a.word(), b.word());
        if word_a != word_b {
            self.fates.add((word_a.to_owned(), word_b.to_owned()), 1);
            self.unlike
                .take(event.order, || (event.named(), format!("{word_a}, {word_b}")));
        }
        let (
            Fate::Scored {
                said: of_a,
                selected: by_a,
            },
            Fate::Scored {
                said: of_b,
                selected: by_b,
            },
        ) = (a, b)
        else {
            return Ok(());
        };
        if let (Some(by_a), Some(by_b)) = (by_a, by_b) {
            self.both.select(event, *by_a, *by_b);
        }
        self.both.take(terms, event, of_a, of_b)
    }

    /// Events that were read.
    pub const fn read(&self) -> u64 {
        self.read
    }
}

impl Side {
    fn take(&mut self, terms: &Terms, fate: &Fate<'_>, thresholds: &[f32]) {
        let Fate::Scored { said, selected } = fate else {
            self.rejected.add(fate.word().to_owned(), 1);
            return;
        };
        self.scored += 1;
        if let Some(selected) = selected {
            self.selected.add(*selected, 1);
        }
        match terms.answer() {
            Answer::Classes(_) => {
                if let Some(class) = said.class {
                    self.classes.add(class as u32, 1);
                }
            }
            Answer::Labels(_) => {
                for (label, _) in set(said.values, thresholds).filter(|(_, is_set)| *is_set) {
                    self.classes.add(label as u32, 1);
                }
            }
            Answer::Targets | Answer::Vector | Answer::Score => {}
        }
        let followed = terms.followed(said);
        grow(&mut self.numbers, followed.len());
        for (numbers, value) in self.numbers.iter_mut().zip(followed) {
            numbers.add(*value);
        }
    }
}

impl Both {
    fn take(&mut self, terms: &Terms, event: Event<'_>, a: &Said<'_>, b: &Said<'_>) -> Result<(), Unlike> {
        if a.values.len() != b.values.len() {
            return Err(Unlike::Width {
                first: a.values.len(),
                second: b.values.len(),
            });
        }
        self.events += 1;
        let differs = match terms.answer() {
            Answer::Classes(classes) => self.decide(classes.len(), a.class, terms.class_of_first(b.class)),
            Answer::Labels(_) => self.decide_labels(terms, a.values, b.values),
            Answer::Targets | Answer::Vector | Answer::Score => false,
        };
        self.changed += u64::from(differs);
        let (followed_a, followed_b) = (terms.followed(a), terms.followed(b));
        grow(&mut self.changes, followed_a.len());
        grow(&mut self.sizes, followed_a.len());
        let pairs = followed_a.iter().zip(followed_b);
        for ((change, size), (first, second)) in self.changes.iter_mut().zip(&mut self.sizes).zip(pairs) {
            change.add(second - first);
            size.add((second - first).abs());
        }
        let by = terms.moved(a, b);
        self.moved.add(by);
        self.top.take(by, event.order, || Moved {
            by,
            event: event.named(),
            a: terms.shown(a, false),
            b: terms.shown(b, true),
        });
        Ok(())
    }

    fn decide(&mut self, classes: usize, a: Option<usize>, b: Option<usize>) -> bool {
        if let (true, Some(a), Some(b)) = (classes <= MOST_PAIRED, a, b) {
            self.decisions.add((a as u32, b as u32), 1);
        }
        a != b
    }

    /// The key of a label's count is its position, and 2 for the first side plus 1 for the second, where they set it.
    fn decide_labels(&mut self, terms: &Terms, a: &[f32], b: &[f32]) -> bool {
        let mut differs = false;
        for (label, is_set) in set(a, terms.first()) {
            let other = terms.column(label);
            let is_set_by_b = matches!((b.get(other), terms.second().get(other)), (Some(p), Some(t)) if p >= t);
            differs |= is_set != is_set_by_b;
            if label < MOST_PAIRED {
                self.decisions
                    .add((label as u32, 2 * u32::from(is_set) + u32::from(is_set_by_b)), 1);
            }
        }
        differs
    }

    fn select(&mut self, event: Event<'_>, by_a: bool, by_b: bool) {
        self.selection.add((by_a, by_b), 1);
        match (by_a, by_b) {
            (true, false) => self.only_a_selects.take(event.order, || (event.named(), String::new())),
            (false, true) => self.only_b_selects.take(event.order, || (event.named(), String::new())),
            _ => {}
        }
    }
}

/// The labels with whether each is set: its probability reaches its threshold.
fn set<'a>(values: &'a [f32], thresholds: &'a [f32]) -> impl Iterator<Item = (usize, bool)> {
    let pairs = values.iter().zip(thresholds).enumerate();
    pairs.map(|(label, (value, threshold))| (label, value >= threshold))
}

fn grow(numbers: &mut Vec<Numbers>, len: usize) {
    if numbers.len() < len {
        numbers.resize_with(len, Numbers::default);
    }
}
