//! `topics.events`: one topic, several, or all that a pattern matches.
//!
//! Owns: what may stand there, and which topics it means. Never does: ask Kafka which of them there are.
//!
//! Invariant: a pattern says to librdkafka, which has POSIX's expressions, what it says to us: it is made of what both read
//! alike.

use std::fmt;

use eddy_pipeline::settings::Problem;
use regex::Regex;
use regex_syntax::hir::Look;
use regex_syntax::hir::literal::{Extractor, Literal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::topics::{Topics, is_topic_name};

/// Most topics of a list, and the most that `most` can be.
const TOPICS_MAX: usize = 1000;
/// What a pattern is made of besides letters and digits.
const SIGNS: &str = "^$.*+?|()[]_-\\";

/// What is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Events {
    /// One topic.
    One(String),
    /// Several topics.
    Several(Vec<String>),
    /// All topics that a pattern matches, those too that come later.
    Matching(Matching),
}

/// All topics that a pattern matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Matching {
    /// A regular expression that begins with `^`, made of letters, digits, `.`, `_`, `-`, `*`, `+`, `?`, `|`, `()`, `[]`, `$`
    /// and `\.`. It must match no output topic. A topic that comes later is found within a minute
    /// (`topic.metadata.refresh.interval.ms` under `kafka.consumer`) and read from its beginning.
    pub pattern: String,
    /// The most topics that may match; the service ends when one more comes. One that is deleted goes on counting until the
    /// process is started anew. Between 1 and 1000. Default: 100.
    #[serde(default = "default_most")]
    pub most: u16,
}

const fn default_most() -> u16 {
    100
}

impl From<&str> for Events {
    fn from(name: &str) -> Self {
        Self::One(name.to_owned())
    }
}

impl fmt::Display for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(name) => write!(f, "`{name}`"),
            Self::Several(names) => write!(f, "`{}`", names.join("`, `")),
            Self::Matching(matching) => write!(f, "topics that match `{}`", matching.pattern),
        }
    }
}

impl Events {
    /// The topics that are named; none where a pattern says which.
    pub fn names(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Several(names) => names,
            Self::Matching(_) => &[],
        }
    }

    /// The topic, where only one can be meant.
    pub fn only(&self) -> Option<&str> {
        match self.names() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// A name to stand for the topic of an event that came from none.
    pub fn stand_in(&self) -> &str {
        match self {
            Self::Matching(matching) => &matching.pattern,
            named => named.names().first().map_or("", String::as_str),
        }
    }

    pub(crate) fn matching(&self) -> Option<&Matching> {
        match self {
            Self::Matching(matching) => Some(matching),
            Self::One(_) | Self::Several(_) => None,
        }
    }

    /// Which topics are meant.
    pub fn reads(&self) -> Reads {
        match self.matching().map(|matching| Regex::new(&matching.pattern)) {
            Some(Ok(pattern)) => Reads::Matching(pattern),
            // A pattern that is none matches nothing; the check of the settings says so.
            Some(Err(_)) => Reads::Named(Vec::new()),
            None => Reads::Named(self.names().to_vec()),
        }
    }

    /// Everything that is wrong, but for names that outputs have too.
    pub(super) fn problems(&self) -> Vec<Problem> {
        match self {
            Self::Matching(matching) => matching.problems(),
            Self::Several(names) if names.is_empty() || names.len() > TOPICS_MAX => {
                let message = format!("has {} topics; name between 1 and {TOPICS_MAX}", names.len());
                vec![Problem::new(Topics::EVENTS, message)]
            }
            named => {
                let mut problems = Vec::new();
                for (at, name) in named.names().iter().enumerate() {
                    if !is_topic_name(name) {
                        problems.push(Problem::new(Topics::EVENTS, no_name(name)));
                    }
                    if named.names()[..at].contains(name) {
                        let message = format!("`{name}` stands there twice; leave one out");
                        problems.push(Problem::new(Topics::EVENTS, message));
                    }
                }
                problems
            }
        }
    }
}

pub(super) fn no_name(name: &str) -> String {
    format!("`{name}` is not a topic name; use 1 to 249 letters, digits, `.`, `_` and `-`")
}

impl Matching {
    /// What topics that match begin with: one of these. An empty one where nothing can be told.
    pub(super) fn beginnings(&self) -> Vec<String> {
        let Some(literals) = self.literals() else {
            return vec![String::new()];
        };
        let text = |literal: &Literal| String::from_utf8_lossy(literal.as_bytes()).into_owned();
        let mut beginnings: Vec<String> = literals.iter().map(text).collect();
        beginnings.sort();
        beginnings.dedup_by(|longer, shorter| longer.starts_with(shorter.as_str()));
        beginnings
    }

