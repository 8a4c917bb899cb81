//! Where the group begins in partitions for which it has no offset, made durable before anything is read from there.
//!
//! Owns: asking, choosing by [`crate::start`], committing. Never does: touch an offset that is there.
//!
//! Two ways, and Kafka itself keeps them apart. Before it joins, a consumer commits the start of a whole topic in which the
//! group has nothing; Kafka takes that only from outside of a group without members, so nobody's progress is overwritten.
//! A member commits for partitions of its own, under its generation, when it takes them and nothing is there.

use std::collections::BTreeSet;

use eddy_pipeline::event::Partition;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset, TopicPartitionList};

use super::access::Access;
use super::events::ConsumerEvents;
use super::intake::{ANSWER_WITHIN, Intake};
use super::lists::check_each;
use super::metadata::{self, Ear};
use super::{group, native};
use crate::settings::{Settings, Start};
use crate::start::{Place, place};
use crate::{BrokerError, Fault};

/// What Kafka answers to somebody outside of a group that has members.
const HAS_MEMBERS: [Code; 4] = [
    Code::UnknownMemberId,
    Code::IllegalGeneration,
    Code::RebalanceInProgress,
    Code::FencedInstanceId,
];

/// What is known of the beginnings.
#[derive(Debug, Clone)]
pub(super) struct Beginnings {
    start: Start,
    /// Partitions in which the group has an offset. It loses none of them while it has members.
    have: BTreeSet<Partition>,
    /// Those among them in which it had nothing before it was begun here. Another consumer takes them for progress: where none
    /// could look before it joined, it may begin another topic of a pattern at its oldest event.
    begun: BTreeSet<Partition>,
    /// With a pattern: topics from this number on came after the look before the group was joined.
    later: Option<usize>,
}

impl Beginnings {
    pub(super) fn none(start: Start) -> Self {
        Self {
            start,
            have: BTreeSet::new(),
            begun: BTreeSet::new(),
            later: None,
        }
    }

    fn is_later(&self, topic: u16) -> bool {
        self.later.is_some_and(|first| usize::from(topic) >= first)
    }

    /// Whether an offset in this partition says that a topic came later: one of the same topic does, and with a pattern one of
    /// any topic. Not where the group was begun here in another topic: the topics of a new group are begun one after the other.
    fn tells_of(&self, topic: u16, one: &Partition) -> bool {
        one.topic == topic || (self.later.is_some() && !self.begun.contains(one))
    }

    /// Whether it is known without asking that what has no offset in a topic came later.
    fn is_known(&self, topic: u16) -> bool {
        self.is_later(topic) || self.have.iter().any(|one| self.tells_of(topic, one))
    }
}

