//! Purses: tokens that selecting costs, kept by partition.
//!
//! Owns: what each partition has earned and spent, the rate of its events, and the pool of a lane's partitions.
//! Never does: read a clock, or decide what is worth a token.
//!
//! Invariant: tokens are earned by events of a partition and by time, in proportion to the partitions, and are spent once.
//! A partition takes its account along, so no rebalance and no restart refills a budget or loses one; an account that
//! nothing is known of begins at zero.
//!
//! What time earns for an account that is full goes to the others: a partition without events keeps nobody from spending
//! what the lane may, and its own account is then what its next owner makes of its old note.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::event::Partition;
use crate::format::BUDGET_NOTE;
use crate::time::Now;

/// Span over which the rate of events is smoothed.
const RATE_SECONDS: f64 = 600.0;
/// Shortest span over which a rate is measured.
const LOOK_SECONDS: f64 = 1.0;
/// What many additions may have taken from a token.
const ROUNDING: f64 = 1e-9;

/// One kind of tokens: a budget of an arm, or what a segment may take of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Slot {
    /// Names the tokens wherever they are written down.
    pub(super) name: String,
    /// Earned by each event of a partition.
    pub(super) per_event: f64,
    /// Earned each second by all partitions of the topic together.
    pub(super) per_second: f64,
    /// Most tokens of all partitions together; a lane can always save up one.
    pub(super) cap: f64,
}

/// What a partition takes along, in the metadata of its committed offset.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Note {
    /// [`BUDGET_NOTE`].
    #[serde(default = "first")]
    format: u32,
    /// When this was true, in milliseconds since the Unix epoch.
    at: i64,
    /// Events a second.
    #[serde(default)]
    rate: f64,
    /// Share of the control arm in force.
    #[serde(default)]
    pub(super) explore: Option<f64>,
    /// Tokens by the name of their slot.
    #[serde(default)]
    levels: BTreeMap<String, f64>,
}

const fn first() -> u32 {
    1
}

impl Note {
    /// Reads what stands beside an offset.
    ///
    /// # Errors
    /// Why it is no such note, as the rest of a sentence that begins with it.
    pub fn read(text: &str) -> Result<Self, String> {
        /// What can be read of any format.
        #[derive(Deserialize)]
        struct Head {
            #[serde(default = "first")]
            format: u32,
        }
        let wrong = |error: serde_json::Error| format!("is not Eddy's: {error}");
        let head: Head = serde_json::from_str(text).map_err(wrong)?;
        BUDGET_NOTE.judge(head.format.into())?;
        serde_json::from_str(text).map_err(wrong)
    }

    /// Share of the control arm that was in force, if the rate that it was made for is known.
    pub(super) fn explore(&self) -> Option<f64> {
        let is_known = self.rate.is_finite() && self.rate > 0.0;
        self.explore.filter(|share| is_known && (0.0..=1.0).contains(share))
    }
}

/// What a slot earns, and how much of it can be saved up.
#[derive(Debug, Clone, Copy)]
struct Rate {
    per_event: f64,
    per_second: f64,
    cap: f64,
}

#[derive(Debug, Clone, Copy)]
struct Account {
    partition: Partition,
    at_ms: i64,
    /// Events a second, smoothed; `None` until a second has passed.
    rate: Option<f64>,
    /// Events a second at the last look, not smoothed.
    latest: f64,
    /// Seconds over which it was smoothed.
    smoothed_over: f64,
    /// Events since the rate was last looked at, and when that was.
    events: u64,
    looked_ms: i64,
    /// Whether an event of it came since the last [`Purse::close`]: its note will be written down.
    is_touched: bool,
}

/// A lane's accounts. Copied once a batch, so everything that changes lies flat.
#[derive(Debug, Default)]
pub(super) struct Purse {
    names: Arc<[String]>,
    rates: Vec<Rate>,
    /// Partitions of the topic, this lane's and others'.
    partitions: u32,
    /// In the order of their partitions.
    accounts: Vec<Account>,
    /// Tokens: a row for each account, a column for each slot.
    levels: Vec<f64>,
    /// Their sums over the accounts.
    pool: Vec<f64>,
}

impl Clone for Purse {
    fn clone(&self) -> Self {
        let mut copy = Self::default();
        copy.clone_from(self);
        copy
    }

    /// Reuses the memory of what was there.
    fn clone_from(&mut self, other: &Self) {
        self.names.clone_from(&other.names);
        self.rates.clone_from(&other.rates);
        self.partitions = other.partitions;
        self.accounts.clone_from(&other.accounts);
        self.levels.clone_from(&other.levels);
        self.pool.clone_from(&other.pool);
    }
}

impl Purse {
    /// Takes up these kinds of tokens; accounts keep their levels by the names of the slots.
    pub(super) fn set_slots(&mut self, slots: Vec<Slot>) {
        let width = self.names.len();
        let before: Vec<Option<usize>> = slots
            .iter()
            .map(|slot| self.names.iter().position(|old| *old == slot.name))
            .collect();
        let rows = (0..self.accounts.len()).map(|row| &self.levels[row * width..][..width]);
        self.levels = rows
            .flat_map(|row| before.iter().map(|column| column.map_or(0.0, |column| row[column])))
            .collect();
        self.rates = slots
            .iter()
            .map(|slot| Rate {
                per_event: slot.per_event,
                per_second: slot.per_second,
                cap: slot.cap,
            })
            .collect();
        self.names = slots.into_iter().map(|slot| slot.name).collect();
        self.sum();
    }