    fn literals(&self) -> Option<Vec<Literal>> {
        let expression = regex_syntax::parse(&self.pattern).ok()?;
        // In `^a|b` the second alternative may stand anywhere.
        let is_anchored = expression.properties().look_set_prefix().contains(Look::Start);
        let literals = Extractor::new().extract(&expression);
        literals.literals().filter(|_| is_anchored).map(<[Literal]>::to_vec)
    }

    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if let Some(message) = self.unfit() {
            problems.push(Problem::new("topics.events.pattern", message));
        }
        if !(1..=TOPICS_MAX).contains(&usize::from(self.most)) {
            let message = format!("not between 1 and {TOPICS_MAX}; write a number that is");
            problems.push(Problem::new("topics.events.most", message));
        }
        problems
    }

    fn unfit(&self) -> Option<String> {
        let pattern = &self.pattern;
        if !pattern.starts_with('^') {
            return Some(format!("`{pattern}` does not begin with `^`; write `^{pattern}`"));
        }
        let is_known = |letter: char| letter.is_ascii_alphanumeric() || SIGNS.contains(letter);
        if let Some(odd) = pattern.chars().find(|letter| !is_known(*letter)) {
            return Some(format!(
                "has {odd:?}; use letters, digits and {SIGNS}, which are all that topic names can be told by"
            ));
        }
        if pattern.replace("\\.", "").contains('\\') {
            return Some(
                "has a `\\` before something else than `.`; librdkafka would read that in its own way".to_owned(),
            );
        }
        if pattern.contains("(?") || pattern.contains("--") {
            return Some("has `(?` or `--`, which librdkafka would read in its own way; write it otherwise".to_owned());
        }
        let is_repeat = |sign: char| "*+?".contains(sign);
        let mut pairs = pattern.chars().zip(pattern.chars().skip(1));
        if let Some((one, other)) = pairs.find(|(one, other)| (is_repeat(*one) || *one == '^') && is_repeat(*other)) {
            return Some(format!(
                "has `{one}{other}`, which librdkafka would read in its own way; write at most one of `*`, `+` and `?` after \
                 what is repeated"
            ));
        }
        let error = Regex::new(pattern).err()?;
        let words = error.to_string();
        let why = words.lines().last().unwrap_or_default().trim_start_matches("error: ");
        Some(format!("`{pattern}` is no regular expression: {why}"))
    }
}

/// Tells input topics from others.
#[derive(Debug, Clone)]
pub enum Reads {
    /// These.
    Named(Vec<String>),
    /// All that match.
    Matching(Regex),
}

impl Reads {
    /// Whether a topic is an input.
    pub fn has(&self, topic: &str) -> bool {
        match self {
            Self::Named(names) => names.iter().any(|name| name == topic),
            // Kafka's own topics are nobody's events.
            Self::Matching(pattern) => !topic.starts_with("__") && pattern.is_match(topic),
        }
    }
}

impl fmt::Display for Reads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(names) => write!(f, "`{}`", names.join("`, `")),
            Self::Matching(pattern) => write!(f, "what matches `{pattern}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matching(pattern: &str) -> Events {
        Events::Matching(Matching {
            pattern: pattern.to_owned(),
            most: 100,
        })
    }

    #[test]
    fn a_pattern_that_two_engines_could_read_differently_is_refused() {
        for (pattern, word) in [
            ("orders-.*", "`^orders-.*`"),
            ("^orders-\\d+$", "`\\`"),
            ("^(?i)orders", "(?"),
            ("^orders-[a--b]", "--"),
            ("^orders{2}", "'{'"),
            ("^orders-a+?", "`+?`"),
            ("^orders-.**", "`**`"),
            ("^*orders", "`^*`"),
            ("^orders-(", "no regular expression"),
        ] {
            let problems = matching(pattern).problems();
            let said = problems.first().map(ToString::to_string).unwrap_or_default();
            assert!(said.contains(word), "{pattern}: {said}");
        }
        assert!(matching("^(orders|returns)-[a-z]+\\.v[12]$").problems().is_empty());
    }

    #[test]
    fn every_alternative_has_a_beginning_of_its_own_and_none_is_too_long() {
        for (pattern, beginnings) in [
            ("^orders-.*$", &["orders-"][..]),
            ("^orders-?eu", &["orders-eu", "orderseu"]),
            ("^orders\\.eu$", &["orders.eu"]),
            ("^(orders|returns)-.*$", &["orders-", "returns-"]),
            ("^orders-.*$|^returns-.*$", &["orders-", "returns-"]),
            ("^orders|^orders-eu", &["orders"]),
            ("^a+b", &["a"]),
            ("^[a-z]+-orders", &[""]),
            ("^.*-orders", &[""]),
            // `xb` matches as well.
            ("^a|b", &[""]),
        ] {
            let Events::Matching(matching) = matching(pattern) else {
                unreachable!("it was made so")
            };
            assert_eq!(matching.beginnings(), beginnings, "{pattern}");
        }
    }

    #[test]
    fn a_list_names_each_topic_once() {
        let named = |names: &[&str]| Events::Several(names.iter().map(|name| (*name).to_owned()).collect());
        assert!(named(&["a", "b"]).problems().is_empty());
        for wrong in [&["a", "a"][..], &[], &["a b"]] {
            assert_eq!(named(wrong).problems().len(), 1, "{wrong:?}");
        }
    }

    #[test]
    fn inputs_are_told_from_other_topics() {
        let reads = matching("^orders-.*$").reads();
        assert!(reads.has("orders-eu") && !reads.has("orders") && !reads.has("my-orders-eu"));
        assert!(!matching("^.*$").reads().has("__consumer_offsets"));
        assert!(Events::from("events").reads().has("events"));
    }
}
