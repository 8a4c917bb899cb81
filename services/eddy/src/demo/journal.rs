//! The log while the view has the screen: kept, and written when the screen is free again.
//!
//! Owns: the process's subscriber during the demo, and the lines that wait.
//! Never does: keep more than a screenful or two; a long demo has a long log.
//!
//! Invariant: no line is written over the view, and the last ones are not lost.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use eddy_telemetry::{LogError, LogSettings};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Lines that are kept while the view is shown.
const LINES: usize = 60;

/// Where the log goes. Cloning gives another handle.
#[derive(Debug, Clone, Default)]
pub(super) struct Journal {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
enum State {
    /// The view is shown: these are the newest lines, and so many came before them.
    Kept { lines: VecDeque<Vec<u8>>, lost: usize },
    /// The screen is free.
    Released,
}

impl Default for State {
    fn default() -> Self {
        Self::Kept {
            lines: VecDeque::new(),
            lost: 0,
        }
    }
}

impl Journal {
    /// Sets up the log of the process: with a view, warnings and worse are kept; without, as `settings` say.
    ///
    /// # Errors
    /// When there is a log already, or its level is none.
    pub(super) fn install(settings: &LogSettings, has_view: bool) -> Result<Self, LogError> {
        let journal = Self::default();
        if !has_view {
            journal.release();
            settings.install()?;
            return Ok(journal);
        }
        let lines = tracing_subscriber::fmt()
            .with_writer(journal.clone())
            .with_ansi(false)
            .with_max_level(LevelFilter::WARN);
        tracing::dispatcher::set_global_default(lines.finish().into()).map_err(LogError::AlreadySetUp)?;
        Ok(journal)
    }

    /// The screen is free: what was kept is written to standard error, and what comes follows it.
    pub(super) fn release(&self) {
        let kept = std::mem::replace(&mut *self.lock(), State::Released);
        // Nobody is left to tell when standard error is closed.
        drop(write_kept(kept, &mut io::stderr().lock()));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write_kept(state: State, out: &mut impl Write) -> io::Result<()> {
    let State::Kept { lines, lost } = state else {
        return Ok(());
    };
    if lost > 0 {
        writeln!(out, "… {lost} earlier lines of the log are left out")?;
    }
    lines.iter().try_for_each(|line| out.write_all(line))
}

impl Write for Journal {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match &mut *self.lock() {
            State::Released => io::stderr().write_all(line)?,
            State::Kept { lines, lost } => {
                lines.push_back(line.to_vec());
                if lines.len() > LINES {
                    lines.pop_front();
                    *lost += 1;
                }
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Journal {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(journal: &Journal) -> String {
        let state = std::mem::replace(&mut *journal.lock(), State::Released);
        let mut out = Vec::new();
        write_kept(state, &mut out).expect("memory can be written");
        String::from_utf8(out).expect("it was text")
    }

    #[test]
    fn lines_wait_while_the_view_is_shown() {
        let mut journal = Journal::default();
        journal.write_all(b"one\n").expect("it is kept");
        journal.write_all(b"two\n").expect("it is kept");
        assert_eq!(kept(&journal), "one\ntwo\n");
        assert_eq!(kept(&journal), "", "they are written once");
    }

    #[test]
    fn of_too_many_lines_the_last_ones_are_kept_and_the_others_counted() {
        let mut journal = Journal::default();
        for number in 0..LINES + 5 {
            journal.write_all(format!("{number}\n").as_bytes()).expect("it is kept");
        }
        let text = kept(&journal);
        assert!(
            text.starts_with("… 5 earlier lines of the log are left out\n"),
            "{text}"
        );
        assert!(text.ends_with(&format!("\n{}\n", LINES + 4)), "{text}");
    }
}
