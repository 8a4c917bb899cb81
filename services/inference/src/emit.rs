//! The outputs of one event: prediction, sample, dead letter; bytes, headers, partition.
//!
//! Owns: which headers go where, and the buffers that they are written into.
//! Never does: send, or decide which outputs an event has.
//!
//! Invariant: every output carries `eddy.format`, `eddy.id` and `eddy.source`; an incoming `eddy.*` header never
//! passes through, so what stands there is always this pipeline's own word.

use std::fmt::Write as _;

use eddy_pipeline::event::{
    BODY_MASKED, BODY_OMITTED, BODY_ORIGINAL, Destination, FORMAT, HEADER_BODY, HEADER_CONFIG, HEADER_DETAIL,
    HEADER_FORMAT, HEADER_ID, HEADER_POLICY, HEADER_PROBABILITY, HEADER_REASON, HEADER_SELECTION, HEADER_SHA256,
    HEADER_SOURCE, HEADER_STAGE, HEADER_TIME, Header, Output,
};
use eddy_pipeline::mask::{Mask, Masked};
use eddy_pipeline::partition::partition_for;
use eddy_pipeline::rejection::Rejection;
use eddy_pipeline::render::{Named, Renderer, Verdict};
use eddy_pipeline::trace::{HEADER_TRACEPARENT, HEADER_TRACESTATE, Trace, Tracing};
use sha2::{Digest, Sha256};

use crate::batch::{Batch, Row};
use crate::judge::Provenance;
use crate::scoring::Scoring;

/// What stands in an output's value; header `eddy.body`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// The event's own bytes.
    Original,
    /// The event without the values of `events.mask`. Its sha256 stands in a header.
    Masked,
    /// Nothing: the bytes would not fit into the topic, or may not leave the process. Their sha256 stands in a header.
    Omitted,
    /// Nothing, and neither the event's key nor its headers: even they would not fit.
    Bare,
}

impl Body {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Original => BODY_ORIGINAL,
            Self::Masked => BODY_MASKED,
            Self::Omitted | Self::Bare => BODY_OMITTED,
        }
    }
}

/// Number of partitions of each output topic, in the order of [`Destination::ALL`].
pub(crate) type PartitionCounts = [i32; Destination::ALL.len()];

/// Writes outputs. One for each lane.
#[derive(Debug)]
pub struct Emitter {
    renderer: Renderer,
    provenance: Provenance,
    counts: PartitionCounts,
    /// What stands before the JSON of a prediction.
    frame: Vec<u8>,
    mask: Mask,
    tracing: Option<Tracing>,
    /// That of the event whose outputs come next.
    trace: Option<Trace>,
    /// Its `traceparent` in the output that is being written.
    traceparent: String,
    json: Vec<u8>,
    text: String,
    masked: Vec<u8>,
}

impl Emitter {
    /// `provenance` tells the settings that make these outputs.
    pub fn new(renderer: Renderer, provenance: Provenance) -> Self {
        Self {
            renderer,
            provenance,
            counts: [1; Destination::ALL.len()],
            frame: Vec::new(),
            mask: Mask::default(),
            tracing: None,
            trace: None,
            traceparent: String::new(),
            json: Vec::new(),
            text: String::new(),
            masked: Vec::new(),
        }
    }

    /// Keeps the values of these members out of every output.
    #[must_use]
    pub fn masking(mut self, mask: Mask) -> Self {
        self.mask = mask;
        self
    }

    /// Goes on with the traces of these events in their outputs. Without it, an event's own header passes through.
    #[must_use]
    pub fn tracing(mut self, tracing: Option<Tracing>) -> Self {
        self.tracing = tracing;
        self
    }

    /// Begins with the outputs of an event; gives its trace, where it is traced.
    pub(crate) fn begin(&mut self, batch: &Batch, row: &Row) -> Option<Trace> {
        let tracing = self.tracing.as_ref()?;
        // Of several the last is that of whoever wrote the record.
        let header = batch
            .headers(row)
            .filter(|header| header.name == HEADER_TRACEPARENT)
            .last();
        let header = header.and_then(|header| header.value);
        self.trace = tracing.of(header, batch.source(row), row.timestamp_ms);
        self.trace
    }

    /// Writes predictions in the framing of a schema registry, where their schema has this number.
    #[must_use]
    pub fn framed(mut self, schema: u32) -> Self {
        self.frame = [&[0], &schema.to_be_bytes()[..]].concat();
        self
    }

    /// Takes up other settings, between batches.
    pub fn set_provenance(&mut self, provenance: Provenance) {
        self.provenance = provenance;
    }

