//! `eddy why`: one event's whole story, from the topics.
//!
//! Owns: where an event is looked for, in which order. Never does: write to Kafka, or run a model.
//!
//! Invariant: whatever was not found, the story says where and up to when it was looked for.

pub(crate) mod story;
mod text;
pub(crate) mod thresholds;

use std::collections::{BTreeMap, BTreeSet};

use eddy_broker::BrokerError;
use eddy_broker::kafka::{self, Stretch, TopicReader};
use eddy_broker::settings::Settings;
use eddy_host::ExitCode;
use eddy_pipeline::event::{HEADER_ID, HEADER_SOURCE, Record, place};

use self::story::{Arrival, DeadLetter, HowFar, Looked, Prediction, Sampled, Seen, Story};
use self::thresholds::Thresholds;
use crate::cli::WhyArguments;
use crate::program;
use crate::recall::fields::Fields;
use crate::recall::output::{self, header};
use crate::recall::{self, Error, now_ms};
use crate::schemas::Shelf;

/// Most outputs of one kind that a story holds; of an id that names many events the rest is only counted.
const MOST: usize = 100;

/// Tells the story that the arguments ask for.
pub(crate) fn why(arguments: &WhyArguments) -> ExitCode {
    program::answer(tell(arguments), Error::exit_code)
}

fn tell(arguments: &WhyArguments) -> Result<String, Error> {
    let pipeline = recall::load(&arguments.pipeline)?;
    let fields = Shelf::open(&pipeline.file, &pipeline.folder).and_then(|shelf| Fields::of(&pipeline.file, shelf));
    let fields = fields.map_err(|problems| Error::Pipeline(pipeline.document.locate(problems)))?;
    let settings = pipeline.file.broker(&pipeline.folder);
    let now = now_ms();
    let mut search = Search {
        events: kafka::input_topics(&settings)?,
        settings: &settings,
        fields,
        story: Story::new(&pipeline.file.name, &arguments.event, Thresholds::of(&pipeline)),
        names: BTreeSet::from([arguments.event.clone()]),
        since: arguments.since.ms(now),
        now,
    };
    search.look()?;
    let story = search.story;
    Ok(if arguments.json {
        let document = serde_json::to_string_pretty(&story).expect("a story is JSON");
        format!("{document}\n")
    } else {
        text::render(&story)
    })
}

struct Search<'a> {
    /// The topics of events. A reader is a client: each is opened when it is needed, one at a time.
    events: Vec<String>,
    settings: &'a Settings,
    fields: Fields,
    story: Story,
    /// The id and the places by which outputs name the event.
    names: BTreeSet<String>,
    since: i64,
    now: i64,
}

