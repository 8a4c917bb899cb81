//! `POST /log`: another level of the log for a while.
//!
//! Owns: what the request means, its answer, and the thread that ends a change while there is one.
//! Never does: decide which levels may be asked for; the log does.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use eddy_host::{OnDrain, OnExit, Policy, Refusal, Tasks};
use eddy_pipeline::settings::Span;
use eddy_pipeline::time::Clock;
use eddy_telemetry::{CONFIGURED, LevelInForce, LogLevel};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::recall::moment;

/// Between two looks at the time of a change.
const EVERY: Duration = Duration::from_secs(1);

/// Takes requests for another level.
pub(crate) struct LogDesk {
    level: LogLevel,
    tasks: Tasks,
    clock: Arc<dyn Clock>,
    /// Whether a thread waits for the end of a change.
    is_watched: Arc<Mutex<bool>>,
}

/// The body of `POST /log`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LogRequest {
    level: String,
    #[serde(default, rename = "for")]
    lasts: Option<Span>,
}

impl LogDesk {
    pub(crate) fn new(level: LogLevel, tasks: Tasks, clock: Arc<dyn Clock>) -> Self {
        Self {
            level,
            tasks,
            clock,
            is_watched: Arc::default(),
        }
    }

    /// Changes the level as a body asks for.
    ///
    /// # Errors
    /// [`Refusal`], and nothing has changed.
    pub(crate) fn change(&self, body: &[u8]) -> Result<Value, Refusal> {
        let request: LogRequest = serde_json::from_slice(body).map_err(|error| {
            Refusal::Malformed(format!(
                "the body is not {{\"level\":\"info,eddy_broker=debug\",\"for\":\"10m\"}}: {error}"
            ))
        })?;
        let LogRequest { level, lasts } = request;
        let mut is_watched = self.is_watched.lock().unwrap_or_else(PoisonError::into_inner);
        if self.tasks.shutdown().is_requested() {
            let message =
                "the service ends, and nobody would end the change; the log of its next start is that of its file";
            return Err(Refusal::Impossible(message.into()));
        }
        let before = self.level.change(&level, lasts, self.clock.now());
        let before = before.map_err(Refusal::Malformed)?;
        let now = self.level.in_force();
        if now.until_ms.is_some() && !*is_watched {
            if let Err(error) = self.watch() {
                // Nobody would end it.
                drop(self.level.change(CONFIGURED, None, self.clock.now()));
                return Err(Refusal::Impossible(error.to_string()));
            }
            *is_watched = true;
        }
        Ok(json!({ "answer": answer(&now, &before), "before": before.level }))
    }

    /// Waits for the end of the change, on a thread that lasts as long.
    fn watch(&self) -> Result<(), eddy_host::Error> {
        let (level, clock) = (self.level.clone(), Arc::clone(&self.clock));
        let is_watched = Arc::clone(&self.is_watched);
        let policy = Policy {
            on_exit: OnExit::Log,
            on_drain: OnDrain::Abort,
        };
        self.tasks.spawn_thread("log-level", policy, move |shutdown| {
            while !shutdown.wait_for(EVERY) {
                let mut is_watched = is_watched.lock().unwrap_or_else(PoisonError::into_inner);
                if !level.tick(clock.now()) {
                    *is_watched = false;
                    return Ok(());
                }
            }
            Ok(())
        })
    }
}

fn answer(now: &LevelInForce, before: &LevelInForce) -> String {
    let (level, before) = (&now.level, &before.level);
    match now.until_ms {
        Some(until) => {
            let until = moment::rfc3339(until);
            format!("`{level}` is logged until {until}, then that of the pipeline file again; before it was `{before}`")
        }
        None => format!("`{level}` of the pipeline file is logged; before it was `{before}`"),
    }
}

#[cfg(test)]
mod tests {
    use eddy_host::{Cause, Shutdown, SystemClock};
    use eddy_telemetry::LogSettings;

    use super::*;

    #[test]
    fn what_is_no_request_for_a_level_is_refused_with_how_to_write_one() {
        let clock = Arc::new(SystemClock::start());
        let tasks = Tasks::new(Shutdown::new(clock.clone(), Duration::ZERO));
        let desk = LogDesk::new(LogLevel::fixed(&LogSettings::default()), tasks.clone(), clock);
        for (body, words) in [
            ("", "the body is not"),
            ("debug", "the body is not"),
            (r#"{"level":"debug","four":"10m"}"#, "unknown field"),
            (r#"{"level":"debug","for":"soon"}"#, "10m"),
            (r#"{"level":"loud"}"#, "is not a level"),
            (r#"{"level":"debug"}"#, "set up elsewhere"),
        ] {
            let Err(Refusal::Malformed(said)) = desk.change(body.as_bytes()) else {
                panic!("{body} was taken");
            };
            assert!(said.contains(words), "{body}: {said}");
        }
        assert!(tasks.running().is_empty(), "nothing is waited for");
        tasks.shutdown().request(Cause::Asked { by: "a test".into() });
        let late = desk.change(br#"{"level":"debug"}"#);
        assert!(
            matches!(&late, Err(Refusal::Impossible(said)) if said.contains("the service ends")),
            "{late:?}"
        );
    }
}