    /// Changes what an event earns and what can be saved up, as rates of events change.
    pub(super) fn set_rate(&mut self, slot: usize, per_event: f64, cap: f64) {
        self.rates[slot].per_event = per_event;
        self.rates[slot].cap = cap;
    }

    /// Takes up how many partitions the topic has.
    pub(super) fn set_partitions(&mut self, partitions: u32) {
        self.partitions = partitions;
    }

    /// Share of every absolute budget that belongs to this lane.
    pub(super) fn share(&self) -> f64 {
        self.accounts.len() as f64 / self.all_partitions()
    }

    fn all_partitions(&self) -> f64 {
        f64::from(self.partitions.max(self.accounts.len() as u32).max(1))
    }

    /// Takes up a partition with what its last owner wrote down.
    pub(super) fn take(&mut self, partition: Partition, note: Option<&Note>, now: Now) {
        self.drop(partition);
        let account = Account {
            partition,
            at_ms: note.map_or(now.unix_ms, |note| note.at.min(now.unix_ms)),
            rate: note
                .map(|note| note.rate)
                .filter(|rate| rate.is_finite() && *rate > 0.0),
            smoothed_over: RATE_SECONDS,
            latest: 0.0,
            events: 0,
            looked_ms: now.unix_ms,
            is_touched: false,
        };
        let place = self.accounts.partition_point(|other| other.partition < partition);
        self.accounts.insert(place, account);
        let level = |name: &String| note.and_then(|note| note.levels.get(name)).copied();
        let levels = self.names.iter().map(level);
        let levels: Vec<f64> = levels
            .map(|level| level.filter(|level| level.is_finite()).unwrap_or(0.0))
            .collect();
        let start = place * levels.len();
        self.levels.splice(start..start, levels);
        self.sum();
    }

    /// Lets go of a partition; what was last written down goes with it.
    pub(super) fn drop(&mut self, partition: Partition) {
        if let Some(place) = self.find(partition) {
            let width = self.names.len();
            self.accounts.remove(place);
            self.levels.drain(place * width..(place + 1) * width);
            self.sum();
        }
    }

    /// What to write down for a partition; `None` for one that is not here.
    pub(super) fn note(&self, partition: Partition) -> Option<Note> {
        let place = self.find(partition)?;
        let account = &self.accounts[place];
        // Rounded down: writing down must not earn.
        let written = |level: &f64| (level * 1e6).floor() / 1e6;
        let levels = self.levels[place * self.names.len()..].iter().map(written);
        Some(Note {
            format: BUDGET_NOTE.written,
            at: account.at_ms,
            rate: account.rate.map_or(0.0, |rate| (rate * 1e3).round() / 1e3),
            explore: None,
            levels: self.names.iter().cloned().zip(levels).collect(),
        })
    }

    /// Notes that an event of a partition has come, before any of its batch is decided on: the rate in force is that of
    /// the batch as well.
    pub(super) fn arrive(&mut self, partition: Partition, now: Now) {
        let place = self.find_or_take(partition, now);
        self.accounts[place].events += 1;
    }

    /// Credits what time has earned, and looks at the rates; once a batch.
    pub(super) fn pass(&mut self, now: Now) {
        let (all, width) = (self.all_partitions(), self.names.len());
        for slot in 0..width {
            let (rate, ceiling) = (self.rates[slot], self.ceiling(slot));
            let mut spilt = 0.0;
            for (account, levels) in self.accounts.iter().zip(self.levels.chunks_exact_mut(width)) {
                let seconds = now.unix_ms.saturating_sub(account.at_ms).max(0) as f64 / 1e3;
                let level = levels[slot] + rate.per_second / all * seconds;
                levels[slot] = level.min(ceiling);
                // What is above because the budget was lowered is nobody's.
                spilt += (level - ceiling).clamp(0.0, rate.per_second / all * seconds);
            }
            // Debts first.
            for most in [0.0, ceiling] {
                for levels in self.levels.chunks_exact_mut(width) {
                    let taken = spilt.min((most - levels[slot]).max(0.0));
                    levels[slot] += taken;
                    spilt -= taken;
                }
            }
        }
        for account in &mut self.accounts {
            account.at_ms = now.unix_ms;
            account.look_at_rate(now);
        }
        self.sum();
    }

    /// Most tokens of one account. Those that time earns are shared out evenly; those that events earn may all be of one.
    fn ceiling(&self, slot: usize) -> f64 {
        match self.rates[slot] {
            Rate { per_second, cap, .. } if per_second > 0.0 => {
                (cap * self.share()).max(1.0) / self.accounts.len().max(1) as f64
            }
            Rate { cap, .. } => cap.max(1.0),
        }
    }

