//! Rules for points in time: RFC 3339 text or numbers with a unit, and the columns made from them.
//!
//! Owns: the conversion to microseconds since the Unix epoch. Never does: read a clock; an age is measured against the
//! record's own timestamp.

use jiff::Timestamp;
use jiff::tz::Offset;

use super::settings::{FieldSettings, TimePart, TimeUnit};
use super::words::{Place, quote};
use crate::rejection::{Reason, Rejection};
use crate::settings::Problem;

const SECOND_US: i64 = 1_000_000;
/// 0001-01-01 and the end of 9999-12-30, up to which jiff has a calendar. What lies outside is a number in another unit,
/// not a time.
const EARLIEST_US: i64 = -62_135_596_800 * SECOND_US;
const END_US: i64 = 253_402_207_200 * SECOND_US;

/// Reads points in time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimeReader {
    pub(crate) unit: Option<TimeUnit>,
    pub(crate) parse_strings: bool,
}

impl TimeReader {
    pub(crate) fn read_text(self, place: Place<'_>, text: &str) -> Result<i64, Rejection> {
        if let Ok(timestamp) = text.parse::<Timestamp>() {
            return in_range(place, timestamp.as_microsecond());
        }
        let number = if self.parse_strings {
            text.parse::<f64>().ok()
        } else {
            None
        };
        match number {
            Some(x) if x.is_finite() => self.read_float(place, x),
            _ => Err(place.reject(
                Reason::WrongType,
                format_args!(
                    "is the text {}, not an RFC 3339 time such as \"2026-05-01T12:00:00Z\"",
                    quote(text)
                ),
            )),
        }
    }

    pub(crate) fn read_integer(self, place: Place<'_>, i: i64) -> Result<i64, Rejection> {
        let factor = self.unit_us(place)?;
        let us = match factor {
            UnitUs::Many(factor) => i.saturating_mul(factor),
            UnitUs::One => i,
        };
        in_range(place, us)
    }

    pub(crate) fn read_float(self, place: Place<'_>, x: f64) -> Result<i64, Rejection> {
        let us = match self.unit_us(place)? {
            UnitUs::Many(factor) => x * factor as f64,
            UnitUs::One => x,
        };
        // The conversion saturates; what it saturates to is out of range.
        in_range(place, us.floor() as i64)
    }

    /// A point in time that an event names by itself, in microseconds since the Unix epoch.
    pub(crate) fn instant(place: Place<'_>, us: i64) -> Result<i64, Rejection> {
        in_range(place, us)
    }

    fn unit_us(self, place: Place<'_>) -> Result<UnitUs, Rejection> {
        match self.unit {
            Some(TimeUnit::S) => Ok(UnitUs::Many(SECOND_US)),
            Some(TimeUnit::Ms) => Ok(UnitUs::Many(1000)),
            Some(TimeUnit::Us) => Ok(UnitUs::One),
            None => Err(place.wrong_type(
                "a number",
                "an RFC 3339 time (numbers need a unit in the pipeline file)",
            )),
        }
    }
}

enum UnitUs {
    One,
    Many(i64),
}

fn in_range(place: Place<'_>, us: i64) -> Result<i64, Rejection> {
    if (EARLIEST_US..END_US).contains(&us) {
        Ok(us)
    } else {
        Err(place.reject(
            Reason::OutOfRange,
            "is not between the years 1 and 9999 in the unit of the pipeline file",
        ))
    }
}

/// What a timestamp field must be like, and its columns.
#[derive(Debug, Clone)]
pub(crate) struct TimeRule {
    pub(crate) reader: TimeReader,
    pub(crate) parts: Vec<TimePart>,
}

impl TimeRule {
    pub(crate) fn compile(key: &str, settings: &FieldSettings, problems: &mut Vec<Problem>) -> Self {
        let parts = settings.parts.clone().unwrap_or_else(|| vec![TimePart::Epoch]);
        if parts.is_empty() {
            problems.push(Problem::new(
                format!("{key}.parts"),
                "an empty list makes no column; name a part, or leave the key out for `epoch`",
            ));
        }
        if settings.parse_strings && settings.unit.is_none() {
            problems.push(Problem::new(
                format!("{key}.parse_strings"),
                "numbers in text need a `unit`; write \"s\", \"ms\" or \"us\"",
            ));
        }
        Self {
            reader: TimeReader {
                unit: settings.unit,
                parse_strings: settings.parse_strings,
            },
            parts,
        }
    }
}

