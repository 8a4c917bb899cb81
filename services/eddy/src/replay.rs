//! A data set, or a span of a topic, through a pipeline's own path: the decoder, the models and the heads that score the
//! stream.
//!
//! Owns: rows as records, batches of them, and the count of what was rejected.
//! Never does: write to Kafka, select, or judge a prediction.
//!
//! Invariant: every row that was read is scored or counted as rejected, with its reason.

mod held;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use eddy_broker::BrokerError;
use eddy_broker::kafka::{Stretch, TopicReader};
use eddy_host::SystemClock;
use eddy_inference::scoring::{Scoring, Sick};
use eddy_inference::{Fate, SignalPlan};
use eddy_pipeline::event::Record;
use eddy_pipeline::fields::Feature;
use eddy_pipeline::rejection::Rejection;
use eddy_pipeline::select::Selection;
use eddy_pipeline::settings::Problem;
use eddy_pipeline::time::Clock as _;
use eddy_storage::At;
use eddy_storage::data::DataSet;

pub use self::held::{Held, as_record};
use crate::assemble::Assembly;
use crate::schemas::{NoSchema, Shelf};

/// One row in so many may be rejected at most.
const MOST_REJECTED: u64 = 20;

/// Why a data set could not be scored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data set.
    #[error(transparent)]
    Data(#[from] eddy_storage::Error),
    /// The pipeline.
    #[error("{}", lines(.0))]
    Pipeline(Vec<Problem>),
    /// A model.
    #[error(transparent)]
    Sick(#[from] Sick),
    /// The schema registry.
    #[error(transparent)]
    Schema(#[from] NoSchema),
    /// There is nothing to score.
    #[error("there are no rows to score")]
    NoRows,
    /// Too much does not fit.
    #[error(
        "the pipeline rejects {} of {} rows, more than one in {MOST_REJECTED}; mend the fields or the data:\n{}",
        .0.rejected(), .0.rows, .0
    )]
    Rejected(Tally),
}

fn lines(problems: &[Problem]) -> String {
    let line = |problem: &Problem| format!("`{}`: {}", problem.key, problem.message);
    problems.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Rows that were read, and those of them that were rejected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rows that were read.
    pub rows: u64,
    reasons: BTreeMap<&'static str, Rejected>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rejected {
    rows: u64,
    example: String,
}

impl Tally {
    /// Rows that were rejected.
    pub fn rejected(&self) -> u64 {
        self.reasons.values().map(|rejected| rejected.rows).sum()
    }

    /// Rows that were scored.
    pub fn scored(&self) -> u64 {
        self.rows - self.rejected()
    }

    fn reject(&mut self, at: &Origin, rejection: &Rejection) {
        let first = || Rejected {
            rows: 0,
            example: format!("{at}: {}", rejection.detail),
        };
        let reason = self.reasons.entry(rejection.reason.as_str());
        reason.or_insert_with(first).rows += 1;
    }

    /// # Errors
    /// [`Error::NoRows`], and [`Error::Rejected`] when more than 5 % were.
    pub fn check(&self) -> Result<(), Error> {
        match (self.rows, self.rejected()) {
            (0, _) => Err(Error::NoRows),
            (rows, rejected) if rejected * MOST_REJECTED > rows => Err(Error::Rejected(self.clone())),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (reason, rejected)) in self.reasons.iter().enumerate() {
            let gap = if position == 0 { "" } else { "\n" };
            write!(f, "{gap}  {} × {reason}, such as {}", rejected.rows, rejected.example)?;
        }
        Ok(())
    }
}

/// Where a row comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A place in the data set.
    Data(At),
    /// A record: `topic/partition/offset`.
    Record(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data(at) => at.fmt(f),
            Self::Record(place) => f.write_str(place),
        }
    }
}

/// A row of a batch that was scored.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// Its number among the rows that were read, from 0.
    pub number: u64,
    /// Where it comes from.
    pub at: &'a Origin,
    /// Its label, where it has one.
    pub label: Option<&'a str>,
    /// Its row among features and predictions; `None` when it was rejected.
    pub scored: Option<usize>,
}

/// A row that was read: where it comes from, and its label.
type Read = (Origin, Option<String>);

/// A batch that was scored.
#[derive(Debug)]
pub struct Batch<'a> {
    first: u64,
    read: &'a [Read],
    /// Features and predictions.
    pub scoring: &'a Scoring,
}

