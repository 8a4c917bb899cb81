//! The group coordinator: members, generations, the dealing of partitions, committed offsets.
//!
//! Invariant: a partition belongs to one member at most; it is given on only when its owner let it go or was thrown out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::{BrokerError, Fault};

use super::cluster::{ConnectionId, Protocol};
use super::state::{Life, Membership, Slot, State, failure};

/// What the group tells a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Notice {
    Given(BTreeSet<Slot>),
    Taken { slots: BTreeSet<Slot>, lost: bool },
}

#[derive(Debug)]
pub(super) struct Member {
    /// The generation that the member knows.
    generation: u32,
    /// Given to it and not let go.
    owned: BTreeSet<Slot>,
    /// What it shall own when everybody has let go.
    target: BTreeSet<Slot>,
    /// What it was asked to let go, and until when.
    asked: BTreeSet<Slot>,
    deadline: Duration,
    notices: VecDeque<Notice>,
}

/// An offset as it is committed, with the note beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) next: i64,
    pub(super) note: Arc<str>,
}

#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) generation: u32,
    pub(super) members: BTreeMap<ConnectionId, Member>,
    pub(super) committed: BTreeMap<Slot, Mark>,
    /// Eager: everybody lets go of everything first.
    gathering: bool,
}

impl Group {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            generation: 0,
            members: BTreeMap::new(),
            committed: BTreeMap::new(),
            gathering: false,
        }
    }

    fn owner_of(&self, slot: Slot) -> Option<ConnectionId> {
        let mut owners = self.members.iter().filter(|(_, member)| member.owned.contains(&slot));
        owners.next().map(|(id, _)| *id)
    }
}

impl State {
    /// What the group has to tell a client that polls; joins the group for it if it is not in. `answered` says that the
    /// client has taken up the last notice.
    pub(super) fn next_notice(&mut self, id: ConnectionId, answered: bool) -> Option<Notice> {
        let now = self.now();
        let connection = self.connection_mut(id);
        connection.last_poll = now;
        if let Membership::LostUntil(at) = connection.membership {
            if now < at {
                return None;
            }
            connection.membership = Membership::Lost;
            let slots = connection.held.clone();
            if !slots.is_empty() {
                return Some(Notice::Taken { slots, lost: true });
            }
        }
        let (group, held_nothing) = (connection.group, connection.held.is_empty());
        let generation = self.groups[group].generation;
        let Some(member) = self.groups[group].members.get_mut(&id) else {
            if answered && held_nothing {
                self.join(id);
            }
            return None;
        };
        // A real group does not go on without a member that has not answered: it is no later than the generation is.
        member.generation = generation;
        if !answered {
            return None;
        }
        let notice = member.notices.pop_front()?;
        match &notice {
            Notice::Given(slots) => self.connection_mut(id).held.extend(slots),
            Notice::Taken { .. } => {}
        }
        Some(notice)
    }

    fn join(&mut self, id: ConnectionId) {
        self.connection_mut(id).membership = Membership::Sound;
        let group = self.connection(id).group;
        let generation = self.groups[group].generation;
        let member = Member {
            generation,
            owned: BTreeSet::new(),
            target: BTreeSet::new(),
            asked: BTreeSet::new(),
            deadline: Duration::ZERO,
            notices: VecDeque::new(),
        };
        self.groups[group].members.insert(id, member);
        self.note(|state| format!("{id} joins group {}", state.groups[group].name));
        self.rebalance(group, false);
    }

    /// A client lets go of partitions.
    pub(super) fn let_go(&mut self, id: ConnectionId, slots: &BTreeSet<Slot>) {
        let connection = self.connection_mut(id);
        connection.held.retain(|slot| !slots.contains(slot));
        let group = connection.group;
        let Some(member) = self.groups[group].members.get_mut(&id) else {
            return;
        };
        member.owned.retain(|slot| !slots.contains(slot));
        member.asked.retain(|slot| !slots.contains(slot));
        if self.groups[group].gathering {
            self.deal_when_gathered(group);
        } else if self.groups[group].members[&id].asked.is_empty() {
            self.rebalance(group, false);
        }
    }

    /// A client leaves in order.
    pub(super) fn leave(&mut self, id: ConnectionId) {
        let group = self.connection(id).group;
        self.connection_mut(id).held.clear();
        if self.groups[group].members.remove(&id).is_some() {
            self.note(|_| format!("{id} leaves"));
            self.rebalance(group, false);
        }
    }

