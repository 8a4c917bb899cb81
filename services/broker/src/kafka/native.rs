//! The three things for which the wrapper is not good enough: reading headers, reading the membership in the group, and
//! waiting for a commit no longer than is good.
//!
//! Owns: the only unsafe code of this crate. Never does: keep a pointer beyond the call.
//!
//! Invariant: no header makes it panic. The wrapper panics on a header name that is not UTF-8, and anybody who may
//! write to the events topic could stop the service with one.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::ptr;
use std::time::Duration;

use eddy_pipeline::event::Header;
use rdkafka::TopicPartitionList;
use rdkafka::bindings;
use rdkafka::client::{Client, ClientContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::BorrowedMessage;
use rdkafka::types::RDKafkaRespErr;

/// So many headers are handed over without allocating.
const INLINE: usize = 16;

/// Hands over the headers of a message. A name that is not UTF-8 is handed over with replacement characters.
pub(super) fn with_headers<R>(message: &BorrowedMessage<'_>, use_them: impl FnOnce(&[Header<'_>]) -> R) -> R {
    let Some(headers) = RawHeaders::of(message) else {
        return use_them(&[]);
    };
    let mut odd_names: Vec<(usize, String)> = Vec::new();
    for at in 0..headers.count {
        if let Err((name, _)) = headers.get(at) {
            odd_names.push((at, String::from_utf8_lossy(name).into_owned()));
        }
    }
    let header = |at: usize| match headers.get(at) {
        Ok(header) => header,
        Err((_, value)) => {
            // By halves: a record may have as many odd names as it has headers.
            let odd = odd_names.binary_search_by_key(&at, |(odd_at, _)| *odd_at);
            Header {
                name: odd.map_or("", |odd| odd_names[odd].1.as_str()),
                value,
            }
        }
    };
    if headers.count <= INLINE {
        let mut few = [Header { name: "", value: None }; INLINE];
        for (at, slot) in few[..headers.count].iter_mut().enumerate() {
            *slot = header(at);
        }
        use_them(&few[..headers.count])
    } else {
        let many: Vec<Header<'_>> = (0..headers.count).map(header).collect();
        use_them(&many)
    }
}

/// Commits offsets and waits for the answer, for so long at most; then it is an error, and the client goes on trying. The client's own synchronous commit has no limit: one that meets an outage waits for its end.
pub(super) fn commit_within<C: ClientContext>(
    consumer: &Client<C>,
    offsets: &TopicPartitionList,
    within: Duration,
) -> KafkaResult<()> {
    let failed = |code: RDKafkaRespErr| match code {
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
        code => Err(KafkaError::ConsumerCommit(code.into())),
    };
    let wait_ms = i32::try_from(within.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: client and list are alive for as long as they are borrowed, and the call copies the list. The queue and the
    // event are ours and destroyed once; an answer that comes later is dropped by the client.
    unsafe {
        let queue = bindings::rd_kafka_queue_new(consumer.native_ptr());
        let asked = bindings::rd_kafka_commit_queue(consumer.native_ptr(), offsets.ptr(), queue, None, ptr::null_mut());
        let result = failed(asked).and_then(|()| {
            let event = bindings::rd_kafka_queue_poll(queue, wait_ms);
            if event.is_null() {
                return failed(RDKafkaRespErr::RD_KAFKA_RESP_ERR__TIMED_OUT);
            }
            let code = bindings::rd_kafka_event_error(event);
            bindings::rd_kafka_event_destroy(event);
            failed(code)
        });
        bindings::rd_kafka_queue_destroy(queue);
        result
    }
}

/// Whether the consumer is a member of its group now. Offsets that are sent without a member or a generation are not
/// fenced.
pub(super) fn is_member<C: ClientContext>(consumer: &Client<C>) -> bool {
    // SAFETY: the client is alive for as long as it is borrowed; what comes back is ours until it is destroyed.
    let metadata = unsafe { bindings::rd_kafka_consumer_group_metadata(consumer.native_ptr()) };
    if metadata.is_null() {
        return false;
    }
    // SAFETY: `metadata` was just checked; its member id ends with NUL and lives as long as it does, and it is destroyed
    // once, after the last look.
    unsafe {
        let generation = bindings::rd_kafka_consumer_group_metadata_generation_id(metadata);
        let member = bindings::rd_kafka_consumer_group_metadata_member_id(metadata);
        let is_named = !member.is_null() && !CStr::from_ptr(member).is_empty();
        bindings::rd_kafka_consumer_group_metadata_destroy(metadata);
        is_named && generation >= 0
    }
}

/// librdkafka's parsed headers of a message that is still borrowed.
struct RawHeaders<'a> {
    message: std::marker::PhantomData<&'a BorrowedMessage<'a>>,
    headers: *mut bindings::rd_kafka_headers_t,
    count: usize,
}

impl<'a> RawHeaders<'a> {
    fn of(message: &'a BorrowedMessage<'_>) -> Option<Self> {
        let mut headers = ptr::null_mut();
        // SAFETY: the message is alive for as long as it is borrowed, and owns the headers.
        let error = unsafe { bindings::rd_kafka_message_headers(message.ptr(), &mut headers) };
        if error != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR || headers.is_null() {
            return None;
        }
        // SAFETY: `headers` was just filled in.
        let count = unsafe { bindings::rd_kafka_header_cnt(headers) };
        Some(Self {
            message: std::marker::PhantomData,
            headers,
            count,
        })
    }

    /// One header, or its name as bytes and its value when the name is not UTF-8.
    #[allow(clippy::type_complexity)]
    fn get(&self, at: usize) -> Result<Header<'a>, (&'a [u8], Option<&'a [u8]>)> {
        let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
        // SAFETY: the headers live as long as the message; the results are only read when the call succeeds.
        let error = unsafe { bindings::rd_kafka_header_get_all(self.headers, at, &mut name, &mut value, &mut size) };
        if error != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR || name.is_null() {
            return Ok(Header { name: "", value: None });
        }
        // SAFETY: librdkafka ends names with NUL and values have `size` bytes; both live as long as the message.
        let (name, value): (&'a CStr, Option<&'a [u8]>) = unsafe {
            let value = (!value.is_null()).then(|| std::slice::from_raw_parts(value.cast::<u8>(), size));
            (CStr::from_ptr(name), value)
        };
        match name.to_str() {
            Ok(name) => Ok(Header { name, value }),
            Err(_) => Err((name.to_bytes(), value)),
        }
    }
}
