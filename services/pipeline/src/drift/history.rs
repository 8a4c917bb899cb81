//! What was counted over the latest span of time or number of events.
//!
//! Owns: snapshots of a tally that only grows, and which two of them are a window. Never does: compare.
//!
//! Invariant: a window is the difference of two snapshots, so it is exact; only its ends are rounded, to a sixtieth of its
//! length (a twentieth, of a number of events). Memory is bounded: at most [`FINE`], [`COARSE`] and [`OF_WEEK`] snapshots.

use std::collections::VecDeque;
use std::time::Duration;

use super::monitor::{DriftSettings, Tally};

/// Snapshots of the window.
const FINE: usize = 61;
/// Snapshots of what it widens to.
const COARSE: usize = 26;
/// Snapshots of the last week.
const OF_WEEK: usize = 402;
/// Parts of a window of events.
const STEPS: u64 = 20;
/// Shortest time between two snapshots.
const LEAST_SLOT: Duration = Duration::from_secs(1);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

#[derive(Debug, Clone)]
struct Snapshot {
    at: Duration,
    events: u64,
    tally: Tally,
}

/// Snapshots at even distances, the latest ones.
#[derive(Debug)]
struct Ring {
    kept: VecDeque<Snapshot>,
    most: usize,
    every: Duration,
}

/// What was counted between two moments.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// What was counted.
    pub tally: Tally,
    /// How long it took.
    pub span: Duration,
}

/// The snapshots.
#[derive(Debug)]
pub struct History {
    fine: Ring,
    coarse: Ring,
    week: Ring,
    /// No window begins before this.
    floor: Duration,
    /// Events of a part of a window of events.
    step: Option<u64>,
    window: Duration,
    widest: Duration,
    latest: Snapshot,
}

impl Ring {
    fn new(first: Snapshot, most: usize, every: Duration) -> Self {
        Self {
            kept: [first].into(),
            most,
            every,
        }
    }

    fn push(&mut self, snapshot: &Snapshot) {
        self.kept.push_back(snapshot.clone());
        if self.kept.len() > self.most {
            self.kept.pop_front();
        }
    }

    fn last_at(&self) -> Duration {
        self.kept.back().map_or(Duration::ZERO, |last| last.at)
    }

    /// The latest snapshot that is no younger than `at`, else the oldest.
    fn at(&self, at: Duration) -> Option<&Snapshot> {
        let older = self.kept.iter().rev().find(|snapshot| snapshot.at <= at);
        older.or(self.kept.front())
    }

    /// The latest snapshot of no more events, else the oldest.
    fn before(&self, events: u64) -> Option<&Snapshot> {
        let older = self.kept.iter().rev().find(|snapshot| snapshot.events <= events);
        older.or(self.kept.front())
    }
}

impl History {
    /// Begins at a moment with what had been counted then.
    pub fn new(settings: &DriftSettings, now: Duration, tally: Tally) -> Self {
        let first = Snapshot {
            at: now,
            events: 0,
            tally,
        };
        let slot = (settings.window.0 / (FINE as u32 - 1)).max(LEAST_SLOT);
        let step = settings.window_events.map(|events| (events / STEPS).max(1));
        let fine = if step.is_some() { STEPS as usize + 2 } else { FINE };
        Self {
            fine: Ring::new(first.clone(), fine, slot),
            coarse: Ring::new(first.clone(), COARSE, (settings.widest.0 / 24).max(slot)),
            // A sixth of the window, or as fine as a week allows.
            week: Ring::new(
                first.clone(),
                OF_WEEK,
                (settings.window.0 / 6).max((WEEK + settings.window.0) / (OF_WEEK as u32 - 2)),
            ),
            floor: now,
            step,
            window: settings.window.0,
            widest: settings.widest.0,
            latest: first,
        }
    }

    /// Time between two snapshots of the window.
    pub const fn slot(&self) -> Duration {
        self.fine.every
    }

