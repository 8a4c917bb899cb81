//! A budgeted lottery in service: how much an event is worth to it, and how probable that makes it.

use super::hqb::Hqb;
use super::pick::{Facts, Sighting};
use super::plan::{Condition, Lottery, Scale};

/// A budgeted lottery in service.
#[derive(Debug, Clone)]
pub(super) struct Seat {
    pub(super) hqb: Hqb,
    /// Tokens that events earn, and those that time earns.
    pub(super) by_event: usize,
    pub(super) by_time: Option<usize>,
    /// Of a class floor, for each class: tokens, and the event at which that was true.
    pub(super) floors: Vec<(f64, u64)>,
}

impl Lottery {
    /// Whether an event meets the conditions. A missing value meets none.
    pub(super) fn admits(&self, row: usize, facts: &dyn Facts) -> bool {
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
    pub(super) fn open(&mut self, lottery: &Lottery, event: Sighting<'_>, facts: &dyn Facts, weight: f64) -> f64 {
        let Some(worth) = lottery.worth(event.row, facts) else {
            return 0.0;
        };
        let admits = lottery.admits(event.row, facts);
        // What does not meet the conditions is worth nothing, and still tells how rare the others are.
        self.hqb.observe(if admits { worth * weight } else { 0.0 });
        if admits { self.hqb.probability(worth) } else { 0.0 }
    }

    /// The floor of a class is open as soon as its part of the budget has earned a token.
    pub(super) fn open_floor(&mut self, lottery: &Lottery, row: usize, facts: &dyn Facts, events: u64) -> f64 {
        let Some((level, since)) = floor_of(&mut self.floors, lottery, row, facts) else {
            return 0.0;
        };
        let per_event = self.hqb.budget() / lottery.classes as f64;
        *level = (*level + (events - *since) as f64 * per_event).min(1.0);
        *since = events;
        f64::from(u8::from(*level >= 1.0))
    }

    pub(super) fn pay_floor(&mut self, lottery: &Lottery, row: usize, facts: &dyn Facts) {
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
