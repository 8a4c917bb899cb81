//! What the client writes into the lists of partitions that it is given.
//!
//! Owns: reading the errors in them. Never does: make a list; see [`super::intake`].

use rdkafka::TopicPartitionList;
use rdkafka::error::RDKafkaErrorCode as Code;

use super::fault;
use crate::BrokerError;

/// Some calls of the client report errors of single partitions only in the list that they were given.
pub(super) fn check_each(list: &TopicPartitionList, doing: &str) -> Result<(), BrokerError> {
    check_each_but(list, doing, &[])
}

/// The same, for errors that do not matter here.
pub(super) fn check_each_but(list: &TopicPartitionList, doing: &str, tolerated: &[Code]) -> Result<(), BrokerError> {
    for element in list.elements() {
        let Err(error) = element.error() else { continue };
        if error.rdkafka_error_code().is_none_or(|code| !tolerated.contains(&code)) {
            return Err(fault::failed(
                format!("{doing} `{}` [{}]", element.topic(), element.partition()),
                &error,
            ));
        }
    }
    Ok(())
}
