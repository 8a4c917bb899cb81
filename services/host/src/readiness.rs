//! Whether the service is ready, and if not, why.
//!
//! Owns: the named conditions that are not met.
//! Never does: check one; whoever knows tells.
//!
//! Invariant: a service begins not ready and is never ready again once it drains.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde::Serialize;

/// A condition that keeps the service from being ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unmet {
    /// What it is about: `model digits`, `lane 0: kafka`.
    pub condition: String,
    /// What is missing: `loading`, `no broker answers (kafka:9092)`.
    pub detail: String,
    /// For how long, in whole seconds.
    pub seconds: u64,
}

/// Shared by everything that knows a condition and by the admin server. Cloning gives another handle.
#[derive(Debug, Clone)]
pub struct Readiness {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    is_ready: AtomicBool,
    unmet: Mutex<Conditions>,
}

#[derive(Debug)]
struct Conditions {
    phase: Phase,
    since: SystemTime,
    unmet: BTreeMap<String, Detail>,
}

#[derive(Debug)]
struct Detail {
    text: String,
    since: SystemTime,
}

impl Conditions {
    fn enter(&mut self, phase: Phase) {
        (self.phase, self.since) = (phase, SystemTime::now());
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Starting,
    Started,
    Draining,
}

impl Phase {
    const fn detail(self) -> Option<&'static str> {
        match self {
            Self::Starting => Some("starting"),
            Self::Started => None,
            Self::Draining => Some("draining"),
        }
    }
}

impl Readiness {
    /// A service that is starting, so not ready whatever else is told, until [`Self::started`].
    pub fn starting() -> Self {
        let conditions = Conditions {
            phase: Phase::Starting,
            since: SystemTime::now(),
            unmet: BTreeMap::new(),
        };
        Self {
            shared: Arc::new(Shared {
                is_ready: AtomicBool::new(false),
                unmet: Mutex::new(conditions),
            }),
        }
    }

    /// Every condition has been named: from now on they alone decide. Does nothing once the service drains.
    pub fn started(&self) {
        self.change(|conditions| {
            if conditions.phase == Phase::Starting {
                conditions.enter(Phase::Started);
            }
        });
    }

    /// The service ends: it is not ready, for good.
    pub fn draining(&self) {
        self.change(|conditions| conditions.enter(Phase::Draining));
    }

    /// Names a condition that is not met from now on, or what is missing now.
    pub fn unmet(&self, condition: &str, detail: impl Into<String>) {
        self.unmet_since(condition, detail, SystemTime::now());
    }

    /// Names a condition that has not been met since then; if it was known before, since the earlier of both.
    pub fn unmet_since(&self, condition: &str, detail: impl Into<String>, since: SystemTime) {
        let text = detail.into();
        self.change(|conditions| {
            let known = conditions.unmet.get(condition);
            let since = known.map_or(since, |known| known.since.min(since));
            conditions.unmet.insert(condition.to_owned(), Detail { text, since });
        });
    }

    /// A condition is met.
    pub fn met(&self, condition: &str) {
        self.change(|conditions| {
            conditions.unmet.remove(condition);
        });
    }

    /// Whether the service is ready. Costs one atomic read.
    pub fn is_ready(&self) -> bool {
        self.shared.is_ready.load(Ordering::Acquire)
    }

    /// Why it is not ready; empty when it is.
    pub fn causes(&self) -> Vec<Unmet> {
        let conditions = self.lock();
        let phase = conditions
            .phase
            .detail()
            .map(|detail| ("service", detail, conditions.since));
        let named = conditions
            .unmet
            .iter()
            .map(|(condition, detail)| (condition.as_str(), detail.text.as_str(), detail.since));
        phase
            .into_iter()
            .chain(named)
            .map(|(condition, detail, since)| Unmet {
                condition: condition.to_owned(),
                detail: detail.to_owned(),
                // A clock that was set back makes it less than nothing.
                seconds: since.elapsed().unwrap_or_default().as_secs(),
            })
            .collect()
    }

    fn change(&self, change: impl FnOnce(&mut Conditions)) {
        let mut conditions = self.lock();
        change(&mut conditions);
        let is_ready = conditions.phase == Phase::Started && conditions.unmet.is_empty();
        let was_ready = self.shared.is_ready.swap(is_ready, Ordering::AcqRel);
        let is_draining = conditions.phase == Phase::Draining;
        drop(conditions);
        match (was_ready, is_ready) {
            (false, true) => tracing::info!("ready"),
            (true, false) if is_draining => tracing::info!("not ready any more: draining"),
            (true, false) => tracing::warn!(causes = ?self.causes(), "not ready any more"),
            _ => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, Conditions> {
        self.shared.unmet.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn causes(readiness: &Readiness) -> Vec<(String, String)> {
        readiness
            .causes()
            .into_iter()
            .map(|unmet| (unmet.condition, unmet.detail))
            .collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    #[test]
    fn a_service_is_not_ready_before_it_said_that_it_started() {
        let readiness = Readiness::starting();
        readiness.unmet("kafka", "unreachable");
        readiness.met("kafka");
        assert!(!readiness.is_ready());
        assert_eq!(causes(&readiness), pairs(&[("service", "starting")]));
    }

    #[test]
    fn every_condition_must_be_met() {
        let readiness = Readiness::starting();
        readiness.unmet("model digits", "loading");
        readiness.unmet("partitions", "waiting for an assignment");
        readiness.started();
        readiness.met("partitions");
        assert_eq!(causes(&readiness), pairs(&[("model digits", "loading")]));
        assert!(!readiness.is_ready());
        readiness.met("model digits");
        assert!(readiness.is_ready());
        assert_eq!(causes(&readiness), []);
    }

    #[test]
    fn a_condition_says_how_long_it_has_not_been_met_also_when_its_detail_changes() {
        let readiness = Readiness::starting();
        readiness.started();
        let hour_ago = SystemTime::now() - Duration::from_secs(3600);
        readiness.unmet_since("lane 0: kafka", "no broker answers", hour_ago);
        readiness.unmet("lane 0: kafka", "outputs are not confirmed");
        let [cause] = readiness.causes().try_into().expect("one cause");
        assert_eq!(cause.detail, "outputs are not confirmed");
        assert!((3600..7200).contains(&cause.seconds), "{cause:?}");
    }

    #[test]
    fn a_condition_can_be_lost_and_met_again() {
        let readiness = Readiness::starting();
        readiness.started();
        readiness.unmet("kafka", "unreachable since 12:04:11");
        assert!(!readiness.is_ready());
        readiness.met("kafka");
        assert!(readiness.is_ready());
    }

    #[test]
    fn a_draining_service_is_never_ready_again() {
        let readiness = Readiness::starting();
        readiness.started();
        readiness.draining();
        readiness.started();
        readiness.met("kafka");
        assert!(!readiness.is_ready());
        assert_eq!(causes(&readiness), pairs(&[("service", "draining")]));
    }
}
