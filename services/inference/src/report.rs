//! What a lane tells the rest of the process: its partitions, its books, what keeps it from its work.
//!
//! Owns: the latest word of one lane. Written by the lane, also in the middle of a long wait; read by the admin pages.
//! Never does: judge what it is told.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::batch::Row;
use crate::scoring::Scoring;
use eddy_pipeline::event::Partition;
use eddy_pipeline::outcome::Balance;
use eddy_pipeline::select::Arms;
use eddy_pipeline::signal::Signal;
use eddy_telemetry::catalogue::PauseCause;

/// Something that keeps a lane from its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// What kind of thing.
    pub cause: PauseCause,
    /// One sentence for the person on call.
    pub why: String,
    /// Since when.
    pub since: SystemTime,
}

/// Is told of every change: the hold as it is now, or which cause no longer holds.
pub type OnChange = Box<dyn Fn(Result<&Hold, PauseCause>) + Send + Sync>;

/// One lane's latest word.
#[derive(Default)]
pub struct LaneReport {
    latest: Mutex<Latest>,
    on_change: Option<OnChange>,
}

impl fmt::Debug for LaneReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LaneReport")
            .field("latest", &self.latest)
            .finish_non_exhaustive()
    }
}

/// A copy of it.
#[derive(Debug, Clone, Default)]
pub struct Latest {
    /// Partitions that it holds.
    pub partitions: Vec<Partition>,
    /// Its books.
    pub balance: Balance,
    /// How far its partitions are durable, as of the last second: the offset after the last record that is.
    pub durable: Vec<(Partition, i64)>,
    /// Events that its partitions hold and that are not durable, as of the last second.
    pub lag: u64,
    /// What keeps it from its work; empty when nothing does.
    pub holds: Vec<Hold>,
    /// The latest events that it selected, the newest first: at most [`SAMPLES`].
    pub samples: VecDeque<Sample>,
}

/// Samples that a report holds.
pub const SAMPLES: usize = 20;

/// An event that was selected, as far as pages show it. It may yet be undone and selected again.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Where it came in: topic/partition/offset.
    pub event: String,
    /// Position of the model that is shown of it: the first one that selected it.
    pub model: usize,
    /// The class that it decided for.
    pub class: Option<String>,
    /// How sure it was.
    pub confidence: Option<f32>,
    /// Why it was selected.
    pub arms: Arms,
    /// Signals that its outputs show.
    pub signals: Vec<(Signal, f32)>,
}

impl Sample {
    /// What pages show of a row that was selected: where it came in, and not its id, which may be a person's.
    pub(crate) fn of(scoring: &Scoring, row: &Row, (tensor_row, arms): (u32, Arms), at_ms: i64) -> Self {
        let at = tensor_row as usize;
        let has_selected = |model: &usize| !scoring.pick(tensor_row).arms(*model).is_empty();
        let model = (0..scoring.models().len()).find(has_selected).unwrap_or_default();
        let of_model = scoring.models().nth(model);
        let class = of_model.and_then(|(model, predictions)| model.head.classes().get(predictions.class(at)?).cloned());
        let signals = scoring.signals(model).iter();
        Self {
            at_ms,
            event: scoring.batch().source(row).to_owned(),
            model,
            class,
            confidence: of_model.and_then(|(_, predictions)| predictions.confidence(at)),
            arms,
            signals: signals.map(|(signal, column)| (*signal, column[at])).collect(),
        }
    }
}

impl LaneReport {
    /// A lane about whose holds somebody wants to know at once. `on_change` is called on the lane's thread and must not
    /// block.
    pub fn watched(on_change: OnChange) -> Self {
        Self {
            latest: Mutex::default(),
            on_change: Some(on_change),
        }
    }

    /// The lane's latest word.
    pub fn latest(&self) -> Latest {
        self.lock().clone()
    }

    pub(crate) fn partitions(&self) -> Vec<Partition> {
        self.lock().partitions.clone()
    }

