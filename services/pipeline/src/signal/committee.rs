//! What the signals of a committee share: its members are the model itself and its peers.

use super::{Evidence, Subject};
use crate::head::{Predictions, Values};

/// The number of classes, where all of at least two members have that many.
pub(super) fn classes(subject: &Subject<'_>) -> Option<usize> {
    let Values::Classes(classes @ 2..) = subject.holds.values else {
        return None;
    };
    let agree = subject.peers.iter().all(|peer| peer.values == Values::Classes(classes));
    (agree && !subject.peers.is_empty()).then_some(classes)
}

/// The predictions of all members, the model's own first.
pub(super) fn members<'a>(evidence: &Evidence<'a>) -> impl Iterator<Item = &'a Predictions> + Clone {
    std::iter::once(evidence.predictions).chain(evidence.peers.iter().copied())
}

/// Whether every member says something about the row.
pub(super) fn all_valid(evidence: &Evidence<'_>, row: usize) -> bool {
    members(evidence).all(|member| member.is_valid(row))
}
