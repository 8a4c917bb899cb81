//! The view: one moment of the demo as lines of styled text.
//!
//! Owns: what stands where on the screen. Knows 80 columns by 24 rows and copes with less.
//! Never does: write to a terminal; that is [`super::screen`].
//!
//! Invariant: a frame never has more lines or columns than the screen, and nothing is said by colour alone.

use super::camera::{Pixels, SIDE};
use super::script::{Moment, Phase};
use super::summary::{grouped, percent};
use super::tally::{Facts, Sample, Seen, TIMELINE_SECONDS};

/// Width that the lines are made for.
const WIDTH: usize = 78;
/// Width of the picture with the gap beside it: two columns for each pixel make it square.
const PICTURE_WIDTH: usize = 2 * SIDE + 4;
/// Width of the left of two columns.
const HALF: usize = 46;
/// Lists are cut here.
const LIST: usize = 4;
const BAR_WIDTH: usize = 20;
const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// How a piece of text looks. The colours differ in lightness too, so that nobody needs to tell hues apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// As the terminal has it.
    Plain,
    /// A heading or what matters most.
    Strong,
    /// What may be overlooked.
    Dim,
    /// What is well: blue.
    Calm,
    /// What asks for attention: orange.
    Warm,
    /// A block of this grey.
    Grey(u8),
}

/// A piece of text in one style.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    /// The text, without control characters.
    pub(super) text: String,
    /// How it looks.
    pub(super) style: Style,
}

/// One line of the screen.
pub(super) type Line = Vec<Piece>;

/// What the terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Palette {
    /// Colours; pictures are made of grey blocks.
    Colours,
    /// Letters only; pictures are made of them.
    Letters,
}

/// What the view shows beside the tally's facts.
#[derive(Debug, Clone)]
pub(super) struct Scene<'a> {
    /// Where the events go, and under which guarantee.
    pub(super) broker: &'a str,
    /// Addresses of the pages; may be empty.
    pub(super) pages: &'a [String],
    /// What happens now; nothing before the first event.
    pub(super) moment: Option<Moment>,
    /// What keeps the service from working, in a few words.
    pub(super) trouble: Option<&'a str>,
    /// Seconds since the first event.
    pub(super) elapsed_seconds: u64,
    /// The prediction to show. Not the newest: that one changes too fast to be seen.
    pub(super) shown: Option<&'a Seen>,
    /// The numbers.
    pub(super) facts: &'a Facts,
}

/// One frame, at most `columns` wide and `rows` high.
pub(super) fn frame(scene: &Scene<'_>, palette: Palette, (columns, rows): (usize, usize)) -> Vec<Line> {
    let mut lines = heading(scene);
    lines.push(Line::new());
    lines.extend(camera(scene, palette));
    lines.push(Line::new());
    lines.extend(timeline(scene.facts));
    lines.push(Line::new());
    lines.extend(lists(scene.facts));
    lines.push(Line::new());
    let foot = foot(scene);
    // Blank lines go first when the screen is low, then the end of the lists; the way to stop is always shown.
    let mut surplus = (lines.len() + foot.len()).saturating_sub(rows);
    lines.retain(|line| {
        let goes = surplus > 0 && line.is_empty();
        surplus -= usize::from(goes);
        !goes
    });
    lines.truncate(rows.saturating_sub(foot.len()));
    lines.extend(foot);
    lines.drain(..lines.len().saturating_sub(rows));
    lines.into_iter().map(|line| cut(line, columns)).collect()
}

/// What a screen that cannot be redrawn gets: one line now and then.
pub(super) fn plain_line(scene: &Scene<'_>) -> String {
    let facts = scene.facts;
    format!(
        "{:>4} s  {}  {} events  {:.0}/s  confidence {}  {} flowed back  {} dead letters{}",
        scene.elapsed_seconds,
        phase(scene.moment),
        grouped(facts.events),
        facts.outcomes_per_second,
        facts
            .confidence
            .iter()
            .rev()
            .find_map(|mean| *mean)
            .map_or_else(|| "–".to_owned(), |mean| format!("{mean:.2}")),
        grouped(facts.samples),
        grouped(facts.dead()),
        scene
            .trouble
            .map(|trouble| format!("  {}", clean(trouble)))
            .unwrap_or_default(),
    )
}

