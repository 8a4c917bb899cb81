//! Decoding: a record's bytes become one row of every model's inputs.
//!
//! Owns: the formats, the id and time of an event, the limits on its size. Never does: keep anything of an event beyond
//! the call, or count rows; the caller does that when the row is good.
//!
//! Invariant: a rejected record leaves every other row as it was.

mod avro;
mod captured;
mod decimal;
mod evolution;
mod format;
mod framing;
mod image;
mod json;
mod json_schema;
#[cfg(test)]
mod laws;
mod leaf;
mod moment;
mod outline;
mod protobuf;
mod raw;
mod registry;
mod rules;
mod schemas;
mod settings;
#[cfg(test)]
mod tests;
mod trie;

use std::sync::Arc;

use indexmap::IndexMap;

pub use captured::{Captured, ID_BYTES};
pub use evolution::{Change, EvolutionRule, EvolutionSettings, Finding, NewSchema};
pub(crate) use framing::{FRAME, id_of};
pub(crate) use outline::Sort;
pub use schemas::{Awaited, Found, SchemaKind, SchemaReference, Schemas, WriterSchema};
pub use settings::{EventFormat, EventSettings, LimitSettings, RawSettings, UnknownFields};
pub(crate) use trie::parse_pointer;

use self::format::{Event, Format, Sources};
use crate::event::{HEADER_ID, Header, Record};
use crate::fields::{Feature, Field, FieldSettings, Row, RowState, aim_features, bind, features};
use crate::mask::Mask;
use crate::rejection::{Reason, Rejection};
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

/// A compiled field plan: turns records into rows. Each lane owns one.
#[derive(Debug)]
pub struct Decoder {
    fields: Vec<Field>,
    format: Box<dyn Format>,
    limits: LimitSettings,
    id_header: Option<String>,
    /// Whether events say their own ids.
    says_id: bool,
    /// Whether an event without one is then refused.
    needs_id: bool,
    resolved: Vec<(String, Vec<TensorSpec>)>,
    /// What the features are like in memory, where they are captured.
    features: Option<TensorSpec>,
    state: RowState,
}

