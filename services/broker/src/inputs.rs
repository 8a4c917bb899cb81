//! The input topics and their numbers, which all lanes of a process share.
//!
//! Owns: which number a topic has. Invariant: it keeps it; a topic that is gone leaves its number unused.

use std::sync::{Arc, PoisonError, RwLock};

use crate::settings::{Reads, Topics};

/// The input topics of a process. Clones are the same.
#[derive(Debug, Clone)]
pub struct Inputs(Arc<Known>);

#[derive(Debug)]
struct Known {
    names: RwLock<Vec<Arc<str>>>,
    /// Which topics may come to be known; `None` where all are named.
    later: Option<(Reads, u16)>,
    outputs: [String; 3],
}

impl Inputs {
    /// Those that are named; what matches a pattern comes to be known.
    pub fn of(topics: &Topics) -> Self {
        let names = topics.events.names().iter().map(|name| name.as_str().into()).collect();
        let later = topics
            .events
            .matching()
            .map(|matching| (topics.events.reads(), matching.most));
        Self(Arc::new(Known {
            names: RwLock::new(names),
            later,
            outputs: [&topics.predictions, &topics.retraining, &topics.dead_letters].map(Clone::clone),
        }))
    }

    /// All that are known, by their numbers.
    pub fn names(&self) -> Vec<Arc<str>> {
        self.0.names.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The number of a topic that is known.
    pub fn number(&self, topic: &str) -> Option<u16> {
        let names = self.0.names.read().unwrap_or_else(PoisonError::into_inner);
        let position = names.iter().position(|name| **name == *topic)?;
        Some(position as u16)
    }

    /// The number of a topic that the group has given out; it may be new.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(crate) fn admit(&self, topic: &str) -> Result<u16, String> {
        if let Some(number) = self.number(topic) {
            return Ok(number);
        }
        let Some((reads, most)) = &self.0.later else {
            return Err(format!(
                "topic `{topic}` is not one of topics.events; see that no other program uses our group"
            ));
        };
        if self.0.outputs.iter().any(|output| output == topic) || !reads.has(topic) {
            return Err(format!(
                "the group gave us topic `{topic}`, which is an output of ours or not what topics.events.pattern means; \
                 narrow the pattern"
            ));
        }
        let mut names = self.0.names.write().unwrap_or_else(PoisonError::into_inner);
        // Another lane may have been faster.
        if let Some(position) = names.iter().position(|name| **name == *topic) {
            return Ok(position as u16);
        }
        if names.len() >= usize::from(*most) {
            return Err(format!(
                "topic `{topic}` is one more than topics.events.most ({most}) allows; raise it, narrow topics.events.pattern, or \
                 start the process anew if topics were deleted since its start, which count until then"
            ));
        }
        names.push(topic.into());
        Ok(names.len() as u16 - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Events, Matching};

    fn matching(most: u16) -> Inputs {
        Inputs::of(&Topics {
            events: Events::Matching(Matching {
                pattern: "^orders.*".to_owned(),
                most,
            }),
            dead_letters: "orders-dead".to_owned(),
            ..Topics::default()
        })
    }

    #[test]
    fn a_topic_keeps_its_number() {
        let inputs = matching(10);
        assert_eq!(inputs.admit("orders-b"), Ok(0));
        assert_eq!(inputs.admit("orders-a"), Ok(1));
        assert_eq!(inputs.admit("orders-b"), Ok(0));
        assert_eq!((inputs.number("orders-a"), inputs.number("orders-c")), (Some(1), None));
    }

    #[test]
    fn outputs_strangers_and_one_too_many_are_refused_by_name() {
        let inputs = matching(1);
        for (topic, word) in [
            ("orders-dead", "output"),
            ("others", "narrow"),
            ("orders-a", ""),
            ("orders-b", "topics.events.most"),
        ] {
            let admitted = inputs.admit(topic);
            assert_eq!(admitted.is_ok(), word.is_empty(), "{topic}");
            assert!(admitted.err().unwrap_or_default().contains(word), "{topic}");
        }
        let named = Inputs::of(&Topics::default());
        assert_eq!(named.admit("events"), Ok(0));
        assert!(named.admit("others").unwrap_err().contains("`others`"));
    }
}