fn heading(scene: &Scene<'_>) -> Vec<Line> {
    let title = "Eddy demo: handwritten digits, scored as they stream by";
    let clock = format!("{:02}:{:02}", scene.elapsed_seconds / 60, scene.elapsed_seconds % 60);
    let gap = WIDTH.saturating_sub(title.chars().count() + clock.len());
    vec![
        vec![strong(title), plain(" ".repeat(gap)), plain(clock)],
        vec![dim(scene.broker)],
    ]
}

/// The picture on the left; what was made of it, and the numbers, on the right.
fn camera(scene: &Scene<'_>, palette: Palette) -> Vec<Line> {
    let facts = scene.facts;
    let warm_if = |is_warm: bool| if is_warm { Style::Warm } else { Style::Calm };
    let tilts = scene.moment.is_some_and(|moment| moment.phase != Phase::Straight);
    let mut right: Vec<Line> = vec![
        vec![piece(phase(scene.moment), warm_if(tilts))],
        says(scene.shown),
        sure(scene.shown),
        scene
            .trouble
            .map(|trouble| vec![piece(clean(trouble), Style::Warm)])
            .unwrap_or_default(),
    ];
    let mut row = |name: &str, value: String, note: String| {
        right.push(vec![dim(format!("{name:<12}")), plain(value), dim(note)]);
    };
    row(
        "events",
        grouped(facts.events),
        format!("   {:.0}/s", facts.outcomes_per_second),
    );
    row("predicted", grouped(facts.predictions), String::new());
    let share = (facts.predictions > 0).then(|| facts.samples as f64 / facts.predictions as f64);
    row("flowed back", grouped(facts.samples), format!("   {}", percent(share)));
    let (before, after) = (percent(facts.accuracy_before), percent(facts.accuracy_after));
    row("accuracy", format!("straight {before}, askew {after}"), String::new());

    let blank = [0; SIDE * SIDE];
    let picture = scene.shown.map_or(&blank, |seen| &seen.picture);
    let lines = drawn(picture, palette).into_iter().zip(right);
    lines
        .map(|(mut left, right)| {
            left.push(plain(" ".repeat(PICTURE_WIDTH - 2 * SIDE)));
            left.extend(right);
            left
        })
        .collect()
}

fn says(shown: Option<&Seen>) -> Line {
    let Some(seen) = shown else {
        return vec![dim("no prediction yet")];
    };
    let digit = seen.prediction.digit;
    let verdict = match digit == seen.label {
        true => piece("right".to_owned(), Style::Calm),
        false => piece(format!("wrong, it is {}", seen.label), Style::Warm),
    };
    vec![dim("the model says "), strong(digit.to_string()), plain("   "), verdict]
}

fn sure(shown: Option<&Seen>) -> Line {
    let Some(seen) = shown else { return Line::new() };
    let confidence = seen.prediction.confidence.clamp(0.0, 1.0);
    let style = if seen.prediction.selected {
        Style::Warm
    } else {
        Style::Calm
    };
    let full = (confidence * BAR_WIDTH as f32).round() as usize;
    let note = if seen.prediction.selected { "  flows back" } else { "" };
    vec![
        dim("sure "),
        piece("█".repeat(full), style),
        dim("░".repeat(BAR_WIDTH - full)),
        plain(format!(" {confidence:.2}")),
        piece(note.to_owned(), style),
    ]
}

/// Rows of the picture; each pixel is two columns wide.
fn drawn(picture: &Pixels, palette: Palette) -> Vec<Line> {
    const INK: &[u8] = b" .:-=+*#%@";
    let pixel = |value: u8| match palette {
        Palette::Colours => piece("  ".to_owned(), Style::Grey(value)),
        Palette::Letters => {
            let ink = char::from(INK[usize::from(value) * (INK.len() - 1) / 255]);
            piece([ink, ink].iter().collect(), Style::Plain)
        }
    };
    let rows = picture.chunks_exact(SIDE);
    rows.map(|row| row.iter().map(|value| pixel(*value)).collect())
        .collect()
}

