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

use super::arm::{Arm, Arms};
use super::draw::Salt;
use super::duplicates::{Duplicates, Fingerprint, Memory};
use super::hqb::Hqb;
use super::plan::{Condition, Lottery, Plan, Scale};
use super::purse::{Note, Purse, Slot};
use crate::event::Partition;
use crate::outcome::Remembers;
use crate::time::Now;

/// A rate in force is left as it is until the measured one is this far from it: so it changes rarely, and an event that is
/// read again meets the same.
const HYSTERESIS: f64 = 0.1;
/// Most tokens that a segment saves up, so that a quiet one cannot take a burst of the budget later.
const SEGMENT_CAP: f64 = 10.0;
/// Name of the control arm's draws: the same in every pipeline, so that pipelines on one stream share their labels.
const EXPLORE: &str = "explore";

/// An event as selection meets it.
#[derive(Debug, Clone, Copy)]
pub struct Sighting<'a> {
    /// `eddy.id`.
    pub id: &'a str,
    /// The partition that it came from.
    pub partition: Partition,
    /// Its row in the batch's tensors.
    pub row: usize,
}

/// What is known of the events of a batch, by row.
pub trait Facts {
    /// The value of a column of [`Plan::columns`]; NaN for none.
    fn value(&self, column: usize, row: usize) -> f32;
    /// The class that a model predicts.
    fn class(&self, model: usize, row: usize) -> Option<usize>;
    /// Position of the event's word among the categories of the segments' field.
    fn segment(&self, row: usize) -> Option<usize>;
    /// What tells the event from others; asked for selected events only.
    fn fingerprint(&self, row: usize) -> Fingerprint;
}

/// What became of a draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drawn {
    /// The event is selected.
    Selected,
    /// The draw was not below the probability.
    NotDrawn,
    /// The budget of the arm is spent for now.
    NoBudget,
    /// The event's segment has taken its part of the budget.
    SegmentFull,
    /// An event like it was selected before.
    Duplicate,
}

impl Drawn {
    /// All of them, in index order.
    pub const ALL: [Self; 5] = [
        Self::Selected,
        Self::NotDrawn,
        Self::NoBudget,
        Self::SegmentFull,
        Self::Duplicate,
    ];

    /// The word used in outputs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Selected => "selected",
            Self::NotDrawn => "not_drawn",
            Self::NoBudget => "no_budget",
            Self::SegmentFull => "segment_full",
            Self::Duplicate => "duplicate",
        }
    }
}

/// What one lottery had to say about an event that it might have selected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chance {
    /// Its arm.
    pub arm: Arm,
    /// The model it is about; `None` for the event.
    pub model: Option<usize>,
    /// Inclusion probability.
    pub probability: f64,
    /// The number that was drawn, in `[0, 1)`.
    pub draw: f64,
    /// What became of it.
    pub drawn: Drawn,
}

/// What was decided on one event.
#[derive(Debug, Clone, Copy)]
pub struct Pick<'a> {
    /// The lotteries that might have selected it, the control arm first; those whose probability was 0 from the start are
    /// left out.
    pub chances: &'a [Chance],
    /// Probability with which the event was to be selected by any of them.
    pub probability: f64,
}

impl Pick<'_> {
    /// No lottery might have selected it.
    pub const NONE: Self = Self {
        chances: &[],
        probability: 0.0,
    };

    /// The arms that selected it on account of a model, or of the event itself.
    pub fn arms(&self, model: usize) -> Arms {
        let selected = self.chances.iter().filter(|chance| chance.drawn == Drawn::Selected);
        selected
            .filter(|chance| chance.model.is_none_or(|about| about == model))
            .map(|chance| chance.arm)
            .collect()
    }

    /// All arms that selected it.
    pub fn all_arms(&self) -> Arms {
        let selected = self.chances.iter().filter(|chance| chance.drawn == Drawn::Selected);
        selected.map(|chance| chance.arm).collect()
    }
}

/// The picks of one batch, by row; reused from batch to batch.
#[derive(Debug, Default)]
pub struct Picks {
    chances: Vec<Chance>,
    rows: Vec<(Range<u32>, f64)>,
}

impl Picks {
    /// Makes room for a batch of `rows`, none of which is decided on.
    pub fn reset(&mut self, rows: usize) {
        self.chances.clear();
        self.rows.clear();
        self.rows.resize(rows, (0..0, 0.0));
    }

