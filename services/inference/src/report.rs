//! What a lane tells the rest of the process: its partitions, its books, why it is paused.
//!
//! Owns: the latest word of one lane. Written by the lane between batches, read by the admin pages.

use std::sync::{Mutex, MutexGuard, PoisonError};

use eddy_pipeline::event::Partition;
use eddy_pipeline::outcome::Balance;

/// One lane's latest word.
#[derive(Debug, Default)]
pub struct LaneReport {
    latest: Mutex<Latest>,
}

/// A copy of it.
#[derive(Debug, Clone, Default)]
pub struct Latest {
    /// Partitions that it holds.
    pub partitions: Vec<Partition>,
    /// Its books.
    pub balance: Balance,
    /// Why it is paused, if it is.
    pub paused: Option<String>,
}

impl LaneReport {
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
        self.lock().partitions.retain(|held| !partitions.contains(held));
    }

    pub(crate) fn balance(&self, balance: Balance) {
        self.lock().balance = balance;
    }

    pub(crate) fn pause(&self, why: &str) {
        self.lock().paused = Some(why.to_owned());
    }

    pub(crate) fn resume(&self) {
        self.lock().paused = None;
    }

    fn lock(&self) -> MutexGuard<'_, Latest> {
        // A lane that panicked has left whole values behind: each call sets one.
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
