//! The service's own view of drift: every second what has been counted is looked at, and once in a while it is compared with
//! the reference.
//!
//! Owns: which window each verdict rests on, how long a verdict must last, when none is given.
//! Never does: read a clock or a counter; the caller passes both. It sees one process; rules of Prometheus see all.
//!
//! Invariant: too few events and old events are never shown as health.

#[cfg(test)]
mod chaos;
mod confidence;
mod embeddings;
mod subject;
#[cfg(test)]
mod tests;
mod view;

use std::sync::Arc;
use std::time::Duration;

use self::confidence::Confidence;
use self::embeddings::Embeddings;
use self::subject::Track;
pub use self::view::{Activity, BinView, EmbeddingView, ModelView, RateView, Standing, SubjectView, View, WindowView};
use super::history::{History, Window};
use super::monitor::{DriftSettings, Export, Monitor, Tally};

/// A model as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelName {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// Looks at the tally of one process.
#[derive(Debug)]
pub struct Watcher {
    monitor: Arc<Monitor>,
    settings: DriftSettings,
    models: Vec<ModelName>,
    history: History,
    tracks: Vec<Track>,
    confidences: Vec<Option<Confidence>>,
    embeddings: Vec<Embeddings>,
    /// Since when the lag has been too large, without a break.
    behind_since: Option<Duration>,
    compared_at: Duration,
    /// The tally as it was a second ago.
    before: Tally,
    view: View,
}

impl Watcher {
    /// Begins at a moment, in a process that has counted nothing yet.
    pub fn new(monitor: Arc<Monitor>, settings: DriftSettings, models: Vec<ModelName>, now: Duration) -> Self {
        let subjects = monitor.subjects();
        let confidences = (0..models.len()).map(|model| Confidence::new(model, subjects, &settings.confidence));
        let mut watcher = Self {
            history: History::new(&settings, now, monitor.tally()),
            tracks: subjects.iter().map(|_| Track::new(&settings)).collect(),
            confidences: confidences.collect(),
            embeddings: models.iter().map(|_| Embeddings::new(&settings)).collect(),
            behind_since: None,
            compared_at: now,
            before: monitor.tally(),
            view: View {
                state: Activity::Watching,
                lag: 0,
                window: WindowView {
                    seconds: settings.window.0.as_secs_f64(),
                    widest_seconds: settings.widest.0.as_secs_f64(),
                    events: settings.window_events,
                },
                evaluated: None,
                features: Vec::new(),
                outputs: Vec::new(),
                models: Vec::new(),
                left_out: monitor.features().1.to_vec(),
            },
            monitor,
            settings,
            models,
        };
        watcher.view.state = watcher.activity(now, 0);
        watcher.compare();
        watcher.show_models();
        watcher
    }

    /// Takes what has been counted so far, about once a second, of so many events, while so many others wait. Says whether
    /// everything was compared anew; `at` is the time that is shown then.
    pub fn tick(&mut self, now: Duration, tally: Tally, (events, lag): (u64, u64), at: &str) -> bool {
        let activity = self.activity(now, lag);
        let before = std::mem::replace(&mut self.view.state, activity);
        let has_changed = before != activity;
        self.view.lag = lag;
        let second = tally.since(&self.before);
        if activity == Activity::Watching {
            let all = self.confidences.iter_mut().flatten();
            all.for_each(|confidence| confidence.update(&second));
        }
        self.before.clone_from(&tally);
        let is_due = self.history.record(now, tally, events);
        // Of a window of events, too: one that gets old says so.
        let is_due = is_due || now.saturating_sub(self.compared_at) >= self.history.slot();
        if before == Activity::CatchingUp && has_changed {
            // What was read was old.
            self.history.forget();
        }
        if is_due || has_changed {
            self.compared_at = now;
            self.compare();
            self.view.evaluated = Some(at.to_owned());
        }
        self.show_models();
        is_due || has_changed
    }

    /// What is known now.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// A lag counts once it has lasted for the time between two comparisons, and until half of it is worked off: events that
    /// come in bursts are not old.
    fn activity(&mut self, now: Duration, lag: u64) -> Activity {
        let limit = self.settings.catching_up_lag;
        if lag >= limit {
            self.behind_since.get_or_insert(now);
        } else if lag < limit.div_ceil(2) || self.view.state != Activity::CatchingUp {
            self.behind_since = None;
        }
        let is_behind = |since: Duration| now.saturating_sub(since) >= self.history.slot();
        if self.settings.export == Export::Off {
            Activity::Off
        } else if self.monitor.subjects().is_empty() {
            Activity::NoProfile
        } else if self.behind_since.is_some_and(is_behind) {
            Activity::CatchingUp
        } else {
            Activity::Watching
        }
    }

    fn compare(&mut self) {
        let windows = Windows::new(&self.history, &self.settings);
        let context = subject::Context {
            monitor: &self.monitor,
            settings: &self.settings,
            models: &self.models,
            windows: &windows,
            is_judged: self.view.state == Activity::Watching,
        };
        let subjects = self.monitor.subjects().iter().zip(&mut self.tracks);
        let shown: Vec<SubjectView> = subjects
            .map(|(subject, track)| track.compare(subject, &context))
            .collect();
        for (model, embedding) in self.embeddings.iter_mut().enumerate() {
            embedding.shown = embedding.compare(&self.monitor, model, &windows, (&self.settings, self.view.state));
        }
        let (features, outputs): (Vec<_>, Vec<_>) = shown.into_iter().partition(|subject| subject.name.is_some());
        (self.view.features, self.view.outputs) = (features, measured(outputs));
    }

    fn show_models(&mut self) {
        let models = self.models.iter().zip(&self.confidences).zip(&self.embeddings);
        let shown = models.map(|((model, confidence), embedding)| ModelView {
            name: model.name.clone(),
            version: model.version.clone(),
            evidence: confidence.as_ref().and_then(Confidence::evidence),
            alarm_at: confidence
                .as_ref()
                .map_or(-self.settings.confidence.false_alarms.ln(), Confidence::alarm_at),
            changes: confidence.as_ref().map_or(0, Confidence::changes),
            embedding: embedding.shown.clone(),
        });
        self.view.models = shown.collect();
    }
}

/// Outputs that were measured at all: a policy decides which signals are, and where a model decides. What a model gave nothing
/// of while it gave others is not shown; of a model that gave nothing, everything is.
fn measured(mut outputs: Vec<SubjectView>) -> Vec<SubjectView> {
    let key = |output: &SubjectView| (output.position, output.segment.clone());
    let with_events: Vec<_> = outputs.iter().filter(|output| output.events > 0).map(key).collect();
    outputs.retain(|output| output.events > 0 || !with_events.contains(&key(output)));
    outputs
}

/// The windows of one comparison, the shortest first.
#[derive(Debug)]
struct Windows {
    all: Vec<Window>,
    last_week: Option<Window>,
}

impl Windows {
    fn new(history: &History, settings: &DriftSettings) -> Self {
        let mut all = vec![history.window()];
        if settings.widest.0 > settings.window.0 {
            all.extend(history.wider());
        }
        Self {
            all,
            last_week: history.last_week(),
        }
    }

    /// The shortest window that holds what is needed, else the longest.
    fn with(&self, has_enough: impl Fn(&Tally) -> bool) -> &Window {
        let enough = self.all.iter().find(|window| has_enough(&window.tally));
        enough.or(self.all.last()).expect("there is always a window")
    }
}