    /// Takes what has been counted so far, of so many events, and says whether it was time for a snapshot.
    pub fn record(&mut self, now: Duration, tally: Tally, events: u64) -> bool {
        self.latest = Snapshot { at: now, events, tally };
        let is_step = match (self.step, self.fine.kept.back()) {
            (Some(step), Some(last)) => events.saturating_sub(last.events) >= step,
            _ => now.saturating_sub(self.fine.last_at()) >= self.fine.every,
        };
        for ring in [&mut self.coarse, &mut self.week] {
            if now.saturating_sub(ring.last_at()) >= ring.every {
                ring.push(&self.latest);
            }
        }
        if is_step {
            self.fine.push(&self.latest);
        }
        is_step
    }

    /// Lets no window begin before now: what was counted until now is not to be judged.
    pub fn forget(&mut self) {
        self.floor = self.latest.at;
        self.fine.kept = [self.latest.clone()].into();
        self.coarse.push(&self.latest);
    }

    /// The window up to now; shorter while it fills.
    pub fn window(&self) -> Window {
        let start = match self.step {
            // Of a stream that has all but stopped, too, nothing is shown that is older than the widest window.
            Some(step) => {
                let by_events = self.fine.before(self.latest.events.saturating_sub(step * STEPS));
                let oldest = self.latest.at.saturating_sub(self.widest);
                by_events.filter(|start| start.at >= oldest).or(self.coarse.at(oldest))
            }
            None => self.fine.at(self.latest.at.saturating_sub(self.window)),
        };
        self.since(start)
    }

    /// Longer windows, each twice as long as the one before, up to the widest.
    pub fn wider(&self) -> impl Iterator<Item = Window> + '_ {
        let shortest = self.window().span.max(self.coarse.every);
        let spans = std::iter::successors(Some(shortest), |span| Some(*span * 2));
        let spans = spans.take_while(|span| *span < self.widest).chain([self.widest]);
        spans.map(|span| self.since(self.coarse.at(self.latest.at.saturating_sub(span).max(self.floor))))
    }

    /// The same time a week ago, as long as the window or a little longer; `None` before a week has gone by.
    pub fn last_week(&self) -> Option<Window> {
        let of_week = &self.week;
        let end = self.latest.at.checked_sub(WEEK)?;
        let is_near = |snapshot: &&Snapshot| snapshot.at.abs_diff(end) <= of_week.every;
        let nearest = of_week.kept.iter().filter(is_near);
        let end = nearest.min_by_key(|snapshot| snapshot.at.abs_diff(end))?;
        let target = end.at.checked_sub(self.window)?;
        let start = of_week.kept.iter().rev().find(|snapshot| snapshot.at <= target)?;
        (target - start.at <= of_week.every).then(|| between(start, end))
    }

    fn since(&self, start: Option<&Snapshot>) -> Window {
        between(start.unwrap_or(&self.latest), &self.latest)
    }
}

