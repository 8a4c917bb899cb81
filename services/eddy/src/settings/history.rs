//! Keys that have other names than in an earlier format: how they are read, and what is said of it.
//!
//! Owns: the search for old names, in the tree and in the names of variables, and the sentences about them.
//! Never does: know a key of Eddy's, or look at a value.
//!
//! Invariant: after `upgrade` no old name is left in the tree, and each that was there is among what is deprecated or
//! among what is wrong.
//!
//! A new name may stand in a file of an old format; an old name in a file of a new format is a mistake. Variables of the
//! environment have no format, so both names are read for as long as the old one lives.

use eddy_pipeline::format::{Format, Version};

use super::environment::{PREFIX, variable_name};
use super::parse;
use super::problems::Diagnostic;
use super::tree::{Content, Entry, Node, Place, join};

/// The key that holds the format's number.
pub(super) const FORMAT: &str = "format";

/// The formats of one kind of file.
#[derive(Debug, Clone, Copy)]
pub struct History {
    /// Which numbers are read.
    pub format: &'static Format,
    /// What has another name by now.
    pub renamed: &'static [Renamed],
}

/// A key that has another name in the same table from a format on.
#[derive(Debug, Clone, Copy)]
pub struct Renamed {
    /// Its old name, with the way to it: `pump.hz`, `tanks[].kind`.
    pub old: &'static str,
    /// Its name since.
    pub new: &'static str,
    /// The first format that has it.
    pub since: u32,
    /// The first version that does not read the old name any more. `eddy migrate` knows it for ever.
    pub dropped_in: Version,
}

/// One step of the way to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step<'a> {
    Key(&'a str),
    Item,
}

/// What came of old names.
#[derive(Debug, Default)]
pub(super) struct Upgraded {
    /// Those that were read, each with its place, and the name to write in its place.
    pub(super) deprecated: Vec<(Diagnostic, &'static str)>,
    /// Those that were not.
    pub(super) wrong: Vec<Diagnostic>,
}

impl Upgraded {
    pub(super) fn extend(&mut self, other: Self) {
        self.deprecated.extend(other.deprecated);
        self.wrong.extend(other.wrong);
    }
}

/// A variable with the name that finds its key today.
#[derive(Debug, Clone)]
pub(super) struct Variable {
    pub(super) name: String,
    /// `name`, but for old names of keys.
    pub(super) means: String,
    pub(super) text: String,
}

impl History {
    /// Formats of which nothing was ever renamed.
    pub const fn of(format: &'static Format) -> Self {
        Self { format, renamed: &[] }
    }

    /// The format of a text; `None` where it cannot be told, which the walk reports with everything else.
    ///
    /// # Errors
    /// When this version does not read it: a file of such a format is not full of mistakes, it is for another version.
    pub(super) fn format_of(&self, root: &Node) -> Result<Option<u32>, String> {
        match root.get(FORMAT).map(|node| &node.content) {
            None => Ok(Some(1)),
            Some(Content::Integer(number)) => self.format.judge(*number).map(Some),
            Some(_) => Ok(None),
        }
    }
}

impl Renamed {
    /// Its new name, with the way to it.
    pub fn new_key(&self) -> String {
        let table = self.old.rsplit_once('.').map_or("", |(table, _)| table);
        join(table, self.new)
    }

    fn steps(&self) -> Vec<Step<'static>> {
        let step = |part: &'static str| match part.strip_suffix("[]") {
            Some(key) => vec![Step::Key(key), Step::Item],
            None => vec![Step::Key(part)],
        };
        self.old.split('.').flat_map(step).collect()
    }
}

/// What old names are read by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading<'a> {
    pub(super) history: &'a History,
    /// What to call the file.
    pub(super) file: &'a str,
    /// Its format.
    pub(super) format: u32,
    /// The version that reads.
    pub(super) version: Version,
}

