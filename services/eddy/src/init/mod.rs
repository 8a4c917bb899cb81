//! `eddy init`: a pipeline file from a model and a data set.
//!
//! Owns: the reading of a survey and a model's shapes as fields, bindings and a head, and the text of the file with the
//! reason for every number in it.
//! Never does: read a data set, run a model or write a file; survey, shapes and what outputs look like come in as values.
//!
//! Invariant: the text of a [`Plan`] is a pipeline file without problems, and its fields take every row that the
//! survey looked at. What cannot be told is a [`Problem`] or a comment, never a silent choice.
//!
//! ```text
//! Survey, inputs ─▶ plan_fields ─▶ FieldPlan ─▶ the caller decodes rows and runs the model ─▶ Looks
//!                                      └──────▶ plan_head(outputs with Looks, label) ─▶ HeadPlan ─▶ Plan::to_toml
//!                                                 (the caller compares predictions and labels ─▶ class_order ─▶ again)
//! ```

mod bind;
mod classes;
mod field;
mod head;
mod looks;
mod numbers;
mod picture;
mod render;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use eddy_broker::settings::Start;
use eddy_pipeline::decode::{EventFormat, EventSettings};
use eddy_pipeline::fields::FieldSettings;
use eddy_pipeline::head::HeadSettings;
use eddy_pipeline::settings::Problem;
use eddy_pipeline::tensor::TensorSpec;
use eddy_storage::survey::{Column, Survey};
use indexmap::IndexMap;

pub use self::classes::class_order;
pub use self::looks::{Looks, Observer};

/// Key under which problems with a model's inputs stand.
const INPUTS: &str = "models[0].inputs";

/// A model, by what is known of it from outside.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelFacts {
    /// What to call it and the pipeline, such as the stem of the file's name. It is made to fit.
    pub name: String,
    /// Its file, relative to the pipeline file.
    pub path: PathBuf,
    /// What it takes.
    pub inputs: Vec<TensorSpec>,
    /// What it gives.
    pub outputs: Vec<OutputFacts>,
    /// Names of classes that it carries.
    pub class_names: Option<Vec<String>>,
    /// The words of the label in the order of the model's classes, where its predictions were compared with the label
    /// ([`class_order`]). Without them, and without names of its own, only labels that are numbers have an order.
    pub agreed_classes: Option<Vec<String>>,
}

/// An output of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputFacts {
    /// Name, type and shape.
    pub spec: TensorSpec,
    /// What came out when the model ran over the data; `None` when it was not run.
    pub looks: Option<Looks>,
}

/// A field of the pipeline file, with the reasons for what it says.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedField {
    /// Its name, and of a member of objects, the names that lead to it, joined.
    pub name: String,
    /// What the file says of it.
    pub settings: FieldSettings,
    /// What the data says of it, as one line.
    pub about: String,
    /// Why a key has its value.
    pub notes: Vec<(&'static str, String)>,
}

/// Which columns become fields, and which fields feed which input of the model.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FieldPlan {
    /// What an event is.
    pub events: EventSettings,
    /// The fields in the order of the data's columns.
    pub fields: Vec<PlannedField>,
    /// The fields of each input, in the model's order.
    pub inputs: Vec<(String, Vec<String>)>,
    /// Columns that became no field, each with the reason.
    pub left_out: Vec<(String, String)>,
    /// What the author of the file should look at.
    pub remarks: Vec<String>,
}

impl FieldPlan {
    /// The tables `[fields.*]`, for a decoder.
    pub fn settings(&self) -> IndexMap<String, FieldSettings> {
        let field = |field: &PlannedField| (field.name.clone(), field.settings.clone());
        self.fields.iter().map(field).collect()
    }

    /// The key `inputs` of the model, for a decoder.
    pub fn bindings(&self) -> IndexMap<String, Vec<String>> {
        self.inputs.iter().cloned().collect()
    }
}

