//! Partitions that stand still although there is something to read: the only defence against a client that has forgotten
//! one (librdkafka#5591 leaves a partition paused for ever, without an error).
//!
//! Owns: since when each partition stands still, and what is tried next. Never does: ask Kafka or move a position; the
//! shell does, and tells.
//!
//! Invariant: only a lane that has nothing to do is judged. A partition that is merely behind others in a full queue, that
//! is at its end, or that nobody can read from, is left alone.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::event::Partition;

/// How far a partition has come, and how far it could come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// The offset that the client fetches next.
    pub fetched: i64,
    /// The offset after the last one that can be read.
    pub end: i64,
}

/// What to do about a partition that stands still; each is tried when the one before it did not help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cure {
    /// Go back to its own position, which makes the client fetch anew.
    Rewind,
    /// Replace the consumer.
    Rejoin,
    /// End the process: a new one is a new client.
    Stop,
}

#[derive(Debug, Clone, Copy)]
struct Watch {
    position: i64,
    /// Since when the position has not changed and the lane had nothing to do.
    since: Duration,
    /// When Kafka is asked next.
    ask_at: Duration,
    /// What the last answer said the client fetches next, if there was more to read.
    fetched: Option<i64>,
    /// Cures that were tried.
    tried: u8,
}

/// The watch over one lane's partitions.
#[derive(Debug)]
pub struct Stalls {
    after: Duration,
    looked: Duration,
    watched: BTreeMap<Partition, Watch>,
}

impl Stalls {
    /// A partition that stands still for `after` is cured.
    pub fn new(after: Duration) -> Self {
        Self {
            after,
            looked: Duration::ZERO,
            watched: BTreeMap::new(),
        }
    }

    /// A look at all partitions that the lane reads, each with the offset of its next record, at a moment when there was
    /// nothing to do. Returns one about which Kafka should be asked; tell the answer to [`Stalls::told`].
    pub fn look(&mut self, positions: impl Iterator<Item = (Partition, i64)>, now: Duration) -> Option<Partition> {
        // Whoever was busy or away in between has seen nobody stand still.
        let was_away = now.saturating_sub(self.looked) > self.after / 4;
        self.looked = now;
        let mut before = std::mem::take(&mut self.watched);
        for (partition, position) in positions {
            let fresh = Watch {
                position,
                since: now,
                ask_at: now + self.after / 2,
                fetched: None,
                tried: 0,
            };
            let watch = match before.remove(&partition) {
                None => fresh,
                Some(watch) if position > watch.position => fresh,
                Some(watch) if position == watch.position && !was_away && watch.ask_at < Duration::MAX => watch,
                Some(Watch { tried, .. }) => Watch { tried, ..fresh },
            };
            self.watched.insert(partition, watch);
        }
        let due = self.watched.iter().filter(|(_, watch)| watch.ask_at <= now);
        let due = due
            .min_by_key(|(_, watch)| watch.ask_at)
            .map(|(partition, _)| *partition);
        // What was tried is remembered while a partition is away: a new consumer is given it a little later.
        let away = before.into_iter().filter(|(_, watch)| watch.tried > 0);
        self.watched.extend(away.map(|(partition, watch)| {
            let ask_at = Duration::MAX;
            (partition, Watch { ask_at, ..watch })
        }));
        due
    }

