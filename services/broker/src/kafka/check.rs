//! The look at Kafka that `eddy check` takes.
//!
//! Owns: finding out whether the brokers answer and the topics are there. Never does: change anything: it joins no
//! group, takes over no transactional id, creates no topic.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use eddy_pipeline::settings::Problem;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::access::{Access, Obstacle};
use super::events::ConsumerEvents;
use super::group::{self, Committed};
use super::metadata::{self, Ear};
use crate::settings::{Guarantee, Settings, Topics};
use crate::{BrokerError, Fault, Inputs};

/// How long the last question, which only counts brokers, may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Brokers of the cluster.
    pub brokers: usize,
    /// The topics in the order of the settings; of a pattern, those that match.
    pub topics: Vec<TopicReport>,
    /// What works and is unwise, one sentence each.
    pub warnings: Vec<String>,
}

/// One topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicReport {
    /// The key that names it: `topics.events`.
    pub key: &'static str,
    /// Its name.
    pub name: String,
    /// How many partitions it has.
    pub partitions: i32,
}

/// Why the pipeline cannot run on this Kafka.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// No broker answers: perhaps only now.
    #[error("{0}")]
    Unreachable(BrokerError),
    /// Something to mend, in the file or in Kafka; all of it at once.
    #[error("{} problems with Kafka; the first: {}", .0.len(), .0.first().map_or(String::new(), ToString::to_string))]
    Problems(Vec<Problem>),
}

/// Whether a broker answers, within about so long. Made for moments of doubt: it opens a client of its own.
pub fn answers(settings: &Settings, within: Duration) -> bool {
    let Ok(client) = open_metadata(settings, &Access::of(settings)) else {
        return false;
    };
    group::serve(&client);
    let topic = Some(settings.a_topic());
    client.client().fetch_metadata(topic, within).is_ok()
}

/// The topics that a pipeline reads: those that are named, or those that match its pattern now.
///
/// # Errors
/// When the brokers do not tell.
pub fn input_topics(settings: &Settings) -> Result<Vec<String>, BrokerError> {
    if settings.topics.events.matching().is_none() {
        return Ok(settings.topics.events.names().to_vec());
    }
    let (_, found) = open_inputs(settings)?;
    Ok(found.into_iter().map(|(name, _)| name).collect())
}

/// What the group has committed of each partition of the topics that a pipeline reads, by topic; `None` where it has nothing.
///
/// # Errors
/// When the topics or the group cannot be asked, or may not be seen.
pub fn committed(settings: &Settings) -> Result<BTreeMap<String, Vec<Option<Committed>>>, BrokerError> {
    let (client, topics) = open_inputs(settings)?;
    let committed = group::committed(&client, &settings.group(), &topics)?;
    let names = topics.into_iter().map(|(name, _)| name);
    Ok(names.zip(committed).collect())
}

/// Topics with their partitions.
type Counted = Vec<(String, i32)>;

/// A client, and the topics that a pipeline reads.
fn open_inputs(settings: &Settings) -> Result<(BaseConsumer<ConsumerEvents>, Counted), BrokerError> {
    let doing = "looking for the topics of events";
    let access = Access::of(settings);
    access.prepared(doing)?;
    let client = open_metadata(settings, &access).map_err(|message| super::refused(doing, message))?;
    group::serve(&client);
    let ear = Ear {
        words: &client.context().words,
        listen: &|| group::serve(&client),
    };
    let found = metadata::inputs(client.client(), &settings.topics.events, &ear)?;
    Ok((client, found))
}

