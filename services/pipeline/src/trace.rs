//! The trace that an event belongs to, as W3C Trace Context has it.
//!
//! Owns: the header `traceparent`, which events are traced, and the ids of their spans.
//! Never does: tell anybody; the shell exports what was traced.
//!
//! Invariant: ids follow from the event, its place and the consumer group, so work that is done again has the same spans,
//! and two groups that read the same event have different ones.

use twox_hash::{XxHash3_64, XxHash3_128};

use crate::event::Destination;
use crate::seed;

/// Header with the trace that a record belongs to.
pub const HEADER_TRACEPARENT: &str = "traceparent";
/// Header with what vendors add to it.
pub const HEADER_TRACESTATE: &str = "tracestate";

/// The flag of a trace that is recorded.
const SAMPLED: u8 = 1;
/// The flags that have a meaning: that one, and that the trace's id is random.
const KNOWN_FLAGS: u8 = SAMPLED | 2;
/// Bytes of a header of version 00.
const LENGTH: usize = 55;

/// What is done for an event that has a span of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// All of it, from taking the event in until its outputs are durable.
    Process,
    /// The models' runs on its batch.
    Score,
    /// One output.
    Send(Destination),
}

impl Step {
    const fn number(self) -> u64 {
        match self {
            Self::Process => 0,
            Self::Score => 1,
            Self::Send(to) => 2 + to as u64,
        }
    }
}

/// Which events of a group are traced: those whose producer traces them, and a share of those without a trace.
#[derive(Debug, Clone, PartialEq)]
pub struct Tracing {
    seed: u64,
    ratio: f64,
}

impl Tracing {
    /// `ratio`: the share, from 0 to 1, of events without a trace of their own that begin one.
    pub fn new(group: &str, ratio: f64) -> Self {
        Self {
            seed: XxHash3_64::oneshot(group.as_bytes()),
            ratio,
        }
    }

    /// The trace of the event at `source` (`topic/partition/offset`) with this `traceparent`; `None` when it is not traced. A
    /// header that is none counts as no header.
    pub fn of(&self, traceparent: Option<&[u8]>, source: &str, timestamp_ms: Option<i64>) -> Option<Trace> {
        let (id, parent, flags) = match traceparent.and_then(read) {
            Some((id, parent, flags)) => (flags & SAMPLED != 0).then_some((id, Some(parent), flags))?,
            None => (self.begun(source, timestamp_ms)?, None, SAMPLED),
        };
        let mut text = Vec::with_capacity(24 + source.len());
        text.extend_from_slice(&id.to_be_bytes());
        text.extend_from_slice(&parent.unwrap_or(0).to_be_bytes());
        text.extend_from_slice(source.as_bytes());
        let base = XxHash3_64::oneshot_with_seed(self.seed, &text);
        Some(Trace {
            id,
            parent,
            flags,
            base,
        })
    }

    /// The id of the trace that an event begins, if it does: every group begins the same one. The timestamp tells events of
    /// a topic from those of an earlier one by its name.
    fn begun(&self, source: &str, timestamp_ms: Option<i64>) -> Option<u128> {
        if self.ratio == 0.0 {
            return None;
        }
        let id = XxHash3_128::oneshot_with_seed(timestamp_ms.unwrap_or(-1) as u64, source.as_bytes()).max(1);
        (seed::uniform(0, id as u64) < self.ratio).then_some(id)
    }
}

/// The trace of one event that is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    /// Its id.
    pub id: u128,
    /// The span that sent the event, where there is one.
    pub parent: Option<u64>,
    /// Trace flags, as they came.
    pub flags: u8,
    base: u64,
}

impl Trace {
    /// The id of one step's span; never zero.
    pub fn span(&self, step: Step) -> u64 {
        seed::hash(self.base, step.number()).max(1)
    }

    /// `traceparent` for whoever reads an output.
    pub fn traceparent(&self, to: Destination) -> String {
        let span = self.span(Step::Send(to));
        format!("00-{:032x}-{span:016x}-{:02x}", self.id, self.flags & KNOWN_FLAGS)
    }
}

/// Id, parent and flags of a `traceparent`; `None` where it is none.
fn read(header: &[u8]) -> Option<(u128, u64, u8)> {
    let (first, more) = header.trim_ascii().split_at_checked(LENGTH)?;
    let text = str::from_utf8(first).ok()?;
    let mut parts = text.split('-');
    let [version, id, parent, flags] = std::array::from_fn(|_| parts.next());
    let version = number(version?, 2)?;
    let is_whole = match version {
        0 => more.is_empty(),
        // What newer versions add stands behind a dash.
        1..0xff => more.first().is_none_or(|first| *first == b'-'),
        _ => false,
    };
    let (id, parent) = (number(id?, 32)?, number(parent?, 16)? as u64);
    let flags = number(flags?, 2)? as u8;
    (is_whole && parts.next().is_none() && id != 0 && parent != 0).then_some((id, parent, flags))
}

/// A number of so many hexadecimal digits, small letters only.
fn number(text: &str, digits: usize) -> Option<u128> {
    let is_sound = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    let is_number = text.len() == digits && text.bytes().all(is_sound);
    is_number.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests;