    /// What Kafka said about a partition; `None` when it could not be asked.
    pub fn told(&mut self, partition: Partition, reach: Option<Reach>, now: Duration) -> Option<Cure> {
        let watch = self.watched.get_mut(&partition)?;
        watch.ask_at = now + self.after / 2;
        let unread = reach.filter(|reach| reach.end > reach.fetched.max(watch.position));
        let Some(reach) = unread else {
            (watch.since, watch.fetched) = (now, None);
            return None;
        };
        match watch.fetched.replace(reach.fetched) {
            None => return None,
            Some(before) if before != reach.fetched => {
                watch.since = now;
                return None;
            }
            Some(_) => {}
        }
        if now.saturating_sub(watch.since) < self.after {
            return None;
        }
        let cure = match watch.tried {
            0 => Cure::Rewind,
            1 => Cure::Rejoin,
            _ => Cure::Stop,
        };
        (watch.since, watch.fetched) = (now, None);
        watch.tried = watch.tried.saturating_add(1);
        Some(cure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_secs(60);
    const P: Partition = Partition { topic: 0, number: 0 };
    const Q: Partition = Partition { topic: 0, number: 1 };
    const MORE: Reach = Reach { fetched: 5, end: 9 };

    /// Looks once a second from `from` on, for `seconds`; `position` and `reach` say what is seen at each second.
    fn watch(
        stalls: &mut Stalls,
        (from, seconds): (u64, u64),
        position: impl Fn(u64) -> i64,
        reach: impl Fn(u64) -> Option<Reach>,
    ) -> Vec<(u64, Cure)> {
        let mut cures = Vec::new();
        for second in from..from + seconds {
            let now = Duration::from_secs(second);
            if let Some(partition) = stalls.look([(P, position(second))].into_iter(), now) {
                cures.extend(stalls.told(partition, reach(second), now).map(|cure| (second, cure)));
            }
        }
        cures
    }

    #[test]
    fn a_partition_that_stands_still_is_gone_back_to_then_read_by_a_new_consumer_then_left() {
        let mut stalls = Stalls::new(AFTER);
        let cures = watch(&mut stalls, (0, 600), |_| 5, |_| Some(MORE));
        let kinds: Vec<Cure> = cures.iter().map(|(_, cure)| *cure).collect();
        assert_eq!(kinds[..3], [Cure::Rewind, Cure::Rejoin, Cure::Stop]);
        for pair in cures.windows(2) {
            assert!(pair[1].0 - pair[0].0 >= 60, "{cures:?}");
        }
        assert!(cures[0].0 >= 60, "{cures:?}");
    }

    #[test]
    fn a_partition_that_moves_again_begins_anew() {
        let mut stalls = Stalls::new(AFTER);
        let first = watch(&mut stalls, (0, 100), |_| 5, |_| Some(MORE));
        assert_eq!(first.len(), 1);
        let moving = |second: u64| 5 + (second / 10) as i64;
        assert_eq!(watch(&mut stalls, (100, 300), moving, |_| Some(MORE)), []);
        let again = watch(
            &mut stalls,
            (400, 150),
            |_| 99,
            |_| Some(Reach { fetched: 99, end: 100 }),
        );
        assert_eq!(again.iter().map(|(_, cure)| *cure).collect::<Vec<_>>(), [Cure::Rewind]);
    }

    #[test]
    fn a_partition_at_its_end_rests_and_so_does_one_with_nothing_but_markers_left() {
        let mut stalls = Stalls::new(AFTER);
        let at_the_end = |_| Some(Reach { fetched: 5, end: 5 });
        assert_eq!(watch(&mut stalls, (0, 600), |_| 5, at_the_end), []);
        // The client has fetched beyond the record that the lane read last: only markers of transactions stood there.
        let markers = |_| Some(Reach { fetched: 9, end: 9 });
        assert_eq!(watch(&mut stalls, (600, 600), |_| 5, markers), []);
    }

    #[test]
    fn a_partition_whose_fetching_goes_on_is_left_alone() {
        let mut stalls = Stalls::new(AFTER);
        // A long stretch of aborted transactions: nothing is handed over, and yet it moves.
        let fetching = |second: u64| {
            Some(Reach {
                fetched: 5 + second as i64,
                end: 1_000_000,
            })
        };
        assert_eq!(watch(&mut stalls, (0, 600), |_| 5, fetching), []);
    }

    #[test]
    fn nobody_is_judged_while_kafka_cannot_be_asked() {
        let mut stalls = Stalls::new(AFTER);
        assert_eq!(watch(&mut stalls, (0, 600), |_| 5, |_| None), []);
    }

    #[test]
    fn a_lane_that_was_busy_has_seen_nobody_stand_still() {
        let mut stalls = Stalls::new(AFTER);
        for round in 0..20 {
            // Twenty idle seconds, then fifty of work.
            assert_eq!(watch(&mut stalls, (round * 70, 20), |_| 5, |_| Some(MORE)), []);
        }
    }

    #[test]
    fn what_was_tried_is_remembered_while_the_partition_is_away() {
        let mut stalls = Stalls::new(AFTER);
        let cures = watch(&mut stalls, (0, 200), |_| 5, |_| Some(MORE));
        assert_eq!(cures.last().map(|(_, cure)| *cure), Some(Cure::Rejoin));
        for second in 200..205 {
            assert_eq!(stalls.look([(Q, 0)].into_iter(), Duration::from_secs(second)), None);
        }
        let cures = watch(&mut stalls, (205, 200), |_| 5, |_| Some(MORE));
        assert_eq!(cures.first().map(|(_, cure)| *cure), Some(Cure::Stop));
    }

    #[test]
    fn one_partition_is_asked_about_at_a_time_the_longest_waiting_first() {
        let mut stalls = Stalls::new(AFTER);
        let mut asked = Vec::new();
        for second in 0..=60 {
            let now = Duration::from_secs(second);
            let late = (second >= 5).then_some((Q, 0));
            if let Some(partition) = stalls.look([(P, 0)].into_iter().chain(late), now) {
                stalls.told(partition, None, now);
                asked.push((second, partition));
            }
        }
        assert_eq!(asked, [(30, P), (35, Q), (60, P)]);
    }
}
