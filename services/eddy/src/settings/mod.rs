//! From a TOML text, a JSON schema and the environment to typed settings, or to *every* mistake at once.
//!
//! Owns: the tree of a settings file with the place of each value ([`tree`]), the overlay of environment variables
//! ([`environment`]), old names of keys ([`history`]) and the rewriting of old files ([`migration`]), the walk of the tree against the schema ([`walk`]), the reading into types and the sentences that
//! say what is wrong, where, and what to write instead ([`problems`]), and the reference made from the schema
//! ([`mod@reference`]).
//! Never does: read a file or the process environment (except [`environment::of_process`]), know a key of Eddy's, or
//! print a value that stands where a secret belongs.
//!
//! Invariant: [`read`] gives settings only if there is nothing to report.
//!
//! How several mistakes become several lines: the walk mends what it reports. A misspelt key is read as the key that was
//! meant, a key nobody knows is left out, a wrong value falls back to its default. If what remains is sound it is
//! deserialised, and the checks that need types run as well; their problems about tables that were mended are dropped,
//! since they would speak of values that the author never wrote.

pub mod environment;
pub mod history;
pub mod migration;
mod parse;
pub mod problems;
mod recover;
pub mod reference;
mod schema;
pub mod tree;
mod typed;
mod walk;

use eddy_pipeline::format::Version;
use eddy_pipeline::settings::Problem;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use self::history::{History, Reading};
use self::problems::{Diagnostic, Problems};
use self::schema::Schema;
use self::tree::{Content, Node};

/// A settings file before it is understood.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// What to call it in messages: its path as the user gave it.
    pub name: &'a str,
    /// Its text.
    pub text: &'a str,
}

/// A settings file that was parsed: where everything stands.
#[derive(Debug, Clone)]
pub struct Document {
    name: String,
    root: Node,
    deprecated: Problems,
}

impl Document {
    /// Gives each problem its place in the file: that of the longest part of its key that exists.
    pub fn locate(&self, problems: impl IntoIterator<Item = Problem>) -> Problems {
        let located = problems.into_iter().map(|problem| self.place(problem)).collect();
        Problems::new(self.name.clone(), located)
    }

    /// What was read by an old name, with what to write instead.
    pub const fn deprecated(&self) -> &Problems {
        &self.deprecated
    }

    fn place(&self, problem: Problem) -> Diagnostic {
        let place = self.root.find(&problem.key).place.clone();
        let message = match problem.key.as_str() {
            "" => problem.message,
            key => format!("`{key}`: {}", problem.message),
        };
        Diagnostic {
            place,
            key: problem.key,
            message,
        }
    }
}

/// Settings that were read, with the document they came from, so that later problems can be located as well.
#[derive(Debug, Clone)]
pub struct Loaded<T> {
    /// The settings.
    pub settings: T,
    /// Where each of them stands.
    pub document: Document,
}

/// Reads `T` from a TOML text of any format that `history` knows, with `variables` laid over it, then asks `check` for what only types can tell.
///
/// # Errors
/// Every mistake that was found, in the order of the file.
pub fn read<T: DeserializeOwned + JsonSchema>(
    source: Source<'_>,
    variables: impl IntoIterator<Item = (String, String)>,
    history: &History,
    check: impl FnOnce(&T) -> Vec<Problem>,
) -> Result<Loaded<T>, Problems> {
    let alone = |error| Problems::new(source.name.to_owned(), vec![error]);
    let (root, format) = history::parse_known(source.text, history).map_err(alone)?;
    let format = format.unwrap_or(history.format.written);
    read_tree((source.name, root, format), variables, history, check)
}

/// Reads one table of a text into the member `table` of `T`. Whatever else is in the text, and of whatever format it says it
/// is, is not looked at, and neither are variables of other tables.
///
/// # Errors
/// Every mistake in the table, or that the text is not TOML.
pub fn read_table<T: DeserializeOwned + JsonSchema>(
    source: Source<'_>,
    table: &str,
    variables: impl IntoIterator<Item = (String, String)>,
    history: &History,
) -> Result<T, Problems> {
    let alone = |error| Problems::new(source.name.to_owned(), vec![error]);
    let mut root = parse::parse(source.text).map_err(alone)?;
    let format = history.format_of(&root).ok().flatten();
    if let Content::Table(entries) = &mut root.content {
        entries.retain(|entry| entry.key == table);
    }
    let is_of_table = |(name, _): &(String, String)| {
        let steps = name.strip_prefix(environment::PREFIX);
        let first = steps.and_then(|steps| steps.split("__").next());
        first.is_some_and(|first| first.eq_ignore_ascii_case(table))
    };
    let variables = variables.into_iter().filter(is_of_table);
    let format = format.unwrap_or(history.format.written);
    let loaded = read_tree((source.name, root, format), variables, history, |_: &T| Vec::new());
    loaded.map(|loaded| loaded.settings)
}

fn read_tree<T: DeserializeOwned + JsonSchema>(
    (name, mut root, format): (&str, Node, u32),
    variables: impl IntoIterator<Item = (String, String)>,
    history: &History,
    check: impl FnOnce(&T) -> Vec<Problem>,
) -> Result<Loaded<T>, Problems> {
    let schema = Schema::of::<T>();
    let reading = Reading {
        history,
        file: name,
        format,
        version: Version::THIS,
    };
    let (variables, mut old) = reading.variables(variables);
    old.extend(reading.upgrade(&mut root));
    let mut diagnostics = environment::overlay(&mut root, &schema, variables);
    // A variable may hold a whole table.
    old.extend(reading.upgrade(&mut root));
    diagnostics.extend(old.wrong);
    let document = Document {
        name: name.to_owned(),
        root: root.clone(),
        deprecated: Problems::new(
            name.to_owned(),
            old.deprecated.into_iter().map(|(said, _)| said).collect(),
        ),
    };
    let sound = walk::walk(&mut root, &schema, &mut diagnostics);
    let settings = if sound {
        typed::deserialise::<T>(&root, &mut diagnostics)
    } else {
        None
    };
    let semantic = settings.as_ref().map(check).unwrap_or_default();
    let semantic = recover::unaffected(semantic, &diagnostics);
    diagnostics.extend(semantic.into_iter().map(|problem| document.place(problem)));
    match settings {
        Some(settings) if diagnostics.is_empty() => Ok(Loaded { settings, document }),
        // The rule that nothing is refused without a reason, even by a schema that contradicts its type.
        None if diagnostics.is_empty() => Err(Problems::whole(
            document.name,
            "does not fit together; compare it with the reference of the settings".to_owned(),
        )),
        _ => Err(Problems::new(document.name, diagnostics)),
    }
}

#[cfg(test)]
mod tests;
