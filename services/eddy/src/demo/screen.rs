//! The terminal: frames where it can show them, a line now and then where it cannot.
//!
//! Owns: the alternate screen, the cursor, the escape sequences.
//! Never does: decide what is shown; that is [`super::view`].
//!
//! Invariant: the terminal is as it was before as soon as the screen is gone, also after a panic of any thread. From
//! then on nothing is drawn any more.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::queue;
use crossterm::style::{Attribute, Color, Print, ResetColor, SetAttribute, SetBackgroundColor, SetForegroundColor};
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
};

use super::say;
use super::view::{self, Line, Palette, Piece, Scene, Style};

/// Between two lines where the screen cannot be redrawn.
const PLAIN_EVERY: Duration = Duration::from_secs(5);
/// The blue and the orange of the 256-colour table that can be read on black and on white.
const BLUE: Color = Color::AnsiValue(33);
const ORANGE: Color = Color::AnsiValue(208);
/// Greys of the 256-colour table, from black to white.
const FIRST_GREY: u8 = 232;
const GREYS: u8 = 24;

/// Where the view is shown.
#[derive(Debug)]
pub(super) enum Screen {
    /// A terminal that can be redrawn.
    Live(Live),
    /// Anything else, such as a file or a pipe: a line now and then.
    Plain {
        /// When the last line was written.
        last_seconds: Option<u64>,
    },
}

impl Screen {
    /// Looks at standard error: standard output stays for the summary.
    #[expect(
        clippy::disallowed_methods,
        reason = "these two say what the terminal can show; they are no settings"
    )]
    pub(super) fn choose() -> Self {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        if !io::stderr().is_terminal() || is_dumb {
            return Self::Plain { last_seconds: None };
        }
        let palette = match std::env::var_os("NO_COLOR") {
            Some(set) if !set.is_empty() => Palette::Letters,
            _ => Palette::Colours,
        };
        Self::Live(Live::new(palette))
    }

    /// Whether frames are drawn, so that nothing else may be written meanwhile.
    pub(super) const fn is_live(&self) -> bool {
        matches!(self, Self::Live(_))
    }

    /// Shows this moment.
    pub(super) fn show(&mut self, scene: &Scene<'_>) {
        match self {
            Self::Live(live) => live.show(scene),
            Self::Plain { last_seconds } => {
                let is_due = last_seconds.is_none_or(|last| scene.elapsed_seconds >= last + PLAIN_EVERY.as_secs());
                if is_due && scene.moment.is_some() {
                    *last_seconds = Some(scene.elapsed_seconds);
                    say(&view::plain_line(scene));
                }
            }
        }
    }
}

/// A terminal that is redrawn. Dropping it restores the terminal.
#[derive(Debug)]
pub(super) struct Live {
    palette: Palette,
    /// Whether the terminal is ours at the moment. A panic hook shares it.
    is_open: Arc<AtomicBool>,
    was_opened: bool,
}

impl Live {
    fn new(palette: Palette) -> Self {
        Self {
            palette,
            is_open: Arc::default(),
            was_opened: false,
        }
    }

    fn open(&mut self) -> io::Result<()> {
        self.was_opened = true;
        self.is_open.store(true, Ordering::SeqCst);
        let is_open = Arc::clone(&self.is_open);
        let previous = std::panic::take_hook();
        // The message of a panic would vanish with the alternate screen.
        std::panic::set_hook(Box::new(move |panic| {
            restore(&is_open);
            previous(panic);
        }));
        let mut out = io::stderr().lock();
        queue!(out, EnterAlternateScreen, Hide, Clear(ClearType::All))?;
        out.flush()
    }

    fn show(&mut self, scene: &Scene<'_>) {
        // Opened with the first frame, so that what goes wrong at the start is said on the ordinary screen.
        if !self.was_opened && self.open().is_err() {
            restore(&self.is_open);
        }
        if !self.is_open.load(Ordering::SeqCst) {
            return;
        }
        let (columns, rows) = crossterm::terminal::size().unwrap_or((80, 24));
        let lines = view::frame(scene, self.palette, (columns.into(), rows.into()));
        let drawn = paint(&lines).and_then(|bytes| io::stderr().lock().write_all(&bytes));
        if drawn.is_err() {
            // The terminal is gone; the demo goes on without it.
            restore(&self.is_open);
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        restore(&self.is_open);
    }
}

/// Gives the terminal back, once.
fn restore(is_open: &AtomicBool) {
    if is_open.swap(false, Ordering::SeqCst) {
        let mut out = io::stderr().lock();
        let restored = queue!(out, EndSynchronizedUpdate, ResetColor, LeaveAlternateScreen, Show);
        // A terminal that is gone needs no restoring.
        drop(restored.and_then(|()| out.flush()));
    }
}

/// One frame as bytes, so that it reaches the terminal in one piece.
fn paint(lines: &[Line]) -> io::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(8 * 1024);
    queue!(out, BeginSynchronizedUpdate)?;
    for (row, line) in (0..).zip(lines) {
        queue!(out, MoveTo(0, row))?;
        line.iter().try_for_each(|piece| paint_piece(piece, &mut out))?;
        queue!(out, Clear(ClearType::UntilNewLine))?;
    }
    queue!(out, Clear(ClearType::FromCursorDown), EndSynchronizedUpdate)?;
    Ok(out)
}

fn paint_piece(piece: &Piece, out: &mut Vec<u8>) -> io::Result<()> {
    match piece.style {
        Style::Plain => {}
        Style::Strong => queue!(out, SetAttribute(Attribute::Bold))?,
        Style::Dim => queue!(out, SetAttribute(Attribute::Dim))?,
        Style::Calm => queue!(out, SetForegroundColor(BLUE))?,
        Style::Warm => queue!(out, SetForegroundColor(ORANGE), SetAttribute(Attribute::Bold))?,
        Style::Grey(value) => {
            let step = u16::from(value) * u16::from(GREYS - 1) / u16::from(u8::MAX);
            queue!(out, SetBackgroundColor(Color::AnsiValue(FIRST_GREY + step as u8)))?;
        }
    }
    queue!(out, Print(&piece.text), SetAttribute(Attribute::Reset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_painted_line_by_line_and_the_rest_is_cleared() {
        let piece = |text: &str, style| Piece {
            text: text.to_owned(),
            style,
        };
        let lines = [
            vec![piece("one", Style::Strong), piece("  ", Style::Grey(255))],
            vec![piece("two", Style::Plain)],
        ];
        let text = String::from_utf8(paint(&lines).expect("memory can be written")).expect("it is text");
        let at = |part: &str| {
            text.find(part)
                .unwrap_or_else(|| panic!("{part:?} is missing in {text:?}"))
        };
        assert!(at("\u{1b}[1;1H") < at("one") && at("one") < at("\u{1b}[2;1H") && at("\u{1b}[2;1H") < at("two"));
        assert!(at("two") < text.rfind("\u{1b}[J").expect("what is below is cleared"));
    }
}
