//! Where the group begins in partitions for which it has no offset: as the Kafka adapter's `begin.rs` does it.

use std::collections::{BTreeMap, BTreeSet};

use crate::settings::Start;
use crate::start::{Place, place};
use crate::{BrokerError, Fault};

use super::cluster::ConnectionId;
use super::connection::Twin;
use super::group::Mark;
use super::log::Isolation;
use super::state::{Slot, State, failure};

impl State {
    /// Before the group is joined: partitions in which it has an offset. In a topic in which it has none, all begin now,
    /// if nobody is in the group.
    pub(super) fn begin_everywhere(&mut self, id: ConnectionId, start: Start) -> BTreeSet<Slot> {
        let (group, topics) = (self.connection(id).group, self.connection(id).topics.clone());
        let mut have = BTreeSet::new();
        if self.is_away() {
            return have;
        }
        for topic in topics {
            let all = self.slots_of(topic);
            if all.iter().any(|slot| self.is_unstable(group, *slot)) {
                continue;
            }
            let is_new = !all.iter().any(|slot| self.groups[group].committed.contains_key(slot));
            if let Some(place) = place(start, false).filter(|_| is_new && self.groups[group].members.is_empty()) {
                for slot in &all {
                    let mark = self.mark_at(*slot, place);
                    self.set_committed(group, *slot, mark);
                }
            }
            have.extend(
                all.into_iter()
                    .filter(|slot| self.groups[group].committed.contains_key(slot)),
            );
        }
        have
    }

    fn slots_of(&self, topic: usize) -> Vec<Slot> {
        let count = self.topics[topic].logs.len() as i32;
        (0..count).map(|number| Slot { topic, number }).collect()
    }

    fn mark_at(&self, slot: Slot, place: Place) -> Mark {
        let next = match place {
            Place::Beginning => 0,
            Place::End => self.log(slot).last_stable(),
            Place::Time(ms) => {
                let log = self.log(slot);
                let mut since = log
                    .read(0, Isolation::ReadCommitted)
                    .filter(|(_, record)| record.timestamp_ms >= Some(ms));
                since.next().map_or_else(|| log.last_stable(), |(offset, _)| offset)
            }
        };
        Mark { next, note: "".into() }
    }
}

impl Twin {
    /// Before partitions of ours are read: commits where those begin in which the group has nothing.
    pub(super) fn settle_beginnings(&mut self, state: &mut State, slots: &BTreeSet<Slot>) -> Result<(), BrokerError> {
        let unknown: Vec<Slot> = slots.difference(&self.have).copied().collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let group = state.connection(self.id).group;
        let is_unstable = unknown.iter().any(|slot| state.is_unstable(group, *slot));
        if state.is_away() || is_unstable {
            state.pass(state.settings.request_timeout);
            let doing = format!("asking where {} begin", state.names_of(&unknown));
            return Err(failure(Fault::Retriable, doing, "the group does not tell"));
        }
        let mut begun = BTreeMap::new();
        for slot in &unknown {
            let committed = &state.groups[group].committed;
            let is_known = committed.keys().any(|known| known.topic == slot.topic);
            let is_there = committed.contains_key(slot);
            if let Some(place) = place(self.settings.start, is_known).filter(|_| !is_there) {
                begun.insert(*slot, state.mark_at(*slot, place));
            }
        }
        let begins = state.commit_offsets(self.id, &begun);
        begins.map_err(|error| BrokerError {
            fault: Fault::Retriable,
            ..error
        })?;
        let committed = &state.groups[group].committed;
        self.have
            .extend(unknown.into_iter().filter(|slot| committed.contains_key(slot)));
        Ok(())
    }
}
