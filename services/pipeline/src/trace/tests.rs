use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::Value;

use super::*;

const SOUND: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn trace(group: &str, header: Option<&str>, source: &str) -> Option<Trace> {
    Tracing::new(group, 0.0).of(header.map(str::as_bytes), source, None)
}

#[test]
fn headers_are_read_as_opentelemetry_reads_them() {
    let cases = include_str!("../../tests/fixtures/traceparent.json");
    let cases: Vec<Value> = serde_json::from_str(cases).expect("it is JSON");
    for case in &cases {
        let header = case["header"].as_str().expect("a header");
        let expected = case["read"].as_object().map(|read| {
            let hex = |key: &str| u128::from_str_radix(read[key].as_str().expect("digits"), 16).expect("digits");
            let flags = read["flags"].as_u64().expect("flags");
            (hex("id"), hex("parent") as u64, flags as u8)
        });
        assert_eq!(super::read(header.as_bytes()), expected, "{header:?}");
    }
    assert!(cases.iter().any(|case| case["read"].is_null()) && cases.iter().any(|case| case["read"].is_object()));
}

#[test]
fn an_event_is_traced_when_its_producer_records_the_trace() {
    let traced = trace("g", Some(SOUND), "events/0/1").expect("it is sampled");
    assert_eq!(
        (traced.id, traced.parent),
        (0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, Some(0x00f0_67aa_0ba9_02b7))
    );
    assert_eq!(trace("g", Some(&SOUND.replace("-01", "-00")), "events/0/1"), None);
    assert_eq!(trace("g", None, "events/0/1"), None);
    assert_eq!(trace("g", Some("nonsense"), "events/0/1"), None);
}

#[test]
fn outputs_go_on_with_the_trace_under_spans_of_their_own() {
    let traced = trace("g", Some(SOUND), "events/0/1").expect("it is sampled");
    let headers: BTreeSet<String> = Destination::ALL.map(|to| traced.traceparent(to)).into();
    assert_eq!(headers.len(), Destination::ALL.len());
    for header in &headers {
        let (id, span, flags) = super::read(header.as_bytes()).expect("it can be read");
        assert_eq!((id, flags), (traced.id, 1));
        assert_ne!(Some(span), traced.parent);
    }
    let all_flags = trace("g", Some(&SOUND.replace("-01", "-ff")), "events/0/1").expect("it is sampled");
    assert!(
        all_flags.traceparent(Destination::Predictions).ends_with("-03"),
        "unknown flags are not passed on"
    );
}

#[test]
fn ids_are_the_same_when_work_is_done_again_and_others_elsewhere() {
    let span = |group, source| {
        trace(group, Some(SOUND), source)
            .expect("it is sampled")
            .span(Step::Process)
    };
    assert_eq!(span("g", "events/0/1"), span("g", "events/0/1"));
    let others = [
        span("g", "events/0/1"),
        span("h", "events/0/1"),
        span("g", "events/0/2"),
        span("g", "events/1/1"),
    ];
    assert_eq!(BTreeSet::from(others).len(), others.len());
}

#[test]
fn a_share_of_the_events_without_a_trace_begins_one_which_is_that_of_every_group() {
    let sampled = |group, ratio: f64| {
        let tracing = Tracing::new(group, ratio);
        let of = |offset| {
            tracing
                .of(None, &format!("events/0/{offset}"), Some(7))
                .map(|trace| trace.id)
        };
        (0..20_000).filter_map(of).collect::<BTreeSet<_>>()
    };
    let tenth = sampled("g", 0.1);
    // Four standard deviations of the binomial.
    assert!(tenth.len().abs_diff(2000) < 170, "{}", tenth.len());
    assert_eq!(tenth, sampled("h", 0.1));
    assert!(tenth.is_subset(&sampled("h", 0.5)));
    assert_eq!(sampled("g", 1.0).len(), 20_000);
    let begun = |timestamp| {
        Tracing::new("g", 1.0)
            .of(None, "events/0/1", timestamp)
            .expect("all are")
    };
    assert_ne!(begun(Some(1)).id, begun(Some(2)).id, "a topic may be made anew");
    assert_eq!(begun(Some(1)).parent, None);
    // Whom its producer chose not to trace is not traced here either.
    let unsampled = SOUND.replace("-01", "-00");
    assert_eq!(
        Tracing::new("g", 1.0).of(Some(unsampled.as_bytes()), "events/0/1", None),
        None
    );
}

proptest! {
    #[test]
    fn whatever_stands_in_the_header_is_read_or_left(header in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _read = super::read(&header);
    }

    #[test]
    fn what_is_written_is_read_as_it_was(id in 1u128.., parent in 1u64.., flags in 0u8..) {
        let header = format!("00-{id:032x}-{parent:016x}-{flags:02x}");
        prop_assert_eq!(super::read(header.as_bytes()), Some((id, parent, flags)));
    }
}
