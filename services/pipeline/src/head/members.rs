//! What heads write, member by member: the part of the [schema](crate::schema) of predictions that they decide.
//!
//! Owns: the words for it. Each head says its own beside its `render`, and a law holds one against the other.

/// One member of what a head writes about an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Its name.
    pub name: &'static str,
    /// What stands in it.
    pub content: Content,
    /// Whether it is always there. It is not, where the type of head is known and not its settings.
    pub is_required: bool,
    /// What it means, for whoever reads it.
    pub about: &'static str,
}

/// What stands in a member. A number of `None` is not known before the model runs.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// The name of a class; where the list is empty, any.
    Class(Vec<String>),
    /// Names of labels, each once.
    Labels(Vec<String>),
    /// A number from 0 to 1.
    Probability,
    /// So many of them.
    Probabilities(Option<usize>),
    /// Any number.
    Number,
    /// So many numbers.
    Numbers(Option<usize>),
    /// A number; a list of so many where it is not one.
    NumberOrNumbers(Option<usize>),
}

impl Member {
    pub(super) const fn new(name: &'static str, content: Content, about: &'static str) -> Self {
        Self {
            name,
            content,
            is_required: true,
            about,
        }
    }

    /// The same, which may not be there.
    pub(super) fn optional(self) -> Self {
        Self {
            is_required: false,
            ..self
        }
    }
}

/// How many of something whose names are known: none are, where it is not known how many there are.
pub(super) fn count(names: &[String]) -> Option<usize> {
    Some(names.len()).filter(|count| *count > 0)
}