impl Reading<'_> {
    /// Gives every old name in the tree its new one.
    pub(super) fn upgrade(&self, root: &mut Node) -> Upgraded {
        let mut upgraded = Upgraded::default();
        for renamed in self.history.renamed {
            self.visit(root, &renamed.steps(), "", renamed, &mut upgraded);
        }
        upgraded
    }

    fn visit(&self, node: &mut Node, steps: &[Step<'_>], path: &str, renamed: &Renamed, to: &mut Upgraded) {
        match (steps, &mut node.content) {
            ([Step::Key(old)], Content::Table(entries)) => self.rename(entries, old, path, renamed, to),
            ([Step::Key(key), rest @ ..], Content::Table(entries)) => {
                if let Some(entry) = entries.iter_mut().find(|entry| entry.key == *key) {
                    self.visit(&mut entry.node, rest, &join(path, key), renamed, to);
                }
            }
            ([Step::Item, rest @ ..], Content::List(items)) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.visit(item, rest, &format!("{path}[{index}]"), renamed, to);
                }
            }
            // Something else than the key's table stands there, which the walk reports.
            _ => {}
        }
    }

    fn rename(&self, entries: &mut Vec<Entry>, old: &str, path: &str, renamed: &Renamed, to: &mut Upgraded) {
        let Some(at) = entries.iter().position(|entry| entry.key == old) else {
            return;
        };
        let (old_key, new_key) = (join(path, old), join(path, renamed.new));
        let place = entries[at].key_place.clone();
        let said = |message: String| Diagnostic {
            place: place.clone(),
            key: old_key.clone(),
            message,
        };
        if entries.iter().any(|entry| entry.key == renamed.new) {
            let message =
                format!("`{old_key}` is the old name of `{new_key}`, which stands there, too; remove the old one");
            to.wrong.push(said(message));
            entries.remove(at);
            return;
        }
        entries[at].key = renamed.new.to_owned();
        let is_of_the_file = matches!(place, Place::File { .. });
        if is_of_the_file && self.format >= renamed.since {
            let message = format!(
                "`{old_key}` is called `{new_key}` from format {} on, and this file is of format {}; rename it",
                renamed.since, self.format
            );
            to.wrong.push(said(message));
            return;
        }
        let what_to_do = match is_of_the_file {
            true => format!("`eddy migrate {} --write` renames it", self.file),
            false => "rename it".to_owned(),
        };
        let (lives, message) = self.sentence(renamed, (&old_key, &new_key), &what_to_do);
        match lives {
            true => to.deprecated.push((said(message), renamed.new)),
            false => to.wrong.push(said(message)),
        }
    }

    /// Whether an old name is still read, and what is said of it.
    fn sentence(&self, renamed: &Renamed, (old, new): (&str, &str), what_to_do: &str) -> (bool, String) {
        let Renamed { since, dropped_in, .. } = renamed;
        let lives = self.version < *dropped_in;
        let until = match lives {
            true => format!("version {dropped_in} will no longer read the old name"),
            false => format!("the old name is no longer read since version {dropped_in}"),
        };
        let message = format!("`{old}` is called `{new}` since format {since}, and {until}; {what_to_do}");
        (lives, message)
    }

    /// Gives the variables that are called after old names the keys that they mean.
    pub(super) fn variables(&self, variables: impl IntoIterator<Item = (String, String)>) -> (Vec<Variable>, Upgraded) {
        let mut upgraded = Upgraded::default();
        let mut read: Vec<Variable> = Vec::new();
        for (name, text) in variables {
            let old = self
                .history
                .renamed
                .iter()
                .find_map(|renamed| Some((renamed, meant(&name, renamed)?)));
            let Some((renamed, means)) = old else {
                read.push(Variable {
                    means: name.clone(),
                    name,
                    text,
                });
                continue;
            };
            let what_to_do = format!("call it {means}");
            let (lives, message) = self.sentence(renamed, (renamed.old, &renamed.new_key()), &what_to_do);
            let said = Diagnostic {
                place: Place::Variable(name.clone()),
                key: renamed.old.to_owned(),
                message,
            };
            match lives {
                true => upgraded.deprecated.push((said, renamed.new)),
                false => upgraded.wrong.push(said),
            }
            read.push(Variable { name, means, text });
        }
        upgraded.wrong.extend(twice(&read));
        (read, upgraded)
    }
}

/// Two variables for one key: by its old name and its new one.
fn twice(variables: &[Variable]) -> Vec<Diagnostic> {
    let is_old = |variable: &&Variable| variable.name != variable.means;
    let says_the_same = |old: &Variable| {
        let same = |other: &&Variable| other.name != old.name && other.means.eq_ignore_ascii_case(&old.means);
        variables.iter().find(same).map(|other| other.name.clone())
    };
    let pairs = variables
        .iter()
        .filter(is_old)
        .filter_map(|old| Some((old, says_the_same(old)?)));
    pairs
        .map(|(old, other)| Diagnostic {
            place: Place::Variable(old.name.clone()),
            key: String::new(),
            message: format!("it is the old name of {other}, which is set, too; remove the old one"),
        })
        .collect()
}

/// The name of the variable by the key's new name, if `name` is that by its old one, or of something inside it.
fn meant(name: &str, renamed: &Renamed) -> Option<String> {
    let written: Vec<&str> = name.strip_prefix(PREFIX)?.split("__").collect();
    let steps = renamed.steps();
    let fits = |(step, part): (&Step<'_>, &&str)| match step {
        Step::Key(key) => part.replace('-', "_").eq_ignore_ascii_case(&key.replace('-', "_")),
        Step::Item => part.parse::<usize>().is_ok(),
    };
    if written.len() < steps.len() || !steps.iter().zip(&written).all(fits) {
        return None;
    }
    let mut parts: Vec<String> = written.iter().map(|part| (*part).to_owned()).collect();
    parts[steps.len() - 1] = variable_name(renamed.new).split_off(PREFIX.len());
    Some(format!("{PREFIX}{}", parts.join("__")))
}

/// The tree of a text, with its format.
///
/// # Errors
/// When it is not TOML, or of a format that is not read; the sentence begins with the file then.
pub(super) fn parse_known(text: &str, history: &History) -> Result<(Node, Option<u32>), Diagnostic> {
    let root = parse::parse(text)?;
    let format = history.format_of(&root).map_err(|message| Diagnostic {
        place: root.get(FORMAT).map_or(Place::Whole, |node| node.place.clone()),
        key: FORMAT.to_owned(),
        message: format!("the file {message}"),
    })?;
    Ok((root, format))
}
