//! What the person on call may ask of a running service: `POST /pause`, `/resume`, `/skip`, `/log` and
//! `/score`.
//!
//! Owns: what these requests mean, and the sentences that answer them.
//! Never does: let anybody in (the host's guard does), or carry an order out (lanes do).

use std::sync::Arc;

use eddy_broker::Inputs;
use eddy_host::{Control, Refusal, Reply};
use eddy_inference::LaneReport;
use eddy_inference::orders::{MOST_SKIPS, Orders};
use eddy_pipeline::event::{Partition, Source, place};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::loglevel::LogDesk;
use crate::score::ScoreDesk;

/// The verbs, which are the paths and the commands.
const VERBS: &[&str] = &["pause", "resume", "skip", LOG, SCORE];

/// Another level of the log.
const LOG: &str = "log";

/// What becomes of an event; the only verb that changes nothing.
const SCORE: &str = "score";

/// Takes requests and makes orders of them.
pub(crate) struct Desk {
    pub(crate) orders: Arc<Orders>,
    pub(crate) lanes: Vec<Arc<LaneReport>>,
    /// The input topics.
    pub(crate) inputs: Inputs,
    /// Changes the level of the log.
    pub(crate) log: LogDesk,
    /// Scores single events.
    pub(crate) score: Arc<ScoreDesk>,
}

/// The body of `POST /skip`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SkipRequest {
    record: String,
}

impl Control for Desk {
    fn verbs(&self) -> &'static [&'static str] {
        VERBS
    }

    fn is_shown(&self, verb: &str) -> bool {
        verb != SCORE
    }

    fn perform(&self, verb: &str, body: &[u8], by: &str) -> Result<Reply, Refusal> {
        match verb {
            LOG => self.log.change(body).map(Reply::Done),
            SCORE => self.score.ask(body).map(Reply::Promised),
            _ => self.order(verb, body, by).map(Reply::Done),
        }
    }
}

impl Desk {
    fn order(&self, verb: &str, body: &[u8], by: &str) -> Result<Value, Refusal> {
        if verb == "skip" {
            return self.skip(body, by);
        }
        if !matches!(body.trim_ascii(), b"" | b"{}") {
            return Err(Refusal::Malformed(format!("POST /{verb} takes no body")));
        }
        Ok(said(match verb {
            "pause" if self.orders.pause(by) => {
                "every lane makes durable what it has begun, then takes no events; it stays in its group. A restart ends \
                 the pause"
            }
            "pause" => "it was paused already",
            _ if self.orders.resume() => "the stream goes on",
            _ => "it was not paused by hand; lanes that wait for a model or the end of a flood try again at once",
        }))
    }

    fn skip(&self, body: &[u8], by: &str) -> Result<Value, Refusal> {
        let request: SkipRequest = serde_json::from_slice(body).map_err(|error| {
            Refusal::Malformed(format!(
                "the body is not {{\"record\":\"topic/partition/offset\"}}: {error}"
            ))
        })?;
        let record = request.record;
        let (topic, partition, offset) = place(&record).map_err(Refusal::Malformed)?;
        let Some(number) = self.inputs.number(topic) else {
            let inputs = self.inputs.names().join("`, `");
            let message = format!("this pipeline does not read `{topic}`, it reads `{inputs}`");
            return Err(Refusal::Impossible(message));
        };
        let source = Source {
            partition: Partition {
                topic: number,
                number: partition,
            },
            offset,
        };
        let durable = self.lanes.iter().flat_map(|lane| lane.latest().durable);
        let beyond = durable.filter(|(held, durable)| *held == source.partition && *durable > offset);
        if let Some((_, durable)) = beyond.max_by_key(|(_, durable)| *durable) {
            return Err(Refusal::Impossible(format!(
                "{record} is past: everything before offset {durable} of its partition is committed already"
            )));
        }
        let is_held = self
            .lanes
            .iter()
            .any(|lane| lane.latest().partitions.contains(&source.partition));
        match self.orders.skip(source, by) {
            Err(_) => Err(Refusal::Impossible(format!(
                "{MOST_SKIPS} skips wait for their records already; wait until some are done, or restart to drop them"
            ))),
            Ok(false) => Ok(said(&format!("{record} is to be skipped already"))),
            Ok(true) if is_held => Ok(said(&format!(
                "{record} becomes a dead letter (reason `skipped`) when it comes by"
            ))),
            Ok(true) => Ok(said(&format!(
                "{record} becomes a dead letter (reason `skipped`) if its partition, which this replica does not hold now, \
                 comes here before the group is beyond it; ask the other replicas too"
            ))),
        }
    }
}

fn said(text: &str) -> Value {
    json!({ "answer": text })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use eddy_broker::settings::Topics;
    use eddy_host::{Shutdown, SystemClock, Tasks};
    use eddy_telemetry::{LogLevel, LogSettings};

    use super::*;

    fn desk() -> Desk {
        let clock = Arc::new(SystemClock::start());
        let tasks = Tasks::new(Shutdown::new(clock.clone(), Duration::ZERO));
        Desk {
            log: LogDesk::new(LogLevel::fixed(&LogSettings::default()), tasks, clock),
            orders: Arc::default(),
            lanes: vec![Arc::default()],
            inputs: Inputs::of(&Topics::default()),
            score: Arc::default(),
        }
    }

    fn skip(desk: &Desk, record: &str) -> Result<Value, Refusal> {
        desk.order("skip", json!({ "record": record }).to_string().as_bytes(), "1.2.3.4:5")
    }

    #[test]
    fn pausing_and_resuming_say_what_was_before() {
        let desk = desk();
        let ask = |verb: &str| desk.order(verb, b"", "1.2.3.4:5").expect("it is done")["answer"].to_string();
        assert!(ask("resume").contains("not paused"));
        assert!(ask("pause").contains("durable"));
        assert!(ask("pause").contains("already"));
        assert_eq!(desk.orders.standing().paused_by.as_deref(), Some("1.2.3.4:5"));
        assert!(ask("resume").contains("goes on"));
        assert_eq!(desk.orders.standing().paused_by, None);
    }

    #[test]
    fn a_skip_is_kept_once_with_who_asked() {
        let desk = desk();
        assert!(skip(&desk, "events/3/17").is_ok());
        assert!(
            skip(&desk, "events/3/17").expect("it is known")["answer"]
                .to_string()
                .contains("already")
        );
        let [kept] = desk.orders.standing().skips.try_into().expect("one skip");
        assert_eq!((kept.source.partition.number, kept.source.offset), (3, 17));
        assert_eq!(kept.by, "1.2.3.4:5");
    }

    #[test]
    fn what_cannot_be_skipped_is_said() {
        let desk = desk();
        for (body, words) in [
            (r#"{"record":"other/0/1"}"#, "reads `events`"),
            (r#"{"record":"events/0"}"#, "topic/partition/offset"),
            (r#"{"records":"events/0/1"}"#, "unknown field"),
            ("", "EOF"),
        ] {
            let (Err(Refusal::Malformed(said)) | Err(Refusal::Impossible(said))) =
                desk.order("skip", body.as_bytes(), "somebody")
            else {
                panic!("{body} was taken");
            };
            assert!(said.contains(words), "{body}: {said}");
        }
        assert!(matches!(
            desk.order("pause", b"now", "somebody"),
            Err(Refusal::Malformed(_))
        ));
        for offset in 0..MOST_SKIPS {
            assert!(skip(&desk, &format!("events/0/{offset}")).is_ok());
        }
        assert!(matches!(skip(&desk, "events/1/0"), Err(Refusal::Impossible(said)) if said.contains("100")));
    }
}
