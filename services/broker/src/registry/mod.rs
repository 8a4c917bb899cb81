//! The schema registry's client: Confluent's API over HTTP.
//!
//! It stands here, and not in a crate of its own, because it shares its files of certificates, their checks, and what our
//! requests have in common with the rest of the way to Kafka.
//!
//! Owns: one thread that fetches, the schemas that are kept, the pauses between requests.
//! Never does: hold up a lane: [`Schemas::find`] says what is known.
//!
//! Invariant: a schema that is kept goes on working whatever becomes of the registry; and that there is none of a number is
//! only said after the registry said so several times, and not long ago. While it says so of several numbers within a
//! minute of each other, twice is enough.

mod request;
mod schema;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use eddy_pipeline::decode::{Found, SchemaKind, Schemas, WriterSchema};
use eddy_telemetry::RegistryMetrics;
use eddy_telemetry::catalogue::RegistryOutcome;

use self::request::Client;
pub use self::request::Failure;
use self::schema::Asking;
use crate::settings::{Registry, Tls};

/// The first pause between two requests after failures.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Pauses after the first answers that there is no such schema: registries tell their replicas a moment later.
const UNSURE: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];
/// After that it is asked again this often, as long as somebody wants to know.
const LOOK_AGAIN: Duration = Duration::from_secs(20);
/// For how long an answer that there is none is good.
const NONE_FOR: Duration = Duration::from_secs(60);
/// What nobody has asked for during this time is not fetched any more.
const FORGOTTEN: Duration = Duration::from_secs(120);
/// After so many numbers of which there surely was none, each at most [`NONE_FOR`] after the one before, the second answer
/// that there is none is believed, after the first pause: nonsense is about, and each number would stop a lane for longer.
/// Schemas that come at the first question may come in between; one that comes after the registry said that there is none ends it.
/// Never the first: whoever can write nonsense must not be able to have a new schema's events taken for it.
const SEVERAL: usize = 3;
/// A schema that was wanted this lately stays, beyond the limit if need be: lanes that alternate would drive each other's
/// out before they were used.
const STAYS: Duration = Duration::from_secs(5);
/// Most numbers without a schema that are remembered.
const NUMBERS_MOST: usize = 1000;

/// The newest schema of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latest {
    /// Its version in the subject.
    pub version: i64,
    /// The schema.
    pub schema: WriterSchema,
}

/// Fetches and keeps schemas for as long as somebody holds it.
#[derive(Debug)]
pub struct SchemaRegistry {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: Registry,
    state: Mutex<State>,
    changed: Condvar,
    metrics: OnceLock<RegistryMetrics>,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<u32, Entry>,
    /// How many numbers surely had no schema, as [`SEVERAL`] counts, and when the last one was settled.
    absent: Option<(usize, Instant)>,
    is_over: bool,
    /// Whether the thread that fetches has ended, of itself or in a panic.
    has_ended: bool,
}

/// What is known of one number.
#[derive(Debug)]
struct Entry {
    schema: Option<Arc<WriterSchema>>,
    /// How often the registry said in a row that there is none, and when last.
    none: Option<(usize, Instant)>,
    /// Failures in a row, and what the last one was.
    failures: u32,
    why: Option<String>,
    /// When it is to be asked for.
    due: Instant,
    /// When somebody last wanted it.
    wanted: Instant,
}

impl SchemaRegistry {
    /// Starts the thread that fetches. Asks for nothing yet.
    ///
    /// # Errors
    /// When the system gives no thread; one sentence.
    pub fn start(settings: Registry) -> Result<Self, String> {
        let shared = Arc::new(Shared {
            settings,
            state: Mutex::default(),
            changed: Condvar::new(),
            metrics: OnceLock::new(),
        });
        let of_thread = Arc::clone(&shared);
        // It ends when the registry is dropped, at the latest after the request that is under way; nobody waits for that.
        // Should it end before, whoever waits is told.
        std::thread::Builder::new()
            .name("registry".into())
            .spawn(move || {
                let _end = End(&of_thread);
                of_thread.fetch_all();
            })
            .map_err(|error| format!("there is no thread for fetching schemas: {error}; raise the limit of threads"))?;
        Ok(Self { shared })
    }

    /// Counts in these metrics from now on. Once.
    pub fn count_in(&self, metrics: RegistryMetrics) {
        self.shared.metrics.get_or_init(|| metrics);
        self.shared.show();
    }

    /// Waits until something definite is known of a schema that somebody wanted; not longer than it is worth waiting for an
    /// answer outside of a stream, which three requests may take, with the pauses between them.
    pub fn wait_for(&self, id: u32) -> bool {
        let deadline = Instant::now() + self.shared.settings.timeout.0 * 3 + UNSURE.iter().sum::<Duration>();
        let mut state = self.shared.state();
        loop {
            let now = Instant::now();
            if state.entries.get(&id).is_none_or(|entry| entry.is_definite(now)) {
                return true;
            }
            let has_failed = state.entries.get(&id).is_some_and(|entry| entry.failures > 2);
            if now >= deadline || has_failed || state.has_ended {
                return false;
            }
            state = self.shared.wait(state, deadline - now);
        }
    }

