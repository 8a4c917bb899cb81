//! From a pipeline file to what a lane runs: the runtime, the models, their heads, the field plan.
//!
//! Owns: the order in which these are loaded, and how their faults become problems of the file.
//! Never does: reach Kafka or start a thread of the stream.
//!
//! Invariant: an [`Assembly`] has run every model once; its scorings differ in nothing but their buffers.

mod profiles;

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use eddy_broker::registry::SchemaRegistry;
use eddy_inference::judge::{InForce, Judged, Judgement, Provenance, judge};
use eddy_inference::scoring::{LaneModel, ModelIdentity, Scoring};
use eddy_inference::{Emitter, SignalPlan, settings::BatchSettings};
use eddy_model::{BatchCaps, Error, Model, Runtime};
use eddy_pipeline::decode::{Binding, Decoder};
use eddy_pipeline::drift::watch::ModelName as ModelNames;
use eddy_pipeline::hash::config_hash;
use eddy_pipeline::head::{self, Head};
use eddy_pipeline::mask::Mask;
use eddy_pipeline::policy::PolicyFile;
use eddy_pipeline::profile::{Note, Profile};
use eddy_pipeline::render::{ModelName, Renderer};
use eddy_pipeline::score::Scorer;
use eddy_pipeline::select::Selection;
use eddy_pipeline::settings::Problem;
use eddy_telemetry::{Metrics, ModelFacts, ModelVersion};
use indexmap::IndexMap;

pub(crate) use self::profiles::profile_of;
use crate::file::{Pipeline, PipelineFile};
use crate::policy::{self, Loaded};
use crate::replay::Feed;
use crate::schemas::Shelf;
use crate::settings::Document;
use crate::settings::problems::Problems;

/// Everything that lanes are made of.
#[derive(Debug)]
pub struct Assembly {
    file: PipelineFile,
    document: Document,
    runtime: Runtime,
    models: Vec<Model>,
    heads: Vec<Arc<dyn Head>>,
    inputs: Vec<IndexMap<String, Vec<String>>>,
    profiles: Vec<Option<Profile>>,
    profile_ids: Vec<Option<String>>,
    policy: Option<Loaded>,
    in_force: Option<Arc<InForce>>,
    registry: Option<Arc<SchemaRegistry>>,
}

/// Loads the runtime and the models of a pipeline and checks that they fit together. Runs each model once.
///
/// # Errors
/// Everything that is wrong, with its place in the file.
pub fn assemble(pipeline: &Pipeline) -> Result<Assembly, Problems> {
    let file = pipeline.file.clone();
    let located = |problems: Vec<Problem>| pipeline.document.locate(problems);
    let runtime = Runtime::load(&file.runtime, &pipeline.folder)
        .map_err(|error| located(vec![Problem::new("runtime.library", error.to_string())]))?;
    let caps = BatchCaps {
        rows: file.batch.rows,
        time: file.batch.time.0,
    };
    let mut problems = Vec::new();
    let (mut models, mut heads) = (Vec::new(), Vec::new());
    for (index, settings) in file.models.iter().enumerate() {
        let model = match Model::load(&runtime, settings, &pipeline.folder, caps) {
            Ok(model) => model,
            Err(error) => {
                let key = format!("models[{index}].{}", culprit(&error));
                problems.push(Problem::new(key, error.to_string()));
                continue;
            }
        };
        match head::compile(&settings.head, model.outputs(), model.class_names()) {
            Ok(head) => heads.push(Arc::from(head)),
            Err(wrong) => problems.extend(
                wrong
                    .into_iter()
                    .map(|problem| Problem::new(format!("models[{index}].{}", problem.key), problem.message)),
            ),
        }
        models.push(model);
    }
    let (profiles, wrong) = profiles::load(&file, &pipeline.folder);
    problems.extend(wrong);
    let policy = match &file.policy.path {
        Some(path) => Some(policy::load(&pipeline.folder.join(path))?),
        None => None,
    };
    let registry = file.registry(&pipeline.folder).map(SchemaRegistry::start).transpose();
    let registry = registry.map_err(|message| located(vec![Problem::new("registry", message)]))?;
    let inputs = file
        .models
        .iter()
        .map(|model| model.inputs.clone().into_iter().collect())
        .collect();
    let mut assembly = Assembly {
        profile_ids: profiles.iter().map(|profile| Some(profile.as_ref()?.id())).collect(),
        profiles,
        policy,
        in_force: None,
        registry: registry.map(Arc::new),
        document: pipeline.document.clone(),
        file,
        runtime,
        models,
        heads,
        inputs,
    };
    if problems.is_empty() {
        if let Err(wrong) = assembly.decoder() {
            problems.extend(wrong);
        } else {
            let (judgement, provenance) = assembly.judge_by(assembly.policy.as_ref())?;
            assembly.in_force = Some(Arc::new(InForce::new(judgement, provenance)));
        }
    }
    if problems.is_empty() {
        Ok(assembly)
    } else {
        Err(located(problems))
    }
}

