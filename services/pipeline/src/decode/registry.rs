//! Registry formats: which schema an event was written with, and the plan to read it.
//!
//! Owns: a plan for each schema that was met, made once. Never does: read an event's bytes beyond what names its schema; a
//! [`Language`] does.
//!
//! Invariant: a schema is judged once, and all its events fare alike: they are read, refused, or wait.
//!
//! Best time per event of 32 named doubles in ns, `benches/decode.rs`, two shared cores, beside what the library that is known for
//! the format takes to make its tree of values:
//!
//! | format | this decoder | the library alone |
//! |---|---|---|
//! | JSON, without a frame | 1379 | 4212, `serde_json::Value` |
//! | JSON Schema | 1420 | 4043, `serde_json::Value` |
//! | Avro | 506 | 970, `apache-avro` |
//! | Protobuf | 3356 | 1888, `prost-reflect`, whose tree this decoder walks |

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::Captured;
use super::evolution::{EvolutionRule, EvolutionSettings, Expected, FieldTypes, Finding, NewSchema, judge};
use super::format::{Event, Format, Sources};
use super::framing::{id_of, unframed};
use super::outline::Outline;
use super::rules::Rules;
use super::schemas::{Awaited, Found, SchemaKind, Schemas, WriterSchema};
use super::settings::UnknownFields;
use super::trie::Trie;
use crate::fields::TimeReader;
use crate::rejection::{Reason, Rejection};
use crate::settings::Problem;

/// Which of the messages of a schema an event is, by its position and those of its parents. Empty in languages whose
/// schemas describe one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Part {
    pub(crate) length: u8,
    pub(crate) at: [u32; Self::DEEPEST],
}

impl Part {
    pub(crate) const DEEPEST: usize = 8;
}

/// Reads the values of one language of schemas.
pub(crate) trait Language: Send + fmt::Debug {
    const KIND: SchemaKind;

    /// What a schema's text becomes.
    type Source: Send + fmt::Debug;

    /// What a part of it becomes.
    type Plan: Send + fmt::Debug;

    /// What the pipeline file looks for.
    fn trie(&self) -> &Trie;

    /// Parses a schema, whose text is a stranger's.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn parse(&self, schema: &WriterSchema) -> Result<Self::Source, String>;

    /// The part of its schema that a value is an instance of.
    fn part(&self, _value: &[u8]) -> Result<Part, Rejection> {
        Ok(Part::default())
    }

    /// Makes the plan for a part of a schema, and its outline.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn compile(&self, source: &Self::Source, part: Part) -> Result<(Self::Plan, Outline), String>;

    /// As [`Format::read`]; the value still has its frame.
    fn read(&mut self, plan: &Self::Plan, value: &[u8], event: &mut Event<'_>) -> Result<(), Rejection>;

    /// As [`Format::salvage`].
    fn salvage(&mut self, plan: &Self::Plan, value: &[u8], captured: &mut Captured);
}

/// What is done with the events of a part of a schema.
#[derive(Debug)]
enum Verdict<P> {
    Read(P),
    Refuse(Rejection),
    Wait(String),
}

type Key = (u32, Part);

/// The format of a language.
#[derive(Debug)]
pub(crate) struct Framed<L: Language> {
    language: L,
    schemas: Option<Arc<dyn Schemas>>,
    sources: HashMap<u32, Result<L::Source, Rejection>>,
    verdicts: Vec<Verdict<L::Plan>>,
    keys: HashMap<Key, usize>,
    /// What was ready last: nearly always what comes next, too.
    last: Option<(Key, usize)>,
    new: Vec<NewSchema>,
    fields: Vec<FieldTypes>,
    time: TimeReader,
    evolution: EvolutionSettings,
    most: usize,
    schema_bytes: usize,
}

impl<L: Language> Framed<L> {
    pub(crate) fn new(language: L, sources: &Sources<'_>) -> Self {
        Self {
            language,
            schemas: None,
            sources: HashMap::new(),
            verdicts: Vec::new(),
            keys: HashMap::new(),
            last: None,
            new: Vec::new(),
            fields: sources.fields.iter().map(FieldTypes::of).collect(),
            time: Rules::of(sources).time,
            evolution: sources.events.evolution.clone().unwrap_or_default(),
            most: sources.limits.schemas,
            schema_bytes: sources.limits.schema_bytes.get(),
        }
    }