    /// What was decided on a row.
    pub fn of(&self, row: usize) -> Pick<'_> {
        let (range, probability) = self.rows.get(row).cloned().unwrap_or_default();
        Pick {
            chances: &self.chances[range.start as usize..range.end as usize],
            probability,
        }
    }
}

/// A budgeted lottery in service.
#[derive(Debug, Clone)]
struct Seat {
    hqb: Hqb,
    /// Tokens that events earn, and those that time earns.
    by_event: usize,
    by_time: Option<usize>,
    /// Of a class floor, for each class: tokens, and the event at which that was true.
    floors: Vec<(f64, u64)>,
}

/// Slots of the purse that belong to no lottery.
#[derive(Debug, Clone, Default)]
struct Shared {
    /// What time has earned for all arms together, and for the control arm.
    time: Option<(usize, usize)>,
    /// One for each segment.
    segments: Range<usize>,
}

/// Everything that falls back with a checkpoint, but for the duplicates.
#[derive(Debug, Default)]
struct State {
    seats: Vec<Option<Seat>>,
    purse: Purse,
    /// Share of events that the control arm selects.
    explore: f64,
    events: u64,
}

impl Clone for State {
    fn clone(&self) -> Self {
        let mut copy = Self::default();
        copy.clone_from(self);
        copy
    }

    fn clone_from(&mut self, other: &Self) {
        self.seats.clone_from(&other.seats);
        self.purse.clone_from(&other.purse);
        self.explore = other.explore;
        self.events = other.events;
    }
}

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

    /// Takes up another plan, between batches and with nothing under way that is not marked. Budgets, histograms and
    /// duplicates are kept, by the names of the lotteries.
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

    /// Takes up partitions, each with what its last owner wrote down, out of `all` partitions of the topic.
    pub fn take(&mut self, partitions: &[(Partition, Option<Note>)], all: u32, now: Now) {
        let is_first = self.live.purse.share() == 0.0;
        let states = [&mut self.live, &mut self.durable];
        for state in states.into_iter().chain(&mut self.marked) {
            state.purse.set_partitions(all);
            for (partition, note) in partitions {
                state.purse.take(*partition, note.as_ref(), now);
            }
        }
        // What was in force where the others left off, so that what they had under way meets the same again.
        let explore = partitions
            .iter()
            .find_map(|(_, note)| note.as_ref()?.explore)
            .filter(|_| is_first);
        if let Some(explore) = explore.filter(|explore| (0.0..=1.0).contains(explore)) {
            self.live.explore = explore;
            self.durable.explore = explore;
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

    /// Begins a batch of `rows`: credits what time has earned and follows the rate of events.
    pub fn begin(&mut self, rows: usize, picks: &mut Picks, now: Now) {
        picks.reset(rows);
        if self.has_budget() {
            self.live.purse.pass(now);
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
            chances.push(chance(Arm::Explore, None, (explore, draw)));
        }
        let is_explored = chances.iter().any(|chance| chance.drawn == Drawn::Selected);
        if !is_explored {
            chances.clear();
        }
        self.enter(event, facts, &mut chances);
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
            let start = picks.chances.len() as u32;
            picks.chances.extend_from_slice(&chances);
            picks.rows[event.row] = (start..picks.chances.len() as u32, 1.0 - missed);
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
            let mut entered = chance(lottery.arm, lottery.model, (open, draw));
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
                live.purse.spend(event.partition, seat.by_event, 1.0);
                if let Some(slot) = seat.by_time {
                    live.purse.spend(event.partition, slot, 1.0);
                }
                seat.pay_floor(lottery, event.row, facts);
            }
        }
        if let Some((all, explore)) = slots.time {
            // What it may be expected to select: its rate must not depend on its own luck.
            live.purse.spend(event.partition, explore, live.explore);
            if chances.iter().any(|chance| chance.drawn == Drawn::Selected) {
                live.purse.spend(event.partition, all, 1.0);
            }
        }
        if is_budgeted && let Some(slot) = segment_of(&slots.segments, event.row, facts) {
            live.purse.spend(event.partition, slot, 1.0);
        }
    }
}

