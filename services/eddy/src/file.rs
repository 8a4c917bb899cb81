//! The pipeline file: every crate's settings in one TOML file.
//!
//! Owns: which table belongs to which crate, and the checks that look at more than one table.
//! Never does: define what a crate's own table means, or open anything but the file itself.
//!
//! Invariant: a [`Pipeline`] that was loaded has no problem that can be seen without models and brokers.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use eddy_broker::settings::{Guarantee, Kafka, Registry, Secret, Topics};
use eddy_host::{AdminSettings, DrainSettings, ProcessSettings};
use eddy_inference::settings::{BatchSettings, CheckpointSettings, DeadLetterSettings};
use eddy_pipeline::decode::{Decoder, EventSettings, LimitSettings};
use eddy_pipeline::drift::monitor::DriftSettings;
use eddy_pipeline::fields::FieldSettings;
use eddy_pipeline::format::{PIPELINE, Version};
use eddy_pipeline::select::SelectSettings;
use eddy_pipeline::settings::{Problem, nearest};
use eddy_telemetry::LogSettings;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::PolicySettings;
use crate::predictions::PredictionSettings;
use crate::settings::history::{History, Renamed};
use crate::settings::problems::Problems;
use crate::settings::{self, Document, Source};
use crate::traces::TraceSettings;

/// What pipeline files were like before.
pub const HISTORY: History = History {
    format: &PIPELINE,
    renamed: &[
        // `drift.window` is a span of time, and this is a number of events.
        Renamed {
            old: "dead_letters.window",
            new: "window_events",
            since: 2,
            dropped_in: Version::new(0, 2),
        },
        // Beside `max_rows`, which is about a run, this one was taken to be so, too.
        Renamed {
            old: "models[].max_bytes",
            new: "max_file_bytes",
            since: 2,
            dropped_in: Version::new(0, 2),
        },
    ],
};
/// Larger than any pipeline file, smaller than any model that is passed in its place by mistake.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// Longest name of a pipeline: it is part of group names and of metric labels.
const MAX_NAME: usize = 64;

/// A pipeline: what is read, which models score it, what is written, and under which promises.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Eddy's pipeline file")]
pub struct PipelineFile {
    /// Format of this file. The newest is 2, and files of format 1 are read as well; `eddy migrate` brings them up. A file
    /// that does not say it is of format 1.
    #[serde(default = "first")]
    #[schemars(range(min = 1, max = 2))]
    pub format: u32,
    /// Name of the pipeline, in metrics, logs and default identities: small letters, digits and `-`, 64 at most, not
    /// beginning with `-`.
    pub name: String,
    /// How Kafka is reached, and which promise is kept.
    pub kafka: Kafka,
    /// Names of the topics.
    #[serde(default)]
    pub topics: Topics,
    /// Where the schemas of events are. Default: nowhere, which suits formats without schemas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<Registry>,
    /// In which form predictions are written.
    #[serde(default)]
    pub predictions: PredictionSettings,
    /// What an event looks like.
    #[serde(default)]
    pub events: EventSettings,
    /// The fields of an event by name: where they stand and what they may hold. Default: none, which suits raw events
    /// only.
    #[serde(default)]
    pub fields: IndexMap<String, FieldSettings>,
    /// The models, at least one.
    #[schemars(length(min = 1))]
    pub models: Vec<eddy_model::Settings>,
    /// How much is scored at once.
    #[serde(default)]
    pub batch: BatchSettings,
    /// How often what was done becomes durable.
    #[serde(default)]
    pub checkpoint: CheckpointSettings,
    /// Which events also go to the retraining topic.
    #[serde(default)]
    pub select: SelectSettings,
    /// What is counted for drift.
    #[serde(default)]
    pub drift: DriftSettings,
    /// What may change while the service runs.
    #[serde(default)]
    pub policy: PolicySettings,
    /// How large an event may be.
    #[serde(default)]
    pub limits: LimitSettings,
    /// When dead letters stop the stream.
    #[serde(default)]
    pub dead_letters: DeadLetterSettings,
    /// ONNX Runtime itself.
    #[serde(default)]
    pub runtime: eddy_model::RuntimeSettings,
    /// Where spans of traced events are sent. Default: nowhere, and the header `traceparent` passes through as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traces: Option<TraceSettings>,
    /// Where health, readiness and metrics are served.
    #[serde(default)]
    pub admin: AdminSettings,
    /// What is logged, and how.
    #[serde(default)]
    pub log: LogSettings,
    /// How the service ends.
    #[serde(default)]
    pub drain: DrainSettings,
    /// What others may see of the process.
    #[serde(default)]
    pub process: ProcessSettings,
}