    /// The verdict on a value's schema, or `None` when the registry has none of that number.
    #[inline]
    fn verdict(&mut self, id: u32, part: Part) -> Result<Option<usize>, Awaited> {
        match self.last {
            Some((key, at)) if key == (id, part) => Ok(Some(at)),
            _ => self.look_up(id, part),
        }
    }

    fn look_up(&mut self, id: u32, part: Part) -> Result<Option<usize>, Awaited> {
        let key = (id, part);
        if let Some(at) = self.keys.get(&key) {
            self.last = Some((key, *at));
            return Ok(Some(*at));
        }
        if !self.has_source(id)? {
            return Ok(None);
        }
        if self.verdicts.len() >= self.most {
            self.forget();
            if !self.has_source(id)? {
                return Ok(None);
            }
        }
        let verdict = self.judge(id, part);
        self.verdicts.push(verdict);
        let at = self.verdicts.len() - 1;
        self.keys.insert(key, at);
        self.last = Some((key, at));
        Ok(Some(at))
    }

    fn forget(&mut self) {
        self.sources.clear();
        self.verdicts.clear();
        self.keys.clear();
        self.last = None;
    }

    /// Whether there is a schema of that number, read or refused.
    #[cold]
    fn has_source(&mut self, id: u32) -> Result<bool, Awaited> {
        if self.sources.contains_key(&id) {
            return Ok(true);
        }
        let Some(schemas) = &self.schemas else {
            let why =
                format!("schema {id} is needed and no schema registry is configured; say where it is in `[registry]`");
            return Err(Awaited {
                id,
                why,
                is_there: false,
            });
        };
        let source = match schemas.find(id) {
            Found::Known(schema) => self.parse(&schema),
            // Not kept: a registry that lags behind may have it a moment later.
            Found::Unknown => return Ok(false),
            Found::Awaited(why) => {
                return Err(Awaited {
                    id,
                    why,
                    is_there: false,
                });
            }
        };
        self.sources.insert(id, source);
        Ok(true)
    }

    fn parse(&self, schema: &WriterSchema) -> Result<L::Source, Rejection> {
        let refuse = |why: String| Err(unreadable(schema.id, &why));
        if schema.kind != L::KIND {
            let format = match schema.kind {
                SchemaKind::Avro => "avro",
                SchemaKind::Protobuf => "protobuf",
                SchemaKind::Json => "json_schema",
            };
            let (kind, wanted) = (schema.kind.as_str(), L::KIND.as_str());
            return refuse(format!(
                "is {kind} and not {wanted}; write `events.format = {format:?}`"
            ));
        }
        let references = schema.references.iter().map(|reference| reference.text.len());
        let bytes = schema.text.len() + references.sum::<usize>();
        if bytes > self.schema_bytes {
            return refuse(format!(
                "has {bytes} bytes of text with its references, more than {} (`limits.schema_bytes`)",
                self.schema_bytes
            ));
        }
        // A parser of schemas is other people's code on strangers' text; it must not take the lane down.
        match catch_unwind(AssertUnwindSafe(|| self.language.parse(schema))) {
            Ok(Ok(source)) => Ok(source),
            Ok(Err(why)) => refuse(format!("cannot be read: {}", one_line(&why))),
            Err(_) => refuse("cannot be read: its parser failed".to_owned()),
        }
    }

