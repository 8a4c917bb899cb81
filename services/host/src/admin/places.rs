//! The places of the admin address: who has one, and who gives way when none is left.
//!
//! Owns: the tasks of the connections. Never does: cut short a request that is being worked on.
//!
//! Invariant: who only holds a place, because it sends no request or does not take its answer, keeps nobody out.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::{AbortHandle, Id, JoinError, JoinSet, yield_now};
use tokio::time::{Instant, timeout_at};

/// Nobody gives way before: a request that is on its way arrives in this time, and an answer leaves.
const GRACE: Duration = Duration::from_millis(100);

/// How far a connection is, in the order in which they give way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// Its request is not there, or not all of it.
    Silent,
    /// Its answer is on the way.
    Answered,
    /// Its request is worked on, which has a limit of its own; without the token it takes no time.
    Asked,
}

/// Where a connection tells how far it is, and since when. Cloning gives another handle.
#[derive(Debug, Clone)]
pub(super) struct Progress(Arc<Mutex<(Stage, Instant)>>);

impl Progress {
    /// That of a connection that has just come in.
    pub(super) fn begin() -> Self {
        Self(Arc::new(Mutex::new((Stage::Silent, Instant::now()))))
    }

    /// The answer to a request that has arrived.
    pub(super) fn of<A>(&self, answer: impl Future<Output = A>) -> impl Future<Output = A> {
        let progress = self.clone();
        progress.set(Stage::Asked);
        async move {
            let answer = answer.await;
            progress.set(Stage::Answered);
            answer
        }
    }

    fn set(&self, stage: Stage) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (stage, Instant::now());
    }

    /// Its place in the order in which they give way; `None` where it does not.
    fn turn(&self) -> Option<(Stage, Instant)> {
        let (stage, since) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (stage < Stage::Asked).then_some((stage, since))
    }
}

/// Dropping it ends the connections.
pub(super) struct Places {
    most: usize,
    tasks: JoinSet<()>,
    guests: Vec<(AbortHandle, Progress)>,
}

impl Places {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            tasks: JoinSet::new(),
            guests: Vec::new(),
        }
    }

    /// Whether one more may come in, now or in the place of another.
    pub(super) fn has_room(&self) -> bool {
        self.tasks.len() < self.most || self.guests.iter().any(|(_, progress)| progress.turn().is_some())
    }

    /// Gives a place to a connection, if need be another one's.
    pub(super) async fn give<C>(&mut self, connection: impl FnOnce(Progress) -> C)
    where
        C: Future<Output = ()> + Send + 'static,
    {
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            self.forget(ended);
        }
        while self.tasks.len() >= self.most {
            // Of several in one stage, who has been in it longest.
            let turns = self
                .guests
                .iter()
                .filter_map(|(task, progress)| Some((progress.turn()?, task, progress)));
            let Some((turn, task, progress)) = turns.min_by_key(|(turn, ..)| *turn) else {
                self.next_ended().await;
                continue;
            };
            let (task, progress) = (task.clone(), progress.clone());
            let (_, since) = turn;
            if timeout_at(since + GRACE, self.next_ended()).await.is_ok() {
                continue;
            }
            // This thread may have been held up: what has arrived is seen by one turn of the runtime, and taken in the next.
            yield_now().await;
            yield_now().await;
            if let Some(ended) = self.tasks.try_join_next_with_id() {
                self.forget(ended);
            } else if progress.turn() == Some(turn) {
                tracing::debug!(
                    "a client of the admin address gave way to another, for `admin.connections` were taken"
                );
                task.abort();
                self.next_ended().await;
            }
        }
        let progress = Progress::begin();
        let task = self.tasks.spawn(connection(progress.clone()));
        self.guests.push((task, progress));
    }

    /// Waits until a connection ends; `None` without any. Cancelling it loses nothing.
    pub(super) async fn next_ended(&mut self) -> Option<()> {
        let ended = self.tasks.join_next_with_id().await?;
        self.forget(ended);
        Some(())
    }

    fn forget(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = match ended {
            Ok((id, ())) => id,
            Err(error) => {
                if error.is_panic() {
                    tracing::error!(%error, "a page of the admin address panicked; this is a bug, please report it");
                }
                error.id()
            }
        };
        self.guests.retain(|(task, _)| task.id() != id);
    }
}
