//! What the client says of its own accord: log lines and error events, thinned out.
//!
//! Owns: the last reason that was given, and the rate at which the same thing is logged.
//! Never does: tell a passing trouble from a lasting one; see [`super::fault`].
//!
//! Invariant: an outage of any length costs a few lines a minute.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use super::access::{Access, Obstacle};
use crate::{BrokerError, Fault};

/// The same thing is logged at most this often.
const QUIET: Duration = Duration::from_secs(30);
/// The facility of log lines about the end of a connection.
const CONNECTION_ENDED: &str = "FAIL";
/// Different things that are told apart.
const TOPICS_MAX: usize = 64;

#[derive(Debug)]
pub(super) struct Words {
    /// Which client: `consumer` or `producer`, with its lane.
    client: String,
    access: Arc<Access>,
    said: Mutex<Said>,
}

#[derive(Debug, Default)]
struct Said {
    last_reason: Option<String>,
    /// Whether that reason only says that all brokers are down.
    is_vague: bool,
    /// The last end of a connection that was no more than logged.
    ended: Option<(Instant, String)>,
    all_down: bool,
    group_refused: bool,
    obstacle: Option<Obstacle>,
    last_logged: HashMap<String, (Instant, u64)>,
}

impl Said {
    /// Takes the end of a connection for the reason that all brokers are down, before or after that is said.
    fn connection_ended(&mut self, line: &str) {
        if std::mem::take(&mut self.is_vague) {
            self.last_reason = Some(line.to_owned());
        } else {
            self.ended = Some((Instant::now(), line.to_owned()));
        }
    }
}

impl Words {
    pub(super) fn of(client: String, access: Arc<Access>) -> Self {
        Self {
            client,
            access,
            said: Mutex::default(),
        }
    }

    /// What the client knows of itself.
    pub(super) fn access(&self) -> &Access {
        &self.access
    }

    /// An error event. It is logged here unless the caller will return it.
    pub(super) fn error(&self, error: &KafkaError, reason: &str) {
        let mut said = self.said();
        let all_down = error.rdkafka_error_code() == Some(Code::AllBrokersDown);
        said.all_down |= all_down;
        // That all brokers are down follows from what was said of each, and says less.
        if !all_down {
            said.last_reason = Some(reason.to_owned());
            said.is_vague = false;
        } else if said.last_reason.is_none() {
            let ended = said.ended.take().filter(|(at, _)| at.elapsed() < QUIET);
            said.is_vague = ended.is_none();
            said.last_reason = Some(ended.map_or_else(|| reason.to_owned(), |(_, line)| line));
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
                // Why a connection ended may be said here alone; alone it is no trouble.
                if facility == CONNECTION_ENDED {
                    self.said().connection_ended(line);
                }
                tracing::info!(target: "librdkafka", client = %self.client, facility, "{line}");
            }
            Level::Debug => tracing::debug!(target: "librdkafka", client = %self.client, facility, "{line}"),
        }
    }

    /// The last reason that the client gave, which is forgotten with this call.
    pub(super) fn take_reason(&self) -> Option<String> {
        let mut said = self.said();
        said.is_vague = false;
        said.last_reason.take()
    }

    /// Notes that we may not even see the group.
    pub(super) fn group_is_refused(&self) {
        self.said().group_refused = true;
    }

    pub(super) fn is_group_refused(&self) -> bool {
        self.said().group_refused
    }

    /// What stands in the way of a client that is starting and could not connect to any broker, as far as waiting would
    /// not help. Takes a look of its own, which lasts seconds at most.
    pub(super) fn obstacle(&self) -> Option<Obstacle> {
        let (all_down, reason) = {
            let said = self.said();
            (said.all_down, said.last_reason.clone())
        };
        let obstacle = if all_down {
            self.access.obstacle(reason.as_deref())
        } else {
            None
        };
        let obstacle = obstacle.filter(|obstacle| obstacle.fault == Fault::Refused);
        self.said().obstacle.clone_from(&obstacle);
        obstacle
    }

    /// The obstacle that was found last, without another look.
    pub(super) fn found(&self) -> Option<Obstacle> {
        self.said().obstacle.clone()
    }

    /// The error of a start that waited in vain, with what stands in the way in the place of the client's own words. As
    /// nothing is under way yet, what stays until somebody mends it here is a refusal.
    pub(super) fn explain_start(&self, error: BrokerError) -> BrokerError {
        if !matches!(error.fault, Fault::Retriable | Fault::TimedOut) {
            return error;
        }
        let reason = self.said().last_reason.clone();
        let obstacle = self.access.obstacle(reason.as_deref());
        self.said().obstacle.clone_from(&obstacle);
        match obstacle {
            Some(Obstacle { fault, sentence, .. }) => BrokerError {
                fault,
                message: sentence,
                ..error
            },
            None => self.explain(error),
        }
    }

    /// Adds the client's last words to an error.
    pub(super) fn explain(&self, mut error: BrokerError) -> BrokerError {
        if let Some(reason) = self.take_reason() {
            error.message = format!("{} (the client's last words: {reason})", error.message);
        }
        error
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

    fn words() -> Words {
        Words::of("consumer".into(), super::super::access::tests::access(""))
    }

    #[test]
    fn the_same_trouble_is_logged_once_in_a_while() {
        let words = words();
        assert_eq!(words.may_log("FAIL"), Some(0));
        assert_eq!(words.may_log("FAIL"), None);
        assert_eq!(words.may_log("OTHER"), Some(0));
    }

    #[test]
    fn why_all_brokers_are_down_may_be_said_in_the_log_alone() {
        let down = KafkaError::Global(Code::AllBrokersDown);
        let end = "ssl://a:1/bootstrap: Disconnected (after 0ms in state UP)";
        let before = words();
        before.log(RDKafkaLogLevel::Info, CONNECTION_ENDED, end);
        assert_eq!(before.said().last_reason, None, "it is no trouble by itself");
        before.error(&down, "1/1 brokers are down");
        assert_eq!(before.take_reason().as_deref(), Some(end));
        let after = words();
        after.error(&down, "1/1 brokers are down");
        after.log(RDKafkaLogLevel::Info, CONNECTION_ENDED, end);
        assert_eq!(after.take_reason().as_deref(), Some(end));
        let told = words();
        told.error(&KafkaError::Canceled, "no such host");
        told.error(&down, "1/1 brokers are down");
        told.log(RDKafkaLogLevel::Info, CONNECTION_ENDED, end);
        assert_eq!(told.take_reason().as_deref(), Some("no such host"));
    }

    #[test]
    fn the_last_reason_is_given_once() {
        let words = words();
        words.error(&KafkaError::Canceled, "broker down");
        assert_eq!(words.take_reason().as_deref(), Some("broker down"));
        assert_eq!(words.take_reason(), None);
    }
}