/// Mean confidence over time, two rows high, and the distribution of the last seconds.
fn timeline(facts: &Facts) -> Vec<Line> {
    let seconds = &facts.confidence[facts.confidence.len().saturating_sub(TIMELINE_SECONDS)..];
    // Sixteen steps over two rows: the lower row is full before the upper one begins.
    let step = |mean: Option<f32>| mean.map_or(0, |mean| ((mean.clamp(0.0, 1.0) * 16.0).round() as usize).max(1));
    let upper: String = seconds
        .iter()
        .map(|mean| EIGHTHS[step(*mean).saturating_sub(8)])
        .collect();
    let lower: String = seconds.iter().map(|mean| EIGHTHS[step(*mean).min(8)]).collect();
    let most = facts.histogram.iter().copied().max().unwrap_or(0).max(1) as usize;
    let bars = facts.histogram.iter().map(|count| (*count as usize * 8).div_ceil(most));
    let bars: String = bars.map(|height| EIGHTHS[height.min(8)]).collect();
    let width = TIMELINE_SECONDS;
    let title = "mean confidence, a column for each second";
    vec![
        vec![dim(format!("{title:<w$}", w = width + 3)), dim("last 10 s, 0–1")],
        vec![piece(format!("{upper:<width$}"), Style::Calm), dim(" 1")],
        vec![
            piece(format!("{lower:<width$}"), Style::Calm),
            dim(" 0 "),
            piece(bars, Style::Calm),
        ],
    ]
}

/// Samples on the left, dead letters on the right.
fn lists(facts: &Facts) -> Vec<Line> {
    let mut left: Vec<Line> = vec![vec![strong("flowed back, the newest first")]];
    left.extend(facts.newest_samples.iter().take(LIST).map(sample));
    let mut right: Vec<Line> = vec![vec![strong("dead letters")]];
    let mut by_count: Vec<(&String, &u64)> = facts.dead_letters.iter().collect();
    by_count.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let deaths = by_count.into_iter().take(LIST);
    right.extend(deaths.map(|(reason, count)| vec![plain(format!("{:>6} ", grouped(*count))), dim(clean(reason))]));
    left.resize(LIST + 1, Line::new());
    right.resize(LIST + 1, Line::new());
    let pairs = left.into_iter().zip(right);
    pairs
        .map(|(left, right)| {
            let mut line = cut(left, HALF);
            let used: usize = line.iter().map(Piece::width).sum();
            line.push(plain(" ".repeat(HALF + 2 - used)));
            line.extend(right);
            line
        })
        .collect()
}

fn sample(sample: &Sample) -> Line {
    let said = match sample.said {
        Some((digit, confidence)) => format!("said {digit}, {confidence:.2} sure"),
        None => "said nothing we could read".to_owned(),
    };
    let reasons = clean(&sample.reasons.join(", "));
    vec![
        dim(format!("#{:<8}", sample.number)),
        plain(format!("{said:<18}  ")),
        piece(reasons, Style::Warm),
    ]
}

fn foot(scene: &Scene<'_>) -> Vec<Line> {
    let pages = match scene.pages {
        [] => vec![dim("pages: none, the admin address is off")],
        [first, others @ ..] => {
            // The others stand below the first one: their paths are enough, and fit.
            let base = first.trim_end_matches('/');
            let paths = others.iter().map(|page| page.strip_prefix(base).unwrap_or(page));
            let all: Vec<&str> = std::iter::once(first.as_str()).chain(paths).collect();
            vec![dim("pages  "), plain(all.join("  "))]
        }
    };
    let stop = "Ctrl-C: stop the stream, finish what was begun, sum up";
    vec![pages, vec![dim(stop)]]
}

fn phase(moment: Option<Moment>) -> String {
    match moment {
        None => "waiting for the service to join its group".to_owned(),
        Some(moment) => match moment.phase {
            Phase::Straight => "camera straight".to_owned(),
            Phase::Tilting => format!("camera tilting, {:.0}°", moment.pose.degrees),
            Phase::Tilted => format!("camera askew at {:.0}°, out of focus", moment.pose.degrees),
        },
    }
}

impl Piece {
    /// Columns it takes. All characters here are one column wide.
    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

/// The line up to so many columns.
fn cut(line: Line, columns: usize) -> Line {
    let mut left = columns;
    let mut short = Line::new();
    for mut piece in line {
        let width = piece.width().min(left);
        piece.text = piece.text.chars().take(width).collect();
        left -= width;
        if width > 0 {
            short.push(piece);
        }
    }
    short
}

/// Text from outside without what could steer a terminal.
fn clean(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').collect()
}

fn piece(text: String, style: Style) -> Piece {
    Piece { text, style }
}

fn plain(text: impl Into<String>) -> Piece {
    piece(text.into(), Style::Plain)
}

fn strong(text: impl Into<String>) -> Piece {
    piece(text.into(), Style::Strong)
}

fn dim(text: impl Into<String>) -> Piece {
    piece(text.into(), Style::Dim)
}

#[cfg(test)]
mod tests;