const fn first() -> u32 {
    1
}

/// A pipeline file that was read: its settings, and where each of them stands.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// The settings, paths as they were written.
    pub file: PipelineFile,
    /// The folder that relative paths start from.
    pub folder: PathBuf,
    /// Where each setting stands.
    pub document: Document,
}

/// Reads a pipeline file, with `variables` of the environment laid over it.
///
/// # Errors
/// Everything that is wrong and can be seen without models and brokers.
pub fn load(path: &Path, variables: impl IntoIterator<Item = (String, String)>) -> Result<Pipeline, Problems> {
    let name = path.display().to_string();
    let text = text_of(path).map_err(|message| Problems::whole(name.clone(), message))?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let source = Source {
        name: &name,
        text: &text,
    };
    let loaded = read(source, variables)?;
    Ok(Pipeline {
        file: loaded.settings,
        folder,
        document: loaded.document,
    })
}

/// Reads the text of a pipeline file. [`load`] without the file.
///
/// # Errors
/// As [`load`].
pub fn read(
    source: Source<'_>,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<settings::Loaded<PipelineFile>, Problems> {
    let mut loaded = settings::read(source, variables, &HISTORY, PipelineFile::problems)?;
    // Whatever it was, it was read as one of the newest.
    loaded.settings.format = PIPELINE.written;
    loaded.settings.kafka.apply_preset();
    Ok(loaded)
}

/// The JSON schema of the file, as text.
pub fn schema() -> String {
    settings::reference::json_schema::<PipelineFile>()
}

/// The text of a pipeline file.
pub(crate) fn text_of(path: &Path) -> Result<String, String> {
    let next = "pass the path of a pipeline file (TOML)";
    let size = std::fs::metadata(path).map_err(|error| format!("cannot be read: {error}; {next}"))?;
    if size.is_dir() {
        return Err(format!(
            "is a folder; {next}, such as {}",
            path.join("pipeline.toml").display()
        ));
    }
    if size.len() > MAX_FILE_BYTES {
        return Err(format!(
            "has {} bytes, more than the {MAX_FILE_BYTES} of any pipeline file; {next}",
            size.len()
        ));
    }
    let bytes = std::fs::read(path).map_err(|error| format!("cannot be read: {error}; {next}"))?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        format!("is not UTF-8 from byte {at} on; save it as UTF-8, or {next}")
    })
}

impl PipelineFile {
    /// Both Kafka tables as the broker wants them, with the paths in them relative to `folder`.
    pub fn broker(&self, folder: &Path) -> eddy_broker::settings::Settings {
        let mut kafka = self.kafka.clone();
        kafka.resolve_paths(folder);
        eddy_broker::settings::Settings {
            pipeline: self.name.clone(),
            kafka,
            topics: self.topics.clone(),
        }
    }

    /// The registry's table, with the paths in it relative to `folder`.
    pub fn registry(&self, folder: &Path) -> Option<Registry> {
        let mut registry = self.registry.clone()?;
        registry.resolve_paths(folder);
        Some(registry)
    }

    /// The table of traces, with the paths in it relative to `folder`.
    pub fn traces(&self, folder: &Path) -> Option<TraceSettings> {
        let mut traces = self.traces.clone()?;
        traces.resolve_paths(folder);
        Some(traces)
    }

