//! The look at Kafka that `eddy check` takes.
//!
//! Owns: finding out whether the brokers answer and the topics are there. Never does: change anything: it joins no
//! group, takes over no transactional id, creates no topic.

use std::time::Duration;

use eddy_pipeline::settings::Problem;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::events::ConsumerEvents;
use super::metadata;
use crate::settings::{Guarantee, Settings};
use crate::{BrokerError, Fault};

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Brokers of the cluster.
    pub brokers: usize,
    /// The four topics in the order of the settings.
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
    let Ok(client) = open_metadata(settings) else {
        return false;
    };
    drop(client.poll(Duration::ZERO));
    let topic = Some(settings.topics.events.as_str());
    client.client().fetch_metadata(topic, within).is_ok()
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
    let client = open(settings).map_err(|message| problem("kafka", message))?;
    drop(client.poll(Duration::ZERO));

    let mut topics = Vec::new();
    let mut problems = Vec::new();
    for (key, name) in settings.topics.all() {
        match metadata::partitions(client.client(), name) {
            Ok(partitions) => topics.push(TopicReport {
                key,
                name: name.into(),
                partitions,
            }),
            Err(error) if error.fault == Fault::Refused => problems.push(Problem::new(key, error.to_string())),
            Err(error) => return Err(CheckError::Unreachable(explained(&client, error))),
        }
    }
    if !problems.is_empty() {
        return Err(CheckError::Problems(problems));
    }
    let metadata = client.fetch_metadata(Some(&settings.topics.events), metadata::ANSWER_WITHIN);
    let brokers = metadata.map_or(0, |metadata| metadata.brokers().len());
    let warnings = warnings(settings, &topics);
    Ok(Report {
        brokers,
        topics,
        warnings,
    })
}

fn open(settings: &Settings) -> Result<BaseConsumer<ConsumerEvents>, String> {
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
    open_metadata(settings)
}

fn open_metadata(settings: &Settings) -> Result<BaseConsumer<ConsumerEvents>, String> {
    let token = settings.kafka.sasl.as_ref().and_then(|sasl| sasl.token.clone());
    let events = ConsumerEvents::new("check".into(), Vec::new(), token);
    super::create(&settings.metadata_config()?, events, "").map_err(|error| error.message)
}

fn explained(client: &BaseConsumer<ConsumerEvents>, mut error: BrokerError) -> BrokerError {
    for _ in 0..8 {
        drop(client.poll(std::time::Duration::ZERO));
    }
    if let Some(reason) = client.context().words.take_reason() {
        error.message = format!("{} (the client's last words: {reason})", error.message);
    }
    error
}

fn warnings(settings: &Settings, topics: &[TopicReport]) -> Vec<String> {
    let mut warnings = settings.warnings();
    let events = topics.iter().find(|topic| topic.key == "topics.events");
    if let Some(events) = events
        && i32::from(settings.kafka.lanes) > events.partitions
    {
        warnings.push(format!(
            "kafka.lanes is {} and `{}` has {} partitions: the lanes beyond that will have nothing to do",
            settings.kafka.lanes, events.name, events.partitions
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
