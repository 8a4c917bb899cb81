//! The verdict on the embeddings of one model.

use super::Windows;
use super::subject::standing;
use super::view::{Activity, EmbeddingView, Standing};
use crate::drift::monitor::{DriftSettings, Monitor};
use crate::drift::verdict::{State, Sustained};

/// What lasts from one comparison to the next.
#[derive(Debug)]
pub(super) struct Embeddings {
    sustained: Sustained,
    pub(super) shown: Option<EmbeddingView>,
}

impl Embeddings {
    pub(super) fn new(settings: &DriftSettings) -> Self {
        Self {
            sustained: Sustained::new(settings.verdict.evaluations),
            shown: None,
        }
    }

    /// As of a feature: more than chance, and more than a little. The projections are whitened, so that a mean that moves by
    /// δ standard deviations is a squared distance of δ², as it is a PSI of about δ².
    pub(super) fn compare(
        &mut self,
        monitor: &Monitor,
        model: usize,
        windows: &Windows,
        (settings, activity): (&DriftSettings, Activity),
    ) -> Option<EmbeddingView> {
        let cloud = monitor.cloud(model)?;
        let need = settings.verdict.least_events.max(cloud.least_rows());
        let has_enough = |rows: u64| rows >= need;
        let window = windows.with(|tally| cloud.distance(tally).is_some_and(|found| has_enough(found.rows)));
        let found = cloud.distance(&window.tally);
        let verdict = &settings.verdict;
        let state = match found {
            Some(found) if has_enough(found.rows) => {
                let effect = found.distance - found.expected;
                let is_significant = found.critical.is_some_and(|critical| found.distance > critical);
                match is_significant {
                    true if effect > verdict.alert => State::Alert,
                    true if effect > verdict.warn => State::Warning,
                    _ => State::Quiet,
                }
            }
            _ => State::InsufficientData {
                have: found.map_or(0, |found| found.rows),
                need,
            },
        };
        let state = match activity {
            Activity::Watching => standing(self.sustained.update(state)),
            _ => {
                *self = Self::new(settings);
                Standing::CatchingUp
            }
        };
        Some(EmbeddingView {
            profile: monitor.profile(model).unwrap_or_default().to_owned(),
            distance: found.map(|found| found.distance),
            critical: found.and_then(|found| found.critical),
            state,
        })
    }
}
