//! What a writer's schema says of the shape of events, in words that all languages of schemas share.

/// Index of a look.
pub(crate) type LookId = u32;

/// What a value without parts is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Sort {
    Null,
    Boolean,
    Integer,
    Float,
    Text,
    Bytes,
    /// A point in time or a date, as a number.
    Time,
    TimeOfDay,
    Decimal,
    Uuid,
}

impl Sort {
    /// The word used in messages.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Text => "text",
            Self::Bytes => "bytes",
            Self::Time => "time",
            Self::TimeOfDay => "time of day",
            Self::Decimal => "decimal",
            Self::Uuid => "UUID",
        }
    }
}

/// One place of a schema.
#[derive(Debug, Clone)]
pub(crate) enum Look {
    Leaf(Sort),
    Object(Vec<(Box<str>, LookId)>),
    /// An object whose keys are the events' own.
    Map(LookId),
    List(LookId),
    /// A value without parts into which one can look as if it had them.
    Both(Sort, LookId),
    /// One of these.
    Either(Vec<LookId>),
    /// The schema does not say.
    Anything,
}

/// The places of a schema.
#[derive(Debug)]
pub(crate) struct Outline {
    pub(crate) looks: Vec<Look>,
    pub(crate) root: LookId,
}

impl Outline {
    /// What may stand at a place: no union among them, each once.
    pub(crate) fn branches(&self, at: LookId) -> Vec<LookId> {
        let mut found = Vec::new();
        let mut open = vec![at];
        let mut met = std::collections::HashSet::new();
        while let Some(at) = open.pop() {
            if !met.insert(at) {
                continue;
            }
            match &self.looks[at as usize] {
                Look::Either(branches) => open.extend(branches.iter().rev()),
                _ => found.push(at),
            }
        }
        found
    }

    /// The words for what may stand at a place.
    pub(crate) fn words(&self, at: LookId) -> String {
        let mut words: Vec<&str> = Vec::new();
        for branch in self.branches(at) {
            let word = match &self.looks[branch as usize] {
                Look::Leaf(sort) | Look::Both(sort, _) => sort.as_str(),
                Look::Object(_) | Look::Map(_) => "object",
                Look::List(_) => "list",
                Look::Either(_) | Look::Anything => "anything",
            };
            if !words.contains(&word) {
                words.push(word);
            }
        }
        words.join(" or ")
    }
}