impl Batch<'_> {
    /// Its rows in the order of reading.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        let fates = self.scoring.batch().rows();
        let rows = self.read.iter().zip(fates).enumerate();
        rows.map(|(position, ((at, label), row))| Row {
            number: self.first + position as u64,
            at,
            label: label.as_deref(),
            scored: row.tensor_row().map(|row| row as usize),
        })
    }
}

/// Where a replay's events come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feed {
    /// Rows of a data set, which are JSON where the stream's events have schemas.
    Data,
    /// Records of a topic, as they are.
    Topic,
}

/// What scores a data set or a span of a topic.
#[derive(Debug)]
pub struct Replay {
    scoring: Scoring,
    shelf: Shelf,
    features: Vec<Feature>,
    /// Where events are selected, and each by itself.
    selection: Option<Selection>,
    clock: SystemClock,
}

impl Replay {
    /// Sessions and buffers of its own. Features are captured whether or not the pipeline selects by them.
    ///
    /// # Errors
    /// What does not fit, or a session that cannot be made.
    pub fn new(assembly: &Assembly, feed: Feed) -> Result<Self, Error> {
        Self::measuring(assembly, feed, Arc::new(SignalPlan::default()))
    }

    /// The same as the stream is judged: at its operating points and with its signals. What the pipeline selects is told where
    /// no budget makes it depend on what came before.
    ///
    /// # Errors
    /// As [`Replay::new`].
    pub fn judging(assembly: &Assembly, feed: Feed) -> Result<Self, Error> {
        let judgement = assembly.in_force().current().0;
        let selection = Selection::new(judgement.plan);
        Ok(Self {
            selection: (!selection.has_budget()).then_some(selection),
            ..Self::measuring(assembly, feed, judgement.signals)?
        })
    }

    fn measuring(assembly: &Assembly, feed: Feed, signals: Arc<SignalPlan>) -> Result<Self, Error> {
        let mut decoder = assembly.decoder_of(feed).map_err(Error::Pipeline)?.with_features();
        if feed == Feed::Data {
            decoder = decoder.without_needing_ids();
        }
        let features = decoder.features();
        let scoring = assembly.scoring_from(decoder, signals, |scorer| scorer);
        Ok(Self {
            scoring: scoring.map_err(Error::Pipeline)?,
            shelf: Shelf::of(assembly.registry()),
            features,
            selection: None,
            clock: SystemClock::start(),
        })
    }

    /// What the features are called.
    pub fn features(&self) -> &[Feature] {
        &self.features
    }