    /// The group takes a member for dead. It learns so at its next heartbeat.
    pub(super) fn kick(&mut self, id: ConnectionId) {
        let group = self.connection(id).group;
        if self.groups[group].members.remove(&id).is_none() {
            return;
        }
        let heartbeat_us = self.settings.heartbeat.as_micros() as u64;
        let notice_at = self.now() + Duration::from_micros(self.rng.u64(0..=heartbeat_us));
        self.connection_mut(id).membership = Membership::LostUntil(notice_at);
        self.note(|_| format!("the group takes {id} for lost"));
        self.rebalance(group, false);
    }

    /// Deals partitions that nobody has yet.
    pub(super) fn deal(&mut self, group: usize) {
        self.rebalance(group, false);
    }

    /// Deals the partitions anew, without regard to who has them.
    pub(super) fn reshuffle(&mut self, group: usize) {
        self.rebalance(group, true);
    }

    fn rebalance(&mut self, group: usize, anew: bool) {
        if self.groups[group].members.is_empty() {
            return;
        }
        match self.settings.protocol {
            Protocol::Eager => self.gather(group),
            Protocol::Cooperative => self.deal_cooperatively(group, anew),
        }
    }

    /// Eager: asks everybody to let go of everything.
    fn gather(&mut self, group: usize) {
        let deadline = self.now() + self.settings.rebalance_timeout;
        self.groups[group].gathering = true;
        for member in self.groups[group].members.values_mut() {
            ask(member, member.owned.clone(), deadline);
        }
        self.deal_when_gathered(group);
    }

    fn deal_when_gathered(&mut self, group: usize) {
        let members = &self.groups[group].members;
        if members.values().any(|member| !member.owned.is_empty()) {
            return;
        }
        self.groups[group].gathering = false;
        self.next_generation(group);
        let targets = self.targets(group, true);
        for (id, target) in targets {
            let member = self.member(group, id);
            member.target = target;
        }
        self.give(group);
    }

    /// Cooperative: asks only for what moves; what is free is given at once, the rest when it is let go.
    fn deal_cooperatively(&mut self, group: usize, anew: bool) {
        self.next_generation(group);
        let deadline = self.now() + self.settings.rebalance_timeout;
        for (id, target) in self.targets(group, anew) {
            let member = self.member(group, id);
            let surplus: BTreeSet<Slot> = member.owned.difference(&target).copied().collect();
            member.target = target;
            ask(member, surplus, deadline);
        }
        self.give(group);
    }

    fn next_generation(&mut self, group: usize) {
        self.groups[group].generation += 1;
        let generation = self.groups[group].generation;
        let protocol = self.settings.protocol;
        for member in self.groups[group].members.values_mut() {
            // Eager, everybody has just joined. Cooperative, a member may not have heard yet.
            if protocol == Protocol::Eager || self.rng.bool() {
                member.generation = generation;
            }
        }
        self.note(|state| format!("group {} is now of generation {generation}", state.groups[group].name));
    }

    /// Who shall own what: even shares; with `anew` at random, else whoever has it keeps it within its share.
    fn targets(&mut self, group: usize, anew: bool) -> Vec<(ConnectionId, BTreeSet<Slot>)> {
        let mut members: Vec<ConnectionId> = self.groups[group].members.keys().copied().collect();
        self.rng.shuffle(&mut members);
        let topics: BTreeSet<usize> = members
            .iter()
            .flat_map(|id| &self.connection(*id).topics)
            .copied()
            .collect();
        let mut free: Vec<Slot> = topics
            .into_iter()
            .flat_map(|topic| (0..self.topics[topic].logs.len() as i32).map(move |number| Slot { topic, number }))
            .collect();
        let (share, mut larger) = (free.len() / members.len(), free.len() % members.len());
        let mut targets = Vec::new();
        // Who has most keeps the larger shares.
        members.sort_by_key(|id| std::cmp::Reverse(self.groups[group].members[id].owned.len()));
        for id in members {
            let quota = share + usize::from(larger > 0);
            larger = larger.saturating_sub(1);
            let owned = &self.groups[group].members[&id].owned;
            let kept: BTreeSet<Slot> = owned.iter().copied().filter(|_| !anew).take(quota).collect();
            free.retain(|slot| !kept.contains(slot));
            targets.push((id, quota, kept));
        }
        self.rng.shuffle(&mut free);
        let fill = |(id, quota, mut target): (ConnectionId, usize, BTreeSet<Slot>)| {
            let missing = quota - target.len();
            target.extend(free.drain(..missing.min(free.len())));
            (id, target)
        };
        targets.into_iter().map(fill).collect()
    }

