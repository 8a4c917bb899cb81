//! Purses: tokens that selecting costs, kept by partition.
//!
//! Owns: what each partition has earned and spent, the rate of its events, and the pool of a lane's partitions.
//! Never does: read a clock, or decide what is worth a token.
//!
//! Invariant: tokens are earned by events of a partition and by time, in proportion to the partitions, and are spent once.
//! A partition takes its account along, so no rebalance and no restart refills a budget or loses one; an account that
//! nothing is known of begins at zero.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::event::Partition;
use crate::time::Now;

/// Span over which the rate of events is smoothed.
const RATE_SECONDS: f64 = 600.0;
/// Shortest span over which a rate is measured.
const LOOK_SECONDS: f64 = 1.0;

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
            at: account.at_ms,
            rate: account.rate.map_or(0.0, |rate| (rate * 1e3).round() / 1e3),
            explore: None,
            levels: self.names.iter().cloned().zip(levels).collect(),
        })
    }

    /// Credits what time has earned, and looks at the rates; once a batch.
    pub(super) fn pass(&mut self, now: Now) {
        let (all, lane_share, width) = (self.all_partitions(), self.share(), self.names.len());
        for (place, account) in self.accounts.iter_mut().enumerate() {
            let seconds = (now.unix_ms - account.at_ms).max(0) as f64 / 1e3;
            account.at_ms = now.unix_ms;
            let levels = &mut self.levels[place * width..][..width];
            for ((rate, level), pool) in self.rates.iter().zip(levels).zip(&mut self.pool) {
                let room = (rate.cap * lane_share).max(1.0) - *pool;
                let earned = (rate.per_second / all * seconds).min(room).max(0.0);
                *level += earned;
                *pool += earned;
            }
            account.look_at_rate(now);
        }
    }

    /// Credits what one event of a partition has earned.
    pub(super) fn earn(&mut self, partition: Partition, now: Now) {
        let place = self.find(partition).unwrap_or_else(|| {
            self.take(partition, None, now);
            self.find(partition).expect("it was taken up just now")
        });
        self.accounts[place].events += 1;
        self.accounts[place].is_touched = true;
        let width = self.names.len();
        let levels = &mut self.levels[place * width..][..width];
        for ((rate, level), pool) in self.rates.iter().zip(levels).zip(&mut self.pool) {
            let earned = rate.per_event.min(rate.cap.max(1.0) - *pool).max(0.0);
            *level += earned;
            *pool += earned;
        }
    }

    /// Whether the lane can pay for one more. It pays out of partitions whose notes are written down next, so that what is
    /// spent leaves with nobody; these may borrow one token of what others have saved, and pay back before they borrow again.
    pub(super) fn affords(&self, slot: usize) -> bool {
        self.pool[slot] >= 1.0 && self.richest(slot).is_some_and(|(_, level)| level >= 0.0)
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

    /// Most tokens that the lane saves up in time.
    pub(super) fn cap(&self, slot: usize) -> f64 {
        (self.rates[slot].cap * self.share()).max(1.0)
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
        (now.unix_ms - self.looked_ms).max(0) as f64 / 1e3
    }

    fn look_at_rate(&mut self, now: Now) {
        let seconds = self.seconds_since_look(now);
        if seconds < LOOK_SECONDS {
            return;
        }
        let measured = self.events as f64 / seconds;
        let weight = 1.0 - (-seconds / RATE_SECONDS).exp();
        self.rate = Some(self.rate.map_or(measured, |rate| rate + weight * (measured - rate)));
        self.latest = measured;
        self.events = 0;
        self.looked_ms = now.unix_ms;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn partition(number: i32) -> Partition {
        Partition { topic: 0, number }
    }

    fn at(seconds: i64) -> Now {
        Now {
            monotonic: std::time::Duration::from_secs(seconds as u64),
            unix_ms: seconds * 1000,
        }
    }

    fn purse(slots: &[(&str, f64, f64, f64)], partitions: u32) -> Purse {
        let mut purse = Purse::default();
        let slots = slots.iter().map(|(name, per_event, per_second, cap)| Slot {
            name: (*name).to_owned(),
            per_event: *per_event,
            per_second: *per_second,
            cap: *cap,
        });
        purse.set_slots(slots.collect());
        purse.set_partitions(partitions);
        purse
    }

    #[test]
    fn a_token_is_earned_by_as_many_events_as_the_budget_says() {
        let mut purse = purse(&[("a", 0.25, 0.0, 10.0)], 1);
        for _ in 0..3 {
            purse.earn(partition(0), at(0));
            assert!(!purse.affords(0));
        }
        purse.earn(partition(0), at(0));
        assert!(purse.affords(0));
        purse.pay(0);
        assert_eq!(purse.level(0), 0.0);
    }

    #[test]
    fn no_more_is_saved_up_than_the_cap() {
        let mut purse = purse(&[("a", 0.5, 100.0, 4.0)], 1);
        (0..1000).for_each(|_| purse.earn(partition(0), at(0)));
        assert_eq!(purse.level(0), 4.0);
        purse.pass(at(1000));
        assert_eq!(purse.level(0), 4.0);
    }

    #[test]
    fn time_earns_in_proportion_to_the_partitions_held() {
        let mut purse = purse(&[("a", 0.0, 8.0, 1e9)], 8);
        (0..2).for_each(|number| purse.take(partition(number), None, at(0)));
        purse.pass(at(10));
        assert_eq!(purse.level(0), 20.0);
    }

    #[test]
    fn a_partition_takes_its_account_along_also_a_debt() {
        let mut here = purse(&[("a", 0.5, 0.0, 10.0), ("b", 0.0, 1.0, 10.0)], 2);
        (0..2).for_each(|number| here.take(partition(number), None, at(0)));
        (0..4).for_each(|_| here.earn(partition(0), at(0)));
        here.charge(partition(1), 0, 1.0);
        here.pass(at(4));
        let notes = [0, 1].map(|number| here.note(partition(number)).expect("it is here"));
        let text = serde_json::to_string(&notes).expect("JSON");
        let notes: [Note; 2] = serde_json::from_str(&text).expect("JSON");

        let mut there = purse(&[("b", 0.0, 1.0, 10.0), ("a", 0.5, 0.0, 10.0)], 2);
        there.take(partition(1), Some(&notes[1]), at(4));
        assert_eq!((there.level(1), there.level(0)), (-1.0, 2.0));
        there.take(partition(0), Some(&notes[0]), at(4));
        assert_eq!((there.level(1), there.level(0)), (here.level(0), here.level(1)));
    }

    #[test]
    fn what_time_earned_while_nobody_owned_the_partition_is_not_lost_and_not_beyond_the_cap() {
        let mut purse = purse(&[("a", 0.0, 1.0, 30.0)], 1);
        purse.take(partition(0), None, at(0));
        purse.pass(at(5));
        let note = purse.note(partition(0));
        purse.take(partition(0), note.as_ref(), at(15));
        purse.pass(at(15));
        assert_eq!(purse.level(0), 15.0);
        purse.take(partition(0), note.as_ref(), at(1000));
        purse.pass(at(1000));
        assert_eq!(purse.level(0), 30.0);
    }

    #[test]
    fn a_clock_that_goes_back_earns_nothing_and_costs_nothing() {
        let mut purse = purse(&[("a", 0.0, 1.0, 30.0)], 1);
        purse.take(partition(0), None, at(100));
        purse.pass(at(110));
        purse.pass(at(50));
        assert_eq!(purse.level(0), 10.0);
    }

    #[test]
    fn the_rate_is_measured_over_a_second_at_least_and_moves_with_a_partition() {
        let mut purse = purse(&[], 2);
        assert_eq!(purse.rate(at(0)), None);
        (0..500).for_each(|_| purse.earn(partition(0), at(0)));
        assert_eq!(purse.rate(at(0)), Some(500.0));
        purse.pass(at(5));
        assert_eq!(purse.rate(at(5)), Some(100.0));
        let note = purse.note(partition(0));
        purse.take(partition(0), note.as_ref(), at(5));
        assert_eq!(purse.rate(at(5)), Some(100.0));
    }

    #[test]
    fn a_stream_that_begins_after_a_quiet_hour_is_taken_at_its_present_pace() {
        let mut purse = purse(&[], 1);
        purse.take(partition(0), None, at(0));
        (1..3600).for_each(|second| purse.pass(at(second)));
        assert_eq!(purse.rate(at(3600)), None);
        (0..900).for_each(|_| purse.earn(partition(0), at(3600)));
        assert!(purse.rate(at(3600)).is_some_and(|rate| rate >= 450.0));
        purse.pass(at(3601));
        assert!(purse.rate(at(3601)).is_some_and(|rate| rate >= 450.0));
    }

    #[test]
    fn property_tokens_are_neither_made_nor_lost_while_partitions_move() {
        proptest!(|(moves in prop::collection::vec((0..4u8, 0..6i32, 0..3usize), 1..200))| {
            let slots = [("a", 0.25, 0.0, 1e9)];
            let mut lanes = [purse(&slots, 6), purse(&slots, 6), purse(&slots, 6)];
            let (mut owner, mut notes) = ([0; 6], vec![None; 6]);
            (0..6).for_each(|number| lanes[0].take(partition(number), None, at(0)));
            let mut expected = 0.0;
            for (what, number, lane) in moves {
                let own = &mut owner[number as usize];
                if what == 3 {
                    lanes[*own].drop(partition(number));
                    *own = lane;
                    lanes[lane].take(partition(number), notes[number as usize].as_ref(), at(0));
                    continue;
                }
                // One span: what it touches is written down.
                lanes[*own].earn(partition(number), at(0));
                expected += 0.25;
                if what == 2 && lanes[*own].affords(0) {
                    lanes[*own].pay(0);
                    expected -= 1.0;
                }
                notes[number as usize] = lanes[*own].note(partition(number));
                lanes[*own].close();
            }
            let total: f64 = lanes.iter().map(|lane| lane.level(0)).sum();
            prop_assert!((total - expected).abs() < 1e-3 && total <= expected + 1e-9, "{total}, not {expected}");
            prop_assert!(total >= -6.0, "at most one for each partition is spent ahead: {total}");
        });
    }

    #[test]
    fn new_slots_keep_the_levels_of_old_ones_by_their_names() {
        let mut purse = purse(&[("a", 1.0, 0.0, 10.0), ("b", 2.0, 0.0, 10.0)], 1);
        purse.earn(partition(0), at(0));
        let slot = |name: &str| Slot {
            name: name.to_owned(),
            per_event: 0.0,
            per_second: 0.0,
            cap: 10.0,
        };
        purse.set_slots(vec![slot("b"), slot("c")]);
        assert_eq!((purse.level(0), purse.level(1)), (2.0, 0.0));
    }
}