    /// Takes up the partition counts of the output topics; once a batch.
    pub(crate) fn set_counts(&mut self, counts: PartitionCounts) {
        self.counts = counts;
    }

    /// The prediction of a scored event.
    pub fn prediction<R>(
        &mut self,
        scoring: &Scoring,
        row: &Row,
        tensor_row: u32,
        send: impl FnOnce(&Output<'_>) -> R,
    ) -> R {
        let batch = scoring.batch();
        let event = Named {
            id: batch.id(row),
            source: batch.source(row),
            time_ms: row.event_time_ms,
            fields: batch.fields(row),
            pick: scoring.pick(tensor_row),
        };
        self.json.clear();
        self.json.extend_from_slice(&self.frame);
        self.renderer
            .prediction(&event, verdicts(scoring, tensor_row, &[]), &mut self.json);
        self.go_on_with_trace(Destination::Predictions);
        let mut headers = Headers::of(batch, row);
        headers.carry(batch, row, self.going_on(), |name| {
            is_trace(name) || name.starts_with("ce_")
        });
        send(&self.output(Destination::Predictions, batch, row, Some(&self.json), &headers.list))
    }

    /// The sample of a selected event.
    pub fn sample<R>(
        &mut self,
        scoring: &Scoring,
        row: &Row,
        tensor_row: u32,
        body: Body,
        send: impl FnOnce(&Output<'_>) -> R,
    ) -> R {
        let batch = scoring.batch();
        let body = self.masked(batch, row, body);
        self.json.clear();
        let features: Vec<_> = (0..scoring.models().len())
            .map(|model| scoring.top_features(model, tensor_row))
            .collect();
        let verdicts = verdicts(scoring, tensor_row, &features);
        self.renderer.selection(verdicts, &mut self.json);
        self.text.clear();
        write!(self.text, "{}", scoring.pick(tensor_row).probability).expect("writing to a String cannot fail");
        let time_at = self.text.len();
        if let Some(time_ms) = row.event_time_ms {
            write!(self.text, "{time_ms}").expect("writing to a String cannot fail");
        }
        self.go_on_with_trace(Destination::Retraining);
        let (probability, time) = self.text.split_at(time_at);
        let mut headers = Headers::of(batch, row);
        headers.add(HEADER_SELECTION, &self.json);
        headers.add(HEADER_PROBABILITY, probability.as_bytes());
        if !time.is_empty() {
            headers.add(HEADER_TIME, time.as_bytes());
        }
        headers.add(HEADER_CONFIG, self.provenance.config.as_bytes());
        if let Some(policy) = &self.provenance.policy {
            headers.add(HEADER_POLICY, policy.as_bytes());
        }
        let digest = digest_of_changed(batch, row, body);
        self.with_body(Destination::Retraining, batch, row, (body, &digest), headers, send)
    }

    /// The dead letter of an event that could not be scored.
    pub fn dead_letter<R>(
        &mut self,
        batch: &Batch,
        row: &Row,
        rejection: &Rejection,
        body: Body,
        send: impl FnOnce(&Output<'_>) -> R,
    ) -> R {
        let body = self.masked(batch, row, body);
        self.go_on_with_trace(Destination::DeadLetters);
        let mut headers = Headers::of(batch, row);
        headers.add(HEADER_STAGE, rejection.reason.stage().as_str().as_bytes());
        headers.add(HEADER_REASON, rejection.reason.as_str().as_bytes());
        headers.add(HEADER_DETAIL, rejection.detail.as_bytes());
        headers.add(HEADER_CONFIG, self.provenance.config.as_bytes());
        let digest = digest_of_changed(batch, row, body);
        self.with_body(Destination::DeadLetters, batch, row, (body, &digest), headers, send)
    }

    fn go_on_with_trace(&mut self, to: Destination) {
        self.traceparent = self.trace.map_or_else(String::new, |trace| trace.traceparent(to));
    }

    /// The trace of the event, and how the output that is being written goes on with it.
    fn going_on(&self) -> Option<(Trace, &str)> {
        Some((self.trace?, self.traceparent.as_str()))
    }

    /// The body that may go out in place of this one, whose bytes are then at hand.
    fn masked(&mut self, batch: &Batch, row: &Row, body: Body) -> Body {
        let (Body::Original, Some(value)) = (body, batch.value(row)) else {
            return body;
        };
        self.masked.clear();
        match self.mask.apply(value, &mut self.masked) {
            Masked::Untouched => Body::Original,
            Masked::Changed => Body::Masked,
            Masked::Withheld => Body::Omitted,
        }
    }

    /// Adds the body, and all of the event's own headers where the body is its own: a sample can be replayed as it was.
    fn with_body<'a, R>(
        &'a self,
        to: Destination,
        batch: &'a Batch,
        row: &'a Row,
        (body, digest): (Body, &'a str),
        mut headers: Headers<'a>,
        send: impl FnOnce(&Output<'_>) -> R,
    ) -> R {
        headers.add(HEADER_BODY, body.as_str().as_bytes());
        let value = match body {
            Body::Original => {
                headers.carry(batch, row, self.going_on(), |_| true);
                batch.value(row)
            }
            Body::Masked => {
                headers.add(HEADER_SHA256, digest.as_bytes());
                headers.carry(batch, row, self.going_on(), |_| true);
                Some(self.masked.as_slice())
            }
            Body::Omitted | Body::Bare => {
                headers.add(HEADER_SHA256, digest.as_bytes());
                if body == Body::Omitted {
                    headers.carry(batch, row, self.going_on(), is_trace);
                }
                Some(&[][..])
            }
        };
        let mut output = self.output(to, batch, row, value, &headers.list);
        if body == Body::Bare {
            output.key = None;
        }
        send(&output)
    }

    fn output<'a>(
        &self,
        to: Destination,
        batch: &'a Batch,
        row: &Row,
        value: Option<&'a [u8]>,
        headers: &'a [Header<'a>],
    ) -> Output<'a> {
        let key = batch.key(row);
        let partition = partition_for(key, row.source.partition.number, self.counts[to as usize]);
        Output {
            to,
            partition,
            key,
            value,
            headers,
        }
    }
}

/// Headers of the W3C trace context.
fn is_trace(name: &str) -> bool {
    name == HEADER_TRACEPARENT || name == HEADER_TRACESTATE
}

fn digest_of_changed(batch: &Batch, row: &Row, body: Body) -> String {
    match body {
        Body::Original => String::new(),
        Body::Masked | Body::Omitted | Body::Bare => {
            format!("{:x}", Sha256::digest(batch.value(row).unwrap_or_default()))
        }
    }
}

/// The headers of one output.
struct Headers<'a> {
    list: Vec<Header<'a>>,
}

