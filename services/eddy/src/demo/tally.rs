//! The tally: each event that was sent, and what came of it.
//!
//! Owns: the numbers of the demo; the only place where what was sent and what came back are compared.
//! Never does: read a topic or a clock; callers say what came and when.
//!
//! Invariant: an event counts once, however often its outcome arrives; a second one is counted as repeated.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::camera::Pixels;
use super::script::Phase;

/// Length of the timeline.
pub(super) const TIMELINE_SECONDS: usize = 60;
/// Events that are remembered after their outcome, so that a repetition is known as one.
const REMEMBERED: usize = 100_000;
/// Pictures that are kept for the view.
const PICTURES: usize = 4_096;
/// Samples that are kept for the view.
const SAMPLES_SHOWN: usize = 8;
/// Reasons that are told apart; there are fewer in fact, but they arrive from outside.
const REASONS: usize = 64;
/// Bars of the confidence histogram.
pub(super) const BARS: usize = 10;

/// An event that is about to be sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    /// The digit it truly is.
    pub(super) label: u8,
    /// The part of the run.
    pub(super) phase: Phase,
    /// What the camera saw.
    pub(super) picture: Pixels,
    /// Bytes it takes in its partition.
    pub(super) bytes: usize,
}

/// What the model said of an event.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Prediction {
    /// The digit.
    pub(super) digit: u8,
    /// How sure it was, 0 to 1.
    pub(super) confidence: f32,
    /// Whether the event was selected for a label.
    pub(super) selected: bool,
}

/// A prediction together with the picture it is about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Seen {
    /// What the camera saw.
    pub(super) picture: Pixels,
    /// The digit it truly is.
    pub(super) label: u8,
    /// What the model said.
    pub(super) prediction: Prediction,
}

/// A sample that flowed back.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample {
    /// Number of the event.
    pub(super) number: u64,
    /// Why it was selected.
    pub(super) reasons: Vec<String>,
    /// What the model said, and how sure it was.
    pub(super) said: Option<(u8, f32)>,
}

/// Right answers among all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Hits {
    right: u64,
    all: u64,
}

impl Hits {
    /// Share of the right ones; nothing before the first answer.
    pub(super) fn accuracy(self) -> Option<f64> {
        (self.all > 0).then(|| self.right as f64 / self.all as f64)
    }

    fn count(&mut self, right: bool) {
        self.right += u64::from(right);
        self.all += 1;
    }
}

/// One second of predictions.
#[derive(Debug, Clone, Copy, Default)]
struct Second {
    outcomes: u32,
    predictions: u32,
    confidence_sum: f32,
    histogram: [u32; BARS],
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    label: u8,
    phase: Phase,
    bytes: u32,
    answered: bool,
    selected: bool,
    sampled: bool,
}

impl Entry {
    /// Whether nothing more is to come for it.
    fn is_done(&self) -> bool {
        self.answered && (self.sampled || !self.selected)
    }
}

/// Everything that is counted.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Number of the first event in `entries`.
    first: u64,
    entries: VecDeque<Entry>,
    pictures: VecDeque<(u64, Pixels)>,
    events: u64,
    unanswered_bytes: usize,
    predictions: u64,
    selected: u64,
    samples: u64,
    samples_by_reason: BTreeMap<String, u64>,
    dead_letters: BTreeMap<String, u64>,
    repeated: u64,
    strange: u64,
    before: Hits,
    after: Hits,
    /// The last seconds, the newest last, and the number of that second.
    timeline: VecDeque<Second>,
    newest_second: u64,
    latest: Option<Seen>,
    newest_samples: VecDeque<Sample>,
}

