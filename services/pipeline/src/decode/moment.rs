//! Points in time, dates and times of day as numbers with a meaning, and their text.
//!
//! Never does: shift by a zone. What is local is read and written as it stands, without one.

use std::fmt::Write as _;

/// What a number of units means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Days since the Unix epoch.
    Date,
    /// Since midnight.
    TimeOfDay(Unit),
    /// Since the Unix epoch.
    Instant(Unit),
    /// Since the first midnight of 1970 wherever the clock stood.
    Local(Unit),
}

/// The unit of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Ms,
    Us,
    Ns,
}

impl Unit {
    const fn in_a_second(self) -> i64 {
        match self {
            Self::Ms => 1_000,
            Self::Us => 1_000_000,
            Self::Ns => 1_000_000_000,
        }
    }
}

/// A number with its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) raw: i64,
    pub(crate) meaning: Meaning,
}

const DAY_S: i64 = 86_400;

impl Moment {
    /// What it is, in the words of a refusal.
    pub(crate) fn name(self) -> &'static str {
        match self.meaning {
            Meaning::Date => "a date",
            Meaning::TimeOfDay(_) => "a time of day",
            Meaning::Instant(_) | Meaning::Local(_) => "a timestamp",
        }
    }

    /// Microseconds since the Unix epoch, out of range for what lies beyond 64 bits. A time of day is no instant.
    pub(crate) fn instant_us(self) -> Option<i64> {
        match self.meaning {
            Meaning::Date => Some(self.raw.saturating_mul(DAY_S * 1_000_000)),
            Meaning::TimeOfDay(_) => None,
            Meaning::Instant(unit) | Meaning::Local(unit) => Some(match unit {
                Unit::Ms => self.raw.saturating_mul(1000),
                Unit::Us => self.raw,
                Unit::Ns => self.raw.div_euclid(1000),
            }),
        }
    }

    /// Appends its text in RFC 3339, with as many digits of a second as are needed: none, 3, 6 or 9. What no calendar has
    /// is written as the number that it is.
    pub(crate) fn write(self, text: &mut String) {
        let (seconds, fraction, unit) = match self.meaning {
            Meaning::Date => (self.raw.saturating_mul(DAY_S), 0, Unit::Ms),
            Meaning::TimeOfDay(unit) | Meaning::Instant(unit) | Meaning::Local(unit) => {
                let in_a_second = unit.in_a_second();
                (self.raw.div_euclid(in_a_second), self.raw.rem_euclid(in_a_second), unit)
            }
        };
        let nanos = fraction * (1_000_000_000 / unit.in_a_second());
        let is_known = match self.meaning {
            Meaning::TimeOfDay(_) => (0..DAY_S).contains(&seconds) && time_of_day(text, seconds, nanos),
            Meaning::Date => date(text, seconds),
            Meaning::Local(_) => date_time(text, seconds, nanos),
            Meaning::Instant(_) => {
                let is_known = date_time(text, seconds, nanos);
                if is_known {
                    text.push('Z');
                }
                is_known
            }
        };
        if !is_known {
            text.push_str(itoa::Buffer::new().format(self.raw));
        }
    }
}

/// Appends a date and a time, if a calendar has them: the years 1 to 9999.
pub(crate) fn date_time(text: &mut String, seconds: i64, nanos: i64) -> bool {
    if !date(text, seconds) {
        return false;
    }
    text.push('T');
    time_of_day(text, seconds.rem_euclid(DAY_S), nanos)
}

fn date(text: &mut String, seconds: i64) -> bool {
    let Some((year, month, day)) = civil(seconds.div_euclid(DAY_S)) else {
        return false;
    };
    _ = write!(text, "{year:04}-{month:02}-{day:02}");
    true
}

fn time_of_day(text: &mut String, seconds: i64, nanos: i64) -> bool {
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    _ = write!(text, "{hour:02}:{minute:02}:{second:02}");
    fraction(text, nanos);
    true
}

/// Appends a fraction of a second with as many digits as are needed: none, 3, 6 or 9.
pub(crate) fn fraction(text: &mut String, nanos: i64) {
    _ = match nanos {
        0 => Ok(()),
        _ if nanos % 1_000_000 == 0 => write!(text, ".{:03}", nanos / 1_000_000),
        _ if nanos % 1_000 == 0 => write!(text, ".{:06}", nanos / 1_000),
        _ => write!(text, ".{nanos:09}"),
    };
}

/// Year, month and day of a number of days since the epoch, in the years 1 to 9999.
fn civil(days: i64) -> Option<(i16, i8, i8)> {
    const EPOCH: jiff::civil::Date = jiff::civil::date(1970, 1, 1);
    let days = i32::try_from(days).ok().filter(|days| days.abs() < 4_000_000)?;
    let date = EPOCH.checked_add(jiff::Span::new().days(days)).ok()?;
    (date.year() >= 1).then(|| (date.year(), date.month(), date.day()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(raw: i64, meaning: Meaning) -> String {
        let mut text = String::new();
        Moment { raw, meaning }.write(&mut text);
        text
    }

    #[test]
    fn moments_have_the_text_that_the_calendar_gives_them() {
        use Meaning::{Date, Instant, Local, TimeOfDay};
        // Computed with Python's datetime.
        for (raw, meaning, expected) in [
            (0, Date, "1970-01-01"),
            (20_574, Date, "2026-05-01"),
            (-1, Date, "1969-12-31"),
            (1_000_000_000_000, Instant(Unit::Ms), "2001-09-09T01:46:40Z"),
            (-500, Instant(Unit::Ms), "1969-12-31T23:59:59.500Z"),
            (1, Instant(Unit::Us), "1970-01-01T00:00:00.000001Z"),
            (
                1_000_000_000_000_000_001,
                Instant(Unit::Ns),
                "2001-09-09T01:46:40.000000001Z",
            ),
            (-62_135_596_800_000, Local(Unit::Ms), "0001-01-01T00:00:00"),
            (253_402_300_799_999, Local(Unit::Ms), "9999-12-31T23:59:59.999"),
            (45_000_500, TimeOfDay(Unit::Ms), "12:30:00.500"),
            (1, TimeOfDay(Unit::Us), "00:00:00.000001"),
        ] {
            assert_eq!(text(raw, meaning), expected);
        }
    }

    #[test]
    fn what_no_calendar_has_stays_a_number() {
        for (raw, meaning) in [
            (i64::MAX, Meaning::Instant(Unit::Ms)),
            (i64::MIN, Meaning::Local(Unit::Us)),
            (i64::from(i32::MAX), Meaning::Date),
            (-62_135_596_800_001, Meaning::Instant(Unit::Ms)),
            (253_402_300_800_000, Meaning::Instant(Unit::Ms)),
            (86_400_000, Meaning::TimeOfDay(Unit::Ms)),
            (-1, Meaning::TimeOfDay(Unit::Us)),
        ] {
            assert_eq!(text(raw, meaning), raw.to_string());
        }
    }
}