impl Intake {
    pub(super) fn committed(&self, partitions: &[Partition]) -> Result<Vec<Option<i64>>, BrokerError> {
        self.ask_group(partitions, |element| match element.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        })
    }

    pub(super) fn notes(&self, partitions: &[Partition]) -> Result<Vec<Option<String>>, BrokerError> {
        self.ask_group(partitions, |element| {
            Some(element.metadata().to_owned()).filter(|note| !note.is_empty())
        })
    }

    /// Asks for what is committed of each partition.
    fn ask_group<T>(
        &self,
        partitions: &[Partition],
        read: impl Fn(&TopicPartitionListElem<'_>) -> Option<T>,
    ) -> Result<Vec<Option<T>>, BrokerError> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let doing = || format!("asking group `{}` for its offsets", self.group);
        let list = self.consumer.committed_offsets(self.list(partitions), ANSWER_WITHIN);
        let list = list.map_err(|error| self.explained(self.failed(doing(), &error)))?;
        check_each(&list, "asking for the committed offset of")?;
        let of = |partition: &Partition| read(&list.find_partition(self.topic(*partition), partition.number)?);
        Ok(partitions.iter().map(of).collect())
    }

    /// Looks for the topics that are to be read, which must be there if they are named.
    ///
    /// # Errors
    /// As [`metadata::inputs`], or that there are too many.
    pub(super) fn find_inputs(&mut self, settings: &Settings) -> Result<(), BrokerError> {
        let found = {
            let ear = Ear {
                words: &self.consumer.context().words,
                listen: &|| self.poll_events_only(),
            };
            metadata::inputs(self.consumer.client(), &settings.topics.events, &ear)?
        };
        for (name, count) in &found {
            let topic = self.names.admit(name);
            let topic = topic.map_err(|message| super::refused("looking for the topics of events", message))?;
            self.consumer.context().set_partitions_of(topic.into(), *count);
        }
        self.learn();
        Ok(())
    }

    /// Before the group is joined: looks what it has in each topic, and where it has nothing and nobody is in it, commits
    /// where all partitions begin. With a pattern, only a group that has nothing at all is new: another topic came later.
    ///
    /// # Errors
    /// When something is refused. What could not be asked is asked again when a partition is taken.
    pub(super) fn look_for_beginnings(&mut self, settings: &Settings) -> Result<(), BrokerError> {
        let is_pattern = self.pattern.is_some();
        self.beginnings.later = is_pattern.then_some(self.inputs.len());
        let mut new = Vec::new();
        for topic in 0..self.inputs.len() as u16 {
            let all = self.partitions(topic);
            let Some(committed) = unless_refused(self.committed(&all))? else {
                return Ok(());
            };
            if committed.iter().all(Option::is_none) {
                new.push(all);
                continue;
            }
            let has = all.iter().zip(committed).filter(|(_, offset)| offset.is_some());
            self.beginnings.have.extend(has.map(|(partition, _)| *partition));
        }
        if is_pattern && !self.beginnings.have.is_empty() {
            return Ok(());
        }
        // In one request, so that it is all there or nothing.
        unless_refused(self.begin_everywhere(settings, &new.concat()))?;
        Ok(())
    }

    fn begin_everywhere(&mut self, settings: &Settings, all: &[Partition]) -> Result<(), BrokerError> {
        let Some(place) = place(self.beginnings.start, false).filter(|_| !all.is_empty()) else {
            return Ok(());
        };
        let offsets = self.offsets_at(place, all)?;
        let doing = format!("committing where group `{}` begins in {}", self.group, self.names(all));
        let config = settings
            .reader_config()
            .map_err(|message| super::refused(&doing, message))?;
        let list = self.list_with_offsets(&offsets)?;
        // A client of its own: a static member is put out for good by an answer that says it is somebody else.
        let events = ConsumerEvents::new("start of the group".into(), self.names.clone(), Access::of(settings));
        let outsider: BaseConsumer<ConsumerEvents> = super::create(&config, events, &doing)?;
        group::serve(&outsider);
        let committed = native::commit_within(outsider.client(), &list, ANSWER_WITHIN);
        if let Err(error) = group::leave(&outsider) {
            tracing::warn!(%error, "the client that committed where the group begins is left behind");
            std::mem::forget(outsider);
        }
        match committed {
            Ok(()) => self.begun(place, &offsets),
            Err(error) if is_one_of(&error, &HAS_MEMBERS) => {}
            Err(error) => return Err(self.explained(self.failed(doing, &error))),
        }
        Ok(())
    }

    /// Before partitions of ours are read: commits where those begin in which the group has nothing.
    ///
    /// # Errors
    /// When Kafka cannot be asked, or the group has gone on to another generation.
    pub(super) fn settle_beginnings(&mut self, partitions: &[Partition]) -> Result<(), BrokerError> {
        let is_unknown = |one: &&Partition| !self.beginnings.have.contains(one);
        let unknown: Vec<Partition> = partitions.iter().filter(is_unknown).copied().collect();
        let committed = self.committed(&unknown)?;
        let (have, lack): (Vec<_>, Vec<_>) = unknown
            .into_iter()
            .zip(committed)
            .partition(|(_, offset)| offset.is_some());
        // Judged before they count as known themselves: one topic's partitions may come together.
        let topics: BTreeSet<u16> = lack.iter().map(|(partition, _)| partition.topic).collect();
        topics.iter().try_for_each(|topic| self.count_partitions(*topic))?;
        self.beginnings
            .have
            .extend(have.into_iter().map(|(partition, _)| partition));
        let mut begins = Vec::new();
        for topic in topics {
            let lack = lack.iter().map(|(partition, _)| *partition);
            let lack: Vec<Partition> = lack.filter(|one| one.topic == topic).collect();
            if let Some(place) = place(self.beginnings.start, self.is_known(topic)?) {
                begins.push((place, lack));
            }
        }
        self.begin_at(&begins)
    }

    /// Whether what has no offset in a topic came later: the group has one in another partition of it, or, with a pattern,
    /// of any topic.
    fn is_known(&self, topic: u16) -> Result<bool, BrokerError> {
        if self.beginnings.is_known(topic) {
            return Ok(true);
        }
        let topics = self.beginnings.later.map_or(topic..topic + 1, |first| 0..first as u16);
        let all = topics.flat_map(|topic| self.partitions(topic));
        let asked: Vec<Partition> = all.filter(|one| self.beginnings.tells_of(topic, one)).collect();
        Ok(self.committed(&asked)?.iter().any(Option::is_some))
    }

    /// Asks how many partitions a topic has that came later.
    fn count_partitions(&self, topic: u16) -> Result<(), BrokerError> {
        if self.consumer.context().partitions_of(topic) > 0 {
            return Ok(());
        }
        let name = self.inputs.get(usize::from(topic)).map(|name| &**name);
        let found = self.consumer.fetch_metadata(name, ANSWER_WITHIN);
        let found = found.map_err(|error| self.failed("asking how many partitions a topic has", &error))?;
        let count = found.topics().first().map_or(0, |topic| topic.partitions().len());
        self.consumer.context().set_partitions_of(topic.into(), count as i32);
        Ok(())
    }

    /// Commits where these begin, in one request.
    fn begin_at(&mut self, begins: &[(Place, Vec<Partition>)]) -> Result<(), BrokerError> {
        if begins.is_empty() {
            return Ok(());
        }
        let partitions: Vec<Partition> = begins.iter().flat_map(|(_, partitions)| partitions).copied().collect();
        let doing = format!("committing where {} begin", self.names(&partitions));
        let unsettled = |message: String| BrokerError {
            fault: Fault::Retriable,
            doing: doing.clone(),
            message,
        };
        let mut found = Vec::with_capacity(begins.len());
        for (place, partitions) in begins {
            found.push((*place, self.offsets_at(*place, partitions)?));
        }
        // Without a generation, Kafka could not refuse it if they were another's by now.
        if !native::is_member(self.consumer.client()) {
            return Err(unsettled(
                "this is no member of the group at present; it is tried again".into(),
            ));
        }
        let all: Vec<(Partition, i64)> = found.iter().flat_map(|(_, offsets)| offsets).copied().collect();
        let list = self.list_with_offsets(&all)?;
        match native::commit_within(self.consumer.client(), &list, ANSWER_WITHIN) {
            Ok(()) => found.iter().for_each(|(place, offsets)| self.begun(*place, offsets)),
            // It met a rebalance: once the client has heard of it, it is taken or not ours to give.
            Err(error) if is_one_of(&error, &HAS_MEMBERS) => return Err(unsettled(error.to_string())),
            Err(error) => return Err(self.explained(self.failed(doing, &error))),
        }
        Ok(())
    }

    fn begun(&mut self, place: Place, offsets: &[(Partition, i64)]) {
        let partitions = || offsets.iter().map(|(partition, _)| *partition);
        self.beginnings.have.extend(partitions());
        self.beginnings.begun.extend(partitions());
        let named: Vec<String> = offsets
            .iter()
            .map(|(partition, offset)| format!("{}/{}/{offset}", self.topic(*partition), partition.number))
            .collect();
        tracing::info!(group = %self.group, at = ?place, offsets = ?named, "the group begins in partitions in which it had nothing");
    }

    /// All partitions of an input topic that are known of.
    fn partitions(&self, topic: u16) -> Vec<Partition> {
        let count = self.consumer.context().partitions_of(topic);
        (0..count).map(|number| Partition { topic, number }).collect()
    }

    fn offsets_at(&self, place: Place, partitions: &[Partition]) -> Result<Vec<(Partition, i64)>, BrokerError> {
        let wanted = match place {
            Place::Beginning => Offset::Beginning,
            Place::End => Offset::End,
            Place::Time(ms) => return self.offsets_at_time(ms, partitions),
        };
        let found = self.ask_for_offsets(wanted, partitions)?;
        let of = |(partition, offset): (Partition, Offset)| match offset {
            Offset::Offset(offset) => Ok((partition, offset)),
            other => Err(self.no_offset(partitions, other)),
        };
        found.into_iter().map(of).collect()
    }

    /// The ends stand in where nothing is that new yet. They are asked for first: an event that comes between the two
    /// questions is read.
    fn offsets_at_time(&self, ms: i64, partitions: &[Partition]) -> Result<Vec<(Partition, i64)>, BrokerError> {
        let ends = self.offsets_at(Place::End, partitions)?;
        let found = self.ask_for_offsets(Offset::Offset(ms), partitions)?;
        let of = |((partition, offset), end): ((Partition, Offset), (Partition, i64))| match offset {
            Offset::Offset(offset) => Ok((partition, offset)),
            Offset::End => Ok(end),
            other => Err(self.no_offset(partitions, other)),
        };
        found.into_iter().zip(ends).map(of).collect()
    }

    /// One request: what the brokers say of each partition, in the order of the question.
    fn ask_for_offsets(
        &self,
        wanted: Offset,
        partitions: &[Partition],
    ) -> Result<Vec<(Partition, Offset)>, BrokerError> {
        let doing = || format!("asking where {} begin", self.names(partitions));
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions {
            list.add_partition_offset(self.topic(*partition), partition.number, wanted)
                .map_err(|error| self.failed(doing(), &error))?;
        }
        let found = self.consumer.offsets_for_times(list, ANSWER_WITHIN);
        let found = found.map_err(|error| self.explained(self.failed(doing(), &error)))?;
        check_each(&found, "asking for an offset of")?;
        let of = |partition: &Partition| {
            let element = found.find_partition(self.topic(*partition), partition.number);
            (*partition, element.map_or(Offset::Invalid, |element| element.offset()))
        };
        Ok(partitions.iter().map(of).collect())
    }

    fn no_offset(&self, partitions: &[Partition], said: Offset) -> BrokerError {
        BrokerError {
            fault: Fault::Retriable,
            doing: format!("asking where {} begin", self.names(partitions)),
            message: format!("the brokers said {said:?}; it is asked again"),
        }
    }
}