    /// Credits what one event of a partition has earned.
    pub(super) fn earn(&mut self, partition: Partition, now: Now) {
        let place = self.find_or_take(partition, now);
        self.accounts[place].is_touched = true;
        let width = self.names.len();
        let levels = &mut self.levels[place * width..][..width];
        for ((rate, level), pool) in self.rates.iter().zip(levels).zip(&mut self.pool) {
            let earned = rate.per_event.min(rate.cap.max(1.0) - *pool).max(0.0);
            *level += earned;
            *pool += earned;
        }
    }

    fn find_or_take(&mut self, partition: Partition, now: Now) -> usize {
        self.find(partition).unwrap_or_else(|| {
            self.take(partition, None, now);
            self.find(partition).expect("it was taken up just now")
        })
    }

    /// Whether the lane can pay for one more. It pays out of partitions whose notes are written down next, so that what is
    /// spent leaves with nobody; these may borrow one token of what others have saved, and pay back before they borrow again.
    pub(super) fn affords(&self, slot: usize) -> bool {
        let owes_nothing = |(_, level)| level >= -ROUNDING;
        self.pool[slot] >= 1.0 - ROUNDING && self.richest(slot).is_some_and(owes_nothing)
    }

    /// Pays one token, out of the touched account that has most.
    pub(super) fn pay(&mut self, slot: usize) {
        if let Some((place, _)) = self.richest(slot) {
            self.take_from(place, slot, 1.0);
        }
    }

    /// Takes tokens from the account of a partition, whatever it has.
    pub(super) fn charge(&mut self, partition: Partition, slot: usize, tokens: f64) {
        if let Some(place) = self.find(partition) {
            self.take_from(place, slot, tokens);
        }
    }

    /// What was touched is written down: from here on, only what is touched anew is.
    pub(super) fn close(&mut self) {
        self.accounts.iter_mut().for_each(|account| account.is_touched = false);
    }

    fn take_from(&mut self, place: usize, slot: usize, tokens: f64) {
        self.levels[place * self.names.len() + slot] -= tokens;
        self.pool[slot] -= tokens;
    }

    fn richest(&self, slot: usize) -> Option<(usize, f64)> {
        let touched = self
            .accounts
            .iter()
            .enumerate()
            .filter(|(_, account)| account.is_touched);
        let levels = touched.map(|(place, _)| (place, self.levels[place * self.names.len() + slot]));
        levels.max_by(|(_, one), (_, other)| one.total_cmp(other))
    }

    /// Tokens of the lane.
    pub(super) fn level(&self, slot: usize) -> f64 {
        self.pool[slot]
    }

    /// Most tokens that the lane can save up.
    pub(super) fn most(&self, slot: usize) -> f64 {
        (self.rates[slot].cap * self.share()).max(1.0)
    }

    /// Tokens of the lane as a part of what it can save up in time: at most 1, negative for a debt.
    pub(super) fn saved(&self, slot: usize) -> f64 {
        (self.pool[slot] / self.most(slot)).min(1.0)
    }

    /// Events a second over all partitions of the lane; `None` while nothing is known. A stream that has just begun, or
    /// grown, is taken at its present pace at once, so that a share of it is never too large for long.
    pub(super) fn rate(&self, now: Now) -> Option<f64> {
        let sum = |of: &dyn Fn(&Account) -> f64| self.accounts.iter().map(of).sum::<f64>();
        let smoothed = sum(&|account| account.rate.unwrap_or(0.0));
        let latest = sum(&|account| account.latest);
        let present = sum(&|account| account.events as f64 / account.seconds_since_look(now).max(LOOK_SECONDS));
        let rate = smoothed.max(latest).max(present);
        (rate > 0.0).then_some(rate)
    }

    fn find(&self, partition: Partition) -> Option<usize> {
        self.accounts
            .binary_search_by_key(&partition, |account| account.partition)
            .ok()
    }

    fn sum(&mut self) {
        let width = self.names.len();
        self.pool.clear();
        self.pool.resize(width, 0.0);
        if width > 0 {
            for levels in self.levels.chunks_exact(width) {
                for (pool, level) in self.pool.iter_mut().zip(levels) {
                    *pool += level;
                }
            }
        }
    }
}

impl Account {
    fn seconds_since_look(&self, now: Now) -> f64 {
        now.unix_ms.saturating_sub(self.looked_ms).max(0) as f64 / 1e3
    }

    fn look_at_rate(&mut self, now: Now) {
        let seconds = self.seconds_since_look(now);
        if seconds < LOOK_SECONDS {
            return;
        }
        let measured = self.events as f64 / seconds;
        // At first the mean of all that was measured, so that the first of it does not count for long.
        let over = self.rate.map_or(0.0, |_| self.smoothed_over) + seconds;
        let weight = (1.0 - (-seconds / RATE_SECONDS).exp()).max(seconds / over);
        let rate = self.rate.unwrap_or(0.0);
        self.rate = Some(rate + weight * (measured - rate));
        self.smoothed_over = over;
        self.latest = measured;
        self.events = 0;
        self.looked_ms = now.unix_ms;
    }
}

#[cfg(test)]
mod tests;
