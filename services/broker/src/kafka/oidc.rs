//! Tokens that are fetched from an identity provider before the last one expires.
//!
//! Owns: one thread for all clients with the same settings, the last good token, the pauses between requests.
//! Never does: block a client: [`Provider::current`] hands out what is there. Only [`Provider::await_first`] waits, before
//! a client is made.
//!
//! Invariant: as long as the last token is good, an outage of the endpoint changes nothing but the log.

mod request;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant, SystemTime};

use super::access::Obstacle;
use super::token::Token;
use crate::settings::Oidc;

/// A token is replaced after this share of its life. The client itself asks again after 80 %.
const REPLACED_AFTER: std::ops::Range<f64> = 0.70..0.78;
/// The shortest pause between two requests, and the longest one after failures.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));

/// Fetches tokens for as long as somebody holds it.
#[derive(Debug)]
pub(super) struct Provider(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: Oidc,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    token: Option<Token>,
    failure: Option<Obstacle>,
    is_over: bool,
}

/// The providers that are in use, so that lanes and their successors share one.
static IN_USE: Mutex<Vec<(Oidc, Weak<Provider>)>> = Mutex::new(Vec::new());

impl Provider {
    /// The provider for these settings.
    ///
    /// # Errors
    /// When the system gives no thread; one sentence.
    pub(super) fn shared(settings: &Oidc) -> Result<Arc<Self>, String> {
        let mut in_use = IN_USE.lock().expect("no code panics under this lock");
        let found = in_use.iter().find(|(known, _)| known == settings);
        if let Some(provider) = found.and_then(|(_, provider)| provider.upgrade()) {
            return Ok(provider);
        }
        let provider = Arc::new(Self::start(settings)?);
        in_use.push((settings.clone(), Arc::downgrade(&provider)));
        Ok(provider)
    }

    fn start(settings: &Oidc) -> Result<Self, String> {
        let shared = Arc::new(Shared {
            settings: settings.clone(),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let of_thread = Arc::clone(&shared);
        // It ends when the provider is dropped, at the latest after the request that is under way; nobody waits for that.
        std::thread::Builder::new()
            .name("oidc-tokens".into())
            .spawn(move || of_thread.keep_fresh())
            .map_err(|error| format!("there is no thread for fetching tokens: {error}; raise the limit of threads"))?;
        Ok(Self(shared))
    }

    /// The last token, if it is still good.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn current(&self) -> Result<Token, Obstacle> {
        let state = self.0.state();
        match &state.token {
            Some(token) if token.expires > SystemTime::now() => Ok(token.clone()),
            _ => Err(state.failure.clone().unwrap_or_else(|| self.0.unanswered())),
        }
    }

    /// Waits until the endpoint has answered once.
    ///
    /// # Errors
    /// Why there is no token.
    pub(super) fn await_first(&self) -> Result<(), Obstacle> {
        let deadline = Instant::now() + self.0.settings.timeout.0 + PAUSE.0;
        let mut state = self.0.state();
        while state.token.is_none() && state.failure.is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.0.wait(state, left);
        }
        drop(state);
        self.current().map(drop)
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.0.state().is_over = true;
        self.0.changed.notify_all();
        let mut in_use = IN_USE.lock().expect("no code panics under this lock");
        in_use.retain(|(_, provider)| provider.strong_count() > 0);
    }
}

impl Shared {
    fn keep_fresh(&self) {
        let mut failures = 0;
        loop {
            let answer = request::token(&self.settings);
            let pause = match &answer {
                Ok(token) => {
                    failures = 0;
                    let left = token.expires.duration_since(SystemTime::now()).unwrap_or_default();
                    tracing::info!(subject = token.subject, lasts_s = left.as_secs(), "a token was fetched");
                    left.mul_f64(between(REPLACED_AFTER)).max(PAUSE.0)
                }
                Err(obstacle) => {
                    let pause = back_off(failures);
                    failures = failures.saturating_add(1);
                    tracing::warn!(reason = obstacle.sentence, again_in = ?pause, "no token was fetched");
                    pause
                }
            };
            self.note(answer);
            if self.is_over_after(pause) {
                return;
            }
        }
    }

    fn note(&self, answer: Result<Token, Obstacle>) {
        let mut state = self.state();
        match answer {
            Ok(token) => (state.token, state.failure) = (Some(token), None),
            Err(obstacle) => state.failure = Some(obstacle),
        }
        drop(state);
        self.changed.notify_all();
    }

    fn is_over_after(&self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        let mut state = self.state();
        while !state.is_over {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.wait(state, left);
        }
        true
    }

    fn unanswered(&self) -> Obstacle {
        let endpoint = request::shown(&self.settings);
        let message = format!("the token endpoint {endpoint} has not answered yet; check the network to it");
        Obstacle::passing("kafka.sasl.oidc.token_endpoint", message)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics under this lock")
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, time: Duration) -> MutexGuard<'a, State> {
        let waited = self.changed.wait_timeout(state, time);
        waited.expect("no code panics under this lock").0
    }
}

/// Doubles from the shortest to the longest pause, and is shortened by chance, so that a fleet does not ask in step.
fn back_off(failures: u32) -> Duration {
    let full = PAUSE.0.saturating_mul(1 << failures.min(10)).min(PAUSE.1);
    full.mul_f64(between(0.5..1.0))
}

fn between(range: std::ops::Range<f64>) -> f64 {
    range.start + fastrand::f64() * (range.end - range.start)
}