impl Decoder {
    /// Compiles the plan once.
    ///
    /// # Errors
    /// Every problem with the settings or the bindings that can be told apart from those before it.
    pub fn compile(
        events: &EventSettings,
        fields: &IndexMap<String, FieldSettings>,
        limits: &LimitSettings,
        bindings: &[Binding<'_>],
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = limits.check();
        problems.extend(misplaced(events));
        let mut compiled: Vec<Field> = fields
            .iter()
            .filter_map(|(name, settings)| {
                Field::compile(name, settings, events.image.as_ref(), limits.pixels, &mut problems)
            })
            .collect();
        if fields.is_empty() {
            problems.push(Problem::new(
                "fields",
                "no field is described, so there is nothing to feed a model with; add [fields.NAME]",
            ));
        }
        let mask = Mask::compile(events)
            .map_err(|found| problems.extend(found))
            .unwrap_or_default();
        for field in &mut compiled {
            field.is_masked = mask.covers(&field.pointer);
        }
        // A field that did not compile would be reported again as unknown by every binding.
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut resolved = Vec::with_capacity(bindings.len());
        for (position, binding) in bindings.iter().enumerate() {
            let specs = bind(&mut compiled, position, binding, &mut problems);
            resolved.push((binding.model.to_owned(), specs));
        }
        let sources = Sources {
            events,
            limits,
            fields: &compiled,
        };
        let format = format::compile(&sources).map_err(|found| problems.extend(found)).ok();
        let Some(format) = format.filter(|_| problems.is_empty()) else {
            return Err(problems);
        };
        let mut decoder = Self {
            state: RowState::new(compiled.len()),
            fields: compiled,
            format,
            limits: limits.clone(),
            id_header: events.id_header.clone(),
            says_id: events.id_header.is_some() || events.id_field.is_some(),
            needs_id: true,
            resolved,
            features: None,
        };
        let problems = decoder.try_defaults();
        if problems.is_empty() {
            Ok(decoder)
        } else {
            Err(problems)
        }
    }

    /// The same plan with a place to ask for the schemas of registry formats. Without one, their events wait.
    #[must_use]
    pub fn with_schemas(mut self, schemas: Arc<dyn Schemas>) -> Self {
        self.format.connect(schemas);
        self
    }

    /// The same plan for events that may lack their ids.
    #[must_use]
    pub fn without_needing_ids(mut self) -> Self {
        self.needs_id = false;
        self
    }

    /// The inputs of a bound model with every dimension known; buffers are made from these. Empty for an unknown model.
    pub fn resolved_inputs(&self, model: &str) -> &[TensorSpec] {
        let found = self.resolved.iter().find(|(name, _)| name == model);
        found.map_or(&[], |(_, specs)| specs.as_slice())
    }

    /// The same plan, which also writes the [features](Self::features) of each event, as 32-bit floats, into one more
    /// [`Inputs`] behind those of the models.
    #[must_use]
    pub fn with_features(mut self) -> Self {
        if self.features.is_none() {
            self.features = Some(aim_features(&mut self.fields, self.resolved.len()));
        }
        self
    }

    /// What the buffer of the features is made from, where they are captured: one input, a row of which has one column for
    /// each feature. A missing value is NaN there, whatever default the models get.
    pub fn feature_input(&self) -> Option<&TensorSpec> {
        self.features.as_ref()
    }

    /// The numbers of an event that monitoring and selection look at, in the order of the file: numbers, truth values, parts
    /// of times, positions of categories, elements of vectors, and what images look like. Text has none, nor has what is masked.
    pub fn features(&self) -> Vec<Feature> {
        features(&self.fields)
    }

    /// Whether a field is read from what `events.mask` names.
    pub fn has_masked(&self) -> bool {
        self.fields.iter().any(|field| field.is_masked)
    }

    /// The names of the fields in the order of the file.
    pub fn field_names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|field| field.name.as_str())
    }

    /// Whether the event that was decoded last had a value for the field at this position, and not only a default.
    ///
    /// # Panics
    /// When there is no such field.
    pub fn had(&self, field: usize) -> bool {
        self.state.had(field)
    }

    /// Makes sure that the schema which a record was written with is there. Cheap when it is, which is nearly always.
    ///
    /// # Errors
    /// When it is not: the event must be held back, not rejected, until [`Self::ready`] says that it can be judged.
    pub fn prepare(&mut self, record: &Record<'_>) -> Result<(), Awaited> {
        record.value.map_or(Ok(()), |value| self.format.prepare(value))
    }

    /// Whether events that were written with this schema can be judged now.
    ///
    /// # Errors
    /// As [`Self::prepare`].
    pub fn ready(&mut self, schema: u32) -> Result<(), Awaited> {
        self.format.ready(schema)
    }

    /// The schemas that were met for the first time since the last call, with what about them does not fit.
    pub fn take_new_schemas(&mut self) -> Vec<NewSchema> {
        self.format.take_new_schemas()
    }

    /// Decodes one record into row `row` of each model's inputs, one [`Inputs`] per binding, in their order. Does not
    /// touch [`Inputs::rows`].
    ///
    /// # Errors
    /// Why the record cannot be scored; [`Self::prepare`] must have said that it can be judged. The row then holds anything; `captured.id` is set where it could be found.
    ///
    /// # Panics
    /// When `inputs` were not made from [`Self::resolved_inputs`], or have no room for the row.
    pub fn decode(
        &mut self,
        record: &Record<'_>,
        inputs: &mut [Inputs],
        row: usize,
        captured: &mut Captured,
    ) -> Result<(), Rejection> {
        captured.clear();
        self.name_by_header(record.headers, captured)?;
        let value = self.within_limits(record)?;
        let mut event = Event {
            row: Row::new(&self.fields, inputs, row, record.timestamp_ms, &mut self.state),
            captured,
        };
        let result = self.format.read(value, &mut event).and_then(|()| event.row.finish());
        if captured.id.is_some() || !self.says_id {
            return result;
        }
        match result {
            Ok(()) if !self.needs_id => Ok(()),
            Ok(()) => Err(Rejection::new(
                Reason::InvalidId,
                "the event has no id where the pipeline file says it should be (`events.id_header`, `events.id_field`)",
            )),
            Err(rejection) => {
                self.format.salvage(value, captured);
                Err(rejection)
            }
        }
    }

    /// Takes the id from a header: `eddy.id` before the configured one.
    fn name_by_header(&self, headers: &[Header<'_>], captured: &mut Captured) -> Result<(), Rejection> {
        let find = |name: &str| headers.iter().find(|header| header.name == name);
        let configured = || self.id_header.as_deref().and_then(find);
        let Some(header) = find(HEADER_ID).or_else(configured) else {
            return Ok(());
        };
        let place = if header.name == HEADER_ID {
            "the header `eddy.id`"
        } else {
            "the id header"
        };
        match std::str::from_utf8(header.value.unwrap_or_default()) {
            Ok(text) => captured.name(text, place),
            Err(_) => Err(Rejection::new(Reason::InvalidId, format!("{place} is not UTF-8 text"))),
        }
    }

    /// The value of a record that is not larger than allowed.
    fn within_limits<'a>(&self, record: &Record<'a>) -> Result<&'a [u8], Rejection> {
        let headers = record.headers;
        if headers.len() > self.limits.headers {
            return Err(Rejection::new(
                Reason::TooManyHeaders,
                format!(
                    "the record has {} headers, more than {} (`limits.headers`)",
                    headers.len(),
                    self.limits.headers
                ),
            ));
        }
        let header_bytes: usize = headers
            .iter()
            .map(|h| h.name.len() + h.value.map_or(0, <[u8]>::len))
            .sum();
        if header_bytes > self.limits.header_bytes.get() {
            return Err(Rejection::new(
                Reason::TooManyHeaders,
                format!(
                    "the record has {header_bytes} bytes of headers, more than {} (`limits.header_bytes`)",
                    self.limits.header_bytes
                ),
            ));
        }
        let Some(value) = record.value else {
            return Err(Rejection::new(
                Reason::Tombstone,
                "the record has no value; there is nothing to score in a tombstone",
            ));
        };
        if value.len() > self.limits.record_bytes.get() {
            return Err(Rejection::new(
                Reason::TooLarge,
                format!(
                    "the value is {} bytes, more than {} (`limits.record_bytes`)",
                    value.len(),
                    self.limits.record_bytes
                ),
            ));
        }
        Ok(value)
    }

    /// Writes every default once, so that one that does not fit into a model's type is found now and not in service.
    fn try_defaults(&mut self) -> Vec<Problem> {
        let mut inputs: Vec<Inputs> = self
            .resolved
            .iter()
            .map(|(_, specs)| Inputs::with_capacity(specs, 1))
            .collect();
        let mut row = Row::new(&self.fields, &mut inputs, 0, Some(0), &mut self.state);
        let mut problems = Vec::new();
        for (index, field) in self.fields.iter().enumerate() {
            if field.default.is_some()
                && let Err(rejection) = row.fill(index)
            {
                problems.push(Problem::new(
                    format!("fields.{}.default", field.name),
                    format!("{}; write a smaller one", rejection.detail),
                ));
            }
        }
        problems
    }
}

/// Settings of one format in a pipeline of another.
fn misplaced(events: &EventSettings) -> Vec<Problem> {
    let mut problems = misplaced_sections(events);
    if events.evolution.is_some() && !events.format.has_schemas() {
        problems.push(Problem::new(
            "events.evolution",
            format!(
                "has no meaning for {} events, which name no schema; remove it, or write format = \"avro\", \"protobuf\" or \
                 \"json_schema\"",
                events.format.as_str()
            ),
        ));
    }
    problems
}

fn misplaced_sections(events: &EventSettings) -> Vec<Problem> {
    let said = [
        ("raw", events.raw.is_some(), EventFormat::Raw),
        ("image", events.image.is_some(), EventFormat::Image),
    ];
    said.into_iter()
        .filter(|(_, present, format)| *present && *format != events.format)
        .map(|(name, _, format)| {
            Problem::new(
                format!("events.{name}"),
                format!(
                    "has no meaning for {} events; remove it, or write format = {:?}",
                    events.format.as_str(),
                    format.as_str()
                ),
            )
        })
        .collect()
}
