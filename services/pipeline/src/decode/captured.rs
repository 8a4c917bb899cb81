//! What is kept of an event beside its row.

use crate::fields::Place;
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

/// Where the time of an event stands, for messages.
pub(crate) const TIME: Place<'static> = Place::field("events.time_field");

/// The refusal of a value that cannot name an event.
#[cold]
pub(crate) fn not_an_id(found: &str) -> Rejection {
    Rejection::new(
        Reason::InvalidId,
        format!("the id field is {found}, not a text or a whole number"),
    )
}

impl Captured {
    /// Takes the time of the event, in microseconds since the Unix epoch.
    pub(crate) fn at(&mut self, us: i64) {
        self.event_time_ms = Some(us.div_euclid(1000));
    }

    /// Begins a pass-through member, whose name has its quotes and colon; its value comes next.
    pub(crate) fn begin_member(&mut self, name: &str) {
        if !self.fields.is_empty() {
            self.fields.push(b',');
        }
        self.fields.extend_from_slice(name.as_bytes());
    }

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
