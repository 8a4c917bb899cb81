//! `eddy check`: everything that `eddy run` would do before its first event, and nothing that leaves a trace.
//!
//! Owns: the order of the look, and the report of what was found.
//! Never does: join a group, begin a transaction, create a topic, write a file.
//!
//! Invariant: one thing that is wrong does not hide another. Models are loaded even where Kafka is out of reach, Kafka is
//! asked even where a model does not load.

mod events;
mod models;
mod report;

use std::fmt;
use std::io::{self, Write as _};
use std::path::Path;

use eddy_broker::BrokerError;
use eddy_broker::kafka::{self, CheckError, TopicReader, TopicReport};
use eddy_broker::registry::{Failure, Latest};
use eddy_broker::settings::{Events, Settings, Topics};
use eddy_host::{AdminTls, ExitCode};
use eddy_pipeline::settings::Problem;
use eddy_telemetry::catalogue::RegistryOutcome;

use self::events::{Sightings, Surroundings};
use self::models::{ModelsReport, examine_models};
pub use self::report::Report;
use crate::assemble::{Assembly, assemble};
use crate::backlog::Backlog;
use crate::cli::CheckArguments;
use crate::file::{self, Pipeline};
use crate::forecast::Forecast;
use crate::predictions;
use crate::recall;
use crate::recall::fields::Fields;
use crate::schemas::Shelf;
use crate::settings::problems::Problems;
use crate::traces;

/// Checks a pipeline file: the report goes to standard output, problems go to standard error, one line each.
pub fn check(arguments: &CheckArguments, variables: impl IntoIterator<Item = (String, String)>) -> ExitCode {
    let examined = match arguments.offline {
        true => examine_offline(&arguments.file, variables),
        false => examine(&arguments.file, variables),
    };
    // Nobody is left to tell when the stream is closed; the exit code still says it.
    match examined {
        Ok(report) => {
            drop(write!(io::stdout(), "{report}"));
            ExitCode::Drained
        }
        Err(findings) => {
            drop(writeln!(io::stderr(), "{findings}"));
            findings.exit_code()
        }
    }
}

/// Loads everything that a pipeline file names, runs its models once and asks its brokers for its topics.
///
/// # Errors
/// [`Findings`]: all that is wrong.
pub fn examine(path: &Path, variables: impl IntoIterator<Item = (String, String)>) -> Result<Report, Findings> {
    look(path, variables, Reach::Kafka)
}

/// The same where neither brokers nor secrets are, such as for a pull request: no client is made, no secret is read.
///
/// # Errors
/// [`Findings`]: all that is wrong.
pub fn examine_offline(path: &Path, variables: impl IntoIterator<Item = (String, String)>) -> Result<Report, Findings> {
    look(path, variables, Reach::Files)
}

/// How far a look goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// The files that the pipeline is made of.
    Files,
    /// Them, secrets and Kafka.
    Kafka,
}

fn look(path: &Path, variables: impl IntoIterator<Item = (String, String)>, reach: Reach) -> Result<Report, Findings> {
    let pipeline = file::load(path, variables).map_err(Findings::wrong)?;
    let settings = pipeline.file.broker(&pipeline.folder);
    let admin = pipeline.file.admin(&pipeline.folder);
    let unfit = match reach {
        Reach::Files => Vec::new(),
        Reach::Kafka => admin.file_problems(),
    };
    let mut findings = Findings::wrong(pipeline.document.locate(unfit));
    let loaded = findings.load(&pipeline);
    let kafka = match reach {
        Reach::Files => None,
        Reach::Kafka => findings.ask_kafka(&pipeline, &settings),
    };
    let schemas = match &loaded {
        Some((assembly, _)) => findings.examine_registry(assembly, (reach, kafka.as_ref())),
        None => Vec::new(),
    };
    let collector = findings.examine_collector(&pipeline, reach);
    let is_sound = findings.problems.is_empty() && findings.unreachable.is_none();
    let Some((assembly, models)) = loaded.filter(|_| is_sound) else {
        return Err(findings);
    };
    let events = kafka.iter().flat_map(events_of);
    let events: Vec<(&str, i32)> = events.map(|topic| (topic.name.as_str(), topic.partitions)).collect();
    let mut warnings: Vec<String> = pipeline.document.deprecated().lines().collect();
    match &kafka {
        Some(kafka) => {
            warnings.extend(kafka.warnings.iter().cloned());
            warnings.extend(admin.tls.iter().flat_map(AdminTls::warnings));
            warnings.extend(collector);
        }
        None => warnings.extend(settings.kafka.warnings()),
    }
    Ok(Report {
        file: path.display().to_string(),
        models,
        schemas,
        preset: settings
            .kafka
            .preset_name()
            .map(|name| (name, settings.kafka.preset_lines())),
        streams: kafka.as_ref().map_or_else(Vec::new, |kafka| {
            let known = (&assembly.segment_fields()[..], &Shelf::of(assembly.registry()));
            Stream::all(&pipeline, kafka, known)
        }),
        warnings,
        forecast: Forecast::of(&assembly, &events),
        kafka,
    })
}