    /// The newest schema of a subject, asked for now.
    ///
    /// # Errors
    /// Why there is none, also when it is a matter of the files of certificates.
    pub fn latest(&self, subject: &str) -> Result<Latest, Failure> {
        self.asking(|asking| asking.latest(subject))
    }

    /// The number of a schema under a subject: registers it where it is new, or only looks it up.
    ///
    /// # Errors
    /// Why there is none.
    pub fn number(&self, subject: &str, kind: SchemaKind, text: &str, register: bool) -> Result<u32, Failure> {
        self.asking(|asking| asking.number(subject, kind, text, register))
    }

    fn asking<T>(&self, ask: impl FnOnce(&mut Asking<'_>) -> Result<T, Failure>) -> Result<T, Failure> {
        let tls = self.shared.settings.tls.as_ref();
        if let Some(problem) = tls.and_then(|tls: &Tls| tls.file_problems("registry.tls").into_iter().next()) {
            return Err(Failure::new(
                RegistryOutcome::Unfit,
                "registry.tls",
                problem.to_string(),
            ));
        }
        let mut client = Client::new(self.shared.settings.clone());
        ask(&mut Asking {
            client: &mut client,
            count: &|outcome| self.shared.count(outcome),
        })
    }
}

impl Drop for SchemaRegistry {
    fn drop(&mut self) {
        self.shared.state().is_over = true;
        self.shared.changed.notify_all();
    }
}

impl Schemas for SchemaRegistry {
    fn find(&self, id: u32) -> Found {
        let now = Instant::now();
        let mut state = self.shared.state();
        let has_ended = state.has_ended;
        let (entry, is_news) = state.want(id, now);
        if is_news {
            self.shared.changed.notify_all();
        }
        if let Some(schema) = &entry.schema {
            return Found::Known(Arc::clone(schema));
        }
        if entry.is_definite(now) {
            return Found::Unknown;
        }
        if has_ended {
            return Found::Awaited(ENDED.to_owned());
        }
        let asked = || format!("the schema registry is being asked for schema {id}");
        Found::Awaited(entry.why.clone().unwrap_or_else(asked))
    }
}

const ENDED: &str =
    "the thread that fetches schemas has ended, which is a bug: start the process anew, and report its log";

/// Tells those who wait that the thread has ended, also when it panics.
struct End<'a>(&'a Shared);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.state().has_ended = true;
        self.0.changed.notify_all();
    }
}

impl Entry {
    fn new(now: Instant) -> Self {
        Self {
            schema: None,
            none: None,
            failures: 0,
            why: None,
            due: now,
            wanted: now,
        }
    }

    /// Whether it is there, or surely not.
    fn is_definite(&self, now: Instant) -> bool {
        let is_good = |last: Instant| now.duration_since(last) < NONE_FOR;
        self.schema.is_some() || self.surely_none().is_some_and(is_good)
    }

    /// When the registry last said that there is none, if it said so often enough.
    fn surely_none(&self) -> Option<Instant> {
        self.none
            .filter(|(times, _)| *times > UNSURE.len())
            .map(|(_, last)| last)
    }

    /// Whether it is to be asked for: of what is settled only if somebody has wanted it since.
    fn is_missing(&self) -> bool {
        self.schema.is_none() && self.surely_none().is_none_or(|last| self.wanted > last)
    }

    /// Takes in what came of a request, and says when to ask again. `is_nonsense_about`: two answers that there is none are
    /// enough.
    fn note(
        &mut self,
        answer: Result<WriterSchema, Failure>,
        longest: Duration,
        is_nonsense_about: bool,
    ) -> Option<Duration> {
        let pause = match answer {
            Ok(schema) => {
                self.schema = Some(Arc::new(schema));
                (self.none, self.failures, self.why) = (None, 0, None);
                return None;
            }
            Err(failure) if failure.outcome == RegistryOutcome::Unknown => {
                let said = self.none.map_or(0, |(times, _)| times);
                let is_short = is_nonsense_about && said == 0;
                let times = if is_short { UNSURE.len() - 1 } else { said };
                self.none = Some((times + 1, Instant::now()));
                self.failures = 0;
                self.why = Some(format!(
                    "{failure}; it is asked again, as a new schema may still be on its way"
                ));
                let pause = if is_short { 0 } else { times };
                UNSURE.get(pause).copied().unwrap_or(LOOK_AGAIN)
            }
            Err(failure) => {
                let full = FIRST_PAUSE.saturating_mul(1 << self.failures.min(16)).min(longest);
                self.failures = self.failures.saturating_add(1);
                self.why = Some(failure.sentence);
                // Shortened by chance, so that a fleet does not ask in step.
                full.mul_f64(0.5 + fastrand::f64() * 0.5)
            }
        };
        self.due = Instant::now() + pause;
        Some(pause)
    }
}

