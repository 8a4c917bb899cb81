//! What kind of failure an error of the client is.
//!
//! Owns: the classification. Never does: decide what to do about it; see [`eddy_pipeline::checkpoint`].
//!
//! Invariant: an error of a transactional call that is neither retriable nor abortable is fatal, whatever it is called.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::{BrokerError, Fault};

/// A call of the transactional interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Init,
    Begin,
    SendOffsets,
    Commit,
    Abort,
}

/// The kind of a failure by its code alone.
pub(super) fn of_code(code: Code) -> Fault {
    match code {
        code if is_authorization(code) => Fault::Refused,
        Code::UnknownTopic
        | Code::UnknownTopicOrPartition
        | Code::InvalidTopic
        | Code::InvalidGroupId
        | Code::InvalidSessionTimeout
        | Code::InconsistentGroupProtocol
        | Code::GroupMaxSizeReached
        | Code::InvalidTransactionTimeout
        | Code::InvalidRequiredAcks
        | Code::InvalidConfig
        | Code::InvalidRecord
        | Code::MessageSizeTooLarge
        | Code::PolicyViolation
        | Code::UnsupportedCompressionType
        | Code::UnsupportedFeature
        | Code::UnsupportedForMessageFormat
        | Code::UnsupportedSASLMechanism
        | Code::UnsupportedVersion
        | Code::BadMessage
        | Code::BadCompression
        | Code::InvalidMessage
        | Code::LogTruncation
        | Code::AutoOffsetReset => Fault::Refused,
        Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch => Fault::Fenced,
        Code::FencedInstanceId => Fault::ConsumerFenced,
        Code::Fatal
        | Code::Inconsistent
        | Code::GaplessGuarantee
        | Code::DestroyBroker
        | Code::CriticalSystemResource
        | Code::OutOfOrderSequenceNumber
        | Code::InvalidProducerIdMapping
        | Code::InvalidTransactionalState => Fault::Fatal,
        // The group moved on without us: what was done is for its next owner to do again.
        Code::IllegalGeneration | Code::UnknownMemberId | Code::State => Fault::Abortable,
        // The client dropped it because the transaction failed, or because the client itself did, which it says.
        Code::PurgeQueue | Code::PurgeInflight => Fault::Abortable,
        _ => Fault::Retriable,
    }
}

/// Whether we lack a permission.
pub(super) fn is_authorization(code: Code) -> bool {
    matches!(
        code,
        Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed
    )
}

/// The kind of a transactional call's failure. `fatal` is the client's own fatal error, if it has one.
pub(super) fn of_transaction(call: Call, error: &KafkaError, fatal: Option<Code>) -> Fault {
    let KafkaError::Transaction(error) = error else {
        // The wrapper's own flush before a commit: nothing has been asked of Kafka yet.
        return Fault::Retriable;
    };
    let code = error.code();
    let by_code = match of_code(code) {
        Fault::Fatal => fatal.map_or(Fault::Fatal, of_code),
        other => other,
    };
    if matches!(by_code, Fault::Refused | Fault::Fenced | Fault::ConsumerFenced) {
        return by_code;
    }
    let timed_out = matches!(code, Code::OperationTimedOut | Code::RequestTimedOut);
    if timed_out && matches!(call, Call::Commit | Call::Abort) {
        return Fault::TimedOut;
    }
    if error.is_fatal() {
        Fault::Fatal
    } else if error.txn_requires_abort() {
        Fault::Abortable
    } else if error.is_retriable() || (timed_out && call == Call::Init) {
        Fault::Retriable
    } else {
        Fault::Fatal
    }
}

/// The kind of a producer's fatal error: only its successor can go on.
pub(super) fn of_fatal(code: Code) -> Fault {
    match of_code(code) {
        Fault::Fenced => Fault::Fenced,
        _ => Fault::Fatal,
    }
}

/// The failure of a call that is not transactional.
pub(super) fn failed(doing: impl Into<String>, error: &KafkaError) -> BrokerError {
    let fault = error.rdkafka_error_code().map_or(Fault::Fatal, of_code);
    BrokerError {
        fault,
        doing: doing.into(),
        message: error.to_string(),
    }
}

/// A fatal error of the consumer: only its successor can go on, unless a twin of ours is to. A static member whose session
/// ran out and that comes back is put out by its own return, when an answer to that was late.
pub(super) fn of_consumer(doing: String, code: Code, reason: &str, session_ran_out: bool) -> BrokerError {
    let (fault, step) = match code {
        Code::FencedInstanceId if !session_ran_out => (
            Fault::ConsumerFenced,
            "another process reads with the same static membership (kafka.membership = \"static\"); give each replica a \
             kafka.instance of its own, and restart this one",
        ),
        _ => (
            Fault::ConsumerLost,
            "the client cannot recover from this; it is replaced",
        ),
    };
    BrokerError {
        fault,
        doing,
        message: format!("{reason}; {step}"),
    }
}

/// What an operator can do about a code, as the end of a sentence; permissions are a matter of [`super::access`].
pub(super) fn next_step(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::InvalidTransactionTimeout => "lower kafka.transaction_timeout to the brokers' transaction.max.timeout.ms",
        Code::InvalidSessionTimeout => {
            "set kafka.session_timeout within the brokers' group.min.session.timeout.ms and group.max.session.timeout.ms"
        }
        Code::InconsistentGroupProtocol => {
            "another program uses the same group with another way of sharing partitions; give kafka.group a name of its own"
        }
        Code::UnknownTopic | Code::UnknownTopicOrPartition => {
            "create it (kafka-topics.sh --create --topic …), or correct its name under [topics]"
        }
        Code::MessageSizeTooLarge => "raise the topic's max.message.bytes, or lower kafka.max_output_bytes to it",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_and_fencing_are_told_from_what_may_heal() {
        assert_eq!(of_code(Code::TopicAuthorizationFailed), Fault::Refused);
        assert_eq!(of_code(Code::UnknownTopicOrPartition), Fault::Refused);
        assert_eq!(of_code(Code::ProducerFenced), Fault::Fenced);
        assert_eq!(of_code(Code::BrokerTransportFailure), Fault::Retriable);
        assert_eq!(of_code(Code::MessageTimedOut), Fault::Retriable);
        assert_eq!(of_code(Code::IllegalGeneration), Fault::Abortable);
        assert_eq!(of_code(Code::PurgeQueue), Fault::Abortable);
    }

    #[test]
    fn a_fatal_consumer_is_replaced_unless_a_twin_took_its_place() {
        for code in [Code::UnknownMemberId, Code::Fatal, Code::CriticalSystemResource] {
            let error = of_consumer("reading".into(), code, "the reason", false);
            assert_eq!(error.fault, Fault::ConsumerLost);
            assert!(error.message.contains("the reason"), "{error}");
        }
        let fenced =
            |session_ran_out| of_consumer("reading".into(), Code::FencedInstanceId, "the reason", session_ran_out);
        assert_eq!(
            fenced(true).fault,
            Fault::ConsumerLost,
            "it was put out by its own return"
        );
        let error = fenced(false);
        assert_eq!(error.fault, Fault::ConsumerFenced);
        assert!(
            error.message.contains("kafka.instance") && error.message.contains("the reason"),
            "{error}"
        );
    }

    #[test]
    fn a_failed_flush_before_a_commit_is_retriable() {
        let error = KafkaError::Flush(Code::OperationTimedOut);
        assert_eq!(of_transaction(Call::Commit, &error, None), Fault::Retriable);
    }
}
