//! What a cell of a CSV file is, by its text alone, and its JSON once the type of its column is known.
//!
//! Owns: the words for missing values, the grammar of numbers, truth values and times.
//! Never does: decide for a column; see [`super::column`].

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::text::{push_not_finite, push_string};

/// The words that stand for a missing value where the rest of a column is numbers, truth values or times. In a column of
/// texts they are words like others: `NA` may be Namibia. Those of pandas, and `NaT` and `?`.
pub const MISSING_WORDS: [&str; 20] = [
    "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA", "NULL",
    "NaN", "NaT", "None", "n/a", "nan", "null", "?",
];

/// What one cell looks like.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell<'a> {
    /// Nothing at all.
    Empty,
    /// White space, or one of [`MISSING_WORDS`].
    MissingWord,
    /// A number as JSON writes it.
    Number(Cow<'a, str>),
    /// A number beyond all floats, or the word for it.
    Infinite(f64),
    /// A truth value.
    Boolean(bool),
    /// A point in time.
    Time(Timestamp, Zone),
    /// Anything else.
    Text,
}

/// Whether a time says where its clock hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Zone {
    /// It has an offset.
    Stated,
    /// It has none and is taken for UTC.
    Assumed,
}

impl<'a> Cell<'a> {
    /// Looks at a cell. White space around numbers, truth values and times does not count.
    pub(crate) fn of(text: &'a str) -> Self {
        if text.is_empty() {
            return Self::Empty;
        }
        let text = text.trim_matches([' ', '\t']);
        let Some(first) = text.bytes().next() else {
            return Self::MissingWord;
        };
        if matches!(first, b'0'..=b'9' | b'+' | b'-' | b'.')
            && let Some(cell) = number(text).or_else(|| time(text))
        {
            return cell;
        }
        match text {
            "true" | "True" | "TRUE" => return Self::Boolean(true),
            "false" | "False" | "FALSE" => return Self::Boolean(false),
            _ => {}
        }
        if let Some(x) = infinity(text) {
            return Self::Infinite(x);
        }
        if MISSING_WORDS.contains(&text) {
            Self::MissingWord
        } else {
            Self::Text
        }
    }

    /// Appends the cell's JSON in a column that holds no texts.
    pub(crate) fn push_json(&self, json: &mut String) {
        match self {
            Self::Empty | Self::MissingWord => json.push_str("null"),
            Self::Number(number) => json.push_str(number),
            Self::Infinite(x) => push_not_finite(json, *x),
            Self::Boolean(b) => json.push_str(if *b { "true" } else { "false" }),
            Self::Time(time, _) => push_string(json, &time.to_string()),
            Self::Text => {}
        }
    }
}