    /// Gives every free partition to the member that shall own it.
    fn give(&mut self, group: usize) {
        let ids: Vec<ConnectionId> = self.groups[group].members.keys().copied().collect();
        for id in ids {
            let target = self.groups[group].members[&id].target.clone();
            let free: BTreeSet<Slot> = target
                .into_iter()
                .filter(|slot| self.groups[group].owner_of(*slot).is_none())
                .collect();
            if free.is_empty() {
                continue;
            }
            self.note(|state| format!("{id} is given {}", state.names_of(&free)));
            let member = self.member(group, id);
            member.owned.extend(&free);
            member.notices.push_back(Notice::Given(free));
        }
    }

    fn member(&mut self, group: usize, id: ConnectionId) -> &mut Member {
        let members = &mut self.groups[group].members;
        members.get_mut(&id).expect("targets are made for members only")
    }

    /// Members that died, that do not let go in time, or that have not polled for too long.
    pub(super) fn expire_members(&mut self) {
        let now = self.now();
        let settings = &self.settings;
        let overdue = |connection: &super::state::Connection, member: &Member| match connection.life {
            Life::Crashed(at) => now >= at + settings.session_timeout,
            _ => {
                (!member.asked.is_empty() && now >= member.deadline)
                    || now >= connection.last_poll + settings.max_poll_interval
            }
        };
        let groups = self.groups.iter().flat_map(|group| &group.members);
        let lost: Vec<ConnectionId> = groups
            .filter(|(id, member)| overdue(self.connection(**id), member))
            .map(|(id, _)| *id)
            .collect();
        for id in lost {
            self.kick(id);
        }
    }

    /// The generation that a client knows, if it is a member.
    pub(super) fn generation_of(&self, id: ConnectionId) -> Option<u32> {
        let group = &self.groups[self.connection(id).group];
        group.members.get(&id).map(|member| member.generation)
    }

    /// Whether the group takes commits of this client, under the generation that the client names.
    pub(super) fn admits(&self, id: ConnectionId, generation: Option<u32>, doing: &str) -> Result<(), BrokerError> {
        if !self.settings.checks_generation {
            return Ok(());
        }
        let group = &self.groups[self.connection(id).group];
        let message = match group.members.get(&id) {
            None => "the group does not know this member any more (UNKNOWN_MEMBER_ID)",
            Some(_) if generation != Some(group.generation) => {
                "the group has gone on to another generation (ILLEGAL_GENERATION)"
            }
            Some(_) => return Ok(()),
        };
        Err(failure(Fault::Abortable, format!("{id} {doing}"), message))
    }

    /// Commits offsets outside of a transaction.
    pub(super) fn commit_offsets(
        &mut self,
        id: ConnectionId,
        offsets: &BTreeMap<Slot, Mark>,
    ) -> Result<(), BrokerError> {
        if offsets.is_empty() {
            return Ok(());
        }
        self.admits(id, self.generation_of(id), "committing offsets")?;
        let group = self.connection(id).group;
        for (slot, mark) in offsets {
            self.set_committed(group, *slot, mark.clone());
        }
        Ok(())
    }

    pub(super) fn set_committed(&mut self, group: usize, slot: Slot, mark: Mark) {
        let offset = mark.next;
        let before = self.groups[group]
            .committed
            .insert(slot, mark)
            .map(|before| before.next);
        self.note(|state| format!("{} is committed up to {offset}", state.name_of(slot)));
        if let Some(before) = before.filter(|before| *before > offset) {
            let name = self.name_of(slot);
            self.violation(format!(
                "the committed offset of {name} went back from {before} to {offset}"
            ));
        }
    }
}

fn ask(member: &mut Member, slots: BTreeSet<Slot>, deadline: Duration) {
    let more: BTreeSet<Slot> = slots.difference(&member.asked).copied().collect();
    if more.is_empty() {
        return;
    }
    if member.asked.is_empty() {
        member.deadline = deadline;
    }
    member.asked.extend(&more);
    member.notices.push_back(Notice::Taken {
        slots: more,
        lost: false,
    });
}