/// The value of one column.
pub(crate) fn part(place: Place<'_>, part: TimePart, us: i64, record_ms: Option<i64>) -> Result<f64, Rejection> {
    let seconds = us.div_euclid(SECOND_US);
    let value = match part {
        TimePart::Epoch => us as f64 / SECOND_US as f64,
        TimePart::Hour => (seconds.rem_euclid(86_400) / 3600) as f64,
        // The epoch was a Thursday.
        TimePart::Weekday => (seconds.div_euclid(86_400) + 3).rem_euclid(7) as f64,
        TimePart::Day => f64::from(civil(seconds).day()),
        TimePart::Month => f64::from(civil(seconds).month()),
        TimePart::Age => {
            let record_ms = record_ms.ok_or_else(|| {
                place.reject(
                    Reason::MissingField,
                    "has no age: the record carries no timestamp to measure it from",
                )
            })?;
            (record_ms as f64 * 1000.0 - us as f64) / SECOND_US as f64
        }
    };
    Ok(value)
}

fn civil(seconds: i64) -> jiff::civil::DateTime {
    let timestamp = Timestamp::from_second(seconds).expect("the range was checked when the value was read");
    Offset::UTC.to_datetime(timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'static> = Place::field("at");

    fn reader(unit: Option<TimeUnit>) -> TimeReader {
        TimeReader {
            unit,
            parse_strings: false,
        }
    }

    // 1 000 000 000 seconds is 2001-09-09T01:46:40Z, a Sunday.
    const BILLION_US: i64 = 1_000_000_000_000_000;

    #[test]
    fn text_and_numbers_of_every_unit_name_the_same_moment() {
        let text = "2001-09-09T03:46:40+02:00";
        assert_eq!(reader(None).read_text(PLACE, text), Ok(BILLION_US));
        let s = reader(Some(TimeUnit::S));
        assert_eq!(s.read_integer(PLACE, 1_000_000_000), Ok(BILLION_US));
        assert_eq!(s.read_float(PLACE, 1e9), Ok(BILLION_US));
        assert_eq!(
            reader(Some(TimeUnit::Ms)).read_integer(PLACE, 1_000_000_000_000),
            Ok(BILLION_US)
        );
        assert_eq!(
            reader(Some(TimeUnit::Us)).read_integer(PLACE, BILLION_US),
            Ok(BILLION_US)
        );
    }

    #[test]
    fn parts_are_those_of_the_calendar_in_utc() {
        let of = |p| part(PLACE, p, BILLION_US, Some(1_000_000_005_500)).unwrap();
        assert_eq!(of(TimePart::Epoch), 1e9);
        assert_eq!(of(TimePart::Hour), 1.0);
        assert_eq!(of(TimePart::Weekday), 6.0);
        assert_eq!(of(TimePart::Day), 9.0);
        assert_eq!(of(TimePart::Month), 9.0);
        assert_eq!(of(TimePart::Age), 5.5);
    }

    #[test]
    fn times_before_the_epoch_have_hours_and_weekdays_too() {
        // 1969-12-31T23:59:59.5Z, a Wednesday.
        assert_eq!(part(PLACE, TimePart::Hour, -500_000, None), Ok(23.0));
        assert_eq!(part(PLACE, TimePart::Weekday, -500_000, None), Ok(2.0));
        assert_eq!(part(PLACE, TimePart::Month, EARLIEST_US, None), Ok(1.0));
        assert_eq!(part(PLACE, TimePart::Day, END_US - 1, None), Ok(30.0));
    }

    #[test]
    fn an_age_needs_a_record_with_a_timestamp() {
        let rejection = part(PLACE, TimePart::Age, 0, None).unwrap_err();
        assert_eq!(rejection.reason, Reason::MissingField);
    }

    #[test]
    fn numbers_without_a_unit_and_numbers_out_of_time_are_refused() {
        let without = reader(None).read_integer(PLACE, 5).unwrap_err();
        assert_eq!(without.reason, Reason::WrongType);
        let s = reader(Some(TimeUnit::S));
        for rejection in [
            s.read_integer(PLACE, i64::MAX).unwrap_err(),
            s.read_integer(PLACE, 1_700_000_000_000).unwrap_err(),
            s.read_float(PLACE, 1e300).unwrap_err(),
        ] {
            assert_eq!(rejection.reason, Reason::OutOfRange);
        }
    }

    #[test]
    fn words_are_not_times() {
        for text in ["", "yesterday", "2001-09-09", "2001-09-09T01:46:40"] {
            let rejection = reader(None).read_text(PLACE, text).unwrap_err();
            assert_eq!(rejection.reason, Reason::WrongType, "{text}");
        }
    }
}
