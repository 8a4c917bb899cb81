//! A reference to a secret: the file or the environment variable that holds it.
//!
//! Owns: where a secret comes from. Never does: keep it; it is read when a client is made. The exception is a secret from
//! the environment, which a running service takes out of there: see [`take_all`]. Beside secrets stand the certificates that
//! go with them.
//!
//! Invariant: neither what a setting shows nor an error message ever contains the secret's text, and our own copies of it
//! are overwritten when they are dropped.
#![deny(missing_docs)]

pub mod certificate;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// A larger file is no password, key or token.
const MAX_BYTES: usize = 64 << 10;

/// Where a secret is read from when it is needed: `{ file = "path" }` or `{ env = "NAME" }`.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// A file whose content is the secret; one line break at its end is not part of it.
    File(PathBuf),
    /// An environment variable whose value is the secret.
    Env(String),
    /// What stood in an environment variable until it was taken out of there.
    Taken {
        /// The variable's name.
        name: String,
        /// Its value.
        value: Arc<Zeroizing<String>>,
    },
}

const WAYS: &str = "write { file = \"path\" } or { env = \"NAME\" }";

impl Secret {
    /// Reads the secret.
    ///
    /// # Errors
    /// One sentence that names the file or the variable, never its content.
    #[expect(clippy::disallowed_methods, reason = "this is where secrets are read")]
    pub fn reveal(&self) -> Result<Zeroizing<String>, String> {
        let text = match self {
            Self::File(path) => read(path)?,
            Self::Env(name) => std::env::var(name).map(Zeroizing::new).map_err(|_| {
                format!("the secret's environment variable `{name}` is not set, or is not UTF-8 text; set it")
            })?,
            Self::Taken { value, .. } => Zeroizing::clone(value),
        };
        let secret = text
            .strip_suffix('\n')
            .map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
        if secret.is_empty() {
            return Err(format!("the secret in {self} is empty; write it there"));
        }
        if secret.contains('\0') {
            return Err(format!(
                "the secret in {self} contains a NUL byte; write it as plain text"
            ));
        }
        Ok(Zeroizing::new(secret.to_owned()))
    }

    /// Makes a relative file path relative to `folder`: that of the pipeline file.
    pub fn resolve_path(&mut self, folder: &Path) {
        if let Self::File(path) = self {
            *path = folder.join(&*path);
        }
    }
}

/// Takes secrets out of the environment, those that are there: `take` removes a variable and gives its value. From then on
/// they are kept here, because a client that is made later needs them too. Several may name the same variable.
pub fn take_all<'a>(secrets: impl Iterator<Item = &'a mut Secret>, mut take: impl FnMut(&str) -> Option<String>) {
    let mut taken: BTreeMap<String, Arc<Zeroizing<String>>> = BTreeMap::new();
    for secret in secrets {
        let Secret::Env(name) = secret else { continue };
        if !taken.contains_key(name)
            && let Some(value) = take(name)
        {
            taken.insert(name.clone(), Arc::new(Zeroizing::new(value)));
        }
        if let Some(value) = taken.get(name) {
            *secret = Secret::Taken {
                name: std::mem::take(name),
                value: Arc::clone(value),
            };
        }
    }
}

fn read(path: &Path) -> Result<Zeroizing<String>, String> {
    let unreadable = |reason: &str| {
        format!(
            "the secret's file `{}` could not be read: {reason}; check its path and its owner",
            path.display()
        )
    };
    let file = File::open(path).map_err(|error| unreadable(&error.to_string()))?;
    // Room for all of it at once: a buffer that grows leaves copies behind.
    let mut bytes = Vec::with_capacity(MAX_BYTES + 1);
    let read = file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes);
    if let Err(error) = read {
        drop(Zeroizing::new(bytes));
        return Err(unreadable(&error.to_string()));
    }
    if bytes.len() > MAX_BYTES {
        drop(Zeroizing::new(bytes));
        return Err(unreadable(&format!(
            "no secret has more than {MAX_BYTES} bytes, and it has"
        )));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        drop(Zeroizing::new(error.into_bytes()));
        unreadable("it is not UTF-8 text")
    })?;
    Ok(Zeroizing::new(text))
}

/// Where the secret is, without its text.
impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file `{}`", path.display()),
            Self::Env(name) | Self::Taken { name, .. } => write!(f, "environment variable `{name}`"),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::File(path) => serializer.collect_map([("file", &*path.to_string_lossy())]),
            Self::Env(name) | Self::Taken { name, .. } => serializer.collect_map([("env", name)]),
        }
    }
}

// Derived, an inline secret would be taken for an unknown variant, and the message would show it.
impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SecretVisitor)
    }
}

