//! Points in time on the command line: a span back from now, or a date.

use std::ops::Range;
use std::str::FromStr;

use eddy_pipeline::settings::Span;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as ValueError, StrDeserializer};

use super::now_ms;

/// A point in time as a user writes it: `7d` ago, `2026-05-01`, `2026-05-01T12:00:00Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// So long before now.
    Ago(Span),
    /// Milliseconds since the Unix epoch.
    At(i64),
}

impl Moment {
    /// Milliseconds since the Unix epoch.
    pub(crate) fn ms(self, now_ms: i64) -> i64 {
        match self {
            Self::Ago(span) => now_ms.saturating_sub(i64::try_from(span.0.as_millis()).unwrap_or(i64::MAX)),
            Self::At(ms) => ms,
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(time) = text.parse::<Timestamp>() {
            return Ok(Self::At(time.as_millisecond()));
        }
        if let Ok(date) = text.parse::<Date>()
            && let Ok(time) = Offset::UTC.to_timestamp(date.to_datetime(jiff::civil::Time::midnight()))
        {
            return Ok(Self::At(time.as_millisecond()));
        }
        let value: StrDeserializer<'_, ValueError> = text.into_deserializer();
        Span::deserialize(value).map(Self::Ago).map_err(|_| {
            format!(
                "`{text}` is no point in time; write how long ago it is (7d, 90m), a date (2026-05-01) or an RFC 3339 time \
                 (2026-05-01T12:00:00Z)"
            )
        })
    }
}

/// The span from one moment to before another, in milliseconds since the Unix epoch; without `until`, to now.
///
/// # Errors
/// When it is empty.
pub(crate) fn span(since: Moment, until: Option<Moment>, now_ms: i64) -> Result<Range<i64>, String> {
    let span = since.ms(now_ms)..until.map_or(now_ms, |until| until.ms(now_ms));
    if span.is_empty() && until.is_none() {
        return Err(format!(
            "--since {} has not come yet; name a time that has passed",
            utc(span.start)
        ));
    }
    if span.is_empty() {
        return Err(format!(
            "--since {} is not before --until {}; swap them",
            utc(span.start),
            utc(span.end)
        ));
    }
    Ok(span)
}

/// The time, RFC 3339, to the second.
pub(crate) fn now() -> String {
    rfc3339(now_ms())
}

pub(crate) fn rfc3339(ms: i64) -> String {
    Timestamp::from_second(ms.div_euclid(1000))
        .unwrap_or_default()
        .to_string()
}

/// A time in UTC to the millisecond: `2026-05-01T12:00:00.000Z`.
pub(crate) fn utc(ms: i64) -> String {
    match Timestamp::from_millisecond(ms) {
        Ok(time) => format!("{time:.3}"),
        Err(_) => format!("{ms} ms after 1970"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_span_back_from_now_a_date_or_a_time() {
        let ms = |text: &str| text.parse::<Moment>().map(|moment| moment.ms(1_790_000_000_000));
        assert_eq!(ms("7d"), Ok(1_790_000_000_000 - 7 * 86_400_000));
        assert_eq!(ms("90m"), Ok(1_790_000_000_000 - 90 * 60_000));
        // `date -u -d 2026-05-01 +%s` says 1777593600.
        assert_eq!(ms("2026-05-01"), Ok(1_777_593_600_000));
        assert_eq!(ms("2026-05-01T02:00:00.5+02:00"), Ok(1_777_593_600_500));
        for text in ["", "7", "yesterday", "2026-13-01", "-1d"] {
            assert!(ms(text).unwrap_err().contains("RFC 3339"), "{text}");
        }
    }

    #[test]
    fn a_time_to_the_second_is_rfc_3339() {
        assert_eq!(rfc3339(1_777_593_600_999), "2026-05-01T00:00:00Z");
    }

    #[test]
    fn times_are_written_in_utc_to_the_millisecond() {
        assert_eq!(utc(1_777_593_600_500), "2026-05-01T00:00:00.500Z");
        assert_eq!(utc(i64::MAX), format!("{} ms after 1970", i64::MAX));
    }
}