/// The numbers at one moment, for the view and the summary.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Facts {
    /// Events sent.
    pub(super) events: u64,
    /// Events that were predicted.
    pub(super) predictions: u64,
    /// Predictions that say their event was selected.
    pub(super) selected: u64,
    /// Events that flowed back.
    pub(super) samples: u64,
    /// The same by reason; an event may have several.
    pub(super) samples_by_reason: BTreeMap<String, u64>,
    /// Dead letters by reason.
    pub(super) dead_letters: BTreeMap<String, u64>,
    /// Outcomes and samples that came again; at least once allows it.
    pub(super) repeated: u64,
    /// Messages that could not be understood.
    pub(super) strange: u64,
    /// Bytes of the events without an outcome.
    pub(super) unanswered_bytes: usize,
    /// Accuracy while the camera hung straight.
    pub(super) accuracy_before: Option<f64>,
    /// Accuracy since it hangs askew.
    pub(super) accuracy_after: Option<f64>,
    /// Seconds without any outcome although some are waited for.
    pub(super) silent_seconds: u64,
    /// Outcomes a second, over the last five.
    pub(super) outcomes_per_second: f64,
    /// Mean confidence of each of the last seconds, the newest last.
    pub(super) confidence: Vec<Option<f32>>,
    /// Predictions of the last ten seconds by confidence, 0 to 1.
    pub(super) histogram: [u32; BARS],
    /// The newest prediction.
    pub(super) latest: Option<Seen>,
    /// The newest samples, the newest first.
    pub(super) newest_samples: Vec<Sample>,
}

impl Facts {
    /// Dead letters of all reasons.
    pub(super) fn dead(&self) -> u64 {
        self.dead_letters.values().sum()
    }

    /// Events without an outcome.
    pub(super) fn unanswered(&self) -> u64 {
        self.events - (self.predictions + self.dead()).min(self.events)
    }

    /// Whether every event has its outcome and every selected one has flowed back.
    pub(super) fn complete(&self) -> bool {
        self.unanswered() == 0 && self.samples == self.selected
    }
}

impl Tally {
    /// Notes an event before it is sent; its number is what the outcome must name.
    pub(super) fn sent(&mut self, event: Sent) -> u64 {
        let number = self.first + self.entries.len() as u64;
        self.entries.push_back(Entry {
            label: event.label,
            phase: event.phase,
            bytes: u32::try_from(event.bytes).unwrap_or(u32::MAX),
            answered: false,
            selected: false,
            sampled: false,
        });
        self.pictures.push_back((number, event.picture));
        if self.pictures.len() > PICTURES {
            self.pictures.pop_front();
        }
        self.events += 1;
        self.unanswered_bytes += event.bytes;
        number
    }

    /// The event could not be sent after all: it counts no longer.
    pub(super) fn withdrawn(&mut self, number: u64) {
        if self.answer(number, false).is_some() {
            self.events -= 1;
        }
    }

    /// A prediction arrived.
    pub(super) fn predicted(&mut self, number: u64, prediction: Prediction, elapsed: Duration) {
        let Some(entry) = self.answer(number, prediction.selected) else {
            return;
        };
        self.predictions += 1;
        self.selected += u64::from(prediction.selected);
        let right = entry.label == prediction.digit;
        match entry.phase {
            Phase::Straight => self.before.count(right),
            Phase::Tilting => {}
            Phase::Tilted => self.after.count(right),
        }
        let second = self.second(elapsed);
        second.outcomes += 1;
        second.predictions += 1;
        second.confidence_sum += prediction.confidence;
        let bar = (prediction.confidence.clamp(0.0, 1.0) * BARS as f32) as usize;
        second.histogram[bar.min(BARS - 1)] += 1;
        let picture = self.picture(number);
        self.latest = picture.map(|picture| Seen {
            picture,
            label: entry.label,
            prediction,
        });
    }

    /// A sample flowed back.
    pub(super) fn flowed_back(&mut self, sample: Sample) {
        match self.entry(sample.number) {
            Some(entry) if !entry.sampled => entry.sampled = true,
            _ => {
                self.repeated += 1;
                return;
            }
        }
        self.samples += 1;
        for reason in &sample.reasons {
            count(&mut self.samples_by_reason, reason);
        }
        self.newest_samples.push_front(sample);
        self.newest_samples.truncate(SAMPLES_SHOWN);
    }

    /// A dead letter arrived.
    pub(super) fn died(&mut self, number: u64, reason: &str, elapsed: Duration) {
        if self.answer(number, false).is_some() {
            count(&mut self.dead_letters, reason);
            self.second(elapsed).outcomes += 1;
        }
    }

