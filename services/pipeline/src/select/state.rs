//! What falls back with a checkpoint, and how it follows plans and rates.

use std::ops::Range;

use super::hqb::Hqb;
use super::plan::Plan;
use super::purse::{Purse, Slot};
use super::seat::Seat;
use crate::time::Now;

/// A rate in force is left as it is until the measured one is this far from it: so it changes rarely, and an event that is
/// read again meets the same.
const HYSTERESIS: f64 = 0.1;
/// How much faster the control arm is for all that it can save up, and how much slower for as much that it owes, as powers of
/// e: a stream that comes in bursts is taken at their pace, and its control arm would hardly select without this.
const HASTE: f64 = 8.0;
/// The control arm is never slowed down further than this: it is not cut off.
const LEAST_HASTE: f64 = 0.02;
/// Most tokens that a segment saves up, so that a quiet one cannot take a burst of the budget later.
const SEGMENT_CAP: f64 = 10.0;

/// Slots of the purse that belong to no lottery.
#[derive(Debug, Clone, Default)]
pub(super) struct Shared {
    /// What time has earned for all arms together, and for the control arm.
    pub(super) time: Option<(usize, usize)>,
    /// One for each segment.
    pub(super) segments: Range<usize>,
}

impl Shared {
    /// Adds the slots that belong to no lottery.
    fn among(slots: &mut Vec<Slot>, plan: &Plan) -> Self {
        let time = plan.settings.absolute().map(|(per_second, saved_up)| {
            for (name, part) in [("time", 1.0), ("explore/time", plan.explore)] {
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
        let segments = plan.segments.iter().flat_map(|segments| &segments.names);
        slots.extend(segments.map(|name| Slot {
            name: name.clone(),
            per_event: 0.0,
            per_second: 0.0,
            cap: 1.0,
        }));
        Self {
            time,
            segments: first..slots.len(),
        }
    }
}

/// Everything that falls back with a checkpoint, but for the duplicates.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) seats: Vec<Option<Seat>>,
    pub(super) purse: Purse,
    /// Share of events that the control arm selects.
    pub(super) explore: f64,
    pub(super) events: u64,
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

impl State {
    /// Takes up a plan after another; returns where the slots that are shared are.
    pub(super) fn take_up(&mut self, old: &Plan, new: &Plan) -> Shared {
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
        let shared = Shared::among(&mut slots, new);
        // What was spent is known again when a budget comes back.
        if new.settings.has_budget() {
            self.purse.set_slots(slots);
        }
        let is_same = old.explore == new.explore && old.settings.fraction == new.settings.fraction;
        if !(is_same && self.explore > 0.0) {
            self.explore = new.settings.fraction.map_or(0.0, |fraction| fraction * new.explore);
        }
        shared
    }

    /// Follows the rate of events: what is promised for an hour or day becomes a share of the events that come.
    pub(super) fn follow(&mut self, plan: &Plan, slots: &Shared, now: Now) {
        let pace = Pace {
            fraction: plan.settings.fraction,
            // Events a second that may be selected, over events a second.
            paced: plan.settings.absolute().map(|(per_second, _)| {
                let rate = self.purse.rate(now);
                rate.map(|rate| per_second * self.purse.share() / rate)
            }),
        };
        if plan.explore > 0.0 {
            // The control arm is never cut off. What it has saved or owes makes it faster or slower.
            let haste = slots.time.map_or(1.0, |(_, slot)| {
                (HASTE * (self.purse.saved(slot) - 0.5)).exp().max(LEAST_HASTE)
            });
            self.explore = pace.next(self.explore, plan.explore, haste);
        }
        let mut all = 0.0;
        for (lottery, seat) in plan.lotteries.iter().zip(&mut self.seats) {
            let (Some(seat), Some(part)) = (seat, lottery.part) else {
                continue;
            };
            // Tokens limit what is spent; this only sees to it that what is measured too large or too late is spent too.
            let haste = seat
                .by_time
                .map_or(1.0, |slot| 0.9 + 0.3 * self.purse.saved(slot).max(0.0));
            let fraction = pace.next(seat.hqb.budget(), part, haste);
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
