//! The watch over drift: a thread that looks once a second at what the lanes have counted.
//!
//! Owns: the latest view, for pages and metrics. Never does: count or judge; the core does.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use eddy_host::{Error, OnDrain, OnExit, Policy, Tasks};
use eddy_inference::LaneReport;
use eddy_pipeline::drift::monitor::{DriftSettings, Monitor};
use eddy_pipeline::drift::watch::{ModelName, View, Watcher};
use eddy_pipeline::time::Clock;
use eddy_telemetry::{Metrics, Totals};

use crate::recall::moment;

/// Between two looks: detectors take a mean of each second.
const EVERY: Duration = Duration::from_secs(1);

/// What was last seen.
#[derive(Debug, Clone)]
pub(crate) struct Vigil {
    view: Arc<Mutex<View>>,
}

/// What it looks at.
pub(crate) struct Sight {
    pub(crate) monitor: Arc<Monitor>,
    pub(crate) totals: Totals,
    pub(crate) models: Vec<ModelName>,
    pub(crate) lanes: Vec<Arc<LaneReport>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Metrics,
}

/// What pages show. When nobody looks any more, that is nothing: the last look would seem to be the present for ever.
struct Shown(Arc<Mutex<View>>);

impl Shown {
    fn lock(&self) -> MutexGuard<'_, View> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        *self.lock() = View::starting();
    }
}

impl Vigil {
    /// Looks on a thread of its own until the drain.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(crate) fn start(tasks: &Tasks, settings: &DriftSettings, sight: Sight) -> Result<Self, Error> {
        let Sight { monitor, models, .. } = &sight;
        let now = sight.clock.now().monotonic;
        let mut watcher = Watcher::new(Arc::clone(monitor), settings.clone(), models.clone(), now);
        sight.metrics.show_drift(watcher.view());
        let view = Arc::new(Mutex::new(watcher.view().clone()));
        let vigil = Self {
            view: Arc::clone(&view),
        };
        let policy = Policy {
            on_exit: OnExit::Log,
            on_drain: OnDrain::Abort,
        };
        tasks.spawn_thread("drift", policy, move |shutdown| {
            let view = Shown(view);
            while !shutdown.wait_for(EVERY) {
                let (mut events, mut lag) = (0, 0);
                for latest in sight.lanes.iter().map(|lane| lane.latest()) {
                    events += latest.balance.predicted;
                    lag += latest.lag;
                }
                let now = sight.clock.now();
                let at = moment::rfc3339(now.unix_ms);
                let is_compared = watcher.tick(now.monotonic, sight.totals.tally(), (events, lag), &at);
                if is_compared {
                    sight.metrics.show_drift(watcher.view());
                    view.lock().clone_from(watcher.view());
                } else {
                    sight.metrics.show_drift_of_models(watcher.view());
                    view.lock().follow(watcher.view());
                }
            }
            Ok(())
        })?;
        Ok(vigil)
    }

    /// What was last seen.
    pub(crate) fn view(&self) -> View {
        self.view.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