    /// A message arrived that could not be understood.
    pub(super) fn strange(&mut self) {
        self.strange += 1;
    }

    /// Bytes of the events without an outcome.
    pub(super) fn unanswered_bytes(&self) -> usize {
        self.unanswered_bytes
    }

    /// The numbers as they are now.
    pub(super) fn facts(&mut self, elapsed: Duration) -> Facts {
        self.advance(elapsed);
        let timeline = &self.timeline;
        // The present second is not over: it would make the rate look low.
        let over: Vec<&Second> = timeline.iter().rev().skip(1).take(5).collect();
        let outcomes: u32 = over.iter().map(|second| second.outcomes).sum();
        let is_waiting = self.unanswered_bytes > 0;
        let silent = timeline
            .iter()
            .rev()
            .take_while(|second| is_waiting && second.outcomes == 0);
        let silent_seconds = silent.count() as u64;
        let mut histogram = [0; BARS];
        for second in timeline.iter().rev().take(10) {
            for (sum, count) in histogram.iter_mut().zip(second.histogram) {
                *sum += count;
            }
        }
        Facts {
            events: self.events,
            predictions: self.predictions,
            selected: self.selected,
            samples: self.samples,
            samples_by_reason: self.samples_by_reason.clone(),
            dead_letters: self.dead_letters.clone(),
            repeated: self.repeated,
            strange: self.strange,
            unanswered_bytes: self.unanswered_bytes,
            accuracy_before: self.before.accuracy(),
            accuracy_after: self.after.accuracy(),
            silent_seconds,
            outcomes_per_second: f64::from(outcomes) / over.len().max(1) as f64,
            confidence: timeline.iter().map(Second::mean_confidence).collect(),
            histogram,
            latest: self.latest,
            newest_samples: self.newest_samples.iter().cloned().collect(),
        }
    }

    fn entry(&mut self, number: u64) -> Option<&mut Entry> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.entries.get_mut(at)
    }

    /// Marks the event as answered; nothing when it already was, or never was sent.
    fn answer(&mut self, number: u64, selected: bool) -> Option<Entry> {
        let entry = self.entry(number).filter(|entry| !entry.answered);
        let Some(entry) = entry else {
            self.repeated += 1;
            return None;
        };
        entry.answered = true;
        entry.selected = selected;
        let entry = *entry;
        self.unanswered_bytes -= entry.bytes as usize;
        while self.entries.len() > REMEMBERED && self.entries.front().is_some_and(Entry::is_done) {
            self.entries.pop_front();
            self.first += 1;
        }
        Some(entry)
    }

    fn picture(&self, number: u64) -> Option<Pixels> {
        let (first, _) = self.pictures.front()?;
        let at = usize::try_from(number.checked_sub(*first)?).ok()?;
        self.pictures.get(at).map(|(_, picture)| *picture)
    }

    fn second(&mut self, elapsed: Duration) -> &mut Second {
        self.advance(elapsed);
        self.timeline
            .back_mut()
            .expect("the timeline ends with the present second")
    }

    fn advance(&mut self, elapsed: Duration) {
        let now = elapsed.as_secs().max(self.newest_second);
        let missing = match self.timeline.is_empty() {
            true => 1,
            false => (now - self.newest_second).min(TIMELINE_SECONDS as u64) as usize,
        };
        self.newest_second = now;
        self.timeline.extend(std::iter::repeat_n(Second::default(), missing));
        let surplus = self.timeline.len().saturating_sub(TIMELINE_SECONDS);
        self.timeline.drain(..surplus);
    }
}

impl Second {
    fn mean_confidence(&self) -> Option<f32> {
        (self.predictions > 0).then(|| self.confidence_sum / self.predictions as f32)
    }
}

fn count(counts: &mut BTreeMap<String, u64>, reason: &str) {
    if let Some(count) = counts.get_mut(reason) {
        *count += 1;
        return;
    }
    let reason = if counts.len() < REASONS { reason } else { "other" };
    *counts.entry(reason.to_owned()).or_default() += 1;
}

#[cfg(test)]
mod tests;
