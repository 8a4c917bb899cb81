//! From a pipeline file to what a lane runs: the runtime, the models, their heads, the field plan.
//!
//! Owns: the order in which these are loaded, and how their faults become problems of the file.
//! Never does: reach Kafka or start a thread of the stream.
//!
//! Invariant: an [`Assembly`] has run every model once; its scorings differ in nothing but their buffers.

use std::sync::Arc;

use eddy_inference::judge::{Judged, Judgement, judge};
use eddy_inference::scoring::{LaneModel, ModelIdentity, Scoring};
use eddy_inference::{Emitter, settings::BatchSettings};
use eddy_model::{BatchCaps, Error, Model, Runtime};
use eddy_pipeline::decode::{Binding, Decoder};
use eddy_pipeline::hash::config_hash;
use eddy_pipeline::head::{self, Head};
use eddy_pipeline::render::{ModelName, Renderer};
use eddy_pipeline::score::Scorer;
use eddy_pipeline::select::Selection;
use eddy_pipeline::settings::Problem;
use indexmap::IndexMap;

use crate::file::{Pipeline, PipelineFile};
use crate::settings::problems::Problems;

/// Everything that lanes are made of.
#[derive(Debug)]
pub struct Assembly {
    file: PipelineFile,
    runtime: Runtime,
    models: Vec<Model>,
    heads: Vec<Arc<dyn Head>>,
    inputs: Vec<IndexMap<String, Vec<String>>>,
    judgement: Option<Judgement>,
    config: String,
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
    let inputs = file
        .models
        .iter()
        .map(|model| model.inputs.clone().into_iter().collect())
        .collect();
    let config = config_hash(&what_decides(&file));
    let mut assembly = Assembly {
        judgement: None,
        file,
        runtime,
        models,
        heads,
        inputs,
        config,
    };
    if problems.is_empty() {
        match assembly.judge() {
            Ok(judgement) => assembly.judgement = Some(judgement),
            Err(wrong) => problems.extend(wrong),
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
fn what_decides(file: &PipelineFile) -> serde_json::Value {
    serde_json::json!({
        "name": file.name,
        "events": file.events,
        "fields": file.fields,
        "limits": file.limits,
        "models": file.models,
        "select": file.select,
    })
}

impl Assembly {
    /// The models, in the order of the file.
    pub fn models(&self) -> &[Model] {
        &self.models
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
    pub fn config(&self) -> &str {
        &self.config
    }

    /// Checks that the fields fit the models, and what can be measured and selected by.
    fn judge(&self) -> Result<Judgement, Vec<Problem>> {
        let decoder = self.decoder()?;
        let models = self.models.iter().zip(&self.heads).zip(&self.file.models);
        let models: Vec<Judged<'_>> = models
            .map(|((model, head), settings)| Judged {
                name: model.name(),
                head: head.as_ref(),
                shown: settings.signals.as_deref(),
            })
            .collect();
        judge(&self.file.select, &models, decoder.features())
    }

    fn judgement(&self) -> &Judgement {
        self.judgement
            .as_ref()
            .expect("an assembly that was returned is judged")
    }

    /// The selection of one lane, at the beginning of its budgets.
    pub fn selection(&self) -> Selection {
        Selection::new(Arc::clone(&self.judgement().plan))
    }

    /// A field plan for these models.
    ///
    /// # Errors
    /// What does not fit between fields and inputs.
    pub fn decoder(&self) -> Result<Decoder, Vec<Problem>> {
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
        Decoder::compile(&self.file.events, &self.file.fields, &self.file.limits, &bindings)
    }

    /// The scoring of one lane, with sessions of its own.
    ///
    /// # Errors
    /// What does not fit, or a session that cannot be made.
    pub fn scoring(&self) -> Result<Scoring, Vec<Problem>> {
        self.scoring_with(|scorer| scorer)
    }

    /// The same, each scorer inside of what `wrap` puts around it.
    ///
    /// # Errors
    /// As [`Assembly::scoring`].
    pub fn scoring_with(&self, wrap: impl Fn(Box<dyn Scorer>) -> Box<dyn Scorer>) -> Result<Scoring, Vec<Problem>> {
        let decoder = match self.judgement().has_features {
            true => self.decoder()?.with_features(),
            false => self.decoder()?,
        };
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
        Ok(Scoring::new(
            decoder,
            lane_models,
            Arc::clone(&self.judgement().signals),
            &self.file.batch,
        ))
    }

    /// The writer of one lane's outputs.
    pub fn emitter(&self) -> Emitter {
        let names = self.models.iter().map(|model| ModelName {
            name: model.name(),
            version: model.version(),
            sha256: model.sha256(),
        });
        Emitter::new(Renderer::new(names), self.config.clone())
    }
}
