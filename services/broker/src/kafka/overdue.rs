//! Calls of the client that may never return.
//!
//! Owns: the threads that such calls are made on, and those that were left behind with their calls.
//! Never does: end a thread. One that is left behind keeps what its call works on alive, and lets it go if it returns.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// Most threads that may be left behind. After that calls are waited for, and the watchdog ends the process.
const MOST: usize = 8;

/// What came of a call.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer<T> {
    Given(T),
    /// There is none yet, and perhaps never: the call was left behind.
    Overdue,
    /// There will be none.
    Panicked,
}

/// Threads whose calls took too long.
#[derive(Debug, Default)]
pub(super) struct Overdue {
    threads: Vec<JoinHandle<()>>,
}

impl Overdue {
    /// Makes a call and waits for its answer, for `limit` at most.
    pub(super) fn wait<T: Send + 'static>(
        &mut self,
        limit: Duration,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> std::io::Result<Answer<T>> {
        self.threads.retain(|thread| !thread.is_finished());
        let (answer, answered) = channel();
        let thread = Builder::new().name("eddy-call".to_owned()).spawn(move || {
            // Nobody waits for it when it was left behind.
            _ = answer.send(call());
        })?;
        let answered = if self.threads.len() < MOST {
            answered.recv_timeout(limit)
        } else {
            answered.recv().map_err(|_| RecvTimeoutError::Disconnected)
        };
        match answered {
            Ok(answer) => Ok(Answer::Given(answer)),
            Err(RecvTimeoutError::Timeout) => {
                self.threads.push(thread);
                Ok(Answer::Overdue)
            }
            Err(RecvTimeoutError::Disconnected) => Ok(Answer::Panicked),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn an_answer_in_time_is_given() {
        let mut overdue = Overdue::default();
        assert_eq!(overdue.wait(Duration::from_secs(600), || 7).unwrap(), Answer::Given(7));
        assert!(overdue.threads.is_empty());
    }

    #[test]
    fn a_call_that_does_not_return_is_left_behind_and_forgotten_once_it_does() {
        let mut overdue = Overdue::default();
        let gate = Arc::new(Mutex::new(()));
        let closed = gate.lock().unwrap();
        let inner = Arc::clone(&gate);
        let answer = overdue.wait(Duration::ZERO, move || drop(inner.lock()));
        assert_eq!((answer.unwrap(), overdue.threads.len()), (Answer::Overdue, 1));
        drop(closed);
        while !overdue.threads[0].is_finished() {
            std::thread::yield_now();
        }
        assert_eq!(overdue.wait(Duration::from_secs(600), || 7).unwrap(), Answer::Given(7));
        assert!(overdue.threads.is_empty());
    }

    #[test]
    fn a_call_that_panics_says_so() {
        let answer = Overdue::default().wait(Duration::from_secs(600), || panic!("on purpose"));
        assert!(matches!(answer, Ok(Answer::<()>::Panicked)));
    }

    #[test]
    fn when_too_many_are_left_behind_the_next_is_waited_for() {
        let mut overdue = Overdue::default();
        let gate = Arc::new(Mutex::new(()));
        let closed = gate.lock().unwrap();
        for _ in 0..MOST {
            let inner = Arc::clone(&gate);
            let answer = overdue.wait(Duration::ZERO, move || drop(inner.lock()));
            assert_eq!(answer.unwrap(), Answer::Overdue);
        }
        let slow = || {
            std::thread::yield_now();
            7
        };
        assert_eq!(
            overdue.wait(Duration::ZERO, slow).unwrap(),
            Answer::Given(7),
            "it has no limit"
        );
        drop(closed);
    }
}
