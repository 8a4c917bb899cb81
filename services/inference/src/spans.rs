//! Spans of work: what was handed over together and becomes durable together.
//!
//! Owns: tickets, and which events and offsets each span holds. Never does: talk to the broker.
//!
//! Invariant: spans are taken off at the front only, so what is durable is a contiguous stretch of each partition.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use eddy_broker::Ticket;
use eddy_pipeline::event::{Partition, Source};

/// One span: a transaction exactly once, a batch at least once.
#[derive(Debug, Default)]
pub(crate) struct Span {
    /// Its outputs carry this.
    pub(crate) ticket: Ticket,
    /// When it was opened, on the monotonic clock.
    pub(crate) opened: Duration,
    /// The offset after the last event of each partition.
    pub(crate) offsets: Vec<(Partition, i64)>,
    /// Each event, in order.
    pub(crate) rows: Vec<Source>,
}

/// The spans under way, oldest first. Their memory is used again.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    queue: VecDeque<Span>,
    spare: Vec<Span>,
    next_ticket: Ticket,
}

impl Spans {
    /// Opens a span; from now on it is the last one.
    pub(crate) fn open(&mut self, now: Duration) {
        let mut span = self.spare.pop().unwrap_or_default();
        span.ticket = self.next_ticket;
        span.opened = now;
        span.offsets.clear();
        span.rows.clear();
        self.next_ticket = self.next_ticket.wrapping_add(1);
        self.queue.push_back(span);
    }

    /// Places the next event in the open span: the span's ticket, and the event's number within. Before its outputs are
    /// sent, so that a failure of one of them finds its event.
    pub(crate) fn place(&mut self, source: Source) -> (Ticket, u32) {
        let span = self.queue.back_mut().expect("outputs are handed over inside a span");
        span.rows.push(source);
        (span.ticket, span.rows.len() as u32 - 1)
    }

    /// Notes that the outputs of an event of the open span were handed over.
    pub(crate) fn settle(&mut self, source: Source) {
        let span = self.queue.back_mut().expect("outcomes are noted inside a span");
        let next = source.offset + 1;
        match span
            .offsets
            .iter_mut()
            .find(|(partition, _)| *partition == source.partition)
        {
            Some((_, offset)) => *offset = next,
            None => span.offsets.push((source.partition, next)),
        }
    }

    /// Which event an output belongs to.
    pub(crate) fn source(&self, ticket: Ticket, row: u32) -> Option<Source> {
        let span = self.queue.iter().find(|span| span.ticket == ticket)?;
        span.rows.get(row as usize).copied()
    }

    pub(crate) fn oldest(&self) -> Option<&Span> {
        self.queue.front()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Span> {
        self.queue.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Events in the first `count` spans.
    pub(crate) fn rows(&self, count: usize) -> usize {
        self.queue.iter().take(count).map(|span| span.rows.len()).sum()
    }

    /// The furthest offset of each partition in the first `count` spans, partitions in order.
    pub(crate) fn offsets(&self, count: usize) -> Vec<(Partition, i64)> {
        let first = self.queue.iter().take(count);
        let furthest: BTreeMap<Partition, i64> = first.flat_map(|span| span.offsets.iter().copied()).collect();
        furthest.into_iter().collect()
    }

    /// Takes off the first `count` spans, showing each to `done`.
    pub(crate) fn take(&mut self, count: usize, mut done: impl FnMut(&Span)) {
        for span in self.queue.drain(..count) {
            done(&span);
            self.spare.push(span);
        }
    }
}
