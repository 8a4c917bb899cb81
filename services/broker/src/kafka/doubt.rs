//! Whether a consumer that hears nothing is itself at fault.
//!
//! Owns: when a client that is not in doubt is asked, and what its answer means. Never does: replace the consumer; the lane
//! does, when it is told that it is lost.
//!
//! A client that lost all brokers at a bad moment may never connect again, without an error (seen with librdkafka 2.12.1
//! when a broker that was frozen was killed). Only another client can tell that from an outage.

use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};

use super::KafkaBroker;
use super::check;
use super::intake::ANSWER_WITHIN;
use crate::settings::Settings;
use crate::{BrokerError, Fault};

/// A consumer that has heard nothing for so long is in doubt.
const AFTER: Duration = Duration::from_secs(20);
/// How often Kafka is asked meanwhile.
const ASK_EVERY: Duration = Duration::from_secs(10);
/// What the consumer gets once Kafka has answered another client: more than its own longest pause between two attempts to
/// connect.
const LAST_CHANCE: Duration = Duration::from_secs(15);

#[derive(Debug, Default)]
pub(super) enum Doubt {
    /// Nothing was asked.
    #[default]
    None,
    /// Another client asks.
    Asked { at: Instant, answer: Receiver<bool> },
    /// Kafka does not answer.
    Outage { asked: Instant },
    /// Kafka answers.
    Answered { at: Instant },
}

impl Doubt {
    /// Whether a consumer that has been silent for so long is lost. `ask` has another client ask Kafka.
    pub(super) fn is_lost(
        &mut self,
        silent_for: Option<Duration>,
        now: Instant,
        ask: impl FnOnce() -> Receiver<bool>,
    ) -> bool {
        if silent_for.is_none_or(|silent| silent < AFTER) {
            *self = Self::None;
            return false;
        }
        match self {
            Self::None => *self = Self::Asked { at: now, answer: ask() },
            Self::Outage { asked } if now - *asked >= ASK_EVERY => *self = Self::Asked { at: now, answer: ask() },
            Self::Asked { at, answer } => match answer.try_recv() {
                Ok(true) => *self = Self::Answered { at: now },
                Ok(false) | Err(TryRecvError::Disconnected) => *self = Self::Outage { asked: *at },
                Err(TryRecvError::Empty) => {}
            },
            Self::Answered { at } => return now - *at >= LAST_CHANCE,
            Self::Outage { .. } => {}
        }
        false
    }
}

impl KafkaBroker {
    /// Tells an outage from a client that will never hear anything again.
    pub(super) fn check_hearing(&mut self) -> Result<(), BrokerError> {
        let silent_for = self.intake.silent_for();
        let settings = &self.settings;
        if !self.doubt.is_lost(silent_for, Instant::now(), || ask(settings)) {
            return Ok(());
        }
        let seconds = silent_for.unwrap_or_default().as_secs();
        Err(BrokerError {
            fault: Fault::ConsumerLost,
            doing: format!("reading from {}", self.settings.kafka.brokers),
            message: format!(
                "the consumer has heard nothing for {seconds} s, although Kafka answers another client; it is replaced"
            ),
        })
    }
}

/// Has a client of its own ask Kafka, on a thread of its own.
fn ask(settings: &Settings) -> Receiver<bool> {
    let (answer, answered) = channel();
    let settings = settings.clone();
    let asking = std::thread::Builder::new().name("eddy-ask".to_owned());
    let asked = asking.spawn(move || {
        // Nobody waits for it any more when the consumer has heard something meanwhile.
        _ = answer.send(check::answers(&settings, ANSWER_WITHIN));
    });
    if let Err(error) = asked {
        tracing::warn!(%error, "no thread to ask Kafka with");
    }
    answered
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks once a second; `heard` says at which seconds the consumer hears something, `answers` from when Kafka answers
    /// another client. Gives the second at which the consumer is lost, and how often was asked.
    fn watch(seconds: u64, heard: impl Fn(u64) -> bool, answers: impl Fn(u64) -> bool) -> (Option<u64>, usize) {
        let (start, mut doubt) = (Instant::now(), Doubt::default());
        let (mut last, mut asked) = (0, 0);
        for second in 0..seconds {
            if heard(second) {
                last = second;
            }
            let silent = (second > last).then(|| Duration::from_secs(second - last));
            let ask = || {
                asked += 1;
                let (answer, answered) = channel();
                _ = answer.send(answers(second));
                answered
            };
            if doubt.is_lost(silent, start + Duration::from_secs(second), ask) {
                return (Some(second), asked);
            }
        }
        (None, asked)
    }

    #[test]
    fn a_consumer_that_hears_something_now_and_then_is_never_in_doubt() {
        assert_eq!(watch(600, |second| second % 19 == 0, |_| true), (None, 0));
    }

    #[test]
    fn a_consumer_that_hears_nothing_while_kafka_answers_another_is_lost() {
        assert_eq!(watch(600, |_| false, |_| true), (Some(36), 1));
    }

    #[test]
    fn an_outage_is_waited_out_and_the_consumer_has_its_chance_afterwards() {
        let (lost, asked) = watch(600, |_| false, |_| false);
        assert_eq!(lost, None);
        assert!((50..60).contains(&asked), "{asked}");
        // It needs ten seconds to connect.
        let back = |second| second >= 300;
        assert_eq!(watch(600, |second| second >= 310, back).0, None);
        let lost = watch(600, |_| false, back).0.expect("it is lost");
        assert!((315..=330).contains(&lost), "{lost}");
    }

    #[test]
    fn a_question_that_nobody_could_ask_says_nothing() {
        let mut doubt = Doubt::default();
        let start = Instant::now();
        for second in 0..600 {
            let silent = Some(Duration::from_secs(second));
            assert!(!doubt.is_lost(silent, start + Duration::from_secs(second), || channel().1));
        }
    }
}