/// The key of a `[[models]]` entry that an error is about.
fn culprit(error: &Error) -> &'static str {
    match error {
        Error::Sha256 { .. } => "sha256",
        Error::ExternalData { .. } => "external_data",
        error if error.is_about_golden_file() => "golden",
        Error::Providers { .. } => "providers",
        Error::Inputs { .. } => "inputs",
        _ => "path",
    }
}

/// The settings that decide what an output says. Replicas that differ in their address, identity or log have the same.
fn what_decides(file: &PipelineFile, profiles: &[Option<String>], policy: Option<&PolicyFile>) -> serde_json::Value {
    let mut decides = serde_json::json!({
        "name": file.name,
        "events": file.events,
        "fields": file.fields,
        "limits": file.limits,
        "models": file.models,
        "select": file.select,
    });
    if file.predictions.is_framed() {
        decides["predictions"] = serde_json::json!({ "format": file.predictions.format });
    }
    if profiles.iter().any(Option::is_some) {
        decides["profiles"] = serde_json::json!(profiles);
    }
    if let Some(policy) = policy {
        decides["policy"] = serde_json::json!(policy);
    }
    decides
}

impl Assembly {
    /// The models, in the order of the file.
    pub fn models(&self) -> &[Model] {
        &self.models
    }

    /// The position of the model that a command is about: the one that is asked for, or the only one.
    ///
    /// # Errors
    /// A sentence, when there is none, or several can be meant.
    pub(crate) fn position_of(&self, asked: Option<&str>) -> Result<usize, String> {
        let names = self.models.iter().map(Model::name);
        let found = match asked {
            None => (names.len() == 1).then_some(0),
            Some(asked) => names.clone().position(|name| name == asked),
        };
        found.ok_or_else(|| {
            let known: Vec<String> = names.map(|name| format!("`{name}`")).collect();
            let why = match asked {
                Some(asked) => format!("has no model `{asked}`"),
                None => "has several models, and this is about one".to_owned(),
            };
            format!("the pipeline {why}; pass --model with one of {}", known.join(", "))
        })
    }

    /// Their reference profiles, in the same order.
    pub(crate) fn profiles(&self) -> &[Option<Profile>] {
        &self.profiles
    }

