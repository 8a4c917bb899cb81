//! Schemas outside of a stream: for commands, which read events once and wait for what they need.
//!
//! Owns: the wait, which has an end, and the code to end with when it was in vain.
//! Never does: take an event for bad whose schema is not there.

use std::path::Path;
use std::sync::Arc;

use eddy_broker::registry::SchemaRegistry;
use eddy_host::ExitCode;
use eddy_pipeline::decode::{Awaited, Decoder};
use eddy_pipeline::settings::Problem;

use crate::file::PipelineFile;

/// Why an event cannot be judged: its schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoSchema {
    /// The registry does not give it now.
    #[error("schema {id} of an event is not to be had: {why}")]
    Away {
        /// Its number.
        id: u32,
        /// Why, and what to do.
        why: String,
    },
    /// It does not fit the pipeline file, which says to stop there.
    #[error("{0}")]
    Unfit(String),
}

impl NoSchema {
    /// The code to end with.
    pub(crate) const fn exit_code(&self) -> ExitCode {
        match self {
            Self::Away { .. } => ExitCode::Unreachable,
            Self::Unfit(_) => ExitCode::Configuration,
        }
    }
}

/// Where a command gets schemas from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shelf(Option<Arc<SchemaRegistry>>);

impl Shelf {
    /// The registry of an assembly.
    pub(crate) fn of(registry: Option<&Arc<SchemaRegistry>>) -> Self {
        Self(registry.cloned())
    }

    /// The registry that a pipeline file names, where its events need one.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn open(file: &PipelineFile, folder: &Path) -> Result<Self, Vec<Problem>> {
        let registry = file.registry(folder).map(SchemaRegistry::start).transpose();
        let registry = registry.map_err(|message| vec![Problem::new("registry", message)])?;
        Ok(Self(registry.map(Arc::new)))
    }

    /// Lets a decoder ask here.
    pub(crate) fn serve(&self, decoder: Decoder) -> Decoder {
        match &self.0 {
            Some(registry) => decoder.with_schemas(registry.clone()),
            None => decoder,
        }
    }

    /// Waits until an event can be judged. `prepare` looks whether it can.
    ///
    /// # Errors
    /// When its schema does not come.
    pub(crate) fn wait(&self, mut prepare: impl FnMut() -> Result<(), Awaited>) -> Result<(), NoSchema> {
        let Err(Awaited { id, .. }) = prepare() else {
            return Ok(());
        };
        if let Some(registry) = &self.0 {
            registry.wait_for(id);
        }
        prepare().map_err(|Awaited { id, why, is_there }| match is_there {
            true => NoSchema::Unfit(why),
            false => NoSchema::Away { id, why },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_that_is_away_is_told_apart_from_a_schema_that_the_pipeline_file_stops_at() {
        let ends = |is_there: bool| {
            let awaited = Awaited {
                id: 7,
                why: "schema 7 is of no use".into(),
                is_there,
            };
            let error = Shelf::default()
                .wait(|| Err(awaited.clone()))
                .expect_err("it does not come");
            (error.exit_code(), error.to_string())
        };
        let away = "schema 7 of an event is not to be had: schema 7 is of no use";
        assert_eq!(ends(false), (ExitCode::Unreachable, away.into()));
        assert_eq!(ends(true), (ExitCode::Configuration, "schema 7 is of no use".into()));
    }
}