/// The topics of events.
fn events_of(kafka: &kafka::Report) -> impl Iterator<Item = &TopicReport> {
    kafka.topics.iter().filter(|topic| topic.key == Topics::EVENTS)
}

/// All that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings {
    /// What has to be mended in the file, or in what it names.
    pub problems: Problems,
    /// Why no broker, or no schema registry, could be asked.
    pub unreachable: Option<String>,
}

impl Findings {
    fn wrong(problems: Problems) -> Self {
        Self {
            problems,
            unreachable: None,
        }
    }

    /// Loads the models and runs them once.
    fn load(&mut self, pipeline: &Pipeline) -> Option<(Assembly, ModelsReport)> {
        let loaded = assemble(pipeline).and_then(|assembly| {
            let models = examine_models(pipeline, &assembly)?;
            Ok((assembly, models))
        });
        loaded.map_err(|problems| self.problems.merge(problems)).ok()
    }

    fn ask_kafka(&mut self, pipeline: &Pipeline, settings: &Settings) -> Option<kafka::Report> {
        match kafka::check(settings) {
            Ok(kafka) => return Some(kafka),
            Err(CheckError::Problems(problems)) => self.problems.merge(pipeline.document.locate(problems)),
            Err(CheckError::Unreachable(error)) => self.unreachable = Some(error.to_string()),
        }
        None
    }

    /// Asks the registry, where there is one; what it says of the schemas that concern the pipeline, one line each. What
    /// topics a pattern means, only Kafka knows.
    fn examine_registry(
        &mut self,
        assembly: &Assembly,
        (reach, kafka): (Reach, Option<&kafka::Report>),
    ) -> Vec<String> {
        let (file, mut lines) = (assembly.file(), Vec::new());
        let Some(registry) = assembly.registry() else {
            return lines;
        };
        if reach == Reach::Files {
            lines.push(
                "not asked (--offline); whether it answers and has the schemas, `eddy check` tells where the service is to run"
                    .to_owned(),
            );
            return lines;
        }
        let topics: Vec<&str> = match kafka {
            Some(kafka) => events_of(kafka).map(|topic| topic.name.as_str()).collect(),
            None => file.topics.events.names().iter().map(String::as_str).collect(),
        };
        if topics.is_empty() {
            lines.push(format!(
                "there are no {} yet, so no subject was looked for",
                file.topics.events
            ));
        }
        for topic in topics.iter().take(STREAMS) {
            let subject = format!("{topic}-value");
            match registry.latest(&subject) {
                Ok(Latest { version, schema }) => lines.push(format!(
                    "`{subject}`: version {version}, schema {}, {}",
                    schema.id,
                    schema.kind.as_str()
                )),
                Err(failure) if failure.outcome == RegistryOutcome::Unknown => lines.push(format!(
                    "there is no subject `{subject}`; events name their schemas by number, so that producers may use another"
                )),
                Err(failure) => {
                    self.take(assembly, failure);
                    return lines;
                }
            }
        }
        if !file.predictions.is_framed() {
            return lines;
        }
        let subject = file.predictions.subject(&file.topics);
        match predictions::number(assembly, registry, false) {
            Ok(id) => lines.push(format!("`{subject}`: predictions have schema {id}")),
            Err(failure) if failure.outcome == RegistryOutcome::Unknown && file.predictions.register => {
                lines.push(format!(
                    "`{subject}`: `eddy run` will register the schema of predictions"
                ));
            }
            Err(failure) => self.take(assembly, predictions::refused(failure, &file.predictions)),
        }
        lines
    }

