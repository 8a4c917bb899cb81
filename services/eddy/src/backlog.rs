//! How much of a topic a group has before it, and where it would begin.
//!
//! Owns: the sum over the partitions, and its sentence. Never does: join the group, or read a record.

use std::fmt;

use eddy_broker::BrokerError;
use eddy_broker::kafka::{Committed, Stretch, TopicReader};
use eddy_broker::settings::Start;
use eddy_broker::start::{Place, place};

use crate::recall::counted;

/// What a group would find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Backlog {
    topic: String,
    partitions: usize,
    /// Offsets that the topic holds. Records are fewer where it is compacted, or transactions left their marks.
    there: u64,
    /// Those that the group has committed a valid offset for and not read.
    behind: u64,
    /// Those of partitions without a valid offset.
    new: u64,
    /// Partitions without a valid offset.
    without_offset: usize,
    start: Start,
}

impl Backlog {
    /// Asks Kafka. Needs no more than the service itself. `is_known` says whether what the group has in other topics makes this
    /// one a topic that came later.
    ///
    /// # Errors
    /// When Kafka cannot be asked.
    pub(crate) fn of(reader: &TopicReader, start: Start, is_known: bool) -> Result<Self, BrokerError> {
        let (there, committed) = (reader.all()?, reader.committed()?);
        let since = match start {
            Start::At(ms) => Some(reader.between(Some(ms), None)?),
            _ => None,
        };
        let since = since.as_deref().unwrap_or(&there);
        Ok(Self::count(
            reader.topic(),
            (&there, since),
            &committed,
            (start, is_known),
        ))
    }

    /// `there` is all that the topic holds, `since` what is not older than the start.
    fn count(
        topic: &str,
        (there, since): (&[Stretch], &[Stretch]),
        committed: &[Option<Committed>],
        (start, is_known): (Start, bool),
    ) -> Self {
        let mut backlog = Self {
            topic: topic.to_owned(),
            partitions: there.len(),
            there: 0,
            behind: 0,
            new: 0,
            without_offset: 0,
            start,
        };
        let holds = |stretch: &Stretch| u64::try_from(stretch.offsets.end - stretch.offsets.start).unwrap_or(0);
        let is_known = is_known || committed.iter().any(Option::is_some);
        let begins = place(start, is_known);
        for ((stretch, since), committed) in there.iter().zip(since).zip(committed) {
            let (low, end) = (stretch.offsets.start, stretch.offsets.end);
            backlog.there += holds(stretch);
            match committed.as_ref().map(|committed| committed.offset) {
                Some(offset) if (low..=end).contains(&offset) => {
                    backlog.behind += u64::try_from(end - offset).unwrap_or(0)
                }
                None if is_known => backlog.behind += holds(stretch),
                offset => {
                    backlog.without_offset += 1;
                    // Where an offset is gone, no time is looked for.
                    let is_timed = offset.is_none() && matches!(begins, Some(Place::Time(_)));
                    backlog.new += holds(if is_timed { since } else { stretch });
                }
            }
        }
        backlog
    }
}

impl fmt::Display for Backlog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let events = |count: u64| counted(count, "event");
        write!(
            f,
            "`{}` holds up to {} in {}",
            self.topic,
            events(self.there),
            counted(self.partitions as u64, "partition")
        )?;
        if self.without_offset < self.partitions {
            write!(f, "; the group is {} behind", events(self.behind))?;
        }
        let of = match self.without_offset {
            0 => return Ok(()),
            all if all == self.partitions => "the group is new: ".to_owned(),
            some => format!("of {} it has no offset: ", counted(some as u64, "partition")),
        };
        match self.start {
            Start::Earliest => write!(
                f,
                "; {of}with start = \"earliest\" it reads {} before it is up to date",
                events(self.new)
            ),
            Start::At(_) => write!(
                f,
                "; {of}with start = \"{}\" it reads {} before it is up to date",
                self.start,
                events(self.new)
            ),
            Start::Latest => write!(
                f,
                "; {of}with start = \"latest\" it skips {} and reads what comes from then on",
                events(self.new)
            ),
            Start::Error => write!(f, "; {of}with start = \"error\" it does not begin there"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretch(partition: i32, offsets: std::ops::Range<i64>) -> Stretch {
        Stretch { partition, offsets }
    }

    fn at(offset: i64) -> Option<Committed> {
        Some(Committed {
            offset,
            note: String::new(),
        })
    }

    fn said(committed: &[Option<Committed>], start: Start) -> String {
        said_of(committed, (start, false))
    }

    fn said_of(committed: &[Option<Committed>], (start, is_known): (Start, bool)) -> String {
        let there = [stretch(0, 10..110), stretch(1, 0..50)];
        let since = match start {
            Start::At(_) => [stretch(0, 100..110), stretch(1, 50..50)],
            _ => there.clone(),
        };
        Backlog::count("events", (&there, &since), committed, (start, is_known)).to_string()
    }

    #[test]
    fn a_new_group_is_told_what_its_start_makes_of_the_backlog() {
        let new = [None, None];
        let holds = "`events` holds up to 150 events in 2 partitions; the group is new: ";
        let earliest = said(&new, Start::Earliest);
        assert_eq!(
            earliest,
            format!("{holds}with start = \"earliest\" it reads 150 events before it is up to date")
        );
        let latest = said(&new, Start::Latest);
        assert_eq!(
            latest,
            format!("{holds}with start = \"latest\" it skips 150 events and reads what comes from then on")
        );
        let time = said(&new, Start::At(1_777_593_600_000));
        assert_eq!(
            time,
            format!("{holds}with start = \"2026-05-01T00:00:00Z\" it reads 10 events before it is up to date")
        );
        assert!(said(&new, Start::Error).ends_with("it does not begin there"));
    }

    #[test]
    fn a_known_group_is_told_how_far_it_is_behind_and_an_expired_offset_counts_as_none() {
        assert_eq!(
            said(&[at(100), at(50)], Start::Latest),
            "`events` holds up to 150 events in 2 partitions; the group is 10 events behind"
        );
        assert_eq!(
            said(&[at(100), None], Start::Latest),
            "`events` holds up to 150 events in 2 partitions; the group is 60 events behind",
            "the second partition came later"
        );
        // Offset 3 was deleted with its segment.
        let expired = said(&[at(3), at(49)], Start::Earliest);
        assert_eq!(
            expired,
            "`events` holds up to 150 events in 2 partitions; the group is 1 event behind; of 1 partition it has no offset: \
             with start = \"earliest\" it reads 100 events before it is up to date"
        );
    }

    #[test]
    fn a_topic_that_came_later_is_read_whole_whatever_the_start() {
        for start in [Start::Earliest, Start::Latest, Start::At(7), Start::Error] {
            assert_eq!(
                said_of(&[None, None], (start, true)),
                "`events` holds up to 150 events in 2 partitions; the group is 150 events behind"
            );
        }
    }

    #[test]
    fn where_an_offset_expired_a_time_means_the_oldest_event() {
        let expired = said(&[at(3), at(49)], Start::At(1_777_593_600_000));
        assert!(
            expired.ends_with("with start = \"2026-05-01T00:00:00Z\" it reads 100 events before it is up to date"),
            "{expired}"
        );
    }
}
