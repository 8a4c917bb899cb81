//! The decision on each event, and everything that it remembers.
//!
//! Owns: the lotteries' histograms, the purse, the pace, the filter of duplicates; the order of the tests on one event.
//! Never does: compute a signal, read a clock, or write anything down.
//!
//! Invariant: every probability that is recorded was known before the draw it belongs to. What was decided in work that is
//! undone is forgotten with it.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::arm::Arm;
use super::draw::Salt;
use super::duplicates::{Duplicates, Fingerprint, Memory};
use super::pick::{Chance, Drawn, Facts, Picks, Sighting};
use super::plan::{Lottery, Plan};
use super::purse::Note;
use super::state::{Shared, State};
use crate::event::Partition;
use crate::outcome::Remembers;
use crate::time::Now;

/// Name of the control arm's draws: the same in every pipeline, so that pipelines on one stream share their labels.
const EXPLORE: &str = "explore";

/// The selection of one lane.
#[derive(Debug)]
pub struct Selection {
    plan: Arc<Plan>,
    explore: Salt,
    slots: Shared,
    live: State,
    durable: State,
    marked: VecDeque<State>,
    spare: Vec<State>,
    duplicates: Duplicates,
    scratch: Vec<Chance>,
}

impl Selection {
    /// A selection by this plan, at the beginning of its budgets.
    pub fn new(plan: Arc<Plan>) -> Self {
        let mut selection = Self {
            duplicates: Duplicates::new(memory(&plan)),
            explore: Salt::named(EXPLORE),
            slots: Shared::default(),
            live: State::default(),
            durable: State::default(),
            marked: VecDeque::new(),
            spare: Vec::new(),
            scratch: Vec::new(),
            plan: plan.clone(),
        };
        selection.set_plan(plan);
        selection
    }

    /// Takes up another plan, between batches. Budgets, histograms and duplicates are kept, by the names of the lotteries.
    pub fn set_plan(&mut self, plan: Arc<Plan>) {
        let states = [&mut self.live, &mut self.durable];
        for state in states.into_iter().chain(&mut self.marked) {
            self.slots = state.take_up(&self.plan, &plan);
        }
        self.duplicates.set_memory(memory(&plan));
        self.plan = plan;
    }

    /// The plan in force.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Whether anything is to be taken along with a partition.
    pub fn has_budget(&self) -> bool {
        self.plan.settings.has_budget()
    }

    /// What each budgeted lottery of the lane could spend now, and the most that it could have saved up, in events.
    pub fn budgets(&self) -> impl Iterator<Item = (&Lottery, f64, f64)> {
        let (purse, time) = (&self.live.purse, self.slots.time.map(|(all, _)| all));
        let seats = self.plan.lotteries.iter().zip(&self.live.seats);
        seats.filter_map(move |(lottery, seat)| {
            let seat = seat.as_ref()?;
            let slots = [Some(seat.by_event), seat.by_time, time].into_iter().flatten();
            let levels = slots.map(|slot| (purse.level(slot), purse.most(slot)));
            let least = levels.reduce(|a, b| if b.0 < a.0 { b } else { a })?;
            Some((lottery, least.0, least.1))
        })
    }

    /// Takes up partitions, each with what its last owner wrote down, out of `all` partitions of the topic.
    pub fn take(&mut self, partitions: &[(Partition, Option<Note>)], all: u32, now: Now) {
        let is_first = self.live.purse.share() == 0.0;
        self.set_partitions(all);
        let states = [&mut self.live, &mut self.durable];
        for state in states.into_iter().chain(&mut self.marked) {
            for (partition, note) in partitions {
                state.purse.take(*partition, note.as_ref(), now);
            }
        }
        // What was in force where the others left off, so that what they had under way meets the same again.
        let most = self.plan.explore * self.plan.settings.fraction.unwrap_or(1.0);
        let explore = partitions.iter().find_map(|(_, note)| note.as_ref()?.explore());
        if let Some(explore) = explore.filter(|_| is_first && most > 0.0) {
            self.live.explore = explore.min(most);
            self.durable.explore = self.live.explore;
        }
    }