fn chance(arm: Arm, model: Option<usize>, (probability, draw): (f64, f64)) -> Chance {
    let drawn = if draw < probability {
        Drawn::Selected
    } else {
        Drawn::NotDrawn
    };
    Chance {
        arm,
        model,
        probability,
        draw,
        drawn,
    }
}

impl Chance {
    /// The event could not have been selected after all.
    fn refuse(&mut self, why: Drawn) {
        self.probability = 0.0;
        self.drawn = why;
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

impl Lottery {
    /// Whether an event meets the conditions. A missing value meets none.
    fn admits(&self, row: usize, facts: &dyn Facts) -> bool {
        let meets = |condition: &Condition| match condition {
            Condition::Below(column, limit) => f64::from(facts.value(*column, row)) < *limit,
            Condition::Above(column, limit) => f64::from(facts.value(*column, row)) > *limit,
        };
        self.conditions.iter().all(meets)
    }

    /// How much an event is worth, in `[0, 1]`; `None` where the signal has no value.
    fn worth(&self, row: usize, facts: &dyn Facts) -> Option<f64> {
        let Some((column, scale)) = &self.utility else {
            return Some(0.0);
        };
        let value = facts.value(*column, row);
        if value.is_nan() {
            return None;
        }
        Some(match scale {
            Scale::Unit => f64::from(value).clamp(0.0, 1.0),
            // Below what the profile keeps an event is ordinary.
            Scale::Conformal(tail) => tail.p_value(value).map_or(0.0, |p| 1.0 - p),
            Scale::Squashed if value.is_infinite() => f64::from(u8::from(value > 0.0)),
            Scale::Squashed => {
                let value = f64::from(value);
                0.5 + value / (2.0 * (1.0 + value.abs()))
            }
        })
    }
}

impl Seat {
    /// The probability of an event while there are tokens. It counts for its utility times `weight` among the others.
    fn open(&mut self, lottery: &Lottery, event: Sighting<'_>, facts: &dyn Facts, weight: f64) -> f64 {
        let Some(worth) = lottery.worth(event.row, facts) else {
            return 0.0;
        };
        let admits = lottery.admits(event.row, facts);
        // What does not meet the conditions is worth nothing, and still tells how rare the others are.
        self.hqb.observe(if admits { worth * weight } else { 0.0 });
        if admits { self.hqb.probability(worth) } else { 0.0 }
    }

    /// The floor of a class is open as soon as its part of the budget has earned a token.
    fn open_floor(&mut self, lottery: &Lottery, row: usize, facts: &dyn Facts, events: u64) -> f64 {
        let Some((level, since)) = floor_of(&mut self.floors, lottery, row, facts) else {
            return 0.0;
        };
        let per_event = self.hqb.budget() / lottery.classes as f64;
        *level = (*level + (events - *since) as f64 * per_event).min(1.0);
        *since = events;
        f64::from(u8::from(*level >= 1.0))
    }

    fn pay_floor(&mut self, lottery: &Lottery, row: usize, facts: &dyn Facts) {
        if let Some((level, _)) = floor_of(&mut self.floors, lottery, row, facts) {
            *level -= 1.0;
        }
    }
}

fn floor_of<'a>(
    floors: &'a mut [(f64, u64)],
    lottery: &Lottery,
    row: usize,
    facts: &dyn Facts,
) -> Option<&'a mut (f64, u64)> {
    floors.get_mut(facts.class(lottery.model?, row)?)
}

