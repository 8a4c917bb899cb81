//! Topics as they are, and the creation of those that are missing.
//!
//! Owns: what is asked of a topic's configuration, and the order of a creation. Never does: alter or delete what exists.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, ConfigEntry, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::RDKafkaErrorCode as Code;

use super::access::Access;
use super::check::open_metadata;
use super::events::ConsumerEvents;
use super::fault;
use super::group;
use super::metadata::{self, Ear};
use crate::settings::Settings;
use crate::{BrokerError, Fault, Inputs};

/// How long an answer of the brokers may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// A topic that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Existing {
    /// Partitions.
    pub partitions: i32,
    /// Replicas of the first partition.
    pub replication: usize,
    /// Its configuration; `None` where it may not be described, with why.
    pub configuration: Result<Configuration, String>,
}

/// What matters of a topic's configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configuration {
    /// `retention.ms`; -1 is for ever.
    pub retention_ms: Option<i64>,
    /// `max.message.bytes`.
    pub max_message_bytes: Option<i64>,
    /// `min.insync.replicas`.
    pub min_insync_replicas: Option<i64>,
    /// `cleanup.policy`.
    pub cleanup: Option<String>,
}

/// A topic that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// Partitions.
    pub partitions: i32,
    /// Replicas; `None` for the brokers' own default.
    pub replication: Option<i32>,
    /// Its configuration, by name; what is not named is the brokers' default.
    pub configuration: Vec<(&'static str, String)>,
}

/// What became of a creation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    /// It was made.
    Now,
    /// Somebody else was faster.
    Already,
}

/// The administrator's view of a pipeline's topics.
pub struct TopicAdmin {
    /// Looks at topics: an administrator's client does not tell what keeps it out.
    looker: BaseConsumer<ConsumerEvents>,
    client: AdminClient<ConsumerEvents>,
    access: Arc<Access>,
}

impl std::fmt::Debug for TopicAdmin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TopicAdmin").finish_non_exhaustive()
    }
}

impl TopicAdmin {
    /// A client of its own; it joins no group.
    ///
    /// # Errors
    /// When a setting is refused.
    pub fn open(settings: &Settings) -> Result<Self, BrokerError> {
        let access = Access::of(settings);
        access.prepared("reaching the brokers")?;
        let events = ConsumerEvents::new("topics".into(), Inputs::of(&settings.topics), Arc::clone(&access));
        let config = settings
            .metadata_config()
            .map_err(|message| super::refused("reaching the brokers", message))?;
        let client = super::create(&config, events, "reaching the brokers")?;
        let looker = open_metadata(settings, &access);
        let looker = looker.map_err(|message| super::refused("reaching the brokers", message))?;
        // Serves the first token refresh, without which no connection is made.
        group::serve(&looker);
        Ok(Self { looker, client, access })
    }
}

impl TopicAdmin {
    /// A topic as it is; `None` when there is none of this name.
    ///
    /// # Errors
    /// When no broker answers, or the topic may not be seen; the message says which permission is lacking.
    pub fn look(&self, topic: &str) -> Result<Option<Existing>, BrokerError> {
        let ear = Ear {
            words: &self.looker.context().words,
            listen: &|| group::serve(&self.looker),
        };
        let Some(shape) = metadata::topic(self.looker.client(), topic, &ear)? else {
            return Ok(None);
        };
        Ok(Some(Existing {
            partitions: shape.partitions,
            replication: shape.replication,
            configuration: self.configuration(topic),
        }))
    }

    fn configuration(&self, topic: &str) -> Result<Configuration, String> {
        let resources = [ResourceSpecifier::Topic(topic)];
        let described = self.client.describe_configs(&resources, &options());
        let answers = wait_for(described).and_then(|answers| answers.map_err(|error| error.to_string()))?;
        let answer = answers.into_iter().next().ok_or("the brokers said nothing")?;
        let found = answer.map_err(|code| code.to_string())?;
        // A refusal of one resource is not told by the wrapper: nothing is all that comes.
        if found.entries.is_empty() {
            return Err("it may not be described (DescribeConfigs)".to_owned());
        }
        let value = |name: &str| -> Option<String> {
            let is_it = |entry: &&ConfigEntry| entry.name == name;
            found.entries.iter().find(is_it)?.value.clone()
        };
        let number = |name: &str| value(name).and_then(|text| text.parse().ok());
        Ok(Configuration {
            retention_ms: number("retention.ms"),
            max_message_bytes: number("max.message.bytes"),
            min_insync_replicas: number("min.insync.replicas"),
            cleanup: value("cleanup.policy"),
        })
    }

    /// Makes a topic, unless there is one of this name, which then stays as it is.
    ///
    /// # Errors
    /// Why it was not made, and what to do.
    pub fn create(&self, wanted: &Wanted) -> Result<Created, BrokerError> {
        let replication = TopicReplication::Fixed(wanted.replication.unwrap_or(BROKER_DEFAULT));
        let mut topic = NewTopic::new(&wanted.name, wanted.partitions, replication);
        for (name, value) in &wanted.configuration {
            topic = topic.set(name, value);
        }
        let doing = format!("creating topic `{}`", wanted.name);
        let failed = |fault: Fault, message: String| BrokerError {
            fault,
            doing: doing.clone(),
            message,
        };
        let made = wait_for(self.client.create_topics([&topic], &options()));
        let made = made.map_err(|message| failed(Fault::Retriable, message))?;
        let answers = made.map_err(|error| {
            let code = error.rdkafka_error_code();
            let fault = code.map_or(Fault::Refused, fault::of_code);
            failed(fault, format!("{error}; check kafka.brokers and the network"))
        })?;
        match answers.into_iter().next() {
            Some(Ok(_)) => Ok(Created::Now),
            Some(Err((_, Code::TopicAlreadyExists))) => Ok(Created::Already),
            Some(Err((_, code))) => Err(failed(fault::of_code(code), self.explained(code, &wanted.name))),
            None => Err(failed(
                Fault::Retriable,
                "the brokers said nothing; try again".to_owned(),
            )),
        }
    }

    fn explained(&self, code: Code, topic: &str) -> String {
        let step = match code {
            Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed => {
                Some(self.access.allow_creation(topic))
            }
            Code::InvalidReplicationFactor => {
                Some("name one that the cluster has brokers for, as --replication".to_owned())
            }
            Code::InvalidPartitions => Some("name how many it is to have, as --partitions".to_owned()),
            Code::PolicyViolation => Some("the cluster has a policy for topics; ask who runs it".to_owned()),
            Code::InvalidConfig => Some("the cluster does not take that configuration; see its own log".to_owned()),
            _ => fault::next_step(code).map(str::to_owned),
        };
        step.map_or_else(|| code.to_string(), |step| format!("{code}; {step}"))
    }
}

/// What asks the brokers for their own number of replicas.
const BROKER_DEFAULT: i32 = -1;

fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(ANSWER_WITHIN))
        .operation_timeout(Some(ANSWER_WITHIN))
}

/// The client works on a thread of its own; this only waits.
fn wait_for<T>(answer: impl Future<Output = T>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    Ok(runtime.map_err(|error| error.to_string())?.block_on(answer))
}
