//! `eddy topics`: a pipeline's topics as they are and as they should be, with the commands that make them so.
//!
//! Owns: what a missing topic is to be like, the table, the commands. Never does: alter or delete a topic that exists.
//!
//! Invariant: `--apply` run twice changes nothing the second time.

use std::fmt;
use std::io::{self, Write as _};

use eddy_broker::BrokerError;
use eddy_broker::kafka::{Configuration, Created, Existing, TopicAdmin, Wanted, input_topics};
use eddy_broker::settings::{Permission, Settings, Topics, as_argument};
use eddy_host::ExitCode;
use eddy_pipeline::settings::Bytes;

use crate::cli::TopicsArguments;
use crate::file;
use crate::recall::exit_code;
use crate::settings::problems::Problems;

/// Partitions of a topic for outputs where neither the events topic nor the command line says how many.
const PARTITIONS: i32 = 3;
/// Kafka's own limit on a batch of records, where a topic has no other.
const KAFKAS_LIMIT: i64 = 1_048_588;
/// What samples and dead letters may have beyond the event that they carry: headers, a reason, the batch's frame.
const BEYOND_THE_EVENT: i64 = 64 << 10;

/// Why nothing is said or done.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{0}")]
    Pipeline(Problems),
    #[error(transparent)]
    Broker(#[from] BrokerError),
}

/// Carries the command out: the table goes to standard output, what is wrong to standard error.
pub(crate) fn topics(arguments: &TopicsArguments, variables: impl IntoIterator<Item = (String, String)>) -> ExitCode {
    // Nobody is left to tell when a stream is closed; the exit code still says it.
    match examine(arguments, variables) {
        Ok(plan) => {
            drop(write!(io::stdout(), "{plan}"));
            match plan.failures.first() {
                None => ExitCode::Drained,
                Some(first) => {
                    for failure in &plan.failures {
                        drop(writeln!(io::stderr(), "{failure}"));
                    }
                    exit_code(first)
                }
            }
        }
        Err(error) => {
            drop(writeln!(io::stderr(), "{error}"));
            match error {
                Error::Pipeline(_) => ExitCode::Configuration,
                Error::Broker(error) => exit_code(&error),
            }
        }
    }
}

/// What an output must have room for: the most of everything that is found among the topics of events.
fn widest<'a>(events: impl Iterator<Item = &'a Existing>) -> Option<Existing> {
    events.cloned().reduce(|one, other| Existing {
        partitions: one.partitions.max(other.partitions),
        replication: one.replication.max(other.replication),
        configuration: match (one.configuration, other.configuration) {
            (Ok(one), Ok(other)) => Ok(Configuration {
                max_message_bytes: one
                    .max_message_bytes
                    .max(other.max_message_bytes.or(Some(KAFKAS_LIMIT)))
                    .max(one.max_message_bytes.is_none().then_some(KAFKAS_LIMIT)),
                ..one
            }),
            (Err(why), _) | (_, Err(why)) => Err(why),
        },
    })
}

fn examine(arguments: &TopicsArguments, variables: impl IntoIterator<Item = (String, String)>) -> Result<Plan, Error> {
    let pipeline = file::load(&arguments.pipeline, variables).map_err(Error::Pipeline)?;
    let settings = pipeline.file.broker(&pipeline.folder);
    let admin = TopicAdmin::open(&settings)?;
    let inputs = input_topics(&settings)?;
    let inputs = inputs.iter().map(|name| (Topics::EVENTS, name.as_str()));
    let mut found = Vec::new();
    for (key, name) in inputs.chain(settings.topics.outputs()) {
        found.push((key, name.to_owned(), admin.look(name)?));
    }
    let events = found.iter().filter(|(key, ..)| *key == Topics::EVENTS);
    let events = widest(events.filter_map(|(_, _, existing)| existing.as_ref()));
    let mut plan = Plan {
        lines: found
            .into_iter()
            .map(|(key, name, existing)| Line::new(key, name, existing, (events.as_ref(), arguments)))
            .collect(),
        bootstrap: settings.kafka.brokers.clone(),
        permissions: settings.permissions(),
        principal: arguments.principal.clone(),
        warnings: Vec::new(),
        failures: Vec::new(),
    };
    plan.warnings = warnings(&plan.lines, &settings);
    if arguments.apply {
        plan.apply(&admin);
    }
    Ok(plan)
}

