//! How far a job is, to standard error: a bar on a terminal, a line now and then elsewhere.
//!
//! Invariant: however the job ends, its bar is gone before anything else is said.

use std::fmt::Display;
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
pub(crate) struct Progress<W: Write = Stderr> {
    out: W,
    /// Whose progress it is.
    name: String,
    /// Offsets to be passed; some of them are no records. Of a file nobody knows how many rows there are.
    total: Option<u64>,
    is_terminal: bool,
    shown: Instant,
    is_drawn: bool,
}

impl Progress {
    pub(crate) fn new(name: String, parts: Option<&[Stretch]>) -> Self {
        let offsets = |part: &Stretch| part.offsets.end - part.offsets.start;
        let total = |parts: &[Stretch]| parts.iter().map(offsets).sum::<i64>().max(0) as u64;
        Self {
            out: io::stderr(),
            name,
            total: parts.map(total),
            is_terminal: io::stderr().is_terminal(),
            shown: Instant::now(),
            is_drawn: false,
        }
    }
}

impl<W: Write> Progress<W> {
    /// Shows it, if it is time to: how many records were read, and what came of them.
    pub(crate) fn at(&mut self, read: u64, came: impl Display) {
        let every = if self.is_terminal { REDRAW } else { LINE };
        if self.shown.elapsed() < every {
            return;
        }
        self.shown = Instant::now();
        // Nobody watches where standard error is closed.
        if self.is_terminal {
            self.is_drawn = true;
            drop(write!(self.out, "\r{}", bar(read, self.total, &came)));
        } else {
            let (name, of) = (
                &self.name,
                self.total.map_or_else(String::new, |total| format!(" of {total}")),
            );
            drop(writeln!(self.out, "{name}: {read}{of} records read, {came}"));
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

fn bar(read: u64, total: Option<u64>, came: &dyn Display) -> String {
    let Some(total) = total else {
        return format!("{read} records read, {came}");
    };
    let full = (read * WIDTH).checked_div(total).unwrap_or(WIDTH).min(WIDTH) as usize;
    let percent = (read * 100).checked_div(total).unwrap_or(100).min(100);
    let (done, left) = ("█".repeat(full), "░".repeat(WIDTH as usize - full));
    format!("{done}{left} {percent:>3} %  {came}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_that_was_drawn_is_taken_away_when_the_job_ends_with_an_error() {
        let mut written = Vec::new();
        let fails = |mut progress: Progress<&mut Vec<u8>>| -> Result<(), ()> {
            progress.at(2, "1 event");
            Err(())
        };
        let progress = Progress {
            out: &mut written,
            name: "job `j`".into(),
            total: Some(10),
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
        assert!(bar(0, Some(10), &"").starts_with(&"░".repeat(30)));
        assert!(bar(5, Some(10), &"3 events").contains(" 50 %  3 events"));
        assert!(bar(10, Some(10), &"").starts_with(&"█".repeat(30)));
        assert!(bar(0, Some(0), &"").contains("100 %"));
        assert_eq!(bar(7, None, &"all well"), "7 records read, all well");
    }
}
