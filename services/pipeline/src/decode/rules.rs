//! What holds for every event with members, whatever its format: its limits, and how its time is read.

use super::format::Sources;
use crate::fields::TimeReader;
use crate::rejection::{Reason, Rejection};

/// Limits within an event, and the reader of its time.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    depth: usize,
    elements: usize,
    pub(crate) string_bytes: usize,
    pub(crate) time: TimeReader,
    /// Whether something is masked. A key that nothing names may stand in it, and is not quoted then.
    pub(crate) has_mask: bool,
}

impl Rules {
    pub(crate) fn of(sources: &Sources<'_>) -> Self {
        Self {
            depth: sources.limits.depth,
            elements: sources.limits.elements,
            string_bytes: sources.limits.string_bytes.get(),
            time: TimeReader {
                unit: sources.events.time_unit,
                parse_strings: false,
            },
            has_mask: !sources.events.mask.is_empty(),
        }
    }

    /// The depth within an object or array that `depth` others enclose.
    #[inline]
    pub(crate) fn enter(&self, depth: usize) -> Result<usize, Rejection> {
        if depth < self.depth {
            return Ok(depth + 1);
        }
        Err(self.too_deep())
    }

    /// Whether an event may have so many elements and members.
    #[inline]
    pub(crate) fn within_elements(&self, elements: usize) -> Result<(), Rejection> {
        if elements <= self.elements {
            return Ok(());
        }
        Err(self.too_many())
    }

    #[inline]
    pub(crate) fn admit_text(&self, text: &str) -> Result<(), Rejection> {
        if text.len() <= self.string_bytes {
            return Ok(());
        }
        Err(self.too_long(text.len()))
    }

    #[cold]
    fn too_deep(&self) -> Rejection {
        Rejection::new(
            Reason::LimitExceeded,
            format!("the event is nested deeper than {} levels (`limits.depth`)", self.depth),
        )
    }

    #[cold]
    fn too_many(&self) -> Rejection {
        Rejection::new(
            Reason::LimitExceeded,
            format!("the event has more than {} elements (`limits.elements`)", self.elements),
        )
    }

    /// The refusal of a text, key or other value of so many bytes.
    #[cold]
    pub(crate) fn too_long(&self, bytes: usize) -> Rejection {
        let limit = self.string_bytes;
        let detail =
            format!("the event holds a text or value of {bytes} bytes, more than {limit} (`limits.string_bytes`)");
        Rejection::new(Reason::LimitExceeded, detail)
    }
}
