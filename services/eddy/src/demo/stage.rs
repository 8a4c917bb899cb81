//! What the demo plays on: a broker with its topics, the model on disk, the pipeline file.
//!
//! Owns: the embedded broker or the way to the user's, the temporary folder with the model, what is overridden in the
//! example's pipeline file.
//! Never does: send or read an event.
//!
//! Invariant: an embedded broker outlives all clients, since the stage does.

use std::path::Path;
use std::time::Duration;

use eddy_broker::embedded::EmbeddedBroker;
use eddy_broker::settings::{Guarantee, Topics};
use eddy_host::{ExitCode, OnDrain, OnExit, Policy};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::RDKafkaErrorCode;
use tempfile::TempDir;

use super::{configuration, not_started};
use crate::cli::DemoArguments;
use crate::file::{self, Pipeline};
use crate::run::NotStarted;
use crate::settings::{Source, environment};

const MODEL: &[u8] = include_bytes!("../../../../config/digits/model.onnx");
const PROFILE: &[u8] = include_bytes!("../../../../config/digits/profile.json");
const GOLDEN: &[u8] = include_bytes!("../../../../config/digits/golden.json");
const PIPELINE: &str = include_str!("../../../../config/digits/pipeline.toml");

/// Partitions of each topic that the demo makes.
const PARTITIONS: i32 = 4;
/// How long the user's brokers may take to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// How the demo's threads belong to it: they see the request to end, and finish.
pub(super) const POLICY: Policy = Policy {
    on_exit: OnExit::Log,
    on_drain: OnDrain::Finish,
};

/// Everything that is there before the first event.
#[derive(Debug)]
pub(super) struct Stage {
    /// The example's pipeline file as the demo runs it.
    pub(super) pipeline: Pipeline,
    /// What the ids of this run begin with.
    pub(super) run: String,
    sentence: String,
    _embedded: Option<EmbeddedBroker>,
    _folder: TempDir,
}

impl Stage {
    /// Starts or reaches the broker, makes the topics, writes the model, reads the pipeline file.
    ///
    /// # Errors
    /// With the exit code that each failure calls for.
    pub(super) fn set(arguments: &DemoArguments) -> Result<Self, NotStarted> {
        let run = format!("demo-{:08x}", fastrand::u32(..));
        let embedded = match arguments.brokers {
            Some(_) => None,
            None => Some(EmbeddedBroker::start().map_err(configuration)?),
        };
        let brokers = embedded.as_ref().map(EmbeddedBroker::bootstrap);
        let brokers = brokers.or(arguments.brokers.clone()).unwrap_or_default();
        let guarantee = if embedded.is_some() {
            "at-least-once"
        } else {
            "exactly-once"
        };

        let folder = TempDir::new().map_err(|error| {
            configuration(format!(
                "cannot make a temporary folder for the model: {error}; set TMPDIR to a writable one"
            ))
        })?;
        write_model(folder.path())?;
        let overrides = overrides(&brokers, guarantee, arguments, &run);
        let pipeline = pipeline(folder.path(), overrides)?;
        if pipeline.file.kafka.tls.is_some() || pipeline.file.kafka.sasl.is_some() {
            return Err(configuration(
                "the demo speaks to brokers without TLS and SASL only; leave EDDY__KAFKA__TLS and EDDY__KAFKA__SASL out, \
                 or run the demo without --brokers",
            ));
        }
        let sentence = match &embedded {
            Some(_) => "broker: librdkafka's mock cluster in this process; at least once".to_owned(),
            None => format!("broker: {brokers}; exactly once"),
        };
        let stage = Self {
            pipeline,
            run,
            sentence,
            _embedded: embedded,
            _folder: folder,
        };
        stage.make_topics()?;
        Ok(stage)
    }

    /// One line about the broker and what it promises.
    pub(super) fn broker_sentence(&self) -> &str {
        &self.sentence
    }