impl State {
    /// Takes up a plan after another; returns where the slots that are shared are.
    fn take_up(&mut self, old: &Plan, new: &Plan) -> Shared {
        let mut before: Vec<Option<Seat>> = std::mem::take(&mut self.seats);
        let mut slots = Vec::new();
        let by_time = new.settings.absolute();
        for lottery in &new.lotteries {
            let Some(part) = lottery.part else {
                self.seats.push(None);
                continue;
            };
            let known = old.lotteries.iter().position(|other| other.name == lottery.name);
            let known = known.and_then(|position| before.get_mut(position)?.take());
            let fraction = new.settings.fraction.map_or(1.0, |fraction| fraction * part);
            let mut hqb = known
                .as_ref()
                .map_or_else(|| Hqb::new(fraction), |seat| seat.hqb.clone());
            hqb.set_budget(fraction);
            let by_event = slots.len();
            slots.push(Slot {
                name: lottery.name.clone(),
                per_event: fraction,
                per_second: 0.0,
                cap: hqb.token_cap(),
            });
            let by_time = by_time.map(|(per_second, saved_up)| {
                slots.push(Slot {
                    name: format!("{}/time", lottery.name),
                    per_event: 0.0,
                    per_second: per_second * part,
                    cap: saved_up * part,
                });
                slots.len() - 1
            });
            let floors = known
                .map(|seat| seat.floors)
                .filter(|floors| floors.len() == lottery.classes);
            self.seats.push(Some(Seat {
                hqb,
                by_event,
                by_time,
                floors: floors.unwrap_or_else(|| vec![(0.0, self.events); lottery.classes]),
            }));
        }
        let time = by_time.map(|(per_second, saved_up)| {
            for (name, part) in [("time", 1.0), ("explore/time", new.explore)] {
                slots.push(Slot {
                    name: name.to_owned(),
                    per_event: 0.0,
                    per_second: per_second * part,
                    cap: saved_up * part,
                });
            }
            (slots.len() - 2, slots.len() - 1)
        });
        let first = slots.len();
        let segments = new.segments.iter().flat_map(|segments| &segments.names);
        slots.extend(segments.map(|name| Slot {
            name: name.clone(),
            per_event: 0.0,
            per_second: 0.0,
            cap: 1.0,
        }));
        let shared = Shared {
            time,
            segments: first..slots.len(),
        };
        self.purse.set_slots(slots);
        let is_same = old.explore == new.explore && old.settings.fraction == new.settings.fraction;
        if !(is_same && self.explore > 0.0) {
            self.explore = new.settings.fraction.map_or(0.0, |fraction| fraction * new.explore);
        }
        shared
    }

    /// Follows the rate of events: what is promised for an hour or day becomes a share of the events that come.
    fn follow(&mut self, plan: &Plan, slots: &Shared, now: Now) {
        let pace = Pace {
            fraction: plan.settings.fraction,
            // Events a second that may be selected, over events a second.
            paced: plan.settings.absolute().map(|(per_second, _)| {
                let rate = self.purse.rate(now);
                rate.map(|rate| per_second * self.purse.share() / rate)
            }),
        };
        if plan.explore > 0.0 {
            // The control arm is never cut off. What it has saved or owes makes it a little faster or slower.
            let haste = slots.time.map_or(1.0, |(_, slot)| {
                (0.5 + self.purse.level(slot) / self.purse.cap(slot)).clamp(0.1, 1.5)
            });
            self.explore = pace.next(self.explore, plan.explore, haste);
        }
        let mut all = 0.0;
        for (lottery, seat) in plan.lotteries.iter().zip(&mut self.seats) {
            let (Some(seat), Some(part)) = (seat, lottery.part) else {
                continue;
            };
            let fraction = pace.next(seat.hqb.budget(), part, 1.0);
            if fraction != seat.hqb.budget() {
                seat.hqb.set_budget(fraction);
                self.purse.set_rate(seat.by_event, fraction, seat.hqb.token_cap());
            }
            all += fraction;
        }
        if let Some(quota) = &plan.segments {
            for slot in slots.segments.clone() {
                self.purse.set_rate(slot, all * quota.most, SEGMENT_CAP);
            }
        }
    }
}

/// What share of events the budgets come to at present.
struct Pace {
    /// As configured.
    fraction: Option<f64>,
    /// As the rate of events makes of an absolute number; inner `None` while that rate is not known.
    paced: Option<Option<f64>>,
}

impl Pace {
    /// The next value of a share in force, which may spend `part` of the budget, `haste` times as fast.
    fn next(&self, in_force: f64, part: f64, haste: f64) -> f64 {
        let fixed = self.fraction.unwrap_or(1.0) * part;
        match self.paced {
            None => fixed,
            Some(None) => in_force,
            Some(Some(paced)) => {
                let target = fixed.min(paced * part * haste).max(f64::MIN_POSITIVE);
                let is_near = (target / in_force - 1.0).abs() <= HYSTERESIS;
                if is_near { in_force } else { target }
            }
        }
    }
}

impl Remembers for Selection {
    fn mark(&mut self) {
        let mut copy = self.spare.pop().unwrap_or_default();
        copy.clone_from(&self.live);
        self.marked.push_back(copy);
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
        self.duplicates.rollback();
    }
}
