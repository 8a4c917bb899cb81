//! The level of the log, which may be another one for a while.
//!
//! Owns: which level is in force, until when, and what anybody may ask for while the service runs.
//! Never does: watch the time; whoever changes a level calls [`LogLevel::tick`].
//!
//! Invariant: a change ends by itself, and no level silences the lines that say who changed what ([`AUDIT`]).

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use eddy_pipeline::settings::Span;
use eddy_pipeline::time::Now;
use tracing_subscriber::reload::Handle;
use tracing_subscriber::{EnvFilter, Registry};

use super::LogSettings;

/// Where the lines are from that say who changed what.
pub const AUDIT: &str = "eddy::audit";
/// The word for the level of the pipeline file.
pub const CONFIGURED: &str = "configured";
/// How long a change lasts if nothing else is said, and the settings allow it.
const USUAL: Span = Span::seconds(10 * 60);
/// Words of a level; more make every line costly.
const MOST_WORDS: usize = 32;

/// The level of this process's log. Cloning gives another handle.
#[derive(Clone)]
pub struct LogLevel {
    shared: Arc<Shared>,
}

struct Shared {
    configured: String,
    longest: Span,
    /// `None` where the subscriber is not ours.
    reload: Option<Handle<EnvFilter, Registry>>,
    change: Mutex<Option<Change>>,
}

#[derive(Debug, Clone)]
struct Change {
    level: String,
    until: Now,
}

/// What is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevelInForce {
    /// The level.
    pub level: String,
    /// When the level of the pipeline file comes back, in milliseconds since the Unix epoch. `None` when this is it.
    pub until_ms: Option<i64>,
}

impl fmt::Debug for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogLevel").field("in_force", &self.in_force()).finish()
    }
}

impl LogLevel {
    /// That of a log which this crate did not set up: it is as the settings say, and stays so.
    pub fn fixed(settings: &LogSettings) -> Self {
        Self::new(settings, None)
    }

    pub(super) fn new(settings: &LogSettings, reload: Option<Handle<EnvFilter, Registry>>) -> Self {
        Self {
            shared: Arc::new(Shared {
                configured: settings.level.clone(),
                longest: settings.longest_change,
                reload,
                change: Mutex::default(),
            }),
        }
    }

    /// Logs `level` from now on, for so long, or for the usual time; [`CONFIGURED`] ends a change at once. Gives what was in
    /// force before.
    ///
    /// # Errors
    /// One sentence about what was asked for; nothing has changed.
    pub fn change(&self, level: &str, lasts: Option<Span>, now: Now) -> Result<LevelInForce, String> {
        let mut change = self.lock();
        let before = self.described(change.as_ref());
        if level == CONFIGURED {
            if change.take().is_some() {
                self.reload(&self.shared.configured)?;
            }
            return Ok(before);
        }
        let lasts = self.span(lasts)?;
        let or_back = |why| format!("{why}; `{CONFIGURED}` is that of the pipeline file");
        self.reload(level).map_err(or_back)?;
        let ms = i64::try_from(lasts.0.as_millis()).unwrap_or(i64::MAX);
        *change = Some(Change {
            level: level.to_owned(),
            until: Now {
                monotonic: now.monotonic.saturating_add(lasts.0),
                unix_ms: now.unix_ms.saturating_add(ms),
            },
        });
        Ok(before)
    }

    /// Goes back to the level of the pipeline file when it is time. Whether a change lasts on.
    pub fn tick(&self, now: Now) -> bool {
        let mut change = self.lock();
        let Some(current) = change.take_if(|change| change.until.monotonic <= now.monotonic) else {
            return change.is_some();
        };
        let (was, level) = (current.level, &self.shared.configured);
        tracing::info!(target: AUDIT, was, level, "the time of the changed log level is over");
        if let Err(error) = self.reload(level) {
            tracing::error!(error, "the level of the log could not be set back");
        }
        false
    }

    /// What is in force.
    pub fn in_force(&self) -> LevelInForce {
        self.described(self.lock().as_ref())
    }

    fn described(&self, change: Option<&Change>) -> LevelInForce {
        let level = change.map_or(&self.shared.configured, |change| &change.level);
        LevelInForce {
            level: level.clone(),
            until_ms: change.map(|change| change.until.unix_ms),
        }
    }

    fn span(&self, lasts: Option<Span>) -> Result<Span, String> {
        let longest = self.shared.longest;
        let lasts = lasts.unwrap_or_else(|| USUAL.min(longest));
        if longest.0.is_zero() {
            return Err("`log.longest_change` is 0s, so the level of the log stays as it is".into());
        }
        if lasts.0 == Duration::ZERO {
            return Err(format!(
                "for no time nothing changes; write a time, or the level `{CONFIGURED}`"
            ));
        }
        if lasts > longest {
            return Err(format!(
                "{lasts} is longer than `log.longest_change`, which is {longest}; ask for less, and again later"
            ));
        }
        Ok(lasts)
    }

    fn reload(&self, level: &str) -> Result<(), String> {
        let filter = filter(level)?;
        let Some(handle) = &self.shared.reload else {
            return Err("the log of this process was set up elsewhere and stays as it is".into());
        };
        handle
            .reload(filter)
            .map_err(|error| format!("the level of the log cannot be changed: {error}"))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Change>> {
        self.shared.change.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The filter for a level, and those of parts of the program. The audit is shown at every level, and cannot be named.
///
/// # Errors
/// One sentence about what is no level.
pub(super) fn filter(level: &str) -> Result<EnvFilter, String> {
    let words: Vec<&str> = level.split(',').map(str::trim).collect();
    // To the parser, a bare word that is no level is the name of a part of the program, and silences the others.
    let is_sound = |word: &&str| match word.split_once('=') {
        None => is_level(word),
        Some((part, level)) => {
            let is_path = !part.is_empty()
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b":_-".contains(&byte));
            is_path && is_level(level)
        }
    };
    if words.len() > MOST_WORDS || !words.iter().all(is_sound) {
        return Err(not_a_level(level));
    }
    if words.iter().any(|word| word.starts_with(AUDIT)) {
        return Err(format!(
            "`{AUDIT}` says who changed what, and is always logged; leave it out"
        ));
    }
    let shown = format!("{},{AUDIT}=info", words.join(","));
    EnvFilter::builder().parse(shown).map_err(|_| not_a_level(level))
}

fn is_level(word: &str) -> bool {
    ["error", "warn", "info", "debug", "trace", "off"]
        .iter()
        .any(|level| level.eq_ignore_ascii_case(word))
}

fn not_a_level(level: &str) -> String {
    let shown: String = level.chars().take(80).collect();
    format!(
        "`{shown}` is not a level; write error, warn, info, debug, trace or off, and after commas exceptions such as \
         `eddy_broker=debug`"
    )
}

#[cfg(test)]
mod tests;