/// One topic.
#[derive(Debug, Clone)]
struct Line {
    key: &'static str,
    name: String,
    state: State,
}

#[derive(Debug, Clone)]
enum State {
    There(Existing),
    /// It is not there, and is whose producers' to make.
    Missing,
    Wanted(Wanted),
    Created(Wanted),
    /// Somebody else was faster.
    CreatedMeanwhile,
    Failed(Wanted),
}

impl Line {
    fn new(
        key: &'static str,
        name: String,
        existing: Option<Existing>,
        (events, arguments): (Option<&Existing>, &TopicsArguments),
    ) -> Self {
        let is_events = key == Topics::EVENTS;
        let state = match existing {
            Some(existing) => State::There(existing),
            None if is_events && !arguments.with_events => State::Missing,
            None => State::Wanted(wanted(&name, (key, events), arguments)),
        };
        Self { key, name, state }
    }
}

/// What a missing topic is to be like: as wide as the events, and wide enough for the events that it carries.
fn wanted(name: &str, (key, events): (&str, Option<&Existing>), arguments: &TopicsArguments) -> Wanted {
    let mut configuration = Vec::new();
    if let Some(retention) = arguments.retention {
        configuration.push(("retention.ms", retention.as_ms().to_string()));
    }
    let carries_events = key == Topics::RETRAINING || key == Topics::DEAD_LETTERS;
    let of_events = events.and_then(|events| events.configuration.as_ref().ok()?.max_message_bytes);
    if let Some(largest) = of_events.filter(|_| carries_events) {
        configuration.push(("max.message.bytes", (largest + BEYOND_THE_EVENT).to_string()));
    }
    Wanted {
        name: name.to_owned(),
        partitions: arguments
            .partitions
            .or(events.map(|events| events.partitions))
            .unwrap_or(PARTITIONS),
        replication: arguments.replication.or(events.map(|events| events.replication as i32)),
        configuration,
    }
}

/// What works and is unwise.
fn warnings(lines: &[Line], settings: &Settings) -> Vec<String> {
    let mut warnings = Vec::new();
    let there = |key: &str| {
        let line = lines.iter().find(|line| line.key == key)?;
        match &line.state {
            State::There(existing) => Some((line.name.as_str(), existing)),
            _ => None,
        }
    };
    let largest = |existing: &Existing| -> Option<i64> {
        let configuration = existing.configuration.as_ref().ok()?;
        Some(configuration.max_message_bytes.unwrap_or(KAFKAS_LIMIT))
    };
    let of_events = || {
        lines.iter().filter_map(|line| match &line.state {
            State::There(existing) if line.key == Topics::EVENTS => Some(existing),
            _ => None,
        })
    };
    let events = widest(of_events());
    for key in [Topics::RETRAINING, Topics::DEAD_LETTERS] {
        if let (Some(events), Some((name, existing))) = (&events, there(key))
            && let (Some(of_events), Some(own)) = (largest(events), largest(existing))
            && own < of_events
        {
            warnings.push(format!(
                "`{name}` takes messages of {own} bytes and a topic of events of {of_events}: larger events go there without \
                 their body; raise its max.message.bytes to {} or more",
                of_events + BEYOND_THE_EVENT
            ));
        }
        if let Some((name, existing)) = there(key)
            && let Ok(Configuration {
                cleanup: Some(cleanup), ..
            }) = &existing.configuration
            && cleanup.contains("compact")
        {
            warnings.push(format!(
                "`{name}` is compacted: of samples with one key all but the last would be lost; set its cleanup.policy to delete"
            ));
        }
    }
    if !lines.iter().any(|line| line.key == Topics::EVENTS) {
        warnings.push(format!(
            "there are no {} that we may see yet, so there is nothing to size the others by; --partitions says how wide",
            settings.topics.events
        ));
    }
    let partitions: i32 = of_events().map(|existing| existing.partitions).sum();
    if events.is_some() && partitions < i32::from(settings.kafka.lanes) {
        warnings.push(format!(
            "{} have {partitions} partitions and kafka.lanes is {}: the lanes beyond that have nothing to do",
            settings.topics.events, settings.kafka.lanes
        ));
    }
    for line in lines {
        if let State::There(Existing { replication: 1, .. }) = &line.state {
            warnings.push(format!("`{}` has one replica: with its broker it is gone", line.name));
        }
    }
    warnings
}

