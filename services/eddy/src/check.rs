//! `eddy check`: everything that `eddy run` would do before its first event, and nothing that leaves a trace.
//!
//! Owns: the order of the look, and the report of what was found.
//! Never does: join a group, begin a transaction, create a topic, write a file.
//!
//! Invariant: one thing that is wrong does not hide another. Models are loaded even where Kafka is out of reach, Kafka is
//! asked even where a model does not load.

mod events;

use std::fmt;
use std::io::{self, Write as _};
use std::path::Path;

use eddy_broker::kafka::{self, CheckError, TopicReader};
use eddy_broker::registry::{Failure, Latest};
use eddy_broker::settings::Topics;
use eddy_host::ExitCode;
use eddy_model::Model;
use eddy_pipeline::settings::{Bytes, Problem};
use eddy_telemetry::catalogue::RegistryOutcome;

use self::events::{Sightings, Surroundings};
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
    let locate = |problems| pipeline.document.locate(problems);
    let unfit = match reach {
        Reach::Files => Vec::new(),
        Reach::Kafka => unfit_token(&pipeline),
    };
    let mut findings = Findings::wrong(locate(unfit));
    let (mut forecast, mut segments, mut schemas, mut shelf) = (None, Vec::new(), Vec::new(), Shelf::default());
    let models = match assemble(&pipeline) {
        Ok(assembly) => match examine_models(&pipeline, &assembly) {
            Ok(models) => {
                if reach == Reach::Kafka {
                    schemas = findings.examine_registry(&assembly);
                }
                segments = assembly.segment_fields();
                shelf = Shelf::of(assembly.registry());
                forecast = Some(move |topics: &[(&str, i32)]| Forecast::of(&assembly, topics));
                Some(models)
            }
            Err(problems) => {
                findings.problems.merge(problems);
                None
            }
        },
        Err(problems) => {
            findings.problems.merge(problems);
            None
        }
    };
    let settings = pipeline.file.broker(&pipeline.folder);
    let asked = match reach {
        Reach::Files => Ok(None),
        Reach::Kafka => kafka::check(&settings).map(Some),
    };
    let kafka = match asked {
        Ok(kafka) => Some(kafka),
        Err(CheckError::Problems(problems)) => {
            findings.problems.merge(locate(problems));
            None
        }
        Err(CheckError::Unreachable(error)) => {
            let also = findings.unreachable.take().map(|registry| format!("\n{registry}"));
            findings.unreachable = Some(format!("{error}{}", also.unwrap_or_default()));
            None
        }
    };
    match (models, kafka) {
        (Some(models), Some(kafka)) if findings.problems.is_empty() && findings.unreachable.is_none() => Ok(Report {
            schemas,
            file: path.display().to_string(),
            streams: kafka
                .iter()
                .flat_map(|kafka| Stream::all(&pipeline, kafka, (&segments, &shelf)))
                .collect(),
            forecast: forecast.map(|of| {
                let topics = kafka.as_ref().map_or(&[][..], |kafka| &kafka.topics);
                let events = topics.iter().filter(|topic| topic.key == Topics::EVENTS);
                let events: Vec<_> = events.map(|topic| (topic.name.as_str(), topic.partitions)).collect();
                of(&events)
            }),
            models,
            preset: settings
                .kafka
                .preset_name()
                .map(|name| (name, settings.kafka.preset_lines())),
            warnings: {
                let of_kafka = match &kafka {
                    Some(kafka) => kafka.warnings.clone(),
                    None => settings.kafka.warnings(),
                };
                pipeline.document.deprecated().lines().chain(of_kafka).collect()
            },
            kafka,
        }),
        _ => Err(findings),
    }
}

