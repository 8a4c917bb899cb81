//! Traced events in the form of OTLP, by the names of OpenTelemetry's conventions for messaging.

use std::time::Duration;

use eddy_pipeline::event::{Destination, place};
use eddy_pipeline::outcome::Outcome;
use eddy_pipeline::time::Now;
use eddy_pipeline::trace::Step;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource as ProtoResource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message as _;

use super::Told;

/// Who tells, and how the topics are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// `service.name`: the pipeline.
    pub service: String,
    /// `service.version`.
    pub version: String,
    /// `service.instance.id`: the replica.
    pub instance: String,
    /// The consumer group.
    pub group: String,
    /// The names of the output topics, in the order of [`Destination::ALL`].
    pub topics: [String; Destination::ALL.len()],
}

impl Resource {
    /// The body of a request that exports these events; of one that exports nothing, without any.
    pub fn request(&self, events: &[Told]) -> Vec<u8> {
        let spans = events.iter().flat_map(|event| self.spans(event)).collect();
        let attributes = vec![
            text("service.name", &self.service),
            text("service.version", &self.version),
            text("service.instance.id", &self.instance),
        ];
        let request = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(ProtoResource {
                    attributes,
                    ..ProtoResource::default()
                }),
                scope_spans: vec![ScopeSpans {
                    scope: Some(InstrumentationScope {
                        name: "eddy".into(),
                        version: self.version.clone(),
                        ..InstrumentationScope::default()
                    }),
                    spans,
                    ..ScopeSpans::default()
                }],
                ..ResourceSpans::default()
            }],
        };
        request.encode_to_vec()
    }

    /// How many spans of a request were refused, by the answer to it, and why.
    pub fn refused(answer: &[u8]) -> Option<(usize, String)> {
        let answer = ExportTraceServiceResponse::decode(answer).ok()?;
        let partial = answer.partial_success?;
        let spans = usize::try_from(partial.rejected_spans)
            .ok()
            .filter(|spans| *spans > 0)?;
        Some((spans, partial.error_message))
    }

    fn spans(&self, told: &Told) -> Vec<Span> {
        let (event, durable) = told;
        let times = &event.times;
        let mut spans = vec![self.process(told)];
        if event.is_scored {
            let mut score = span(told, Step::Score, "score".into(), (times.model, times.scored));
            score.kind = SpanKind::Internal as i32;
            score.attributes = vec![number("eddy.batch.rows", i64::try_from(event.rows).unwrap_or(i64::MAX))];
            spans.push(score);
        }
        for to in event.outputs() {
            let topic = &self.topics[*to as usize];
            let time = (times.handed, durable.monotonic);
            let mut send = span(told, Step::Send(*to), format!("send {topic}"), time);
            send.kind = SpanKind::Producer as i32;
            send.attributes = messaging("send", topic);
            spans.push(send);
        }
        spans
    }

    fn process(&self, told: &Told) -> Span {
        let (event, durable) = told;
        let (topic, partition, offset) = place(&event.source).expect("a source names a record");
        let time = (event.times.taken, durable.monotonic);
        let mut process = span(told, Step::Process, format!("process {topic}"), time);
        process.parent_span_id = event
            .trace
            .parent
            .map_or_else(Vec::new, |parent| parent.to_be_bytes().into());
        process.kind = SpanKind::Consumer as i32;
        process.attributes = messaging("process", topic);
        process.attributes.extend([
            text("messaging.destination.partition.id", &partition.to_string()),
            number("messaging.kafka.offset", offset),
            text("messaging.consumer.group.name", &self.group),
            text("eddy.outcome", outcome(event.outcome)),
        ]);
        match event.outcome {
            Outcome::Predicted => {}
            Outcome::Selected(arms) => {
                let arms: Vec<&str> = arms.iter().map(|arm| arm.as_str()).collect();
                process.attributes.push(text("eddy.arms", &arms.join(",")));
            }
            Outcome::DeadLettered(reason) => {
                process.attributes.push(text("error.type", reason.as_str()));
                process.status = Some(Status {
                    code: StatusCode::Error as i32,
                    message: format!("dead letter: {}", reason.as_str()),
                });
            }
        }
        process
    }
}

/// A span of an event; below that of all of it, but for that one itself.
fn span((event, durable): &Told, step: Step, name: String, (start, end): (Duration, Duration)) -> Span {
    let trace = &event.trace;
    let (start, end) = (nanoseconds(start, *durable), nanoseconds(end, *durable));
    Span {
        trace_id: trace.id.to_be_bytes().into(),
        span_id: trace.span(step).to_be_bytes().into(),
        parent_span_id: trace.span(Step::Process).to_be_bytes().into(),
        flags: u32::from(trace.flags),
        name,
        start_time_unix_nano: start,
        end_time_unix_nano: end.max(start),
        ..Span::default()
    }
}

/// A monotonic time in nanoseconds since the Unix epoch; `now` ties the one clock to the other.
fn nanoseconds(time: Duration, now: Now) -> u64 {
    let ns = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
    let epoch = now.unix_ms.saturating_mul(1_000_000).saturating_sub(ns(now.monotonic));
    u64::try_from(epoch.saturating_add(ns(time))).unwrap_or(0)
}

/// What every span about a topic has.
fn messaging(operation: &str, topic: &str) -> Vec<KeyValue> {
    vec![
        text("messaging.system", "kafka"),
        text("messaging.operation.name", operation),
        text("messaging.operation.type", operation),
        text("messaging.destination.name", topic),
    ]
}

const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Predicted => "predicted",
        Outcome::Selected(_) => "selected",
        Outcome::DeadLettered(_) => "dead_lettered",
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn number(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}
