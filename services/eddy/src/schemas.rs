//! Schemas outside of a stream: for commands, which read events once and wait for what they need.
//!
//! Owns: the wait, which has an end. Never does: take an event for bad whose schema is not there.

use std::path::Path;
use std::sync::Arc;

use eddy_broker::registry::SchemaRegistry;
use eddy_pipeline::decode::{Awaited, Decoder};
use eddy_pipeline::settings::Problem;

use crate::file::PipelineFile;

/// A schema that an event needs, and that is not to be had now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("schema {id} of an event is not to be had: {why}")]
pub struct NoSchema {
    id: u32,
    why: String,
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
        prepare().map_err(|Awaited { id, why }| NoSchema { id, why })
    }
}
