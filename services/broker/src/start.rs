//! Where a group begins in partitions for which it has no offset.
//!
//! Owns: the one rule, for Kafka and for the twin. Never does: ask or commit.
//!
//! Invariant: a start is committed before anything is read from there, so that restarts and other replicas agree. Whoever
//! first opens a topic for a group that has no members does so for all of its partitions at once; a partition that has
//! no offset although others of its topic do came later, and nothing of it is skipped.

use crate::settings::Start;

/// A place in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Before the oldest event.
    Beginning,
    /// Behind the newest one that can be read.
    End,
    /// Before the first event whose timestamp is not before this one, in milliseconds; the end where there is none.
    Time(i64),
}

/// Where to begin; `None` where the settings say that nobody may choose. `is_known` says whether the group has an offset
/// in another partition of the topic.
pub fn place(start: Start, is_known: bool) -> Option<Place> {
    match start {
        _ if is_known => Some(Place::Beginning),
        Start::Earliest => Some(Place::Beginning),
        Start::Latest => Some(Place::End),
        Start::At(ms) => Some(Place::Time(ms)),
        Start::Error => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_group_begins_as_the_file_says() {
        let begins = [Start::Earliest, Start::Latest, Start::At(7), Start::Error].map(|start| place(start, false));
        let places = [Some(Place::Beginning), Some(Place::End), Some(Place::Time(7)), None];
        assert_eq!(begins, places);
    }

    #[test]
    fn nothing_is_skipped_of_a_partition_that_came_later_whatever_the_file_says() {
        for start in [Start::Earliest, Start::Latest, Start::At(7), Start::Error] {
            assert_eq!(place(start, true), Some(Place::Beginning));
        }
    }
}