impl<'a> Headers<'a> {
    fn of(batch: &'a Batch, row: &'a Row) -> Self {
        const FORMAT_TEXT: &str = "1";
        const { assert!(FORMAT == 1, "the text above says the format number") };
        let mut headers = Self {
            list: Vec::with_capacity(12),
        };
        headers.add(HEADER_FORMAT, FORMAT_TEXT.as_bytes());
        headers.add(HEADER_ID, batch.id(row).as_bytes());
        headers.add(HEADER_SOURCE, batch.source(row).as_bytes());
        headers
    }

    fn add(&mut self, name: &'a str, value: &'a [u8]) {
        self.list.push(Header {
            name,
            value: Some(value),
        });
    }

    /// Carries headers of the event, with ours in the place of its `traceparent` where it is traced.
    fn carry(&mut self, batch: &'a Batch, row: &'a Row, trace: Option<(Trace, &'a str)>, which: impl Fn(&str) -> bool) {
        if let Some((_, traceparent)) = trace {
            self.add(HEADER_TRACEPARENT, traceparent.as_bytes());
        }
        // Of a trace that begins with the event, no `tracestate` of its producer tells.
        let is_replaced = |name: &str, trace: Trace| {
            name == HEADER_TRACEPARENT || (trace.parent.is_none() && name == HEADER_TRACESTATE)
        };
        let is_ours =
            |name: &str| name.starts_with("eddy.") || trace.is_some_and(|(trace, _)| is_replaced(name, trace));
        let carried = batch.headers(row).filter(|h| !is_ours(h.name) && which(h.name));
        self.list.extend(carried);
    }
}

/// What each model says about a scored event. `features` are those that make it anomalous, model by model.
fn verdicts<'a>(
    scoring: &'a Scoring,
    tensor_row: u32,
    features: &'a [Vec<(&'a str, f32)>],
) -> impl Iterator<Item = Verdict<'a>> {
    scoring
        .models()
        .enumerate()
        .map(move |(position, (model, predictions))| Verdict {
            model: position,
            head: model.head.as_ref(),
            predictions,
            row: tensor_row as usize,
            signals: scoring.signals(position),
            features: features.get(position).map_or(&[], Vec::as_slice),
            pick: scoring.pick(tensor_row),
        })
}