impl Search<'_> {
    fn look(&mut self) -> Result<(), Error> {
        // Before the outputs: what is committed by now has its outputs where they are looked for next. What is committed
        // while they are read may not, and would be told as lost. Whether the group may be seen matters only at the end.
        let committed: Result<HowFar, BrokerError> = kafka::committed(self.settings);
        self.fetch(&BTreeSet::from([self.story.asked.clone()]))?;
        self.look_among_outputs()?;
        self.fetch(&self.story.sources())?;
        if self.story.is_empty() {
            self.look_among_events()?;
        }
        self.story.settle();
        if self.story.has_outputs() || self.story.events.is_empty() {
            return Ok(());
        }
        self.story.say_how_far(&committed?);
        Ok(())
    }

    /// Looks at records of the topics of events by their places.
    fn fetch(&mut self, sources: &BTreeSet<String>) -> Result<(), Error> {
        let mut by_topic: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for source in sources {
            let is_told = self.story.events.iter().any(|event| event.seen.place == *source);
            if let Ok((topic, ..)) = place(source)
                && !is_told
                && self.events.iter().any(|events| events == topic)
            {
                by_topic.entry(topic).or_default().push(source);
            }
        }
        for (topic, sources) in by_topic {
            let reader = TopicReader::open(self.settings, topic)?;
            let all = reader.all()?;
            sources
                .iter()
                .try_for_each(|source| self.fetch_one(source, &reader, &all))?;
        }
        Ok(())
    }

    fn fetch_one(&mut self, source: &str, reader: &TopicReader, all: &[Stretch]) -> Result<(), Error> {
        let Ok((_, partition, offset)) = place(source) else {
            return Ok(());
        };
        let is_there = |one: &&Stretch| one.partition == partition && one.offsets.contains(&offset);
        if all.iter().find(is_there).is_none() {
            self.story.missing(source);
            return Ok(());
        }
        let stretch = [Stretch {
            partition,
            offsets: offset..offset + 1,
        }];
        let (fields, mut found) = (&mut self.fields, None);
        reader.read(&stretch, &mut |record| {
            fields.prepare(record)?;
            found = Some(Arrival::of(record, fields));
            Ok::<_, Error>(())
        })?;
        match found {
            Some(arrival) => self.take(arrival),
            None => self.story.missing(source),
        }
        Ok(())
    }

    /// Takes an event into the story; its outputs are looked for by its id, and from when it came.
    fn take(&mut self, arrival: Arrival) {
        self.names.insert(arrival.id.clone());
        if let Some(ms) = arrival.seen.time_ms {
            self.since = self.since.min(ms);
        }
        self.story.events.push(arrival);
    }

    fn look_among_outputs(&mut self) -> Result<(), Error> {
        let topics = &self.settings.topics;
        for topic in [&topics.predictions, &topics.retraining, &topics.dead_letters] {
            let reader = TopicReader::open(self.settings, topic)?;
            let (names, story) = (&self.names, &mut self.story);
            let records = reader.read(&reader.between(Some(self.since), None)?, &mut |record| {
                if is_named(record, names) {
                    output::refuse_newer(record.headers).map_err(|why| Error::newer(record, why))?;
                    note(record, self.settings, story);
                }
                Ok::<_, Error>(())
            })?;
            self.story
                .looked
                .push(Looked::new(topic, (self.since, self.now), records));
        }
        Ok(())
    }

    /// Of an event without outputs only the topics of events know, and there it must be decoded to be known by its id.
    fn look_among_events(&mut self) -> Result<(), Error> {
        let (names, fields, mut found) = (&self.names, &mut self.fields, Vec::new());
        for topic in &self.events {
            let reader = TopicReader::open(self.settings, topic)?;
            let stretches = reader.between(Some(self.since), None)?;
            let records = reader.read(&stretches, &mut |record| {
                fields.prepare(record)?;
                if found.len() < MOST && fields.id(record).is_some_and(|id| names.contains(id)) {
                    found.push(Arrival::of(record, fields));
                }
                Ok::<_, Error>(())
            })?;
            let looked = Looked::new(topic, (self.since, self.now), records);
            self.story.looked.push(looked);
        }
        found.into_iter().for_each(|arrival| self.take(arrival));
        Ok(())
    }
}

fn is_named(record: &Record<'_>, names: &BTreeSet<String>) -> bool {
    [HEADER_ID, HEADER_SOURCE]
        .into_iter()
        .any(|name| header(record.headers, name).is_some_and(|value| names.contains(value)))
}

/// Takes an output into the story.
fn note(record: &Record<'_>, settings: &Settings, story: &mut Story) {
    let topics = &settings.topics;
    let seen = Seen::of(record);
    let is_full = |count: usize| count >= MOST;
    if record.topic == topics.predictions {
        match is_full(story.predictions.len()) {
            false => story.predictions.push(Prediction::of(seen, record)),
            true => story.left_out += 1,
        }
    } else if record.topic == topics.retraining {
        match is_full(story.samples.len()) {
            false => story.samples.push(Sampled::of(seen, record)),
            true => story.left_out += 1,
        }
    } else if output::dead_letter_reason(record.headers).is_some() {
        match is_full(story.dead_letters.len()) {
            false => story.dead_letters.push(DeadLetter::of(seen, record)),
            true => story.left_out += 1,
        }
    }
}