/// What is wrong with the token of the admin address.
fn unfit_token(pipeline: &Pipeline) -> Vec<Problem> {
    let mut admin = pipeline.file.admin.clone();
    admin.resolve_paths(&pipeline.folder);
    let unfit = admin.reveal_token().err();
    unfit
        .map(|message| Problem::new("admin.token", message))
        .into_iter()
        .collect()
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

    /// Asks the registry, where there is one; what it says of the schemas that concern the pipeline, one line each.
    fn examine_registry(&mut self, assembly: &Assembly) -> Vec<String> {
        let (file, mut lines) = (assembly.file(), Vec::new());
        let Some(registry) = assembly.registry() else {
            return lines;
        };
        // Of a pattern nobody knows the topics here.
        for topic in file.topics.events.names().iter().take(STREAMS) {
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

    fn take(&mut self, assembly: &Assembly, failure: Failure) {
        if failure.is_refused() {
            let problem = Problem::new(failure.key, failure.sentence);
            self.problems.merge(assembly.located(vec![problem]));
        } else {
            self.unreachable = Some(failure.sentence);
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

/// What a sound pipeline is made of.
#[derive(Debug)]
pub struct Report {
    file: String,
    models: ModelsReport,
    /// What the schema registry says.
    schemas: Vec<String>,
    /// The managed service of `kafka.preset`, and what the preset sets.
    preset: Option<(&'static str, Vec<String>)>,
    /// `None` where it was not asked.
    kafka: Option<kafka::Report>,
    /// What the first topics of events hold, or why that is not known; none where Kafka was not asked.
    streams: Vec<Result<Stream, recall::Error>>,
    /// What works and is unwise.
    warnings: Vec<String>,
    forecast: Option<Forecast>,
}

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
        let events = kafka.topics.iter().filter(|topic| topic.key == Topics::EVENTS);
        let of = |topic: &kafka::TopicReport| Self::of(pipeline, (&topic.name, kafka), known);
        events.take(STREAMS).map(of).collect()
    }

    fn of(
        pipeline: &Pipeline,
        (topic, kafka): (&str, &kafka::Report),
        (segments, shelf): (&[String], &Shelf),
    ) -> Result<Self, recall::Error> {
        let settings = pipeline.file.broker(&pipeline.folder);
        let reader = TopicReader::open(&settings, topic)?;
        let fields = Fields::of(&pipeline.file, shelf.clone()).expect("a pipeline whose models fit has sound fields");
        let predictions = kafka.topics.iter().find(|topic| topic.key == Topics::PREDICTIONS);
        let around = Surroundings {
            file: &pipeline.file,
            predictions: predictions.map_or(0, |topic| topic.partitions),
            segments,
        };
        Ok(Self {
            backlog: Backlog::of(&reader, settings.kafka.start)?,
            latest: Sightings::of(&reader, around, fields)?,
        })
    }
}

#[derive(Debug)]
struct ModelsReport {
    runtime: String,
    /// Lines about each model, its name first.
    models: Vec<(String, Vec<String>)>,
    lanes: u16,
    memory: Option<Memory>,
}

/// Resident memory of this process, as the system counts it.
#[derive(Debug, Clone, Copy)]
struct Memory {
    one_lane: u64,
    further_lane: Option<u64>,
}

fn examine_models(pipeline: &Pipeline, assembly: &Assembly) -> Result<ModelsReport, Problems> {
    let located = |problems| pipeline.document.locate(problems);
    // The first scoring takes over the sessions that were tried; only the second one shows what a lane costs.
    let first = assembly.scoring().map_err(located)?;
    let one_lane = resident_bytes();
    let lanes = pipeline.file.kafka.lanes;
    let second = if lanes > 1 {
        Some(assembly.scoring().map_err(located)?)
    } else {
        None
    };
    let two_lanes = second.as_ref().and_then(|_| resident_bytes());
    let models = assembly
        .models()
        .iter()
        .zip(&pipeline.file.models)
        .map(|(model, settings)| {
            let title = format!("{} {}", model.name(), model.version());
            (title, describe(model, settings, first.max_rows()))
        });
    let models = models.collect();
    drop((first, second));
    Ok(ModelsReport {
        runtime: format!(
            "ONNX Runtime {} from {}",
            assembly.runtime().version(),
            assembly.runtime().library().display()
        ),
        models,
        lanes,
        memory: one_lane.map(|one_lane| Memory {
            one_lane,
            further_lane: two_lanes.map(|two| two.saturating_sub(one_lane)),
        }),
    })
}

fn describe(model: &Model, settings: &eddy_model::Settings, rows: usize) -> Vec<String> {
    let mut lines = vec![
        format!("file      {}", model.path().display()),
        format!("sha256    {}", model.sha256()),
    ];
    let external_data = model.external_data();
    lines.extend(external_data.map(|(file, sha256)| format!("data      {file}, sha256 {sha256}")));
    for input in model.inputs() {
        let fields = settings.inputs.get(&input.name).map(|fields| listed(fields));
        let fields = fields.map_or_else(String::new, |fields| format!(" from {fields}"));
        lines.push(format!("input     {input}{fields}"));
    }
    lines.extend(model.outputs().iter().map(|output| format!("output    {output}")));
    lines.push(format!("head      {}", settings.head.type_name()));
    let fell_back = model
        .fell_back()
        .map(|why| format!(", because {}", why.replace('\n', "; ")));
    lines.push(format!(
        "provider  {}{}",
        model.provider(),
        fell_back.unwrap_or_default()
    ));
    let time = model
        .calibration()
        .and_then(|calibration| calibration.expected_time(rows));
    let time = time.map_or_else(String::new, |time| format!(", about {time:.1?} a run"));
    lines.push(format!("batch     up to {rows} rows{time}"));
    lines
}

/// The first few names, and how many more there are.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 4;
    match names.len() {
        0..=SHOWN => names.join(", "),
        count => format!("{}, … ({count} fields)", names[..SHOWN].join(", ")),
    }
}

/// What the system says this process holds; `None` where it does not say.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            models,
            schemas,
            preset,
            kafka,
            streams,
            warnings,
            forecast,
        } = self;
        writeln!(f, "{file} is sound\n\n{}", models.runtime)?;
        for (title, lines) in &models.models {
            writeln!(f, "\nmodel {title}")?;
            for line in lines {
                writeln!(f, "  {line}")?;
            }
        }
        if let Some((name, lines)) = preset {
            writeln!(f, "\n[kafka] for {name}")?;
            for line in lines {
                writeln!(f, "  {line}")?;
            }
        }
        match kafka {
            Some(kafka) => {
                writeln!(f, "\nKafka, {}", counted(kafka.brokers, "broker"))?;
                for topic in &kafka.topics {
                    let partitions = counted(usize::try_from(topic.partitions).unwrap_or(0), "partition");
                    writeln!(f, "  {:<20} {} ({partitions})", topic.key, topic.name)?;
                }
            }
            None => writeln!(
                f,
                "\nKafka was not asked, and no secret was read (--offline); whether brokers answer, topics are there and \
                 secrets are fit, `eddy check` tells where the service is to run"
            )?,
        }
        for stream in streams {
            match stream {
                Ok(stream) => write!(f, "\n{}; the latest:\n{}", stream.backlog, stream.latest)?,
                Err(error) => writeln!(f, "\nthe events that are there could not be looked at: {error}")?,
            }
        }
        let topics = kafka.iter().flat_map(|kafka| &kafka.topics);
        let left_out = topics.filter(|topic| topic.key == Topics::EVENTS).skip(STREAMS).count();
        if left_out > 0 {
            writeln!(f, "\n{} of events not looked into", counted(left_out, "further topic"))?;
        }
        if !schemas.is_empty() {
            writeln!(f, "\nschema registry")?;
            for line in schemas {
                writeln!(f, "  {line}")?;
            }
        }
        let (lanes, count) = (usize::from(models.lanes), models.models.len());
        let sessions = counted(lanes * count, "session");
        writeln!(
            f,
            "\n{} × {}: {sessions}",
            counted(lanes, "lane"),
            counted(count, "model")
        )?;
        if let Some(memory) = models.memory {
            write!(f, "  memory now, with one lane: {}", Bytes(memory.one_lane))?;
            match memory.further_lane {
                Some(each) => {
                    let all = memory.one_lane + each * (u64::from(models.lanes) - 1);
                    writeln!(
                        f,
                        "; each further lane: {}; all: about {}, events in flight not counted",
                        Bytes(each),
                        Bytes(all)
                    )?;
                }
                None => writeln!(f, ", events in flight not counted")?,
            }
        }
        if let Some(forecast) = forecast {
            writeln!(f, "\n{forecast}")?;
            if kafka.is_none() {
                writeln!(f, "series of the partitions of the events topic are not among them")?;
            }
        }
        let unwise = streams.iter().flatten().flat_map(|stream| stream.latest.warnings());
        for warning in warnings.iter().cloned().chain(unwise) {
            writeln!(f, "\nnote: {warning}")?;
        }
        Ok(())
    }
}

fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}
