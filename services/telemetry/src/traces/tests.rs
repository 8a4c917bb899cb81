use std::time::Duration;

use eddy_pipeline::outcome::{Accounts, Remembers as _};
use eddy_pipeline::rejection::Reason;
use eddy_pipeline::trace::Tracing;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

use super::*;
use crate::Metrics;

const PARENT: u64 = 0x00f0_67aa_0ba9_02b7;
const TRACEPARENT: &[u8] = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn at(ms: u64) -> Now {
    Now {
        monotonic: Duration::from_millis(ms),
        unix_ms: 1_000_000 + ms as i64,
    }
}

fn event(outcome: Outcome, is_scored: bool) -> TracedEvent {
    let source = "events/3/17".to_owned();
    let [taken, model, scored, handed] = [1, 2, 5, 6].map(Duration::from_millis);
    TracedEvent {
        trace: Tracing::new("g", 0.0)
            .of(Some(TRACEPARENT), &source, None)
            .expect("it is sampled"),
        source,
        outcome,
        is_scored,
        rows: 64,
        times: BatchTimes {
            taken,
            model,
            scored,
            handed,
        },
    }
}

fn resource() -> Resource {
    Resource {
        service: "digits".into(),
        version: "1.2.3".into(),
        instance: "a".into(),
        group: "g".into(),
        topics: ["predictions", "retraining", "dead-letters"].map(str::to_owned),
    }
}

fn spans(events: &[Told]) -> Vec<Span> {
    let request = ExportTraceServiceRequest::decode(&*resource().request(events)).expect("it is a request");
    let of_resource = request.resource_spans.into_iter().flat_map(|of| of.scope_spans);
    of_resource.flat_map(|of| of.spans).collect()
}

#[test]
fn an_event_is_told_of_when_it_is_durable_and_once() {
    let metrics = Metrics::new("digits", "1");
    let (traces, told) = Traces::bounded(10, metrics.traces());
    let mut lane = metrics.lane(0, &["digits"]).tracing(Some(traces));
    lane.traced(event(Outcome::Predicted, true));
    lane.mark();
    lane.publish(&Accounts::new(), at(8));
    assert!(told.try_recv().is_err(), "it is not durable yet");
    lane.rollback();
    lane.traced(event(Outcome::Predicted, true));
    lane.mark();
    lane.commit();
    lane.publish(&Accounts::new(), at(9));
    assert_eq!(told.try_recv(), Ok((event(Outcome::Predicted, true), at(9))));
    lane.publish(&Accounts::new(), at(10));
    assert!(
        told.try_recv().is_err(),
        "what was undone, and what was told, is not told"
    );
}

#[test]
fn what_does_not_fit_into_the_queue_is_counted_and_holds_nobody_up() {
    let metrics = Metrics::new("digits", "1");
    let (traces, told) = Traces::bounded(1, metrics.traces());
    for _ in 0..3 {
        traces.tell(event(Outcome::Predicted, true), at(9));
    }
    assert_eq!(told.try_iter().count(), 1);
    let dropped = "eddy_trace_spans_total{outcome=\"dropped\",pipeline=\"digits\"} 6";
    assert!(metrics.gather().contains(dropped), "{}", metrics.gather());
}

#[test]
fn spans_that_are_given_up_are_dropped_once_whatever_becomes_of_them_later() {
    let metrics = Metrics::new("digits", "1");
    let counted = metrics.traces();
    let (traces, _told) = Traces::bounded(2, counted.clone());
    for _ in 0..2 {
        traces.tell(event(Outcome::Predicted, true), at(9));
    }
    counted.settle(SpanOutcome::Exported, 3);
    counted.give_up();
    counted.settle(SpanOutcome::Exported, 3);
    for (outcome, spans) in [("exported", 3), ("dropped", 3)] {
        let line = format!("eddy_trace_spans_total{{outcome=\"{outcome}\",pipeline=\"digits\"}} {spans}\n");
        assert!(metrics.gather().contains(&line), "{}", metrics.gather());
    }
}

#[test]
fn a_trace_shows_where_the_time_of_an_event_went() {
    let event = event(Outcome::Predicted, true);
    let spans = spans(&[(event.clone(), at(9))]);
    assert_eq!(spans.len(), event.spans());
    let ms = |nanoseconds: u64| nanoseconds / 1_000_000 - 1_000_000;
    let told: Vec<_> = spans
        .iter()
        .map(|span| {
            (
                span.name.as_str(),
                ms(span.start_time_unix_nano),
                ms(span.end_time_unix_nano),
            )
        })
        .collect();
    assert_eq!(
        told,
        [("process events", 1, 9), ("score", 2, 5), ("send predictions", 6, 9)]
    );
    assert_eq!(spans[0].parent_span_id, PARENT.to_be_bytes());
    assert!(spans[1..].iter().all(|span| span.parent_span_id == spans[0].span_id));
    let header = event.trace.traceparent(Destination::Predictions);
    let hex: String = spans[2].span_id.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        header.split('-').nth(2),
        Some(hex.as_str()),
        "a reader of the output goes on with its span"
    );
}

#[test]
fn what_an_event_had_is_what_is_told() {
    let arms = eddy_pipeline::select::Arms::default();
    for (outcome, is_scored, expected) in [
        (Outcome::Predicted, true, "process events,score,send predictions"),
        (
            Outcome::Selected(arms),
            true,
            "process events,score,send predictions,send retraining",
        ),
        (
            Outcome::DeadLettered(Reason::UnknownSchema),
            false,
            "process events,send dead-letters",
        ),
        (
            Outcome::DeadLettered(Reason::OutputTooLarge),
            true,
            "process events,score,send dead-letters",
        ),
    ] {
        let event = event(outcome, is_scored);
        let names: Vec<String> = spans(&[(event.clone(), at(9))])
            .into_iter()
            .map(|span| span.name)
            .collect();
        assert_eq!(names.join(","), expected);
        assert_eq!(event.spans(), names.len());
    }
}

#[test]
fn a_request_of_nothing_has_no_span_and_refusals_are_read_in_answers() {
    assert_eq!(spans(&[]), []);
    let answer = |rejected_spans| {
        let partial = ExportTracePartialSuccess {
            rejected_spans,
            error_message: "too old".into(),
        };
        ExportTraceServiceResponse {
            partial_success: Some(partial),
        }
        .encode_to_vec()
    };
    assert_eq!(Resource::refused(&answer(3)), Some((3, "too old".into())));
    assert_eq!(Resource::refused(&answer(0)), None);
    assert_eq!(Resource::refused(b""), None);
    assert_eq!(Resource::refused(b"<html>"), None);
}