fn infinity(text: &str) -> Option<f64> {
    let (sign, word) = match text.as_bytes()[0] {
        b'-' => (-1.0, &text[1..]),
        b'+' => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    let is_word = word.eq_ignore_ascii_case("inf") || word.eq_ignore_ascii_case("infinity");
    is_word.then_some(sign * f64::INFINITY)
}

/// A number with its text as it is, but for what JSON does not have: a plus sign, and a point without a digit on either
/// side. Digits behind leading zeros are no number: `007` would lose them.
fn number(text: &str) -> Option<Cell<'_>> {
    let (sign, digits) = match text.as_bytes()[0] {
        b'-' => ("-", &text[1..]),
        b'+' => ("", &text[1..]),
        _ => ("", text),
    };
    let (mantissa, exponent) = match digits.find(['e', 'E']) {
        Some(at) => (&digits[..at], Some(&digits[at + 1..])),
        None => (digits, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let is_sound = are_digits(whole)
        && fraction.is_none_or(are_digits)
        && (!whole.is_empty() || fraction.is_some_and(|fraction| !fraction.is_empty()))
        && (whole.len() < 2 || !whole.starts_with('0'))
        && exponent.is_none_or(|exponent| {
            let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            !digits.is_empty() && are_digits(digits)
        });
    if !is_sound {
        return None;
    }
    let is_json = !text.starts_with('+') && !whole.is_empty() && fraction != Some("");
    let number = if is_json {
        Cow::Borrowed(text)
    } else {
        let whole = if whole.is_empty() { "0" } else { whole };
        let fraction = match fraction {
            Some("") => ".0".to_owned(),
            Some(fraction) => format!(".{fraction}"),
            None => String::new(),
        };
        let exponent = exponent.map(|exponent| format!("e{exponent}")).unwrap_or_default();
        Cow::Owned(format!("{sign}{whole}{fraction}{exponent}"))
    };
    match number.parse::<f64>() {
        Ok(x) if x.is_infinite() => Some(Cell::Infinite(x)),
        _ => Some(Cell::Number(number)),
    }
}

/// A date, or a date and a time, in the order year, month, day: `2026-05-01`, `2026-05-01 12:00`,
/// `2026-05-01T12:00:00.5+02:00`.
fn time(text: &str) -> Option<Cell<'_>> {
    let bytes = text.as_bytes();
    let is_like_one = bytes.len() >= 10
        && bytes[4] == b'-'
        && bytes[7] == b'-'
        && (bytes.len() == 10 || (matches!(bytes[10], b'T' | b't' | b' ') && bytes.get(13) == Some(&b':')))
        && bytes.last() != Some(&b']');
    if !is_like_one {
        return None;
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(Cell::Time(time, Zone::Stated));
    }
    let civil: DateTime = text.parse().ok()?;
    let time = civil.to_zoned(TimeZone::UTC).ok()?.timestamp();
    Some(Cell::Time(time, Zone::Assumed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> String {
        let mut json = String::new();
        Cell::of(text).push_json(&mut json);
        json
    }

    #[test]
    fn a_number_keeps_its_digits() {
        for text in [
            "3.10",
            "0",
            "-0",
            "9223372036854775807",
            "18446744073709551615",
            "1e5",
            "1.50E-07",
            "100000000000000000000",
        ] {
            assert_eq!(json(text), text);
        }
        assert_eq!(json(" 3.10\t"), "3.10");
    }

    #[test]
    fn what_json_does_not_have_in_a_number_is_written_as_json_has_it() {
        let pairs = [
            ("+5", "5"),
            (".5", "0.5"),
            ("-.5", "-0.5"),
            ("5.", "5.0"),
            ("+.5e+3", "0.5e+3"),
            ("5.E3", "5.0e3"),
        ];
        for (text, expected) in pairs {
            assert_eq!(json(text), expected, "{text}");
            assert!(serde_json::from_str::<f64>(expected).is_ok());
        }
    }

    #[test]
    fn what_only_looks_like_a_number_is_text() {
        for text in [
            "007", "-01", "1,5", "1 000", "1_000", "0x10", "5%", ".", "-", "+", "e5", "1e", "1e+", "1.2.3", "--1", "٣",
        ] {
            assert_eq!(Cell::of(text), Cell::Text, "{text}");
        }
    }

    #[test]
    fn a_number_beyond_all_floats_is_infinite() {
        assert_eq!(json("1e999"), "\"Infinity\"");
        assert_eq!(json("-inf"), "\"-Infinity\"");
        assert_eq!(json("Infinity"), "\"Infinity\"");
    }

    #[test]
    fn truth_values_are_those_of_json_python_and_spreadsheets() {
        assert_eq!(["true", "True", "TRUE"].map(json), ["true", "true", "true"]);
        assert_eq!(["false", "False", "FALSE"].map(json), ["false", "false", "false"]);
        assert_eq!(Cell::of("yes"), Cell::Text);
    }

    #[test]
    fn times_are_written_in_utc() {
        let pairs = [
            ("2026-05-01", "2026-05-01T00:00:00Z"),
            ("2026-05-01 12:30", "2026-05-01T12:30:00Z"),
            ("2026-05-01T12:30:15.250", "2026-05-01T12:30:15.25Z"),
            ("2026-05-01 12:30:15.123456789", "2026-05-01T12:30:15.123456789Z"),
            ("2026-05-01T12:30:15+02:00", "2026-05-01T10:30:15Z"),
        ];
        for (text, expected) in pairs {
            assert_eq!(json(text), format!("\"{expected}\""));
        }
        for text in [
            "2026-13-01",
            "2026-02-30",
            "01.05.2026",
            "2026-05-01T",
            "2026-05-01 noon",
            "2026-5-1",
        ] {
            assert_eq!(Cell::of(text), Cell::Text, "{text}");
        }
    }

    #[test]
    fn every_missing_word_is_known() {
        for word in MISSING_WORDS {
            assert_eq!(Cell::of(word), Cell::MissingWord, "{word}");
        }
        assert_eq!(Cell::of(" "), Cell::MissingWord);
        assert_eq!(Cell::of(""), Cell::Empty);
        assert_eq!(Cell::of("missing"), Cell::Text);
    }
}
