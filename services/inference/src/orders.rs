//! What the person on call asks of the lanes of this process: to pause, to go on, to skip a record.
//!
//! Owns: the orders that stand. Written by the admin address, read by every lane between its batches.
//! Never does: carry one out; lanes do.
//!
//! Invariant: an order stands until it is taken back or done, through every rebalance, and not beyond the process.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use eddy_pipeline::event::Source;

/// Skips that may stand at once.
pub const MOST_SKIPS: usize = 100;

/// A record that shall become a dead letter instead of being scored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skip {
    /// Which record.
    pub source: Source,
    /// Who asked, in words.
    pub by: String,
}

/// All orders that stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Who asked for the pause, while there is one.
    pub paused_by: Option<String>,
    /// How often lanes were asked to go on.
    pub resumes: u64,
    /// What is to be skipped.
    pub skips: Vec<Skip>,
}

/// There are [`MOST_SKIPS`] already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManySkips;

/// The orders of one process.
#[derive(Debug, Default)]
pub struct Orders {
    /// Changes with every order, so that a lane looks at the rest only then.
    version: AtomicU64,
    standing: Mutex<Standing>,
}

impl Orders {
    /// Asks every lane to pause. Returns whether they were not asked already.
    pub fn pause(&self, by: &str) -> bool {
        self.change(|standing| {
            let is_new = standing.paused_by.is_none();
            standing.paused_by.get_or_insert_with(|| by.to_owned());
            is_new
        })
    }

    /// Asks every lane to go on, those too that wait for a sick model or the end of a flood: they try at once. Returns
    /// whether they had been asked to pause.
    pub fn resume(&self) -> bool {
        self.change(|standing| {
            standing.resumes += 1;
            standing.paused_by.take().is_some()
        })
    }

    /// Asks whichever lane meets the record to skip it. Returns whether it was not asked already.
    ///
    /// # Errors
    /// When too many skips stand.
    pub fn skip(&self, source: Source, by: &str) -> Result<bool, TooManySkips> {
        self.change(|standing| {
            if standing.skips.iter().any(|skip| skip.source == source) {
                return Ok(false);
            }
            if standing.skips.len() >= MOST_SKIPS {
                return Err(TooManySkips);
            }
            let by = by.to_owned();
            standing.skips.push(Skip { source, by });
            Ok(true)
        })
    }

    /// The group is beyond this record: the order is done.
    pub(crate) fn done(&self, source: Source) {
        self.change(|standing| standing.skips.retain(|skip| skip.source != source));
    }

    /// A number that changes with every order.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The orders that stand.
    pub fn standing(&self) -> Standing {
        self.lock().clone()
    }

    fn change<T>(&self, change: impl FnOnce(&mut Standing) -> T) -> T {
        let mut standing = self.lock();
        let changed = change(&mut standing);
        self.version.fetch_add(1, Ordering::AcqRel);
        changed
    }

    fn lock(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use eddy_pipeline::event::Partition;

    use super::*;

    fn source(offset: i64) -> Source {
        Source {
            partition: Partition { topic: 0, number: 3 },
            offset,
        }
    }

    #[test]
    fn a_pause_stands_until_it_is_taken_back_under_the_name_of_who_asked_first() {
        let orders = Orders::default();
        assert!(orders.pause("ann"));
        assert!(!orders.pause("bob"));
        assert_eq!(orders.standing().paused_by.as_deref(), Some("ann"));
        assert!(orders.resume());
        assert!(!orders.resume());
        assert_eq!(orders.standing().paused_by, None);
    }

    #[test]
    fn a_skip_stands_once_until_it_is_done() {
        let orders = Orders::default();
        assert_eq!(orders.skip(source(7), "ann"), Ok(true));
        assert_eq!(orders.skip(source(7), "bob"), Ok(false));
        assert_eq!(orders.skip(source(8), "bob"), Ok(true));
        orders.done(source(7));
        let left: Vec<_> = orders.standing().skips.into_iter().map(|skip| skip.by).collect();
        assert_eq!(left, ["bob"]);
    }

    #[test]
    fn no_more_than_the_most_skips_stand_at_once() {
        let orders = Orders::default();
        for offset in 0..MOST_SKIPS as i64 {
            assert_eq!(orders.skip(source(offset), "ann"), Ok(true));
        }
        assert_eq!(orders.skip(source(-1), "ann"), Err(TooManySkips));
        assert_eq!(orders.skip(source(0), "ann"), Ok(false));
        orders.done(source(0));
        assert_eq!(orders.skip(source(-1), "ann"), Ok(true));
    }

    #[test]
    fn every_order_changes_the_version() {
        let orders = Orders::default();
        let before = orders.version();
        orders.pause("ann");
        assert_ne!(orders.version(), before);
    }
}