    /// The guarantee as settings write it.
    pub(super) const fn guarantee(&self) -> &'static str {
        match self.pipeline.file.kafka.guarantee {
            Guarantee::ExactlyOnce => "exactly-once",
            Guarantee::AtLeastOnce => "at-least-once",
        }
    }

    /// The names of the topics.
    pub(super) fn topics(&self) -> &Topics {
        &self.pipeline.file.topics
    }

    /// What the demo's own clients have in common.
    pub(super) fn client_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        let kafka = &self.pipeline.file.kafka;
        for (property, value) in &kafka.properties {
            config.set(property, value.to_string());
        }
        config
            .set("bootstrap.servers", &kafka.brokers)
            .set("client.id", &self.run)
            .set("allow.auto.create.topics", "false");
        config
    }

    fn make_topics(&self) -> Result<(), NotStarted> {
        let topics = self.topics();
        let names = [
            topics.events.stand_in(),
            &topics.predictions,
            &topics.retraining,
            &topics.dead_letters,
        ];
        match &self._embedded {
            Some(embedded) => names
                .into_iter()
                .try_for_each(|name| embedded.create_topic(name, PARTITIONS))
                .map_err(configuration),
            None => self.make_topics_of_user(&names),
        }
    }

    /// Topics that exist already are taken as they are.
    fn make_topics_of_user(&self, names: &[&str]) -> Result<(), NotStarted> {
        let brokers = &self.pipeline.file.kafka.brokers;
        let unreachable = |error: &dyn std::fmt::Display| {
            let message =
                format!("{brokers}: cannot make the demo's topics: {error}; check the address and the network");
            not_started(ExitCode::Unreachable, message)
        };
        let admin: AdminClient<DefaultClientContext> =
            self.client_config().create().map_err(|error| unreachable(&error))?;
        let topics: Vec<NewTopic<'_>> = names
            .iter()
            .map(|name| NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(-1)))
            .collect();
        let options = AdminOptions::new()
            .request_timeout(Some(ANSWER))
            .operation_timeout(Some(ANSWER));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .map_err(configuration)?;
        let made = runtime
            .block_on(admin.create_topics(&topics, &options))
            .map_err(|error| unreachable(&error))?;
        for result in made {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((name, code)) => {
                    let message = format!(
                        "{brokers}: cannot make the topic `{name}`: {code}; make it yourself with {PARTITIONS} partitions, \
                         or run the demo without --brokers"
                    );
                    return Err(not_started(ExitCode::Unreachable, message));
                }
            }
        }
        Ok(())
    }
}

/// What the demo changes in the example's pipeline file.
fn overrides(brokers: &str, guarantee: &str, arguments: &DemoArguments, run: &str) -> Vec<(String, String)> {
    let admin = arguments.admin.to_string();
    let pairs = [
        ("KAFKA__BROKERS", brokers),
        ("KAFKA__GUARANTEE", guarantee),
        ("KAFKA__GROUP", "eddy-demo"),
        // Two demos on one Kafka share the group, and must not end each other's transactions.
        ("KAFKA__INSTANCE", run),
        ("TOPICS__EVENTS", "eddy-demo-events"),
        ("TOPICS__PREDICTIONS", "eddy-demo-predictions"),
        ("TOPICS__RETRAINING", "eddy-demo-retraining"),
        ("TOPICS__DEAD_LETTERS", "eddy-demo-dead-letters"),
        ("ADMIN__ADDRESS", &admin),
        // Nobody watches a demo for an hour.
        ("DRIFT__WINDOW", "15s"),
        ("DRIFT__WIDEST", "60s"),
    ];
    let own = pairs.map(|(name, value)| (format!("{}{name}", environment::PREFIX), value.to_owned()));
    let mut all: Vec<(String, String)> = environment::of_process();
    // Unless somebody wants to read them, routine lines only disturb the demo's own.
    let level = format!("{}LOG__LEVEL", environment::PREFIX);
    if !all.iter().any(|(name, _)| name.eq_ignore_ascii_case(&level)) {
        all.push((level, "warn".to_owned()));
    }
    all.retain(|(name, _)| !own.iter().any(|(ours, _)| ours.eq_ignore_ascii_case(name)));
    all.extend(own);
    all
}

fn pipeline(folder: &Path, variables: Vec<(String, String)>) -> Result<Pipeline, NotStarted> {
    let source = Source {
        name: "the demo's pipeline.toml",
        text: PIPELINE,
    };
    let loaded = file::read(source, variables).map_err(configuration)?;
    Ok(Pipeline {
        file: loaded.settings,
        folder: folder.to_owned(),
        document: loaded.document,
    })
}

fn write_model(folder: &Path) -> Result<(), NotStarted> {
    for (name, bytes) in [
        ("model.onnx", MODEL),
        ("golden.json", GOLDEN),
        ("profile.json", PROFILE),
    ] {
        let path = folder.join(name);
        std::fs::write(&path, bytes).map_err(|error| {
            let message = format!(
                "{}: cannot be written: {error}; set TMPDIR to a folder with room",
                path.display()
            );
            configuration(message)
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Summary;

    fn arguments() -> DemoArguments {
        DemoArguments {
            brokers: None,
            run_for: None,
            rate: 200,
            summary: Summary::Text,
            admin: "127.0.0.1:0".parse().expect("it is an address"),
        }
    }

    #[test]
    fn the_example_s_pipeline_file_takes_every_override() {
        let folder = TempDir::new().expect("there is a temporary folder");
        write_model(folder.path()).expect("it is writable");
        let variables = overrides("127.0.0.1:1", "at-least-once", &arguments(), "demo-1");
        let pipeline = pipeline(folder.path(), variables).expect("the file is sound");
        let file = &pipeline.file;
        assert_eq!(
            (file.kafka.brokers.as_str(), file.kafka.guarantee),
            ("127.0.0.1:1", Guarantee::AtLeastOnce)
        );
        assert_eq!(file.topics.events.only(), Some("eddy-demo-events"));
        assert_eq!(
            (file.kafka.group.as_deref(), file.kafka.instance.as_deref()),
            (Some("eddy-demo"), Some("demo-1"))
        );
        for model in &file.models {
            assert!(pipeline.folder.join(&model.path).exists(), "{:?}", model.path);
        }
    }
}