    /// Takes up how many partitions all topics have by now: a lane's share of a budget is that of its partitions.
    pub fn set_partitions(&mut self, all: u32) {
        let states = [&mut self.live, &mut self.durable];
        for state in states.into_iter().chain(&mut self.marked) {
            state.purse.set_partitions(all);
        }
    }

    /// Lets go of partitions.
    pub fn drop(&mut self, partitions: &[Partition]) {
        let states = [&mut self.live, &mut self.durable];
        for state in states.into_iter().chain(&mut self.marked) {
            partitions.iter().for_each(|partition| state.purse.drop(*partition));
        }
    }

    /// What to write down beside the offset of a partition, once the first `spans` marked spans are durable; `None` where
    /// there is no budget.
    pub fn note(&self, partition: Partition, spans: usize) -> Option<Note> {
        if !self.has_budget() {
            return None;
        }
        let state = match spans {
            0 => &self.durable,
            _ => self.marked.get(spans - 1).unwrap_or(&self.live),
        };
        let mut note = state.purse.note(partition)?;
        note.explore = Some(state.explore);
        Some(note)
    }

    /// Begins a batch of `rows`, of which these partitions have events to decide on, one for each: credits what time has
    /// earned and follows the rate of events.
    pub fn begin(&mut self, rows: usize, events: impl Iterator<Item = Partition>, picks: &mut Picks, now: Now) {
        picks.reset(rows);
        if self.has_budget() {
            events.for_each(|partition| self.live.purse.arrive(partition, now));
        }
        // Also without a budget: what comes of one later begins then.
        self.live.purse.pass(now);
        if self.has_budget() {
            self.live.follow(&self.plan, &self.slots, now);
            self.duplicates.pass(now);
        }
    }

    /// Decides on one event, in the order of the stream.
    pub fn decide(&mut self, event: Sighting<'_>, facts: &dyn Facts, picks: &mut Picks, now: Now) {
        let mut chances = std::mem::take(&mut self.scratch);
        chances.clear();
        if self.has_budget() {
            self.live.purse.earn(event.partition, now);
            self.live.events += 1;
        }
        let explore = self.live.explore;
        if explore > 0.0 {
            let draw = self.explore.draw(event.id);
            chances.push(Chance::new(Arm::Explore, None, (explore, draw)));
        }
        self.enter(event, facts, &mut chances);
        // Where nothing else might have selected it, that the control arm did not is no news.
        if let [
            Chance {
                arm: Arm::Explore,
                drawn: Drawn::NotDrawn,
                ..
            },
        ] = chances[..]
        {
            chances.clear();
        }
        let is_drawn = chances.iter().any(|chance| chance.drawn == Drawn::Selected);
        if is_drawn && self.has_budget() && self.plan.settings.duplicates.suppress {
            self.suppress(facts.fingerprint(event.row), &mut chances);
        }
        self.settle(event, facts, &chances);
        if !chances.is_empty() {
            let missed = chances
                .iter()
                .filter(|chance| chance.arm != Arm::Explore)
                .fold(1.0 - explore, |missed, chance| missed * (1.0 - chance.probability));
            picks.note(event.row, &chances, 1.0 - missed);
        }
        self.scratch = chances;
    }

