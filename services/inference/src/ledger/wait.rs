//! Waiting for Kafka, and saying so.
//!
//! Owns: pauses between tries, and what is shown while Kafka keeps the lane from its work.
//! Never does: give up; the state machine decides how long to wait.
//!
//! Invariant: the group is served during every wait, and a wait of more than a moment is a cause at `/ready`.

use std::time::Duration;

use eddy_broker::{Broker, BrokerError};
use eddy_telemetry::catalogue::PauseCause;

use super::Ledger;
use crate::link::Link;

/// A longer pause is made of these, so that the group is served meanwhile.
const SLICE: Duration = Duration::from_millis(50);
/// While waiting, what keeps the lane is looked at this often.
const LOOK: Duration = Duration::from_secs(1);

impl Ledger {
    /// Pauses before a call is made again, and serves the group meanwhile.
    pub(super) fn pause<B: Broker>(&mut self, link: &mut Link<B>, time: Duration) {
        for _ in 0..time.as_millis().div_ceil(SLICE.as_millis()) {
            if let Err(error) = self.wait(link, SLICE) {
                tracing::debug!(%error, "the group could not be served while a call is made again");
            }
        }
    }

    /// Waits for Kafka, and shows it once the wait is long enough to be worth a word.
    pub(crate) fn wait<B: Broker>(&mut self, link: &mut Link<B>, time: Duration) -> Result<(), BrokerError> {
        let before = link.waited();
        let waited = link.wait(time);
        if link.waited().as_millis() / LOOK.as_millis() > before.as_millis() / LOOK.as_millis() {
            self.look_at_kafka(link);
        }
        waited
    }

    /// Shows whether it is Kafka that keeps the lane from its work.
    pub(crate) fn look_at_kafka<B: Broker>(&mut self, link: &Link<B>) {
        if let Some(silence) = link.broker.silence() {
            let why = format!("no broker answers ({})", silence.brokers);
            self.hold_for_kafka(&why, silence.lasted);
        } else if link.waited().is_zero() {
            self.free(PauseCause::Kafka);
        } else if link.waited() >= LOOK {
            let cause = self.last_error.as_ref().map(|error| format!(": {error}"));
            let why = format!("outputs are not taken or confirmed{}", cause.unwrap_or_default());
            self.hold_for_kafka(&why, link.waited());
        }
    }

    fn hold_for_kafka(&mut self, why: &str, lasted: Duration) {
        if self.hold(PauseCause::Kafka, why, lasted) {
            tracing::warn!(why, "the stream waits for Kafka, offsets untouched");
        }
    }

    /// Shows on the pages and in the metrics what keeps the lane from its work. Returns whether that is new.
    pub(crate) fn hold(&mut self, cause: PauseCause, why: &str, lasted: Duration) -> bool {
        self.metrics.pause(cause);
        self.report.hold(cause, why, lasted)
    }

    /// Shows that this cause no longer keeps the lane from its work.
    pub(crate) fn free(&mut self, cause: PauseCause) {
        self.metrics.resume(cause);
        if let Some(lasted) = self.report.free(cause) {
            let seconds = lasted.as_secs();
            tracing::info!(cause = cause.as_str(), seconds, "the stream goes on");
        }
    }
}