    /// The table of the admin address, with the paths in it relative to `folder`.
    pub fn admin(&self, folder: &Path) -> AdminSettings {
        let mut admin = self.admin.clone();
        admin.resolve_paths(folder);
        admin
    }

    /// Events as files of data hold them: where those of the stream are in the framing of a registry, JSON documents with the
    /// same members.
    pub(crate) fn events_of_data(&self) -> EventSettings {
        match self.events.format.has_schemas() {
            true => self.events.as_documents(),
            false => self.events.clone(),
        }
    }

    /// Every secret that the file refers to.
    pub fn secrets(&mut self) -> impl Iterator<Item = &mut Secret> {
        let of_registry = self.registry.iter_mut().flat_map(Registry::secrets);
        let of_traces = self.traces.iter_mut().flat_map(TraceSettings::secrets);
        let of_kafka = self.kafka.secrets();
        of_kafka.chain(self.admin.secrets()).chain(of_registry).chain(of_traces)
    }

    /// What is wrong beyond the types of single values.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = self.identity();
        problems.extend(self.kafka.problems());
        problems.extend(self.topics.problems());
        problems.extend(self.registry.iter().flat_map(Registry::problems));
        problems.extend(self.predictions.check(self.registry.is_some()));
        if self.events.format.has_schemas() && self.registry.is_none() {
            let message = format!(
                "`{}` events say with which schema of a registry they were written; write where that is: [registry] with url",
                self.events.format.as_str()
            );
            problems.push(Problem::new("events.format", message));
        }
        problems.extend(self.field_plan());
        problems.extend(self.select.check());
        problems.extend(self.drift.check());
        problems.extend(self.policy.check());
        problems.extend(self.traces.iter().flat_map(TraceSettings::check));
        problems.extend(self.admin.check());
        problems.extend(self.log.check());
        problems.extend(self.drain.check());
        problems.extend(self.batch.check());
        problems.extend(self.checkpoint.check());
        problems.extend(self.runtime.problems("runtime"));
        if self.kafka.guarantee == Guarantee::ExactlyOnce {
            problems.extend(self.checkpoint.problems(self.kafka.transaction_timeout));
        }
        for (index, model) in self.models.iter().enumerate() {
            problems.extend(model.problems(&format!("models[{index}]")));
            problems.extend(self.bindings(index, model));
        }
        problems
    }

    fn identity(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let fits = (1..=MAX_NAME).contains(&self.name.len()) && self.name.bytes().all(allowed);
        if !fits || self.name.starts_with('-') {
            let message = format!(
                "`{}` is not a pipeline's name; write 1 to {MAX_NAME} small letters, digits and `-`, not beginning with `-`",
                self.name
            );
            problems.push(Problem::new("name", message));
        }
        let mut names = BTreeSet::new();
        for (index, model) in self.models.iter().enumerate() {
            if !names.insert(&model.name) {
                let message = format!("`{}` is the name of an earlier model; give each its own", model.name);
                problems.push(Problem::new(format!("models[{index}].name"), message));
            }
        }
        problems
    }

    /// What is wrong with events, fields and limits by themselves; what models want of them shows when those are loaded.
    fn field_plan(&self) -> Vec<Problem> {
        Decoder::compile(&self.events, &self.fields, &self.limits, &[])
            .err()
            .unwrap_or_default()
    }

    /// Fields that a model names and the file does not have.
    fn bindings(&self, index: usize, model: &eddy_model::Settings) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (input, fields) in &model.inputs {
            for (at, field) in fields.iter().enumerate() {
                if self.fields.contains_key(field) {
                    continue;
                }
                let advice = match nearest(field, self.fields.keys().map(String::as_str)) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("write a table [fields.{field}]"),
                };
                let key = format!("models[{index}].inputs.{input}[{at}]");
                problems.push(Problem::new(key, format!("there is no field `{field}`; {advice}")));
            }
        }
        problems
    }
}
