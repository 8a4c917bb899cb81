//! What a principal must be allowed, and nothing more: a pipeline's, and that of a person who reads topics back.
//!
//! Owns: the one list from which the messages, the reference and the tests are made. Never does: grant anything.
//!
//! Invariant: with all of these a pipeline, or such a person's commands, work; without any one of them something does not.

use std::fmt;

use super::{Guarantee, Membership, Settings};

/// What stands between a pipeline's group and the name of a job in the name of the job's group, and of its transactional ids.
const REDRIVE: &str = "-redrive-";

/// Something to be allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// What it is about.
    pub resource: Resource,
    /// The name of that, or the beginning of its names.
    pub name: String,
    /// What is to be allowed.
    pub operation: Operation,
    /// What for.
    pub why: &'static str,
}

/// What a permission is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// One topic.
    Topic,
    /// All topics that begin so.
    Topics,
    /// One group.
    Group,
    /// All groups that begin so.
    Groups,
    /// All transactional ids that begin so.
    TransactionalIds,
}

/// What is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `Read`, which includes describing.
    Read,
    /// `Write`, which includes describing.
    Write,
    /// `Describe`.
    Describe,
}

impl Settings {
    /// What a pipeline's principal must be allowed.
    pub fn permissions(&self) -> Vec<Permission> {
        use {Operation::*, Resource::*};
        let topics = &self.topics;
        let group = self.group();
        let mut permissions = self.on_events(Read, "reading events");
        permissions.extend([
            permission(Read, Group, &group, "sharing the partitions, committing offsets"),
            permission(Write, Topic, &topics.predictions, "writing predictions"),
            permission(Write, Topic, &topics.retraining, "writing retraining samples"),
            permission(Write, Topic, &topics.dead_letters, "writing dead letters"),
        ]);
        if self.kafka.guarantee == Guarantee::ExactlyOnce {
            let why = "transactions, with `guarantee = \"exactly-once\"` only";
            permissions.push(permission(Write, TransactionalIds, &self.transactional_ids(), why));
        }
        permissions
    }

    /// What the principal of a person must be allowed who reads topics back and sends records again.
    pub fn recall_permissions(&self) -> Vec<Permission> {
        use {Operation::*, Resource::*};
        let topics = &self.topics;
        let jobs = format!("{}{REDRIVE}", self.group());
        let mut permissions = self.on_events(Read, "`eddy why`, `eddy replay`, `eddy profile --since`");
        permissions.extend([
            permission(Read, Topic, &topics.predictions, "`eddy why`"),
            permission(
                Read,
                Topic,
                &topics.retraining,
                "`eddy samples`, `eddy why`, `eddy redrive`",
            ),
            permission(Read, Topic, &topics.dead_letters, "`eddy why`, `eddy redrive`"),
            permission(
                Describe,
                Group,
                &self.group(),
                "`eddy why`: how far the pipeline has come",
            ),
        ]);
        let mut writing = self.on_events(Write, "`eddy redrive`; else the topic of `--to`");
        // Nobody needs to write every topic there is: the one topic is to be allowed by its name.
        writing.retain(|one| !one.name.is_empty());
        permissions.extend(writing);
        permissions.extend([
            permission(Read, Groups, &jobs, "`eddy redrive`: how far a job has come"),
            permission(Write, TransactionalIds, &jobs, "`eddy redrive`: each event once"),
        ]);
        permissions
    }

    /// The same permission on every topic of events; of a pattern, on what its alternatives begin with.
    fn on_events(&self, operation: Operation, why: &'static str) -> Vec<Permission> {
        let events = &self.topics.events;
        match events.matching() {
            Some(matching) => {
                let beginnings = matching.beginnings();
                beginnings
                    .iter()
                    .map(|beginning| permission(operation, Resource::Topics, beginning, why))
                    .collect()
            }
            None => {
                let names = events.names().iter();
                names
                    .map(|name| permission(operation, Resource::Topic, name, why))
                    .collect()
            }
        }
    }

    /// These settings for a job of `eddy redrive`, which has a group of its own.
    pub fn for_redrive(mut self, job: &str) -> Self {
        self.kafka.group = Some(format!("{}{REDRIVE}{job}", self.group()));
        self.kafka.instance = Some("job".into());
        self.kafka.membership = Membership::Dynamic;
        self
    }
}

fn permission(operation: Operation, resource: Resource, name: &str, why: &'static str) -> Permission {
    Permission {
        resource,
        name: name.to_owned(),
        operation,
        why,
    }
}

impl Permission {
    /// It in words: `read topic \`events\``.
    pub fn described(&self) -> String {
        let (what, name) = (self.resource, &self.name);
        let verb = match self.operation {
            Operation::Read => "read",
            Operation::Write => "write",
            Operation::Describe => "describe",
        };
        match what {
            Resource::Topic => format!("{verb} topic `{name}`"),
            Resource::Topics => format!("{verb} topics that begin with `{name}`"),
            Resource::Group => format!("{verb} group `{name}`"),
            Resource::Groups => format!("{verb} groups that begin with `{name}`"),
            Resource::TransactionalIds => format!("{verb} transactional ids that begin with `{name}`"),
        }
    }

    /// The arguments of `kafka-acls.sh` that mean it, for a shell.
    pub fn arguments(&self) -> String {
        Self::arguments_of(&[self])
    }

    /// The same for several that differ in their names only, and are at least one.
    pub(crate) fn arguments_of(several: &[&Self]) -> String {
        let Self {
            resource, operation, ..
        } = several[0];
        let option = match resource {
            Resource::Topic | Resource::Topics => "topic",
            Resource::Group | Resource::Groups => "group",
            Resource::TransactionalIds => "transactional-id",
        };
        let mut arguments = format!("--operation {operation}");
        for one in several {
            // Without a beginning that can be told, it is every topic.
            if one.name.is_empty() && *resource == Resource::Topics {
                return format!("--operation {operation} --topic '*'");
            }
            arguments.push_str(&format!(" --{option} {}", as_argument(&one.name)));
        }
        let is_prefix = matches!(
            resource,
            Resource::Topics | Resource::Groups | Resource::TransactionalIds
        );
        arguments.push_str(if is_prefix {
            " --resource-pattern-type prefixed"
        } else {
            ""
        });
        arguments
    }
}

/// A name as an argument of a command: as it is, where a shell takes it so.
pub fn as_argument(name: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    match name.chars().all(is_plain) {
        true => name.to_owned(),
        false => quoted(name),
    }
}

/// A word as a shell takes it, whatever is in it.
pub(crate) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "Read",
            Self::Write => "Write",
            Self::Describe => "Describe",
        })
    }
}
