//! Detectors of falling confidence, fed with its mean of each second.

use std::num::NonZeroU32;
use std::ops::Range;

use crate::drift::detect::{Adwin, Detector as _, ESr};
use crate::drift::monitor::{ConfidenceSettings, Of, Subject, Tally};
use crate::signal::Signal;

/// Means after which ADWIN tests its window again.
const CLOCK: NonZeroU32 = NonZeroU32::new(32).unwrap();

/// The detectors of one model.
#[derive(Debug)]
pub(super) struct Confidence {
    bins: Range<usize>,
    sum: usize,
    /// `None` where the reference leaves nothing worse to bet on.
    against_reference: Option<ESr>,
    without_reference: Adwin,
    alarm_at: f64,
    changes: u64,
    has_begun: bool,
}

impl Confidence {
    /// Those of a model, where the mean confidence of its reference is known.
    pub(super) fn new(model: usize, subjects: &[Subject], settings: &ConfidenceSettings) -> Option<Self> {
        let is_it = |subject: &&Subject| {
            matches!(&subject.of, Of::Output { model: of, output } if *of == model && output == Signal::Confidence.as_str())
                && subject.segment.is_none()
        };
        let subject = subjects.iter().find(is_it)?;
        let lack = (1.0 - subject.scale.as_ref()?.mean).max(0.0) + settings.tolerance;
        Some(Self {
            bins: subject.bins.clone(),
            sum: subject.sum?,
            against_reference: ESr::new(lack, settings.false_alarms).map(ESr::held).ok(),
            without_reference: Adwin::new(settings.delta, CLOCK),
            alarm_at: -settings.false_alarms.ln(),
            changes: 0,
            has_begun: false,
        })
    }

    /// Takes in what was counted in a second.
    pub(super) fn update(&mut self, second: &Tally) {
        let events: u64 = second.counts[self.bins.clone()].iter().sum();
        if events == 0 {
            return;
        }
        self.has_begun = true;
        let mean = second.sums[self.sum] / events as f64;
        if let Some(detector) = &mut self.against_reference {
            // Told as a value, which is averaged over replicas.
            let _alarm = detector.update(1.0 - mean);
        }
        self.changes += u64::from(self.without_reference.update(mean).is_some());
    }

    /// ln M; none before the first event.
    pub(super) fn evidence(&self) -> Option<f64> {
        let value = self.against_reference.as_ref().filter(|_| self.has_begun)?.value();
        // All bets lost is −∞, which no page can show.
        Some(value.max(0.0))
    }

    /// ln(1/α).
    pub(super) const fn alarm_at(&self) -> f64 {
        self.alarm_at
    }

    pub(super) const fn changes(&self) -> u64 {
        self.changes
    }
}