/// All that there is to say.
#[derive(Debug)]
struct Plan {
    lines: Vec<Line>,
    bootstrap: String,
    permissions: Vec<Permission>,
    principal: Option<String>,
    warnings: Vec<String>,
    failures: Vec<BrokerError>,
}

impl Plan {
    fn apply(&mut self, admin: &TopicAdmin) {
        for line in &mut self.lines {
            let State::Wanted(wanted) = &line.state else { continue };
            line.state = match admin.create(wanted) {
                Ok(Created::Now) => State::Created(wanted.clone()),
                Ok(Created::Already) => State::CreatedMeanwhile,
                Err(error) => {
                    self.failures.push(error);
                    State::Failed(wanted.clone())
                }
            };
        }
    }

    fn commands(&self) -> Vec<String> {
        let missing = self.lines.iter().filter_map(|line| match &line.state {
            State::Wanted(wanted) | State::Failed(wanted) => Some(creation(&self.bootstrap, wanted)),
            _ => None,
        });
        missing.collect()
    }

    fn permissions(&self) -> Vec<String> {
        let principal = self.principal.as_deref().unwrap_or("User:…");
        let allow = |permission: &Permission| {
            format!(
                "kafka-acls.sh --bootstrap-server {} --add --allow-principal {} {}",
                self.bootstrap,
                as_argument(principal),
                permission.arguments()
            )
        };
        self.permissions.iter().map(allow).collect()
    }
}

/// The command that creates a topic.
fn creation(bootstrap: &str, wanted: &Wanted) -> String {
    let Wanted {
        name,
        partitions,
        replication,
        configuration,
    } = wanted;
    let mut command = format!(
        "kafka-topics.sh --bootstrap-server {bootstrap} --create --topic {} --partitions {partitions}",
        as_argument(name)
    );
    if let Some(replication) = replication {
        command.push_str(&format!(" --replication-factor {replication}"));
    }
    for (name, value) in configuration {
        command.push_str(&format!(" --config {name}={value}"));
    }
    command
}

fn span(ms: i64) -> String {
    match u64::try_from(ms) {
        Ok(ms) => eddy_pipeline::settings::Span::ms(ms).to_string(),
        Err(_) => "for ever".to_owned(),
    }
}

