use std::io::{self, Write};

use super::*;

/// What was logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panics").extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A log at `warn`, and what is written to it.
struct Log {
    level: LogLevel,
    lines: Lines,
    dispatch: tracing::Dispatch,
}

impl Log {
    fn new() -> Self {
        let settings = LogSettings {
            level: "warn".to_owned(),
            ..LogSettings::default()
        };
        let lines = Lines::default();
        let writer = lines.clone();
        let (dispatch, level) = settings.subscriber(move || writer.clone(), false).expect("a level");
        Self { level, lines, dispatch }
    }

    fn change(&self, level: &str, lasts: Option<Span>, now: Now) -> Result<LevelInForce, String> {
        tracing::dispatcher::with_default(&self.dispatch, || self.level.change(level, lasts, now))
    }

    fn tick(&self, now: Now) -> bool {
        tracing::dispatcher::with_default(&self.dispatch, || self.level.tick(now))
    }

    /// Which of some lines are logged now.
    fn logged(&self) -> Vec<&'static str> {
        let before = self.text().len();
        tracing::dispatcher::with_default(&self.dispatch, || {
            tracing::warn!(target: "eddy", "a warning");
            tracing::info!(target: "eddy", "a fact");
            tracing::debug!(target: "eddy_broker::kafka", "a detail");
            tracing::info!(target: AUDIT, "who did what");
        });
        let text = self.text().split_off(before);
        let lines = ["a warning", "a fact", "a detail", "who did what"];
        lines.into_iter().filter(|line| text.contains(line)).collect()
    }

    fn text(&self) -> String {
        String::from_utf8(self.lines.0.lock().expect("nobody panics").clone()).expect("a log is text")
    }
}

fn at(seconds: u64) -> Now {
    Now {
        monotonic: Duration::from_secs(seconds),
        unix_ms: 1_700_000_000_000 + 1000 * i64::try_from(seconds).expect("a small number"),
    }
}

fn in_force(level: &str, until: Option<u64>) -> LevelInForce {
    LevelInForce {
        level: level.to_owned(),
        until_ms: until.map(|seconds| at(seconds).unix_ms),
    }
}

#[test]
fn a_level_is_in_force_until_its_time_is_over_and_the_end_is_logged() {
    let log = Log::new();
    assert_eq!(log.logged(), ["a warning", "who did what"]);
    let before = log.change("info,eddy_broker=debug", Some(Span::seconds(60)), at(5));
    assert_eq!(before, Ok(in_force("warn", None)));
    assert_eq!(log.level.in_force(), in_force("info,eddy_broker=debug", Some(65)));
    assert!(log.tick(at(64)), "it lasts on");
    assert_eq!(log.logged(), ["a warning", "a fact", "a detail", "who did what"]);
    assert!(!log.tick(at(65)));
    assert_eq!(log.logged(), ["a warning", "who did what"]);
    assert_eq!(log.level.in_force(), in_force("warn", None));
    let said = log.text();
    let said = said.lines().find(|line| line.contains("is over"));
    let said = said.expect("the end is logged at any level");
    assert!(
        said.contains("was=\"info,eddy_broker=debug\"") && said.contains("level=\"warn\""),
        "{said}"
    );
    assert!(!log.tick(at(66)), "it is over once");
}

#[test]
fn a_second_change_takes_the_place_of_the_first_with_its_own_time() {
    let log = Log::new();
    log.change("trace", Some(Span::seconds(600)), at(0)).expect("a level");
    let before = log.change("error", Some(Span::seconds(10)), at(1));
    assert_eq!(before, Ok(in_force("trace", Some(600))));
    assert!(!log.tick(at(11)));
    assert_eq!(log.level.in_force(), in_force("warn", None));
}

#[test]
fn the_word_for_the_configured_level_ends_a_change_at_once() {
    let log = Log::new();
    log.change("trace", None, at(0)).expect("a level");
    assert_eq!(log.level.in_force(), in_force("trace", Some(600)));
    assert_eq!(log.change(CONFIGURED, None, at(1)), Ok(in_force("trace", Some(600))));
    assert_eq!(log.logged(), ["a warning", "who did what"]);
    assert_eq!(log.change(CONFIGURED, None, at(2)), Ok(in_force("warn", None)));
}

#[test]
fn no_level_silences_who_changed_what() {
    let log = Log::new();
    for level in ["off", "off,eddy=off", "error,eddy::aud=off", "OFF, eddy::admin=trace"] {
        log.change(level, None, at(0)).expect(level);
        assert_eq!(log.logged(), ["who did what"], "{level}");
    }
    for level in ["info,eddy::audit=off", "eddy::audit=error"] {
        let error = log.change(level, None, at(0)).expect_err(level);
        assert!(error.contains("leave it out"), "{level}: {error}");
    }
}

#[test]
fn what_is_no_level_or_lasts_too_long_changes_nothing() {
    let log = Log::new();
    let many = vec!["info"; MOST_WORDS + 1].join(",");
    for level in [
        "",
        "inof",
        "info,",
        "eddy=loud",
        "eddy",
        "=info",
        "info,[{who}]=off",
        "a[b{c=^(x+x+)+$}]=trace",
        &many,
    ] {
        let error = log.change(level, None, at(0)).expect_err(level);
        assert!(error.contains("is not a level; write error"), "{level}: {error}");
    }
    for (lasts, words) in [(0, "write a time"), (3601, "`log.longest_change`, which is 1h")] {
        let error = log.change("debug", Some(Span::seconds(lasts)), at(0)).expect_err(words);
        assert!(error.contains(words), "{error}");
    }
    assert_eq!(log.level.in_force(), in_force("warn", None));
    assert_eq!(log.logged(), ["a warning", "who did what"]);
}

#[test]
fn a_level_that_may_not_be_changed_says_so() {
    let settings = LogSettings {
        longest_change: Span::seconds(0),
        ..LogSettings::default()
    };
    let lines = Lines::default();
    let (_dispatch, never) = settings.subscriber(move || lines.clone(), false).expect("a level");
    let error = never.change("debug", None, at(0)).expect_err("never");
    assert!(error.contains("log.longest_change"), "{error}");
    let elsewhere = LogLevel::fixed(&LogSettings::default());
    let error = elsewhere.change("debug", None, at(0)).expect_err("not ours");
    assert!(error.contains("set up elsewhere"), "{error}");
    assert_eq!(elsewhere.in_force(), in_force("info", None));
}