/// What is not refused is settled later.
fn unless_refused<T>(outcome: Result<T, BrokerError>) -> Result<Option<T>, BrokerError> {
    match outcome {
        Err(error) if error.fault == Fault::Refused => Err(error),
        Err(error) => {
            tracing::warn!(%error, "where the group begins is not settled before it is joined");
            Ok(None)
        }
        Ok(found) => Ok(Some(found)),
    }
}

fn is_one_of(error: &KafkaError, codes: &[Code]) -> bool {
    error.rdkafka_error_code().is_some_and(|code| codes.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(topic: u16, number: i32) -> Partition {
        Partition { topic, number }
    }

    /// What is known once the group has these, of which it was begun in some here.
    fn beginnings(later: Option<usize>, have: &[Partition], begun: &[Partition]) -> Beginnings {
        Beginnings {
            have: have.iter().chain(begun).copied().collect(),
            begun: begun.iter().copied().collect(),
            later,
            ..Beginnings::none(Start::Latest)
        }
    }

    #[test]
    fn no_topic_of_a_new_group_came_later_because_another_was_begun_before_it() {
        let new = beginnings(Some(2), &[], &[at(0, 0)]);
        assert!(!new.is_known(1) && !new.tells_of(1, &at(0, 0)));
        assert!(new.is_known(0), "another partition of the same topic came later");
        assert!(new.is_known(2), "it was not there when the group was joined");
        assert!(new.tells_of(1, &at(0, 1)), "somebody else has gone on in the group");
    }

    #[test]
    fn with_a_pattern_all_topics_came_later_once_the_group_had_something_and_else_only_that_one() {
        assert!(beginnings(Some(2), &[at(0, 0)], &[]).is_known(1));
        let named = beginnings(None, &[at(0, 0)], &[]);
        assert!(named.is_known(0) && !named.is_known(1));
    }
}