    /// Them, as series name them.
    pub(crate) fn versions(&self) -> Vec<ModelVersion<'_>> {
        let models = self.models.iter();
        models
            .map(|model| ModelVersion {
                name: model.name(),
                version: model.version(),
            })
            .collect()
    }

    /// Them, as pages name them.
    pub(crate) fn names(&self) -> Vec<ModelNames> {
        let models = self.models.iter();
        models
            .map(|model| ModelNames {
                name: model.name().to_owned(),
                version: model.version().to_owned(),
            })
            .collect()
    }

    /// Where schemas come from.
    pub(crate) fn registry(&self) -> Option<&Arc<SchemaRegistry>> {
        self.registry.as_ref()
    }

    /// Shows what is known of them before the first event.
    pub(crate) fn show(&self, metrics: &Metrics) {
        if let Some(registry) = &self.registry {
            registry.count_in(metrics.registry());
        }
        for (model, profile) in self.models.iter().zip(&self.profiles) {
            metrics.model_loaded(&ModelFacts {
                name: model.name().to_owned(),
                version: model.version().to_owned(),
                sha256: model.sha256().to_owned(),
                provider: model.provider().as_str().to_owned(),
            });
            // A file system without times leaves the series out.
            let changed = std::fs::metadata(model.path()).and_then(|file| file.modified());
            if let Some(age) = changed.ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()) {
                metrics.model_created(model.name(), model.version(), age.as_secs_f64());
            }
            let Some(profile) = profile else { continue };
            for note in &profile.notes {
                if let Note::Accepted { feature, until, .. } = note
                    && let Ok(until) = until.parse::<jiff::Timestamp>()
                {
                    metrics.feature_accepted(&profile.id(), feature, until.as_second() as f64);
                }
            }
        }
    }

    /// What is wrong with the pipeline file, each problem at its place.
    pub(crate) fn located(&self, problems: Vec<Problem>) -> Problems {
        self.document.locate(problems)
    }

    /// The pipeline file.
    pub(crate) fn file(&self) -> &PipelineFile {
        &self.file
    }

    /// What reads their outputs, in the same order.
    pub fn heads(&self) -> &[Arc<dyn Head>] {
        &self.heads
    }

    /// How much is scored at once.
    pub fn batch(&self) -> &BatchSettings {
        &self.file.batch
    }

    /// The runtime that they run on.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Hash of the settings, as outputs carry it.
    pub fn config(&self) -> String {
        self.in_force().current().1.config
    }

    /// What is measured, and how events are selected, by a policy or else by the pipeline file.
    ///
    /// # Errors
    /// What the models cannot serve, in the file that asks for it.
    pub(crate) fn judge_by(&self, policy: Option<&Loaded>) -> Result<(Judgement, Provenance), Problems> {
        let in_pipeline = |problems: Vec<Problem>| self.document.locate(problems);
        let decoder = self.decoder().map_err(in_pipeline)?;
        let points = policy.map(|policy| &policy.file.models);
        if let (Some(points), Some(policy)) = (points, policy) {
            policy.refuse_unknown_models(points.keys(), self.models.iter().map(Model::name))?;
        }
        let models = self
            .models
            .iter()
            .zip(&self.heads)
            .zip(&self.file.models)
            .zip(&self.profiles);
        let models: Vec<Judged<'_>> = models
            .map(|(((model, head), settings), profile)| Judged {
                shown: settings.signals.as_deref(),
                profile: profile.as_ref(),
                operating_point: points.and_then(|points| points.get(model.name())),
                ..Judged::bare(model.name(), head.as_ref())
            })
            .collect();
        let selected_by = policy.and_then(|policy| policy.file.select.as_ref());
        let select = selected_by.unwrap_or(&self.file.select);
        let judged = judge((select, &self.file.drift), &models, decoder.features());
        let judgement = judged.map_err(|problems| match policy {
            // What the pipeline file says of models was checked when the service started.
            Some(policy) => policy.document.locate(problems),
            None => in_pipeline(problems),
        })?;
        let decides = what_decides(&self.file, &self.profile_ids, policy.map(|policy| &policy.file));
        let provenance = Provenance {
            config: config_hash(&decides),
            policy: policy.map(|policy| policy.hash.clone()),
            said: policy.map(|policy| Arc::new(policy.file.clone())),
        };
        Ok((judgement, provenance))
    }

    /// The fields whose words are segments: by which drift is told, the budget shared, or thresholds chosen.
    pub(crate) fn segment_fields(&self) -> Vec<String> {
        let policy = self.policy.as_ref().map(|policy| &policy.file);
        let select = policy
            .and_then(|policy| policy.select.as_ref())
            .unwrap_or(&self.file.select);
        let points = policy.into_iter().flat_map(|policy| policy.models.values());
        let mut fields: Vec<String> = self.file.drift.segment.iter().cloned().collect();
        fields.extend(select.segments.iter().map(|segments| segments.field.clone()));
        fields.extend(points.filter_map(|point| point.field.clone()));
        fields.sort_unstable();
        fields.dedup();
        fields
    }

    /// The judgement that lanes follow.
    pub(crate) fn in_force(&self) -> Arc<InForce> {
        Arc::clone(self.in_force.as_ref().expect("an assembly that was returned is judged"))
    }

    /// The selection of one lane, at the beginning of its budgets.
    pub fn selection(&self) -> Selection {
        Selection::new(self.in_force().current().0.plan)
    }

    /// A field plan for these models and the stream's events.
    ///
    /// # Errors
    /// What does not fit between fields and inputs.
    pub fn decoder(&self) -> Result<Decoder, Vec<Problem>> {
        self.decoder_of(Feed::Topic)
    }

    /// A field plan for these models.
    ///
    /// # Errors
    /// What does not fit between fields and inputs.
    pub(crate) fn decoder_of(&self, feed: Feed) -> Result<Decoder, Vec<Problem>> {
        let bindings: Vec<Binding<'_>> = self
            .models
            .iter()
            .zip(&self.inputs)
            .map(|(model, fields)| Binding {
                model: model.name(),
                inputs: model.inputs(),
                fields,
            })
            .collect();
        let events = match feed {
            Feed::Data => &self.file.events_of_data(),
            Feed::Topic => &self.file.events,
        };
        let decoder = Decoder::compile(events, &self.file.fields, &self.file.limits, &bindings)?;
        Ok(Shelf::of(self.registry()).serve(decoder))
    }

    /// The scoring of one lane, with sessions of its own.
    ///
    /// # Errors
    /// What does not fit, or a session that cannot be made.
    pub fn scoring(&self) -> Result<Scoring, Vec<Problem>> {
        self.scoring_with(|scorer| scorer)
    }

    /// The same for events from elsewhere.
    ///
    /// # Errors
    /// As [`Assembly::scoring`].
    pub(crate) fn scoring_of(&self, feed: Feed) -> Result<Scoring, Vec<Problem>> {
        self.scoring_by(feed, |scorer| scorer)
    }

    /// The same, each scorer inside of what `wrap` puts around it.
    ///
    /// # Errors
    /// As [`Assembly::scoring`].
    pub fn scoring_with(&self, wrap: impl Fn(Box<dyn Scorer>) -> Box<dyn Scorer>) -> Result<Scoring, Vec<Problem>> {
        self.scoring_by(Feed::Topic, wrap)
    }

    fn scoring_by(
        &self,
        feed: Feed,
        wrap: impl Fn(Box<dyn Scorer>) -> Box<dyn Scorer>,
    ) -> Result<Scoring, Vec<Problem>> {
        let judgement = self.in_force().current().0;
        // A policy may ask for them later.
        let has_features = judgement.needs_features || self.policy.is_some();
        let decoder = match has_features {
            true => self.decoder_of(feed)?.with_features(),
            false => self.decoder_of(feed)?,
        };
        self.scoring_from(decoder, judgement.signals, wrap)
    }

    /// A scoring behind a field plan that was made for it, with sessions of its own.
    ///
    /// # Errors
    /// A session that cannot be made.
    pub(crate) fn scoring_from(
        &self,
        decoder: Decoder,
        signals: Arc<SignalPlan>,
        wrap: impl Fn(Box<dyn Scorer>) -> Box<dyn Scorer>,
    ) -> Result<Scoring, Vec<Problem>> {
        let BatchSettings { run_limit, .. } = self.file.batch;
        let mut lane_models = Vec::new();
        for (index, (model, head)) in self.models.iter().zip(&self.heads).enumerate() {
            let mut scorer = model
                .scorer(decoder.resolved_inputs(model.name()))
                .map_err(|error| vec![Problem::new(format!("models[{index}]"), error.to_string())])?;
            scorer.set_time_limit(run_limit.0);
            tracing::info!(
                model = model.name(),
                version = model.version(),
                provider = model.provider().as_str(),
                max_rows = scorer.max_rows(),
                "a scorer is ready"
            );
            lane_models.push(LaneModel {
                identity: ModelIdentity {
                    name: model.name().to_owned(),
                    version: model.version().to_owned(),
                    sha256: model.sha256().to_owned(),
                },
                scorer: wrap(Box::new(scorer)),
                head: Arc::clone(head),
            });
        }
        Ok(Scoring::new(decoder, lane_models, signals, &self.file.batch))
    }

    /// The writer of one lane's outputs.
    pub fn emitter(&self) -> Emitter {
        let models = self.models.iter().zip(&self.profile_ids);
        let names = models.map(|(model, profile)| ModelName {
            name: model.name(),
            version: model.version(),
            sha256: model.sha256(),
            profile: profile.as_deref(),
        });
        let mask = Mask::compile(&self.file.events).expect("the decoders were compiled by the same table");
        Emitter::new(Renderer::new(names), self.in_force().current().1).masking(mask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recall::fields::tests::file;

    #[test]
    fn of_how_predictions_are_written_only_their_format_decides_what_they_say() {
        let decides = |predictions: &str| {
            let tables = "[fields.x]\ntype = \"float\"\n[registry]\nurl = \"http://localhost:1\"";
            what_decides(&file(&format!("{tables}\n[predictions]\n{predictions}")), &[], None)
        };
        let framed = decides("format = \"json_schema\"");
        let elsewhere = decides("format = \"json_schema\"\nsubject = \"s\"\nregister = false");
        assert_eq!(framed, elsewhere);
        assert_ne!(framed, decides("format = \"json\""));
    }
}