    /// Offers nothing to the collector of spans, where there is one; says why it does not take that.
    fn examine_collector(&mut self, pipeline: &Pipeline, reach: Reach) -> Option<String> {
        if reach == Reach::Files {
            return None;
        }
        let unfit = |why| {
            let problem = Problem::new("traces.ca", why);
            self.problems.merge(pipeline.document.locate(vec![problem]));
        };
        traces::examine(pipeline).map_err(unfit).ok().flatten()
    }

    fn take(&mut self, assembly: &Assembly, failure: Failure) {
        if failure.is_refused() {
            let problem = Problem::new(failure.key, failure.sentence);
            self.problems.merge(assembly.located(vec![problem]));
        } else {
            let kafka = self.unreachable.take().map(|kafka| format!("{kafka}\n"));
            self.unreachable = Some(format!("{}{}", kafka.unwrap_or_default(), failure.sentence));
        }
    }

    /// The code to end with: an unreachable broker may be there tomorrow, a wrong file will be as wrong.
    pub fn exit_code(&self) -> ExitCode {
        match self.problems.is_empty() {
            true => ExitCode::Unreachable,
            false => ExitCode::Configuration,
        }
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.problems.fmt(f)?;
        match &self.unreachable {
            Some(reason) if self.problems.is_empty() => f.write_str(reason),
            Some(reason) => write!(f, "\n{reason}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Findings {}

/// What waits in a topic of events.
#[derive(Debug)]
struct Stream {
    backlog: Backlog,
    latest: Sightings,
}

/// Topics of events that are looked into.
const STREAMS: usize = 5;

impl Stream {
    fn all(pipeline: &Pipeline, kafka: &kafka::Report, known: (&[String], &Shelf)) -> Vec<Result<Self, recall::Error>> {
        let settings = pipeline.file.broker(&pipeline.folder);
        let is_known = match is_known(&settings) {
            Ok(is_known) => is_known,
            Err(error) => return vec![Err(error.into())],
        };
        let of = |topic: &TopicReport| {
            let reader = TopicReader::open(&settings, &topic.name)?;
            Ok(Self {
                backlog: Backlog::of(&reader, settings.kafka.start, is_known)?,
                latest: Self::latest(pipeline, (&reader, kafka), known)?,
            })
        };
        events_of(kafka).take(STREAMS).map(of).collect()
    }

    fn latest(
        pipeline: &Pipeline,
        (reader, kafka): (&TopicReader, &kafka::Report),
        (segments, shelf): (&[String], &Shelf),
    ) -> Result<Sightings, recall::Error> {
        let fields = Fields::of(&pipeline.file, shelf.clone()).expect("a pipeline whose models fit has sound fields");
        let predictions = kafka.topics.iter().find(|topic| topic.key == Topics::PREDICTIONS);
        let around = Surroundings {
            file: &pipeline.file,
            predictions: predictions.map_or(0, |topic| topic.partitions),
            segments,
        };
        Sightings::of(reader, around, fields)
    }
}

/// Whether a topic in which the group has nothing came later, because it has something in another that the pattern means.
fn is_known(settings: &Settings) -> Result<bool, BrokerError> {
    if !matches!(settings.topics.events, Events::Matching(_)) {
        return Ok(false);
    }
    let committed = kafka::committed(settings)?;
    Ok(committed.values().flatten().any(Option::is_some))
}