fn bytes(count: i64) -> String {
    u64::try_from(count).map_or_else(|_| "?".to_owned(), |count| Bytes(count).to_string())
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |f: &mut fmt::Formatter<'_>, state: &str, [partitions, replicas, retention, largest]: [String; 4]| {
            writeln!(
                f,
                "{:<20} {:<24} {state:<10} {partitions:>10} {replicas:>8}  {retention:<10} {largest}",
                self.key, self.name
            )
        };
        let of_wanted = |wanted: &Wanted| {
            let set = |name: &str| {
                let found = wanted.configuration.iter().find(|(known, _)| *known == name)?;
                found.1.parse::<i64>().ok()
            };
            [
                wanted.partitions.to_string(),
                wanted
                    .replication
                    .map_or("default".to_owned(), |count| count.to_string()),
                set("retention.ms").map_or("default".to_owned(), span),
                set("max.message.bytes").map_or("default".to_owned(), bytes),
            ]
        };
        let nothing = || std::array::from_fn(|_| "-".to_owned());
        match &self.state {
            State::There(existing) => {
                let [retention, largest] = match &existing.configuration {
                    Ok(found) => [
                        found.retention_ms.map_or("?".to_owned(), span),
                        found.max_message_bytes.map_or("?".to_owned(), bytes),
                    ],
                    Err(_) => ["?".to_owned(), "?".to_owned()],
                };
                let sizes = [
                    existing.partitions.to_string(),
                    existing.replication.to_string(),
                    retention,
                    largest,
                ];
                row(f, "there", sizes)?;
                match &existing.configuration {
                    Ok(_) => Ok(()),
                    Err(why) => writeln!(f, "{:<20} its configuration is not known: {why}", ""),
                }
            }
            State::Missing => row(f, "missing", nothing()),
            State::Wanted(wanted) | State::Failed(wanted) => row(f, "missing", of_wanted(wanted)),
            State::Created(wanted) => row(f, "created", of_wanted(wanted)),
            State::CreatedMeanwhile => row(f, "there", nothing()),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<20} {:<24} {:<10} {:>10} {:>8}  {:<10} largest message",
            "key", "topic", "", "partitions", "replicas", "retention"
        )?;
        for line in &self.lines {
            write!(f, "{line}")?;
        }
        let is_without_events = self.lines.iter().any(|line| matches!(line.state, State::Missing));
        if is_without_events {
            writeln!(
                f,
                "\nA topic of events is missing: it is its producers' to make; --with-events makes it like the others."
            )?;
        }
        let commands = self.commands();
        if !commands.is_empty() {
            writeln!(f, "\nTo create what is missing, as --apply does:")?;
            commands.iter().try_for_each(|command| writeln!(f, "  {command}"))?;
        }
        writeln!(f, "\nWhat the pipeline's principal must be allowed, and nothing more:")?;
        self.permissions()
            .iter()
            .try_for_each(|command| writeln!(f, "  {command}"))?;
        for warning in &self.warnings {
            writeln!(f, "\nnote: {warning}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments() -> TopicsArguments {
        TopicsArguments {
            pipeline: "p.toml".into(),
            apply: false,
            with_events: false,
            partitions: None,
            replication: None,
            retention: None,
            principal: None,
        }
    }

    fn existing(partitions: i32, largest: i64) -> Existing {
        Existing {
            partitions,
            replication: 3,
            configuration: Ok(Configuration {
                retention_ms: Some(-1),
                max_message_bytes: Some(largest),
                min_insync_replicas: Some(2),
                cleanup: Some("delete".to_owned()),
            }),
        }
    }

    #[test]
    fn what_is_missing_is_as_wide_as_the_events_and_takes_the_largest_of_them() {
        let events = existing(12, 2_000_000);
        let of = |key| wanted("topic", (key, Some(&events)), &arguments());
        let dead_letters = of(Topics::DEAD_LETTERS);
        assert_eq!((dead_letters.partitions, dead_letters.replication), (12, Some(3)));
        assert_eq!(
            dead_letters.configuration,
            [("max.message.bytes", "2065536".to_owned())]
        );
        assert!(of(Topics::PREDICTIONS).configuration.is_empty());
        let unknown = wanted("topic", (Topics::RETRAINING, None), &arguments());
        assert_eq!((unknown.partitions, unknown.replication), (PARTITIONS, None));
    }

    #[test]
    fn commands_are_what_a_shell_takes() {
        let wanted = Wanted {
            name: "dead letters'".to_owned(),
            partitions: 6,
            replication: Some(3),
            configuration: vec![("retention.ms", "1000".to_owned())],
        };
        let command = creation("b:9092", &wanted);
        assert_eq!(
            command,
            r"kafka-topics.sh --bootstrap-server b:9092 --create --topic 'dead letters'\''' --partitions 6 --replication-factor 3 --config retention.ms=1000"
        );
    }

    #[test]
    fn the_events_topic_is_made_only_when_that_is_asked_for() {
        let line = |with_events| {
            let arguments = TopicsArguments {
                with_events,
                ..arguments()
            };
            Line::new(Topics::EVENTS, "events".to_owned(), None, (None, &arguments)).state
        };
        assert!(matches!(line(false), State::Missing));
        assert!(matches!(line(true), State::Wanted(_)));
    }
}
