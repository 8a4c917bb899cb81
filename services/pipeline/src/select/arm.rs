//! Why an event was selected: the arms, a closed set that is used in flags, headers and labels alike.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One way by which an event comes to be selected for a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Arm {
    /// The control arm: uniform over all events, whatever a model says of them.
    Explore,
    /// The model was not sure.
    Uncertainty,
    /// The event is unlike what the model knows.
    Anomaly,
    /// The models of the pipeline do not agree.
    Disagreement,
    /// Its class was predicted too rarely to be selected often enough otherwise.
    ClassFloor,
}

impl Arm {
    /// All arms, in index order.
    pub const ALL: [Self; 5] = [
        Self::Explore,
        Self::Uncertainty,
        Self::Anomaly,
        Self::Disagreement,
        Self::ClassFloor,
    ];

    /// The word used in flags, headers and labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Explore => "explore",
            Self::Uncertainty => "uncertainty",
            Self::Anomaly => "anomaly",
            Self::Disagreement => "disagreement",
            Self::ClassFloor => "class_floor",
        }
    }

    /// Position in [`Arm::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of arms: those that selected one event. Empty when it was not selected.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Arms(u8);

impl Arms {
    /// No arm: not selected.
    pub const NONE: Self = Self(0);

    /// The set with one more arm.
    #[must_use]
    pub const fn with(self, arm: Arm) -> Self {
        Self(self.0 | 1 << arm as u8)
    }

    /// The arms of either set, as for an event that several models looked at.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the arm is in the set.
    pub const fn contains(self, arm: Arm) -> bool {
        self.0 & (1 << arm as u8) != 0
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The arms in the order of [`Arm::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Arm> {
        Arm::ALL.into_iter().filter(move |arm| self.contains(*arm))
    }
}

impl FromIterator<Arm> for Arms {
    fn from_iter<I: IntoIterator<Item = Arm>>(arms: I) -> Self {
        arms.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Debug for Arms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_exactly_what_was_put_in() {
        for arm in Arm::ALL {
            let set = Arms::NONE.with(arm);
            assert!(!set.is_empty());
            assert_eq!(set.iter().collect::<Vec<_>>(), [arm]);
        }
        let all: Arms = Arm::ALL.into_iter().collect();
        assert_eq!(all.iter().collect::<Vec<_>>(), Arm::ALL);
        let others: Arms = Arm::ALL.into_iter().filter(|arm| *arm != Arm::Anomaly).collect();
        assert_eq!(others.union(Arms::NONE.with(Arm::Anomaly)), all);
        assert!(Arms::NONE.is_empty());
    }

    #[test]
    fn the_index_is_the_position_among_all() {
        for (index, arm) in Arm::ALL.into_iter().enumerate() {
            assert_eq!(arm.index(), index);
        }
    }
}