fn between(start: &Snapshot, end: &Snapshot) -> Window {
    Window {
        tally: end.tally.since(&start.tally),
        span: end.at.saturating_sub(start.at),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::settings::Span;

    fn tally(count: u64) -> Tally {
        Tally {
            counts: vec![count],
            sums: vec![count as f64],
        }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn settings() -> DriftSettings {
        DriftSettings {
            window: Span::seconds(60),
            widest: Span::seconds(240),
            ..DriftSettings::default()
        }
    }

    #[test]
    fn property_a_window_holds_what_was_counted_in_it_and_no_more() {
        proptest!(|(counted in prop::collection::vec(0..1000u64, 1..400))| {
            let mut history = History::new(&settings(), Duration::ZERO, tally(0));
            let mut total = 0;
            for (second, more) in (1..).zip(&counted) {
                total += more;
                history.record(seconds(second), tally(total), total);
                let from = (second as usize).saturating_sub(60);
                let expected: u64 = counted[from..second as usize].iter().sum();
                let window = history.window();
                prop_assert_eq!(window.tally, tally(expected));
                prop_assert_eq!(window.span, seconds(second.min(60)));
                let widest = history.wider().last().expect("there is a widest");
                // Its end is rounded to a snapshot: ten seconds here.
                prop_assert!(widest.span >= seconds(second.min(240)) && widest.span <= seconds(250), "{:?}", widest.span);
            }
        });
    }

    #[test]
    fn windows_widen_by_two_up_to_the_widest() {
        let mut history = History::new(&settings(), Duration::ZERO, tally(0));
        for second in 1..=1_000 {
            history.record(seconds(second), tally(second), second);
        }
        let spans: Vec<u64> = history.wider().map(|window| window.span.as_secs()).collect();
        assert_eq!(spans, [60, 120, 240]);
    }

    #[test]
    fn a_window_of_events_holds_about_as_many_whatever_the_time() {
        let settings = DriftSettings {
            window_events: Some(1_000),
            ..settings()
        };
        let mut history = History::new(&settings, Duration::ZERO, tally(0));
        let mut total = 0;
        for second in 1..=500 {
            total += if second > 300 { 1 } else { 37 };
            history.record(seconds(second), tally(total), total);
            let held = history.window().tally.counts[0];
            // Its beginning is rounded to a step, and a step to the events of a second.
            assert!(held <= 1_000 + 50 + 37, "{held}");
            assert!(held >= total.min(1_000), "{held} of {total}");
        }
    }

    #[test]
    fn last_week_is_the_same_hour_and_unknown_before_a_week_has_gone_by() {
        let settings = DriftSettings::default();
        let mut history = History::new(&settings, Duration::ZERO, tally(0));
        for minute in 1..=(8 * 24 * 60) {
            history.record(seconds(60 * minute), tally(minute), minute);
            let is_known = history.last_week().is_some();
            // Known as soon as a whole hour of it lies back a week, but for the rounding of its ends.
            let since = 7 * 24 * 60 + 60;
            assert!(!is_known || minute + 52 >= since, "{minute}");
            assert!(is_known || minute <= since + 26, "{minute}");
        }
        let week = history.last_week().expect("a week has gone by");
        assert!(
            week.span >= seconds(3600) && week.span <= seconds(3600 + 26 * 60),
            "{:?}",
            week.span
        );
        assert_eq!(week.tally, tally(week.span.as_secs() / 60));
        assert!(history.fine.kept.len() <= FINE && history.coarse.kept.len() <= COARSE);
        assert!(history.week.kept.len() <= OF_WEEK);
    }

    #[test]
    fn last_week_stays_known_whatever_the_lengths_of_the_windows() {
        for (window, widest) in [
            (600, 86_400),
            (3_600, 172_800),
            (3_600, 604_800),
            (3_600, 3_600),
            (43_200, 86_400),
        ] {
            let settings = DriftSettings {
                window: Span::seconds(window),
                widest: Span::seconds(widest),
                ..DriftSettings::default()
            };
            let mut history = History::new(&settings, Duration::ZERO, tally(0));
            for minute in 1..=(9 * 24 * 60) {
                history.record(seconds(60 * minute), tally(minute), minute);
                if 60 * minute > 7 * 86_400 + 2 * window + 3_600 {
                    let week = history
                        .last_week()
                        .unwrap_or_else(|| panic!("{window} {widest} {minute}"));
                    assert!(week.span >= seconds(window) && week.span <= seconds(window * 7 / 6 + 26 * 60));
                }
            }
        }
    }

    #[test]
    fn what_was_forgotten_is_in_no_window() {
        let mut history = History::new(&settings(), Duration::ZERO, tally(0));
        for second in 1..=100 {
            history.record(seconds(second), tally(second), second);
        }
        history.forget();
        assert_eq!(history.window().tally, tally(0));
        for second in 101..=130 {
            history.record(seconds(second), tally(second), second);
        }
        assert_eq!(history.window().tally, tally(30));
        assert!(history.wider().all(|window| window.tally == tally(30)));
    }

    #[test]
    fn a_window_of_events_is_no_older_than_the_widest() {
        let settings = DriftSettings {
            window_events: Some(1_000),
            ..settings()
        };
        let mut history = History::new(&settings, Duration::ZERO, tally(0));
        for second in 1..=300 {
            history.record(seconds(second), tally(5_000), 5_000);
        }
        assert_eq!(history.window().tally, tally(0));
    }
}