    fn judge(&mut self, id: u32, part: Part) -> Verdict<L::Plan> {
        let source = match self.sources.get(&id) {
            Some(Ok(source)) => source,
            Some(Err(rejection)) => return Verdict::Refuse(rejection.clone()),
            None => return Verdict::Refuse(not_there(id)),
        };
        let (plan, outline) = match self.language.compile(source, part) {
            Ok(compiled) => compiled,
            Err(why) => return Verdict::Refuse(unreadable(id, &format!("cannot be read: {}", one_line(&why)))),
        };
        let expected = Expected {
            trie: self.language.trie(),
            fields: &self.fields,
            time: self.time,
        };
        let mut findings = judge(&outline, expected);
        let rule_of = |finding: &Finding| self.evolution.rule(finding.change);
        findings.sort_by_key(|finding| Reverse(rule_of(finding)));
        let rule = findings.first().map(rule_of).unwrap_or_default();
        // What is only accepted is not what the sentence is about.
        let blamed = findings.iter().take_while(|finding| rule_of(finding) == rule);
        let blamed = NewSchema {
            id,
            findings: blamed.cloned().collect(),
            rule,
        };
        self.new.push(NewSchema { id, findings, rule });
        match rule {
            EvolutionRule::Accept => Verdict::Read(plan),
            EvolutionRule::Reject => {
                let detail = format!(
                    "the event was written with schema {id}, which does not fit the pipeline file: {blamed} \
                     (`events.evolution`)"
                );
                Verdict::Refuse(Rejection::new(Reason::SchemaRefused, detail))
            }
            EvolutionRule::Pause => Verdict::Wait(format!(
                "schema {id} does not fit the pipeline file: {blamed}; change the file and start again, or have \
                 `events.evolution` accept or reject such schemas, or skip the event"
            )),
        }
    }
}

#[cold]
fn unfit(id: u32, why: &str) -> Awaited {
    Awaited {
        id,
        why: why.to_owned(),
        is_there: true,
    }
}

#[cold]
fn unreadable(id: u32, why: &str) -> Rejection {
    let detail = format!("the event was written with schema {id}, which {why}");
    Rejection::new(Reason::UnknownSchema, detail)
}

#[cold]
fn not_there(id: u32) -> Rejection {
    let detail = format!(
        "the event was written with schema {id}, and the registry has none of this number; is it the registry that the \
         producer uses?"
    );
    Rejection::new(Reason::UnknownSchema, detail)
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
    fn prepare(&mut self, value: &[u8]) -> Result<(), Awaited> {
        let Some(id) = id_of(value) else {
            return Ok(());
        };
        // What does not say which part it is will be refused when it is read.
        let Ok(part) = self.language.part(value) else {
            return Ok(());
        };
        match self.verdict(id, part)?.map(|at| &self.verdicts[at]) {
            Some(Verdict::Wait(why)) => Err(unfit(id, why)),
            _ => Ok(()),
        }
    }

    fn ready(&mut self, id: u32) -> Result<(), Awaited> {
        self.has_source(id)?;
        let verdicts = self.keys.iter().filter(|((key, _), _)| *key == id);
        for (_, at) in verdicts {
            if let Verdict::Wait(why) = &self.verdicts[*at] {
                return Err(unfit(id, why));
            }
        }
        Ok(())
    }

    fn take_new_schemas(&mut self) -> Vec<NewSchema> {
        std::mem::take(&mut self.new)
    }

    fn read(&mut self, value: &[u8], event: &mut Event<'_>) -> Result<(), Rejection> {
        let Some(id) = id_of(value) else {
            return Err(unframed(value, L::KIND));
        };
        let part = self.language.part(value)?;
        let verdict = self.verdict(id, part);
        let verdict = verdict.map_err(|awaited| Rejection::new(Reason::UnknownSchema, awaited.why))?;
        match verdict.map(|at| &self.verdicts[at]) {
            Some(Verdict::Read(plan)) => self.language.read(plan, value, event),
            Some(Verdict::Refuse(rejection)) => Err(rejection.clone()),
            Some(Verdict::Wait(why)) => Err(Rejection::new(Reason::SchemaRefused, why.clone())),
            None => Err(not_there(id)),
        }
    }

    fn salvage(&mut self, value: &[u8], captured: &mut Captured) {
        if let (Some(id), Ok(part)) = (id_of(value), self.language.part(value))
            && let Some(at) = self.keys.get(&(id, part))
            && let Verdict::Read(plan) = &self.verdicts[*at]
        {
            self.language.salvage(plan, value, captured);
        }
    }
}

/// What a registry format has no use for.
fn check(sources: &Sources<'_>, problems: &mut Vec<Problem>) {
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

/// The trie of a registry format, once its settings are sound.
pub(crate) fn trie(sources: &Sources<'_>) -> Result<Trie, Vec<Problem>> {
    let mut problems = Vec::new();
    check(sources, &mut problems);
    match Trie::compile(sources.events, sources.fields, sources.limits.depth) {
        Ok(trie) if problems.is_empty() => Ok(trie),
        Ok(_) => Err(problems),
        Err(found) => {
            problems.extend(found);
            Err(problems)
        }
    }
}