struct SecretVisitor;

impl<'de> Visitor<'de> for SecretVisitor {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a reference to a secret; {WAYS}")
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Secret, E> {
        Err(inline())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Secret, E> {
        Err(inline())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Secret, E> {
        Err(inline())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Secret, E> {
        Err(inline())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Secret, E> {
        Err(inline())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Secret, A::Error> {
        let Some(key) = map.next_key::<String>()? else {
            return Err(Error::custom(format!("the reference to a secret is empty; {WAYS}")));
        };
        let secret = match key.as_str() {
            "file" => Secret::File(map.next_value()?),
            "env" => Secret::Env(map.next_value()?),
            _ => {
                return Err(Error::custom(format!(
                    "a secret comes from a file or the environment; {WAYS}"
                )));
            }
        };
        if map.next_key::<String>()?.is_some() {
            return Err(Error::custom(format!("a secret comes from one place; {WAYS}")));
        }
        Ok(secret)
    }
}

fn inline<E: Error>() -> E {
    E::custom(format!("a secret never stands in the pipeline file itself; {WAYS}"))
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Where a secret is read from: a file or an environment variable.",
            "type": "object",
            "properties": { "file": { "type": "string" }, "env": { "type": "string" } },
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": false
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Table {
        password: Secret,
    }

    fn read(text: &str) -> Result<Secret, String> {
        serde_json::from_str::<Table>(text)
            .map(|t| t.password)
            .map_err(|e| e.to_string())
    }

    #[test]
    fn both_places_are_understood() {
        assert_eq!(read(r#"{"password": {"file": "a/b"}}"#), Ok(Secret::File("a/b".into())));
        assert_eq!(
            read(r#"{"password": {"env": "KAFKA"}}"#),
            Ok(Secret::Env("KAFKA".into()))
        );
    }

    #[test]
    fn an_inline_secret_is_refused_without_being_repeated() {
        for text in [
            r#"{"password": "hunter2"}"#,
            r#"{"password": {"hunter2": "x"}}"#,
            r#"{"password": 4711}"#,
        ] {
            let message = read(text).unwrap_err();
            assert!(
                message.contains("{ file = \"path\" } or { env = \"NAME\" }"),
                "{message}"
            );
            assert!(!message.contains("hunter2") && !message.contains("4711"), "{message}");
        }
    }

    #[test]
    fn a_file_is_read_without_its_last_line_break() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hunter2 \r\n").unwrap();
        let revealed = Secret::File(file.path().into()).reveal();
        assert_eq!(revealed.as_deref().map(String::as_str), Ok("hunter2 "));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let message = Secret::File("no/such/file".into()).reveal().unwrap_err();
        assert!(message.contains("`no/such/file`"), "{message}");
        let message = Secret::Env("EDDY_TEST_NO_SUCH_VARIABLE".into()).reveal().unwrap_err();
        assert!(message.contains("`EDDY_TEST_NO_SUCH_VARIABLE`"), "{message}");
    }

    #[test]
    fn a_file_that_is_no_secret_is_refused_and_not_read_to_its_end() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(MAX_BYTES as u64 + 1).unwrap();
        let message = Secret::File(file.path().into()).reveal().unwrap_err();
        assert!(message.contains("65536 bytes"), "{message}");
        let endless = Secret::File("/dev/zero".into()).reveal().unwrap_err();
        assert!(endless.contains("65536 bytes"), "{endless}");
    }

    #[test]
    fn a_secret_that_was_taken_out_of_the_environment_is_still_there_and_still_not_shown() {
        let mut secret = Secret::Env("KAFKA".into());
        let mut same = secret.clone();
        let mut environment = std::collections::BTreeMap::from([("KAFKA", "hunter2\n")]);
        take_all([&mut secret, &mut same].into_iter(), |name| {
            environment.remove(name).map(str::to_owned)
        });
        assert_eq!(same, secret, "two settings may name one variable");
        assert_eq!(secret.reveal().as_deref().map(String::as_str), Ok("hunter2"));
        let shown = format!("{secret:?} {secret} {}", serde_json::to_string(&secret).unwrap());
        assert_eq!(shown, r#"*** environment variable `KAFKA` {"env":"KAFKA"}"#);
    }

    #[test]
    fn a_secret_that_is_not_in_the_environment_is_asked_for_later() {
        let mut secret = Secret::Env("KAFKA".into());
        take_all([&mut secret].into_iter(), |_| None);
        assert_eq!(secret, Secret::Env("KAFKA".into()));
    }

    #[test]
    fn debug_output_shows_nothing() {
        assert_eq!(format!("{:?}", Secret::Env("KAFKA".into())), "***");
    }
}