    /// Scores the first `most` rows and hands each batch to `each`.
    ///
    /// # Errors
    /// A row that cannot be read, a model that is sick, and whatever `each` finds. Rejected rows are in the [`Tally`].
    pub fn run<E: From<Error>>(
        &mut self,
        data: &DataSet,
        most: u64,
        mut each: impl FnMut(&Batch<'_>) -> Result<(), E>,
    ) -> Result<Tally, E> {
        let mut pass = Pass::default();
        let mut rows = data.rows().map_err(Error::from)?;
        while pass.rows() < most {
            let Some(row) = rows.next().transpose().map_err(Error::from)? else {
                break;
            };
            self.push(pass.rows(), row.event.as_bytes());
            pass.read.push((Origin::Data(row.at), row.label));
            self.score_if_full(&mut pass, &mut each)?;
        }
        self.score(&mut pass, &mut each)?;
        Ok(pass.tally)
    }

    /// Scores these stretches of a topic as they are and hands each batch to `each`.
    ///
    /// # Errors
    /// That Kafka gives no more, a model that is sick, and whatever `each` finds. Rejected rows are in the [`Tally`].
    pub fn run_topic<E: From<Error> + From<BrokerError>>(
        &mut self,
        reader: &TopicReader,
        stretches: &[Stretch],
        mut each: impl FnMut(&Batch<'_>) -> Result<(), E>,
    ) -> Result<Tally, E> {
        let mut pass = Pass::default();
        reader.read(stretches, &mut |record| {
            self.await_schema(record)?;
            self.scoring.push(record);
            let mut place = String::new();
            record.source.write(record.topic, &mut place);
            pass.read.push((Origin::Record(place), None));
            self.score_if_full(&mut pass, &mut each)
        })?;
        self.score(&mut pass, &mut each)?;
        Ok(pass.tally)
    }

    /// Most rows of a batch.
    pub fn max_rows(&self) -> usize {
        self.scoring.max_rows()
    }

    /// Whether it tells which events are selected.
    pub fn selects(&self) -> bool {
        self.selection.is_some()
    }

    /// Scores records that are held in memory, as they are, and hands each batch of them to `each`.
    ///
    /// # Errors
    /// A model that is sick, and whatever `each` finds.
    pub fn run_held<E: From<Error>>(
        &mut self,
        records: &[Held],
        mut each: impl FnMut(&Scoring) -> Result<(), E>,
    ) -> Result<(), E> {
        for (position, record) in records.iter().enumerate() {
            record.with(|record| {
                self.await_schema(record)?;
                self.scoring.push(record);
                Ok::<_, Error>(())
            })?;
            if !(self.scoring.is_full() || position + 1 == records.len()) {
                continue;
            }
            self.scoring.score(&self.clock).map_err(Error::from)?;
            if let Some(selection) = &mut self.selection {
                self.scoring.select(selection, self.clock.now());
            }
            each(&self.scoring)?;
            self.scoring.clear();
        }
        Ok(())
    }

    fn await_schema(&mut self, record: &Record<'_>) -> Result<(), Error> {
        Ok(self.shelf.wait(|| self.scoring.prepare(record))?)
    }

    /// Takes in one row as the record that it would have been.
    fn push(&mut self, number: u64, value: &[u8]) {
        let now_ms = self.clock.now().unix_ms;
        as_record(number, value, now_ms, |record| self.scoring.push(record));
    }

    fn score_if_full<E: From<Error>>(
        &mut self,
        pass: &mut Pass,
        each: &mut impl FnMut(&Batch<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        match self.scoring.is_full() {
            true => self.score(pass, each),
            false => Ok(()),
        }
    }

    fn score<E: From<Error>>(
        &mut self,
        pass: &mut Pass,
        each: &mut impl FnMut(&Batch<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if pass.read.is_empty() {
            return Ok(());
        }
        self.scoring.score(&self.clock).map_err(Error::from)?;
        for ((at, _), row) in pass.read.iter().zip(self.scoring.batch().rows()) {
            if let Fate::Rejected(rejection) = &row.fate {
                pass.tally.reject(at, rejection);
            }
        }
        each(&Batch {
            first: pass.tally.rows,
            read: &pass.read,
            scoring: &self.scoring,
        })?;
        pass.tally.rows += pass.read.len() as u64;
        pass.read.clear();
        self.scoring.clear();
        Ok(())
    }
}

/// One pass over rows: those of the batch that is being filled, and the count of those before.
#[derive(Debug, Default)]
struct Pass {
    tally: Tally,
    read: Vec<Read>,
}

impl Pass {
    /// Rows that were read.
    fn rows(&self) -> u64 {
        self.tally.rows + self.read.len() as u64
    }
}

/// The class that a text names: by its name, or as the same number written otherwise (`1.0` for `1`).
pub fn class_of(classes: &[String], text: &str) -> Option<usize> {
    let by_name = classes.iter().position(|class| class == text);
    by_name.or_else(|| {
        let number: f64 = text.trim().parse().ok()?;
        classes
            .iter()
            .position(|class| class.parse::<f64>().is_ok_and(|class| class == number))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_the_class_of_its_name_or_of_its_number() {
        let words = ["no", "yes"].map(str::to_owned);
        assert_eq!(class_of(&words, "yes"), Some(1));
        assert_eq!(class_of(&words, "Yes"), None);
        let numbers = ["0", "1", "10"].map(str::to_owned);
        assert_eq!(class_of(&numbers, "1.0"), Some(1));
        assert_eq!(class_of(&numbers, "10"), Some(2));
        assert_eq!(class_of(&numbers, "2"), None);
    }

    #[test]
    fn one_rejected_row_in_twenty_is_borne_and_one_more_is_not() {
        let tally = |rejected: u64| Tally {
            rows: 100,
            reasons: [(
                "missing_field",
                Rejected {
                    rows: rejected,
                    example: "line 3: no `age`".into(),
                },
            )]
            .into(),
        };
        assert!(tally(5).check().is_ok());
        let refused = tally(6).check().unwrap_err().to_string();
        assert!(refused.contains("6 of 100 rows") && refused.contains("6 × missing_field, such as line 3: no `age`"));
        assert!(matches!(Tally::default().check(), Err(Error::NoRows)));
    }
}
