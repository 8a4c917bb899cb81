//! What is kept of an event beside its row.

use crate::rejection::{Reason, Rejection};

/// Longest id of an event in bytes.
pub const ID_BYTES: usize = 256;

/// What is kept of an event beside its row; reused from event to event.
#[derive(Debug, Clone, Default)]
pub struct Captured {
    /// The event's id, where a header or field gave one. Also set, where it could be found, when the record was rejected.
    pub id: Option<String>,
    /// The event's own time in milliseconds since the Unix epoch, where a field gave one.
    pub event_time_ms: Option<i64>,
    /// The pass-through members as JSON text, ready to be put into an object: `"customer":{…},"x":1`. Empty when
    /// there are none. Of a rejected record it holds what was met before.
    pub fields: Vec<u8>,
    /// An allocated text for the next id.
    spare: String,
}

impl Captured {
    /// Forgets the last event and keeps the allocations.
    pub(crate) fn clear(&mut self) {
        if let Some(id) = self.id.take() {
            self.spare = id;
        }
        self.event_time_ms = None;
        self.fields.clear();
    }

    /// Takes an id that stood at `place`.
    pub(crate) fn name(&mut self, text: &str, place: &str) -> Result<(), Rejection> {
        if text.is_empty() {
            return Err(Rejection::new(Reason::InvalidId, format!("{place} is empty")));
        }
        if text.len() > ID_BYTES {
            return Err(Rejection::new(
                Reason::InvalidId,
                format!("{place} is {} bytes long, more than {ID_BYTES}", text.len()),
            ));
        }
        let mut id = std::mem::take(&mut self.spare);
        id.clear();
        id.push_str(text);
        self.id = Some(id);
        Ok(())
    }
}