/// Reaches the brokers and looks for every topic, without any side effect.
///
/// # Errors
/// [`CheckError`], with all problems at once.
pub fn check(settings: &Settings) -> Result<Report, CheckError> {
    let problem = |key: &str, message: String| CheckError::Problems(vec![Problem::new(key, message)]);
    let problems = settings.problems();
    if !problems.is_empty() {
        return Err(CheckError::Problems(problems));
    }
    let files = settings
        .kafka
        .tls
        .as_ref()
        .map(|tls| tls.file_problems("kafka.tls"))
        .unwrap_or_default();
    if !files.is_empty() {
        return Err(CheckError::Problems(files));
    }
    let access = Access::of(settings);
    access.prepare().map_err(stands_in_the_way)?;
    let client = open(settings, &access).map_err(|message| problem("kafka", message))?;
    // Serves the first token refresh, without which no connection is made.
    group::serve(&client);

    let ear = Ear {
        words: &client.context().words,
        listen: &|| group::serve(&client),
    };
    let mut topics = Vec::new();
    let mut problems = Vec::new();
    for (key, name) in settings.topics.all() {
        match metadata::partitions(client.client(), name, &ear) {
            Ok(partitions) => topics.push(TopicReport {
                key,
                name: name.into(),
                partitions,
            }),
            // What is in the way of one topic is in the way of all.
            Err(_) if let Some(obstacle) = ear.words.found() => return Err(stands_in_the_way(obstacle)),
            Err(error) if error.fault == Fault::Refused => problems.push(Problem::new(key, error.to_string())),
            Err(error) => return Err(CheckError::Unreachable(error)),
        }
    }
    if let Some(matching) = settings.topics.events.matching() {
        match metadata::inputs(client.client(), &settings.topics.events, &ear) {
            Ok(found) if found.len() > usize::from(matching.most) => {
                let message = format!(
                    "{} topics match, and {} may; raise it, or narrow topics.events.pattern",
                    found.len(),
                    matching.most
                );
                problems.push(Problem::new("topics.events.most", message));
            }
            Ok(found) => {
                let report = |(name, partitions)| TopicReport {
                    key: Topics::EVENTS,
                    name,
                    partitions,
                };
                topics.splice(0..0, found.into_iter().map(report));
            }
            Err(error) => return Err(CheckError::Unreachable(error)),
        }
    }
    if let Err(error) = group::may_be_read(&client, settings.a_topic(), &settings.group()) {
        problems.push(Problem::new("kafka.group", error.to_string()));
    }
    if !problems.is_empty() {
        return Err(CheckError::Problems(problems));
    }
    let metadata = client.fetch_metadata(Some(settings.a_topic()), ANSWER_WITHIN);
    let brokers = metadata.map_or(0, |metadata| metadata.brokers().len());
    let mut warnings = warnings(settings, &topics);
    warnings.extend(access.untried());
    Ok(Report {
        brokers,
        topics,
        warnings,
    })
}

fn stands_in_the_way(obstacle: Obstacle) -> CheckError {
    if obstacle.fault == Fault::Refused {
        CheckError::Problems(vec![Problem::new(obstacle.key, obstacle.sentence)])
    } else {
        CheckError::Unreachable(BrokerError {
            fault: obstacle.fault,
            doing: "reaching the brokers".into(),
            message: obstacle.sentence,
        })
    }
}

fn open(settings: &Settings, access: &Arc<Access>) -> Result<BaseConsumer<ConsumerEvents>, String> {
    // The clients of a lane are made as well: only that shows whether librdkafka takes all properties together.
    let made = |error: BrokerError| error.message;
    let _consumer: BaseConsumer = super::create(
        &settings.consumer_config(0)?,
        rdkafka::consumer::DefaultConsumerContext,
        "",
    )
    .map_err(made)?;
    let _producer: rdkafka::producer::BaseProducer = super::create(
        &settings.producer_config(0)?,
        rdkafka::producer::DefaultProducerContext,
        "",
    )
    .map_err(made)?;
    open_metadata(settings, access)
}

pub(super) fn open_metadata(settings: &Settings, access: &Arc<Access>) -> Result<BaseConsumer<ConsumerEvents>, String> {
    let events = ConsumerEvents::new("check".into(), Inputs::of(&settings.topics), Arc::clone(access));
    super::create(&settings.metadata_config()?, events, "").map_err(|error| error.message)
}

fn warnings(settings: &Settings, topics: &[TopicReport]) -> Vec<String> {
    let mut warnings = settings.warnings();
    let events = topics.iter().filter(|topic| topic.key == Topics::EVENTS);
    let partitions: i32 = events.map(|topic| topic.partitions).sum();
    if partitions == 0 {
        warnings.push(format!(
            "there are no {} that we may see; the service waits for one",
            settings.topics.events
        ));
    } else if i32::from(settings.kafka.lanes) > partitions {
        warnings.push(format!(
            "kafka.lanes is {} and {} have {partitions} partitions: the lanes beyond that will have nothing to do",
            settings.kafka.lanes, settings.topics.events
        ));
    }
    if settings.kafka.guarantee == Guarantee::ExactlyOnce && settings.kafka.instance.is_none() {
        warnings.push(format!(
            "kafka.instance is not set, so the host's name `{}` is used: two replicas on one host would fence each other",
            settings.instance()
        ));
    }
    warnings
}
