//! Selection: which events are worth a label, and with what probability each of them was to be selected.
//!
//! Owns: the arms and their lotteries, budgets, quotas and duplicates; the estimates that the recorded probabilities serve.
//! Never does: compute a signal ([`crate::signal`] does), or write anything down.
//!
//! ```text
//! the control arm's draw ▸ each lottery: signal ▸ utility ▸ boundary of its budget ▸ tokens ▸ quota
//! ▸ duplicates ▸ draws ▸ the probability of the whole event
//! ```
//!
//! Invariant: a draw is a hash of the event's id and the lottery's name, so it is the same wherever the event is read; a
//! probability is known before its draw. A row whose output is not finite is never selected; it becomes a dead letter.

mod arm;
mod draw;
mod duplicates;
mod estimate;
mod hqb;
mod pick;
mod plan;
mod purse;
mod seat;
mod selection;
mod settings;
mod state;
#[cfg(test)]
mod tests;

pub use self::arm::{Arm, Arms};
pub use self::draw::Salt;
pub use self::duplicates::Fingerprint;
pub use self::estimate::{Estimate, hajek, wilson};
pub use self::hqb::Hqb;
pub use self::pick::{Chance, Drawn, Facts, Pick, Picks, Sighting};
pub use self::plan::{Column, Committee, Lottery, Offer, Plan, Served};
pub use self::purse::Note;
pub use self::selection::Selection;
pub use self::settings::{
    AnomalySettings, DisagreementSettings, DuplicateSettings, MAX_SEGMENTS, SegmentSettings, SelectSettings, Shares,
    UncertaintySettings,
};
