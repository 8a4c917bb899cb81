//! A schema with all that it refers to, and what is asked of a subject.
//!
//! Owns: the words of Confluent's API. Never does: keep anything.
//!
//! Invariant: a schema is whole, with each reference before those that need it, or it is not there at all.

use eddy_pipeline::decode::{SchemaKind, SchemaReference, WriterSchema};
use eddy_telemetry::catalogue::RegistryOutcome;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::Latest;
use super::request::{Client, Failure, Question};

/// What asks, and is told what came of each request.
pub(super) struct Asking<'a> {
    pub(super) client: &'a mut Client,
    pub(super) count: &'a dyn Fn(RegistryOutcome),
}

/// A schema in an answer. Apicurio leaves out what has its default, others write it.
#[derive(Deserialize)]
struct Answered {
    #[serde(default)]
    id: u32,
    #[serde(default)]
    version: i64,
    schema: String,
    #[serde(rename = "schemaType")]
    kind: Option<String>,
    references: Option<Vec<Reference>>,
}

#[derive(Deserialize)]
struct Reference {
    name: String,
    subject: String,
    version: i64,
}

#[derive(Deserialize)]
struct Registered {
    id: u32,
}

/// References on their way.
#[derive(Default)]
struct Gathered {
    /// Name, subject and version of those that were met.
    met: Vec<(String, String, i64)>,
    references: Vec<SchemaReference>,
}

impl Asking<'_> {
    /// The schema of this number.
    pub(super) fn schema(&mut self, id: u32) -> Result<WriterSchema, Failure> {
        let number = id.to_string();
        let answered: Answered = self.get(&["schemas", "ids", &number])?;
        let what = format!("schema {id}");
        self.whole(&what, id, answered)
    }

    /// The newest schema of a subject.
    pub(super) fn latest(&mut self, subject: &str) -> Result<Latest, Failure> {
        let answered: Answered = self.get(&["subjects", subject, "versions", "latest"])?;
        let (id, version) = (answered.id, answered.version);
        let what = format!("the newest schema of `{subject}`");
        Ok(Latest {
            version,
            schema: self.whole(&what, id, answered)?,
        })
    }

    /// Registers a schema under a subject, or looks it up there, and gives its number.
    pub(super) fn number(
        &mut self,
        subject: &str,
        kind: SchemaKind,
        text: &str,
        register: bool,
    ) -> Result<u32, Failure> {
        let body = json!({ "schema": text, "schemaType": word(kind) }).to_string();
        let (path, right): (&[&str], _) = match register {
            true => (&["subjects", subject, "versions"], "register"),
            false => (&["subjects", subject], "read"),
        };
        let question = Question {
            path,
            body: Some(&body),
            right,
        };
        let Registered { id } = read(&self.client.ask(question, self.count)?)?;
        Ok(id)
    }

    fn get<T: DeserializeOwned>(&mut self, path: &[&str]) -> Result<T, Failure> {
        let question = Question {
            path,
            body: None,
            right: "read",
        };
        read(&self.client.ask(question, self.count)?)
    }

    fn whole(&mut self, what: &str, id: u32, answered: Answered) -> Result<WriterSchema, Failure> {
        let kind = match answered.kind.as_deref() {
            None | Some("AVRO") => SchemaKind::Avro,
            Some("PROTOBUF") => SchemaKind::Protobuf,
            Some("JSON") => SchemaKind::Json,
            Some(other) => {
                let other: String = other.chars().take(40).collect();
                return Err(Failure::unfit(format!(
                    "{what} is written in {other:?}, which is not read; have it written in Avro, Protobuf or JSON Schema"
                )));
            }
        };
        let mut gathered = Gathered::default();
        self.gather(what, answered.references.unwrap_or_default(), &mut gathered)?;
        Ok(WriterSchema {
            id,
            kind,
            text: answered.schema,
            references: gathered.references,
        })
    }

    /// Those that a schema names, each after those that it names itself. As deep as the limit on their number allows.
    fn gather(&mut self, what: &str, named: Vec<Reference>, gathered: &mut Gathered) -> Result<(), Failure> {
        for Reference { name, subject, version } in named {
            let met = gathered.met.iter().find(|(known, ..)| *known == name);
            if let Some((_, other, number)) = met {
                if (other, *number) == (&subject, version) {
                    continue;
                }
                return Err(Failure::unfit(format!(
                    "{what} refers to two schemas as `{name}`: version {number} of `{other}` and version {version} of \
                     `{subject}`; register it with one of them"
                )));
            }
            let most = self.client.settings().references;
            if gathered.met.len() >= most {
                return Err(Failure::new(
                    RegistryOutcome::Unfit,
                    "registry.references",
                    format!("{what} refers to more than {most} schemas; raise registry.references"),
                ));
            }
            let answered: Result<Answered, Failure> =
                self.get(&["subjects", &subject, "versions", &version.to_string()]);
            let answered = answered.map_err(|failure| match failure.outcome {
                // The schema itself is there, so that this is no reason to give it up.
                RegistryOutcome::Unknown => Failure::unfit(format!(
                    "{what} refers to version {version} of `{subject}`, which is not to be had: {failure}"
                )),
                _ => failure,
            })?;
            gathered.met.push((name.clone(), subject, version));
            self.gather(what, answered.references.unwrap_or_default(), gathered)?;
            gathered.references.push(SchemaReference {
                name,
                text: answered.schema,
            });
        }
        Ok(())
    }
}

const fn word(kind: SchemaKind) -> &'static str {
    match kind {
        SchemaKind::Avro => "AVRO",
        SchemaKind::Protobuf => "PROTOBUF",
        SchemaKind::Json => "JSON",
    }
}

fn read<T: DeserializeOwned>(answer: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(answer).map_err(|error| {
        // What the answer says is not repeated, and no part of it is in this error.
        let (line, column) = (error.line(), error.column());
        Failure::unfit(format!(
            "the schema registry's answer is not what registries answer (line {line}, column {column}); check that registry.url \
             is the address of its API, and not of a page or a proxy"
        ))
    })
}
