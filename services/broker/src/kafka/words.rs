//! What the client says of its own accord: log lines and error events, thinned out.
//!
//! Owns: the last reason that was given, and the rate at which the same thing is logged.
//! Never does: tell a passing trouble from a lasting one; see [`super::fault`].
//!
//! Invariant: an outage of any length costs a few lines a minute.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

/// The same thing is logged at most this often.
const QUIET: Duration = Duration::from_secs(30);
/// Different things that are told apart.
const TOPICS_MAX: usize = 64;

#[derive(Debug)]
pub(super) struct Words {
    /// Which client: `consumer` or `producer`, with its lane.
    client: String,
    said: Mutex<Said>,
}

#[derive(Debug, Default)]
struct Said {
    last_reason: Option<String>,
    last_logged: HashMap<String, (Instant, u64)>,
}

impl Words {
    pub(super) fn of(client: String) -> Self {
        Self {
            client,
            said: Mutex::default(),
        }
    }

    /// An error event. It is logged here unless the caller will return it.
    pub(super) fn error(&self, error: &KafkaError, reason: &str) {
        let mut said = self.said();
        // That all brokers are down follows from what was said of each, and says less.
        if said.last_reason.is_none() || error.rdkafka_error_code() != Some(Code::AllBrokersDown) {
            said.last_reason = Some(reason.to_owned());
        }
        drop(said);
        let code = error
            .rdkafka_error_code()
            .map_or_else(|| "error".into(), |code| format!("{code:?}"));
        if let Some(suppressed) = self.may_log(&code) {
            tracing::warn!(client = %self.client, %code, reason, suppressed, "kafka client reports a problem");
        }
    }

    /// A log line of librdkafka. It logs an unreachable broker as an error; for us an outage is waited out.
    pub(super) fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        use RDKafkaLogLevel as Level;
        match level {
            Level::Emerg | Level::Alert | Level::Critical | Level::Error | Level::Warning => {
                self.said().last_reason.get_or_insert_with(|| line.to_owned());
                if let Some(suppressed) = self.may_log(facility) {
                    tracing::warn!(target: "librdkafka", client = %self.client, facility, suppressed, "{line}");
                }
            }
            Level::Notice | Level::Info => {
                tracing::info!(target: "librdkafka", client = %self.client, facility, "{line}");
            }
            Level::Debug => tracing::debug!(target: "librdkafka", client = %self.client, facility, "{line}"),
        }
    }

    /// The last reason that the client gave, which is forgotten with this call.
    pub(super) fn take_reason(&self) -> Option<String> {
        self.said().last_reason.take()
    }

    /// How often the topic was suppressed since it was last logged; `None` when it must stay suppressed.
    fn may_log(&self, topic: &str) -> Option<u64> {
        let now = Instant::now();
        let mut said = self.said();
        if let Some((logged_at, suppressed)) = said.last_logged.get_mut(topic) {
            if now.duration_since(*logged_at) < QUIET {
                *suppressed += 1;
                return None;
            }
            *logged_at = now;
            return Some(std::mem::take(suppressed));
        }
        if said.last_logged.len() < TOPICS_MAX {
            said.last_logged.insert(topic.to_owned(), (now, 0));
        }
        Some(0)
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().expect("no code panics under this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_trouble_is_logged_once_in_a_while() {
        let words = Words::of("consumer".into());
        assert_eq!(words.may_log("FAIL"), Some(0));
        assert_eq!(words.may_log("FAIL"), None);
        assert_eq!(words.may_log("OTHER"), Some(0));
    }

    #[test]
    fn the_last_reason_is_given_once() {
        let words = Words::of("consumer".into());
        words.error(&KafkaError::Canceled, "broker down");
        assert_eq!(words.take_reason().as_deref(), Some("broker down"));
        assert_eq!(words.take_reason(), None);
    }
}
