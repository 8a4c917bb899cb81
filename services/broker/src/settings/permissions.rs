//! What our principal must be allowed, and nothing more.
//!
//! Owns: the one list from which the messages, the reference and the tests are made. Never does: grant anything.
//!
//! Invariant: with all of these a pipeline works, and without any one of them it does not.

use std::fmt;

use super::{Guarantee, Settings};

/// Something to be allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// What it is about.
    pub resource: Resource,
    /// The name of that, or the beginning of its names.
    pub name: String,
    /// What is to be allowed: reading, or else writing. Both include describing.
    pub operation: Operation,
    /// What for.
    pub why: &'static str,
}

/// What a permission is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// One topic.
    Topic,
    /// One group.
    Group,
    /// All transactional ids that begin so.
    TransactionalIds,
}

/// What is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `Read`.
    Read,
    /// `Write`.
    Write,
}

impl Settings {
    /// What our principal must be allowed.
    pub fn permissions(&self) -> Vec<Permission> {
        let permission = |resource, operation, name: String, why| Permission {
            resource,
            name,
            operation,
            why,
        };
        let topics = &self.topics;
        let mut permissions = vec![
            permission(
                Resource::Topic,
                Operation::Read,
                topics.events.clone(),
                "reading events",
            ),
            permission(
                Resource::Group,
                Operation::Read,
                self.group(),
                "sharing the partitions, committing offsets",
            ),
            permission(
                Resource::Topic,
                Operation::Write,
                topics.predictions.clone(),
                "writing predictions",
            ),
            permission(
                Resource::Topic,
                Operation::Write,
                topics.retraining.clone(),
                "writing retraining samples",
            ),
            permission(
                Resource::Topic,
                Operation::Write,
                topics.dead_letters.clone(),
                "writing dead letters",
            ),
        ];
        if self.kafka.guarantee == Guarantee::ExactlyOnce {
            permissions.push(permission(
                Resource::TransactionalIds,
                Operation::Write,
                self.transactional_ids(),
                "transactions, with `guarantee = \"exactly-once\"` only",
            ));
        }
        permissions
    }
}

impl Permission {
    /// It in words: `read topic \`events\``.
    pub fn described(&self) -> String {
        let (what, name) = (self.resource, &self.name);
        let verb = match self.operation {
            Operation::Read => "read",
            Operation::Write => "write",
        };
        match what {
            Resource::Topic => format!("{verb} topic `{name}`"),
            Resource::Group => format!("{verb} group `{name}`"),
            Resource::TransactionalIds => format!("{verb} transactional ids that begin with `{name}`"),
        }
    }

    /// The arguments of `kafka-acls.sh` that mean it, for a shell.
    pub fn arguments(&self) -> String {
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
        let name = match self.name.chars().all(is_plain) {
            true => self.name.clone(),
            false => quoted(&self.name),
        };
        let operation = self.operation;
        match self.resource {
            Resource::Topic => format!("--operation {operation} --topic {name}"),
            Resource::Group => format!("--operation {operation} --group {name}"),
            Resource::TransactionalIds => {
                format!("--operation {operation} --transactional-id {name} --resource-pattern-type prefixed")
            }
        }
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
        })
    }
}