/// How the model's outputs become predictions, with the reasons.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadPlan {
    /// What the file says.
    pub settings: HeadSettings,
    /// Why this type of head.
    pub about: String,
    /// Why a key has its value.
    pub notes: Vec<(&'static str, String)>,
    /// What the author of the file should look at.
    pub remarks: Vec<String>,
}

/// A pipeline file to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Name of the pipeline and its model.
    pub name: String,
    /// The model's file, relative to the pipeline file.
    pub path: PathBuf,
    /// Its reference profile, relative to the pipeline file, where there is one.
    pub profile: Option<PathBuf>,
    /// Brokers, as `host:port`, several with commas.
    pub brokers: String,
    /// The events topic, where it has another name than a pipeline file assumes.
    pub events: Option<String>,
    /// Where a new group begins.
    pub start: Start,
    /// Rows that the plan was made from.
    pub rows: u64,
    /// The column of the label, where there was one.
    pub label: Option<String>,
    /// Fields and bindings.
    pub fields: FieldPlan,
    /// The head.
    pub head: HeadPlan,
}

impl Plan {
    /// A plan of its parts, without a profile and for brokers on this machine.
    pub fn of(survey: &Survey, model: &ModelFacts, fields: FieldPlan, head: HeadPlan) -> Self {
        Self {
            name: pipeline_name(&model.name),
            path: model.path.clone(),
            profile: None,
            brokers: "localhost:9092".to_owned(),
            events: None,
            start: Start::Earliest,
            rows: survey.rows,
            label: survey.label.as_ref().map(Column::name),
            fields,
            head,
        }
    }

    /// What the author of the file should look at, in the order of the file.
    pub fn remarks(&self) -> impl Iterator<Item = &str> {
        self.fields.remarks.iter().chain(&self.head.remarks).map(String::as_str)
    }

    /// The text of the pipeline file.
    pub fn to_toml(&self) -> String {
        render::file(self)
    }
}

/// Plans the whole file. Where outputs have no looks yet, [`plan_fields`] comes first and says how to run the model.
///
/// # Errors
/// Everything that does not fit, or cannot be told.
pub fn plan(survey: &Survey, model: &ModelFacts) -> Result<Plan, Vec<Problem>> {
    let fields = plan_fields(survey, &model.inputs);
    let head = plan_head(model, survey.label.as_ref());
    match (fields, head) {
        (Ok(fields), Ok(head)) => Ok(Plan::of(survey, model, fields, head)),
        (fields, head) => {
            let problems = [fields.err(), head.err()];
            Err(problems.into_iter().flatten().flatten().collect())
        }
    }
}

/// Plans the fields and what they feed. The label, where the survey has one, is no field.
///
/// # Errors
/// When an input cannot be filled from the data, or nothing says from which columns.
pub fn plan_fields(survey: &Survey, inputs: &[TensorSpec]) -> Result<FieldPlan, Vec<Problem>> {
    if survey.rows == 0 {
        return Err(vec![Problem::new(
            "data",
            "the data set has no rows; nothing can be learnt from it",
        )]);
    }
    if survey.images > 0 {
        return picture::plan(inputs).map_err(|problem| vec![problem]);
    }
    let mut plan = bind::plan(survey, inputs)?;
    plan.events.format = EventFormat::Json;
    Ok(plan)
}

/// Plans the head.
///
/// # Errors
/// When nothing says how the outputs become predictions.
pub fn plan_head(model: &ModelFacts, label: Option<&Column>) -> Result<HeadPlan, Vec<Problem>> {
    head::plan(model, label).map_err(|problem| vec![problem])
}

/// A pipeline's name: small letters, digits and `-`, 64 at most, not beginning with `-`.
fn pipeline_name(text: &str) -> String {
    let mut name = String::new();
    for character in text.chars().flat_map(char::to_lowercase) {
        if character.is_ascii_lowercase() || character.is_ascii_digit() {
            name.push(character);
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
        if name.len() == 64 {
            break;
        }
    }
    let name = name.trim_end_matches('-');
    if name.is_empty() {
        "pipeline".to_owned()
    } else {
        name.to_owned()
    }
}