    pub(crate) fn assigned(&self, partitions: &[Partition]) {
        let mut latest = self.lock();
        latest.partitions.extend_from_slice(partitions);
        latest.partitions.sort_unstable();
        latest.partitions.dedup();
    }

    pub(crate) fn revoked(&self, partitions: &[Partition]) {
        let mut latest = self.lock();
        latest.partitions.retain(|held| !partitions.contains(held));
        latest.durable.retain(|(held, _)| !partitions.contains(held));
    }

    pub(crate) fn durable(&self, durable: impl Iterator<Item = (Partition, i64)>) {
        let mut latest = self.lock();
        latest.durable.clear();
        latest.durable.extend(durable);
    }

    pub(crate) fn lag(&self, events: u64) {
        self.lock().lag = events;
    }

    pub(crate) fn sample(&self, sample: Sample) {
        let mut latest = self.lock();
        latest.samples.push_front(sample);
        latest.samples.truncate(SAMPLES);
    }

    pub(crate) fn balance(&self, balance: Balance) {
        self.lock().balance = balance;
    }

    /// Says what keeps the lane from its work, and for how long it has already. Returns whether that is new.
    pub(crate) fn hold(&self, cause: PauseCause, why: &str, lasted: Duration) -> bool {
        let now = SystemTime::now();
        let since = now.checked_sub(lasted).unwrap_or(now);
        let mut latest = self.lock();
        let known = latest.holds.iter().position(|hold| hold.cause == cause);
        let known = known.map(|at| latest.holds.remove(at));
        let hold = Hold {
            cause,
            why: why.to_owned(),
            since: known.as_ref().map_or(since, |known| known.since.min(since)),
        };
        latest.holds.push(hold.clone());
        drop(latest);
        if known.as_ref().is_none_or(|known| known.why != hold.why) {
            self.tell(Ok(&hold));
        }
        known.is_none()
    }

    /// Says that this cause no longer keeps the lane from its work. Returns for how long it did, if it did.
    pub(crate) fn free(&self, cause: PauseCause) -> Option<Duration> {
        let mut latest = self.lock();
        let at = latest.holds.iter().position(|hold| hold.cause == cause)?;
        let hold = latest.holds.remove(at);
        drop(latest);
        self.tell(Err(cause));
        Some(hold.since.elapsed().unwrap_or_default())
    }

    fn tell(&self, change: Result<&Hold, PauseCause>) {
        if let Some(on_change) = &self.on_change {
            on_change(change);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Latest> {
        // A lane that panicked has left whole values behind: each call sets one.
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn each_cause_holds_since_its_beginning_until_it_is_freed_and_changes_are_told_once() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let book = Arc::clone(&told);
        let report = LaneReport::watched(Box::new(move |change| {
            let line = change.map(|hold| hold.why.clone()).map_err(PauseCause::as_str);
            book.lock().unwrap().push(line);
        }));
        assert!(report.hold(PauseCause::Kafka, "nobody answers", Duration::from_secs(42)));
        assert!(!report.hold(PauseCause::Kafka, "nobody answers", Duration::ZERO));
        assert!(report.hold(PauseCause::Model, "it is sick", Duration::ZERO));
        assert!(!report.hold(PauseCause::Kafka, "slow", Duration::from_secs(1)));
        let holds = report.latest().holds;
        assert_eq!(
            holds.iter().map(|hold| hold.cause).collect::<Vec<_>>(),
            [PauseCause::Model, PauseCause::Kafka]
        );
        let lasted = report.free(PauseCause::Kafka).expect("it held");
        assert!(lasted >= Duration::from_secs(42), "{lasted:?}");
        assert_eq!(report.free(PauseCause::Kafka), None);
        let told = told.lock().unwrap();
        let expected = [Ok("nobody answers"), Ok("it is sick"), Ok("slow"), Err("kafka")];
        assert_eq!(
            told.iter()
                .map(|line| line.as_ref().map(String::as_str).map_err(|word| *word))
                .collect::<Vec<_>>(),
            expected
        );
    }
}
