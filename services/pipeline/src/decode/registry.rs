//! Registry formats: which schema an event was written with, and the plan to read it.
//!
//! Owns: a plan for each schema that was met, made once. Never does: read an event's bytes beyond the frame; a
//! [`Language`] does.
//!
//! Invariant: a schema is judged once, and all its events fare alike: they are read, refused, or wait.

use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::Captured;
use super::format::{Event, Format, Sources};
use super::framing::{id_of, unframed};
use super::schemas::{Awaited, Found, SchemaKind, Schemas, WriterSchema};
use super::settings::UnknownFields;
use crate::rejection::{Reason, Rejection};
use crate::settings::Problem;

/// Reads the values of one language of schemas.
pub(crate) trait Language: Send + fmt::Debug {
    const KIND: SchemaKind;

    /// What a schema becomes.
    type Plan: Send + fmt::Debug;

    /// Makes the plan for a schema, whose text is a stranger's.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn compile(&self, schema: &WriterSchema) -> Result<Self::Plan, String>;

    /// As [`Format::read`]; the value still has its frame.
    fn read(&mut self, plan: &Self::Plan, value: &[u8], event: &mut Event<'_>) -> Result<(), Rejection>;

    /// As [`Format::salvage`].
    fn salvage(&mut self, plan: &Self::Plan, value: &[u8], captured: &mut Captured);
}

/// What is done with the events of a schema.
#[derive(Debug)]
enum Verdict<P> {
    Read(P),
    Refuse(Rejection),
}

/// The format of a language.
#[derive(Debug)]
pub(crate) struct Framed<L: Language> {
    language: L,
    schemas: Option<Arc<dyn Schemas>>,
    verdicts: HashMap<u32, Verdict<L::Plan>>,
    /// The schema that was ready last: nearly always the next one, too.
    last: Option<u32>,
    most: usize,
    schema_bytes: usize,
}

impl<L: Language> Framed<L> {
    pub(crate) fn new(language: L, sources: &Sources<'_>) -> Self {
        Self {
            language,
            schemas: None,
            verdicts: HashMap::new(),
            last: None,
            most: sources.limits.schemas,
            schema_bytes: sources.limits.schema_bytes.get(),
        }
    }

    fn judge(&self, schema: &WriterSchema) -> Verdict<L::Plan> {
        let refuse = |reason, why: String| {
            let detail = format!("the event was written with schema {}, {why}", schema.id);
            Verdict::Refuse(Rejection::new(reason, detail))
        };
        if schema.kind != L::KIND {
            let format = match schema.kind {
                SchemaKind::Avro => "avro",
                SchemaKind::Protobuf => "protobuf",
                SchemaKind::Json => "json_schema",
            };
            let (kind, wanted) = (schema.kind.as_str(), L::KIND.as_str());
            let why = format!("which is {kind} and not {wanted}; write `events.format = {format:?}`");
            return refuse(Reason::UnknownSchema, why);
        }
        let references = schema.references.iter().map(|reference| reference.text.len());
        let bytes = schema.text.len() + references.sum::<usize>();
        if bytes > self.schema_bytes {
            let why = format!(
                "whose text with its references has {bytes} bytes, more than {} (`limits.schema_bytes`)",
                self.schema_bytes
            );
            return refuse(Reason::UnknownSchema, why);
        }
        // A parser of schemas is other people's code on strangers' text; it must not take the lane down.
        let compiled = catch_unwind(AssertUnwindSafe(|| self.language.compile(schema)));
        match compiled {
            Ok(Ok(plan)) => Verdict::Read(plan),
            Ok(Err(why)) => refuse(
                Reason::UnknownSchema,
                format!("which cannot be read: {}", one_line(&why)),
            ),
            Err(_) => refuse(
                Reason::UnknownSchema,
                "which cannot be read: its parser failed".to_owned(),
            ),
        }
    }

    #[cold]
    fn ask(&mut self, id: u32) -> Result<(), Awaited> {
        let Some(schemas) = &self.schemas else {
            let why =
                format!("schema {id} is needed and no schema registry is configured; say where it is in `[registry]`");
            return Err(Awaited { id, why });
        };
        let verdict = match schemas.find(id) {
            Found::Known(schema) => self.judge(&schema),
            // Not kept: a registry that lags behind may have it a moment later.
            Found::Unknown => return Ok(()),
            Found::Awaited(why) => return Err(Awaited { id, why }),
        };
        if self.verdicts.len() >= self.most {
            self.verdicts.clear();
        }
        self.verdicts.insert(id, verdict);
        Ok(())
    }
}

/// A parser's words as a part of a sentence.
fn one_line(text: &str) -> String {
    const LONGEST: usize = 200;
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut line = words.join(" ");
    if line.len() > LONGEST {
        line.truncate(line.floor_char_boundary(LONGEST));
        line.push('…');
    }
    line
}

impl<L: Language> Format for Framed<L> {
    fn connect(&mut self, schemas: Arc<dyn Schemas>) {
        self.schemas = Some(schemas);
    }

    #[inline]
    fn schema_of(&self, value: &[u8]) -> Option<u32> {
        id_of(value)
    }

    #[inline]
    fn ready(&mut self, id: u32) -> Result<(), Awaited> {
        if self.last == Some(id) {
            return Ok(());
        }
        if !self.verdicts.contains_key(&id) {
            self.ask(id)?;
        }
        self.last = self.verdicts.contains_key(&id).then_some(id);
        Ok(())
    }

    fn read(&mut self, value: &[u8], event: &mut Event<'_>) -> Result<(), Rejection> {
        let Some(id) = id_of(value) else {
            return Err(unframed(value, L::KIND));
        };
        self.ready(id)
            .map_err(|awaited| Rejection::new(Reason::UnknownSchema, awaited.why))?;
        match self.verdicts.get(&id) {
            Some(Verdict::Read(plan)) => self.language.read(plan, value, event),
            Some(Verdict::Refuse(rejection)) => Err(rejection.clone()),
            None => {
                let detail = format!(
                    "the event was written with schema {id}, and the registry has none of this number; is it the registry \
                     that the producer uses?"
                );
                Err(Rejection::new(Reason::UnknownSchema, detail))
            }
        }
    }

    fn salvage(&mut self, value: &[u8], captured: &mut Captured) {
        if let Some(Verdict::Read(plan)) = id_of(value).and_then(|id| self.verdicts.get(&id)) {
            self.language.salvage(plan, value, captured);
        }
    }
}

/// What a registry format has no use for.
pub(crate) fn check(sources: &Sources<'_>, problems: &mut Vec<Problem>) {
    if sources.events.unknown_fields == UnknownFields::Reject {
        problems.push(Problem::new(
            "events.unknown_fields",
            format!(
                "has no meaning for {} events, whose members are those of their schema; write \
                 `evolution = {{ unknown_field = \"reject\" }}`",
                sources.events.format.as_str()
            ),
        ));
    }
}
