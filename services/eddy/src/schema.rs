//! `eddy schema`: the JSON schema of the pipeline file, and those of what a pipeline writes.
//!
//! Owns: which schema is asked for, and finding out what the models of a pipeline say.
//! Never does: say what is in a schema ([`eddy_pipeline::schema`] does), or reach Kafka.

use eddy_host::ExitCode;
use eddy_pipeline::event::Destination;
use eddy_pipeline::schema::{self, ModelOutput};
use serde_json::Value;

use crate::assemble::{Assembly, assemble};
use crate::cli::SchemaArguments;
use crate::file;
use crate::program;
use crate::settings::problems::Problems;

/// The schema of the values that a pipeline writes to its predictions topic. The same as long as the names of models,
/// classes and fields that are passed through are the same; versions of models are left open.
pub fn prediction(assembly: &Assembly) -> Value {
    schema::prediction(Some(&described(assembly)))
}

/// The schema of the headers of what a pipeline writes to one of its topics.
pub fn headers(assembly: &Assembly, to: Destination) -> Value {
    schema::headers(Some(&described(assembly)), to)
}

fn described(assembly: &Assembly) -> schema::Pipeline<'_> {
    let models = assembly.models().iter().zip(assembly.heads());
    let file = assembly.file();
    schema::Pipeline {
        name: &file.name,
        models: models
            .map(|(model, head)| ModelOutput {
                name: model.name(),
                head: head.as_ref(),
            })
            .collect(),
        passed_through: file.events.passed_through(),
    }
}

/// A schema as text.
pub fn text(schema: &Value) -> String {
    let mut text = serde_json::to_string_pretty(schema).expect("a schema is plain JSON");
    text.push('\n');
    text
}

/// Prints the schema that the arguments ask for.
pub(crate) fn print(arguments: &SchemaArguments, variables: impl IntoIterator<Item = (String, String)>) -> ExitCode {
    program::answer(asked_for(arguments, variables), |_| ExitCode::Configuration)
}

fn asked_for(
    arguments: &SchemaArguments,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<String, Problems> {
    let assembly = match &arguments.pipeline {
        Some(path) => Some(assemble(&file::load(path, variables)?)?),
        None if arguments.topic.is_none() && !arguments.headers => return Ok(file::schema()),
        None => None,
    };
    let of = assembly.as_ref().map(described);
    let topic = arguments.topic.map_or(Destination::Predictions, Destination::from);
    Ok(text(&match topic {
        Destination::Predictions if !arguments.headers => schema::prediction(of.as_ref()),
        topic => schema::headers(of.as_ref(), topic),
    }))
}