impl State {
    /// What is known of a number that somebody wants, and whether that is news to the thread.
    fn want(&mut self, id: u32, now: Instant) -> (&mut Entry, bool) {
        let is_new = !self.entries.contains_key(&id);
        if is_new {
            self.make_room(NUMBERS_MOST - 1, |entry| entry.schema.is_none());
        }
        let entry = self.entries.entry(id).or_insert_with(|| Entry::new(now));
        let was_missing = entry.is_missing() && !is_new;
        entry.wanted = now;
        let is_news = !was_missing && entry.is_missing();
        (entry, is_news)
    }

    /// Lets at most so many of a kind stay: those that were not wanted for the longest go. Schemas and numbers without one are
    /// counted apart, so that a stream of senseless numbers drives no schema out.
    fn make_room(&mut self, most: usize, is_of_kind: impl Fn(&Entry) -> bool) {
        let mut kind: Vec<(Instant, u32)> = Vec::new();
        kind.extend(
            self.entries
                .iter()
                .filter(|(_, entry)| is_of_kind(entry))
                .map(|(id, entry)| (entry.wanted, *id)),
        );
        let surplus = kind.len().saturating_sub(most);
        if surplus == 0 {
            return;
        }
        kind.sort_unstable();
        for (_, id) in &kind[..surplus] {
            self.entries.remove(id);
        }
    }

    /// Takes in what came of a request. `most` schemas are kept, and those that were wanted just now.
    fn note(&mut self, id: u32, answer: Result<WriterSchema, Failure>, (longest, most): (Duration, usize)) {
        let now = Instant::now();
        let in_a_row = self
            .absent
            .filter(|(_, last)| now.duration_since(*last) < NONE_FOR)
            .map_or(0, |(count, _)| count);
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let (was_said, was_settled) = (entry.none.is_some(), entry.surely_none().is_some());
        entry.note(answer, longest, in_a_row >= SEVERAL);
        if entry.schema.is_some() {
            // A registry that is late in telling is not to be believed at once.
            self.absent = self.absent.filter(|_| !was_said);
            let is_fresh = |entry: &Entry| now.duration_since(entry.wanted) < STAYS;
            let schemas = self.entries.values().filter(|entry| entry.schema.is_some());
            let fresh = schemas.filter(|entry| is_fresh(entry)).count();
            self.make_room(most.saturating_sub(fresh), |entry| {
                entry.schema.is_some() && !is_fresh(entry)
            });
        } else if entry.surely_none().is_some() && !was_settled {
            self.absent = Some((in_a_row + 1, now));
        }
    }

    /// What to ask for now, or how long there is nothing to ask for.
    fn next(&mut self, now: Instant) -> Result<u32, Option<Duration>> {
        // Whoever still wants it asks again, and then it is fetched anew.
        self.entries
            .retain(|_, entry| entry.schema.is_some() || now.duration_since(entry.wanted) < FORGOTTEN);
        let missing = self.entries.iter().filter(|(_, entry)| entry.is_missing());
        // Of those that are due, first what lanes wait for: with many senseless numbers, looking again at them would leave no
        // time for a new schema.
        let order = |entry: &Entry| {
            let is_due = entry.due <= now;
            (!is_due, is_due && entry.is_definite(now), entry.due)
        };
        let next = missing
            .min_by_key(|(_, entry)| order(entry))
            .map(|(id, entry)| (*id, entry.due));
        match next {
            Some((id, due)) if due <= now => Ok(id),
            Some((_, due)) => Err(Some(due - now)),
            None => Err(None),
        }
    }
}

impl Shared {
    fn fetch_all(&self) {
        let mut client = Client::new(self.settings.clone());
        while let Some(id) = self.next() {
            let answer = Asking {
                client: &mut client,
                count: &|outcome| self.count(outcome),
            }
            .schema(id);
            self.log(id, &answer);
            let limits = (self.settings.retry.0, self.settings.cache);
            self.state().note(id, answer, limits);
            self.changed.notify_all();
            self.show();
        }
    }

    /// Waits for something to ask for; `None` at the end.
    fn next(&self) -> Option<u32> {
        let mut state = self.state();
        while !state.is_over {
            match state.next(Instant::now()) {
                Ok(id) => return Some(id),
                Err(Some(pause)) => state = self.wait(state, pause),
                Err(None) => {
                    let waited = self.changed.wait(state);
                    state = waited.unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
        None
    }

    fn log(&self, id: u32, answer: &Result<WriterSchema, Failure>) {
        match answer {
            Ok(schema) => {
                let (kind, bytes) = (schema.kind.as_str(), schema.text.len());
                let references = schema.references.len();
                tracing::info!(id, kind, bytes, references, "a schema was fetched");
            }
            Err(failure) => tracing::warn!(id, reason = failure.sentence, "no schema was fetched"),
        }
    }

    fn count(&self, outcome: RegistryOutcome) {
        if let Some(metrics) = self.metrics.get() {
            metrics.asked(outcome);
        }
    }

    fn show(&self) {
        let Some(metrics) = self.metrics.get() else { return };
        let state = self.state();
        metrics.kept(state.entries.values().filter(|entry| entry.schema.is_some()).count());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, time: Duration) -> MutexGuard<'a, State> {
        let waited = self.changed.wait_timeout(state, time);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}
