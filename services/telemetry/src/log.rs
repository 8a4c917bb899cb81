//! Logging: its settings and its set-up.
//!
//! Owns: the table `[log]`, and the one subscriber of the process.
//! Never does: write anywhere but to standard error, so that standard output stays for what a command prints.
//!
//! Invariant: the settings are checked in full before the subscriber is installed, so installing fails only when there
//! is one already.

mod level;

use std::io::IsTerminal;

use eddy_pipeline::settings::{Problem, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::Dispatch;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Layer, fmt, reload};

pub use self::level::{AUDIT, CONFIGURED, LevelInForce, LogLevel};

/// How a line of the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// One readable line per message, in colour on a terminal.
    #[default]
    Text,
    /// One JSON object per message, for log collectors.
    Json,
}

/// The table `[log]`: what is logged, and how. Logs go to standard error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    /// `text` for people, `json` for log collectors. Default: `text`.
    pub format: LogFormat,
    /// What to log: one of `error`, `warn`, `info`, `debug`, `trace` or `off`, and after commas exceptions for parts of the
    /// program, as in `info,eddy_broker=debug`. Default: `info`. `debug` writes some lines per batch; `trace` is for
    /// developers. Who changed what (`eddy::audit`) is logged at every level.
    pub level: String,
    /// How long a level may last that `eddy log` sets while the service runs; then `level` comes back. Longer ones are refused.
    /// Default: `1h`. `0s`: the level cannot be changed.
    pub longest_change: Span,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            format: LogFormat::default(),
            level: "info".to_owned(),
            longest_change: Span::seconds(60 * 60),
        }
    }
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The settings were not checked first.
    #[error("log.level: {0}")]
    Level(String),
    /// The process has a subscriber already.
    #[error("logging is set up already; set it up once, at the start of the program")]
    AlreadySetUp(#[source] tracing::dispatcher::SetGlobalDefaultError),
}

impl LogSettings {
    /// What is wrong with the table.
    pub fn check(&self) -> Vec<Problem> {
        let why = level::filter(&self.level).err();
        why.map(|why| Problem::new("log.level", why)).into_iter().collect()
    }

    /// Sends this process's logs to standard error. Call it once, at the start.
    ///
    /// # Errors
    /// When the level does not parse, or logging is set up already.
    pub fn install(&self) -> Result<LogLevel, LogError> {
        let (dispatch, level) = self.subscriber(std::io::stderr, std::io::stderr().is_terminal())?;
        tracing::dispatcher::set_global_default(dispatch).map_err(LogError::AlreadySetUp)?;
        Ok(level)
    }

    fn subscriber<W>(&self, writer: W, has_colours: bool) -> Result<(Dispatch, LogLevel), LogError>
    where
        W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
    {
        let filter = level::filter(&self.level).map_err(LogError::Level)?;
        let (filter, handle) = reload::Layer::new(filter);
        let lines = fmt::layer().with_writer(writer).with_ansi(has_colours);
        let lines = match self.format {
            LogFormat::Text => lines.boxed(),
            LogFormat::Json => lines.json().flatten_event(true).boxed(),
        };
        let subscriber = tracing_subscriber::registry().with(filter).with(lines);
        Ok((Dispatch::new(subscriber), LogLevel::new(self, Some(handle))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(level: &str) -> LogSettings {
        LogSettings {
            level: level.to_owned(),
            ..LogSettings::default()
        }
    }

    #[test]
    fn levels_with_exceptions_are_accepted() {
        for text in ["info", "WARN", "off", "info,eddy_broker=debug", "warn, eddy=trace"] {
            assert_eq!(level(text).check(), [], "{text}");
        }
    }

    #[test]
    fn a_misspelt_level_is_named_with_what_to_write() {
        for text in [
            "inof",
            "",
            "info,degub",
            "eddy_broker=loud",
            "info,eddy[{who}]=off",
            "x",
        ] {
            let problems = level(text).check();
            assert_eq!(problems.len(), 1, "{text}");
            assert_eq!(problems[0].key, "log.level");
            assert!(
                problems[0].message.starts_with(&format!("`{text}` is not a level")),
                "{}",
                problems[0].message
            );
        }
    }

    #[test]
    fn a_level_that_would_silence_the_audit_is_refused() {
        let [problem] = &level("info,eddy::audit[{who}]=off").check()[..] else {
            panic!("it has one problem")
        };
        assert!(problem.message.contains("is not a level"), "{}", problem.message);
        let [problem] = &level("info, eddy::audit=off").check()[..] else {
            panic!("it has one problem")
        };
        assert!(problem.message.contains("`eddy::audit`"), "{}", problem.message);
    }
}