    /// Enters the event into every lottery, and draws.
    fn enter(&mut self, event: Sighting<'_>, facts: &dyn Facts, chances: &mut Vec<Chance>) {
        let Self { plan, live, slots, .. } = self;
        let segment = segment_of(&slots.segments, event.row, facts);
        let is_full = segment.is_some_and(|slot| !live.purse.affords(slot));
        for (lottery, seat) in plan.lotteries.iter().zip(&mut live.seats) {
            let open = match seat {
                Some(seat) if lottery.arm == Arm::ClassFloor => seat.open_floor(lottery, event.row, facts, live.events),
                // What is kept away by its quota must not keep others away by its rank.
                Some(seat) => seat.open(lottery, event, facts, if is_full { 0.0 } else { 1.0 }),
                None => f64::from(u8::from(lottery.admits(event.row, facts))),
            };
            if open <= 0.0 {
                continue;
            }
            let draw = lottery.salt.draw(event.id);
            let mut entered = Chance::new(lottery.arm, lottery.model, (open, draw));
            if let Some(seat) = seat {
                let of_all = slots.time.map(|(all, _)| all);
                let mut needed = [seat.by_time, of_all].into_iter().flatten().chain([seat.by_event]);
                let is_paid = needed.all(|slot| live.purse.affords(slot));
                if is_full {
                    entered.refuse(Drawn::SegmentFull);
                } else if !is_paid {
                    entered.refuse(Drawn::NoBudget);
                }
            }
            chances.push(entered);
        }
    }

    /// Refuses an event that is like one that was selected before, for every arm but the control arm; remembers it if it
    /// is selected.
    fn suppress(&mut self, print: Fingerprint, chances: &mut [Chance]) {
        if self.duplicates.knows(print) {
            for chance in chances.iter_mut().filter(|chance| chance.arm != Arm::Explore) {
                chance.refuse(Drawn::Duplicate);
            }
        } else {
            self.duplicates.remember(print);
        }
    }

    /// Pays for what was selected.
    fn settle(&mut self, event: Sighting<'_>, facts: &dyn Facts, chances: &[Chance]) {
        let Self { plan, live, slots, .. } = self;
        let mut is_budgeted = false;
        for (lottery, seat) in plan.lotteries.iter().zip(&mut live.seats) {
            let Some(seat) = seat else { continue };
            let is_selected = chances.iter().any(|chance| {
                (chance.arm, chance.model, chance.drawn) == (lottery.arm, lottery.model, Drawn::Selected)
            });
            seat.hqb.settle(is_selected);
            if is_selected {
                is_budgeted = true;
                live.purse.pay(seat.by_event);
                if let Some(slot) = seat.by_time {
                    live.purse.pay(slot);
                }
                seat.pay_floor(lottery, event.row, facts);
            }
        }
        if let Some((all, explore)) = slots.time {
            // What it may be expected to select: its rate must not depend on its own luck.
            live.purse.charge(event.partition, explore, live.explore);
            if chances.iter().any(|chance| chance.drawn == Drawn::Selected) {
                live.purse.pay(all);
            }
        }
        if is_budgeted && let Some(slot) = segment_of(&slots.segments, event.row, facts) {
            live.purse.pay(slot);
        }
    }
}

/// The slot of the event's segment; the last one is for words without a segment of their own.
fn segment_of(slots: &Range<usize>, row: usize, facts: &dyn Facts) -> Option<usize> {
    let last = slots.end.checked_sub(1).filter(|last| *last >= slots.start)?;
    let segment = facts.segment(row).unwrap_or(usize::MAX);
    Some(slots.start.saturating_add(segment).min(last))
}

fn memory(plan: &Plan) -> Memory {
    let duplicates = &plan.settings.duplicates;
    Memory {
        near_bits: Some(duplicates.near_bits),
        near_events: duplicates.near_events,
        period: duplicates.period.0,
    }
}

impl Remembers for Selection {
    fn mark(&mut self) {
        let mut copy = self.spare.pop().unwrap_or_default();
        copy.clone_from(&self.live);
        self.marked.push_back(copy);
        self.live.purse.close();
        self.duplicates.mark();
    }

    fn commit(&mut self) {
        if let Some(span) = self.marked.pop_front() {
            self.spare.push(std::mem::replace(&mut self.durable, span));
        }
        self.duplicates.commit();
    }

    fn rollback(&mut self) {
        self.spare.extend(self.marked.drain(..));
        self.live.clone_from(&self.durable);
        self.live.purse.close();
        self.duplicates.rollback();
    }
}
