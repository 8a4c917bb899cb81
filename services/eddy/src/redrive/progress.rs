//! How far a job is, to standard error: a bar on a terminal, a line now and then elsewhere.
//!
//! Invariant: however the job ends, its bar is gone before anything else is said.

use std::io::{self, IsTerminal as _, Stderr, Write};
use std::time::{Duration, Instant};

use eddy_broker::kafka::Stretch;

/// How often a bar is drawn.
const REDRAW: Duration = Duration::from_millis(100);
/// How often a line is written where nobody watches.
const LINE: Duration = Duration::from_secs(10);
/// Cells of the bar.
const WIDTH: u64 = 30;

/// Shows how far a job is.
#[derive(Debug)]
pub(super) struct Progress<W: Write = Stderr> {
    out: W,
    job: String,
    /// Offsets to be passed; some of them are no records.
    total: u64,
    is_terminal: bool,
    shown: Instant,
    is_drawn: bool,
}

impl Progress {
    pub(super) fn new(job: &str, parts: &[Stretch]) -> Self {
        let offsets = parts.iter().map(|part| part.offsets.end - part.offsets.start);
        Self {
            out: io::stderr(),
            job: job.to_owned(),
            total: offsets.sum::<i64>().max(0) as u64,
            is_terminal: io::stderr().is_terminal(),
            shown: Instant::now(),
            is_drawn: false,
        }
    }
}

impl<W: Write> Progress<W> {
    /// Shows it, if it is time to.
    pub(super) fn at(&mut self, sent: u64, read: u64) {
        let every = if self.is_terminal { REDRAW } else { LINE };
        if self.shown.elapsed() < every {
            return;
        }
        self.shown = Instant::now();
        // Nobody watches where standard error is closed.
        if self.is_terminal {
            self.is_drawn = true;
            drop(write!(self.out, "\r{}", bar(read, self.total, sent)));
        } else {
            let (job, total) = (&self.job, self.total);
            drop(writeln!(
                self.out,
                "job `{job}`: {read} of {total} records read, {sent} events"
            ));
        }
    }
}

impl<W: Write> Drop for Progress<W> {
    fn drop(&mut self) {
        if self.is_drawn {
            drop(write!(self.out, "\r\u{1b}[K"));
        }
    }
}

fn bar(read: u64, total: u64, sent: u64) -> String {
    let full = (read * WIDTH).checked_div(total).unwrap_or(WIDTH).min(WIDTH) as usize;
    let percent = (read * 100).checked_div(total).unwrap_or(100).min(100);
    let (done, left) = ("█".repeat(full), "░".repeat(WIDTH as usize - full));
    format!("{done}{left} {percent:>3} %  {sent} events")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_that_was_drawn_is_taken_away_when_the_job_ends_with_an_error() {
        let mut written = Vec::new();
        let fails = |mut progress: Progress<&mut Vec<u8>>| -> Result<(), ()> {
            progress.at(1, 2);
            Err(())
        };
        let progress = Progress {
            out: &mut written,
            job: "j".into(),
            total: 10,
            is_terminal: true,
            shown: Instant::now() - REDRAW,
            is_drawn: false,
        };
        assert_eq!(fails(progress), Err(()));
        let text = String::from_utf8(written).expect("it is text");
        assert!(text.contains("20 %") && text.ends_with("\r\u{1b}[K"), "{text:?}");
    }

    #[test]
    fn the_bar_is_as_full_as_the_job_is_done() {
        assert!(bar(0, 10, 0).starts_with(&"░".repeat(30)));
        assert!(bar(5, 10, 3).contains(" 50 %  3 events"));
        assert!(bar(10, 10, 1).starts_with(&"█".repeat(30)));
        assert!(bar(0, 0, 0).contains("100 %"));
    }
}
