//! Rules for numbers: range, finiteness, allowed values, numbers in text.
//!
//! Invariant: what a rule admits is within its range, and finite unless the field allows otherwise.

use std::num::IntErrorKind;

use super::settings::{FieldSettings, NonFinite, OutOfRange, Scalar};
use super::words::{Place, quote};
use crate::rejection::{Reason, Rejection};
use crate::settings::Problem;

/// What a float must be like.
#[derive(Debug, Clone)]
pub(crate) struct FloatRule {
    /// Finite, so that one comparison also refuses NaN and infinities.
    min: f64,
    max: f64,
    out_of_range: OutOfRange,
    non_finite: NonFinite,
    allowed: Vec<f64>,
    pub(super) parse_strings: bool,
    pub(super) zero_one: bool,
}

/// What an integer must be like.
#[derive(Debug, Clone)]
pub(crate) struct IntegerRule {
    min: i64,
    max: i64,
    out_of_range: OutOfRange,
    allowed: Vec<i64>,
    pub(super) parse_strings: bool,
    pub(super) zero_one: bool,
}

/// The ends of the range, where they are sound.
fn range(key: &str, settings: &FieldSettings, problems: &mut Vec<Problem>) -> (f64, f64) {
    let mut end = |name: &str, value: Option<f64>, none: f64| match value {
        Some(x) if !x.is_finite() => {
            problems.push(Problem::new(
                format!("{key}.{name}"),
                format!("{x} is not a finite number; leave `{name}` out for no limit"),
            ));
            none
        }
        Some(x) => x,
        None => none,
    };
    let min = end("min", settings.min, f64::MIN);
    let max = end("max", settings.max, f64::MAX);
    if min > max {
        problems.push(Problem::new(
            format!("{key}.min"),
            format!("{min:?} is above `max`, which is {max:?}, so no value would be in range; swap them"),
        ));
    }
    (min, max)
}

impl FloatRule {
    pub(crate) fn compile(key: &str, settings: &FieldSettings, problems: &mut Vec<Problem>) -> Self {
        let (min, max) = range(key, settings, problems);
        let mut allowed = Vec::new();
        for (position, scalar) in settings.allowed.iter().flatten().enumerate() {
            match scalar {
                Scalar::Float(x) => allowed.push(*x),
                Scalar::Integer(i) => allowed.push(*i as f64),
                other => problems.push(not_a_number(key, position, other)),
            }
        }
        Self {
            min,
            max,
            out_of_range: settings.out_of_range,
            non_finite: settings.non_finite,
            allowed,
            parse_strings: settings.parse_strings,
            zero_one: settings.zero_one,
        }
    }

    /// The number to use, or why it may not be.
    #[inline]
    pub(crate) fn admit(&self, place: Place<'_>, x: f64) -> Result<f64, Rejection> {
        if x >= self.min && x <= self.max && self.allowed.is_empty() {
            Ok(x)
        } else {
            self.admit_with_care(place, x)
        }
    }

    #[cold]
    fn admit_with_care(&self, place: Place<'_>, x: f64) -> Result<f64, Rejection> {
        if !x.is_finite() {
            return match self.non_finite {
                NonFinite::Allow => Ok(x),
                NonFinite::Reject => {
                    Err(place.reject(Reason::NotFinite, format_args!("is {x}, which is not a finite number")))
                }
            };
        }
        if x < self.min || x > self.max {
            return match self.out_of_range {
                OutOfRange::Clamp => Ok(x.clamp(self.min, self.max)),
                OutOfRange::Reject if x < self.min => Err(place.reject(
                    Reason::OutOfRange,
                    format_args!("is {x:?}, below its `min` of {:?}", self.min),
                )),
                OutOfRange::Reject => Err(place.reject(
                    Reason::OutOfRange,
                    format_args!("is {x:?}, above its `max` of {:?}", self.max),
                )),
            };
        }
        if self.allowed.is_empty() || self.allowed.contains(&x) {
            Ok(x)
        } else {
            Err(place.reject(
                Reason::NotAllowed,
                format_args!("is {x:?}, which is not among its `allowed` values"),
            ))
        }
    }

    pub(crate) fn read_text(&self, place: Place<'_>, text: &str) -> Result<f64, Rejection> {
        let spelled = match text {
            "NaN" | "nan" => Some(f64::NAN),
            "Infinity" | "inf" => Some(f64::INFINITY),
            "-Infinity" | "-inf" => Some(f64::NEG_INFINITY),
            _ => None,
        };
        if let Some(x) = spelled.filter(|_| self.parse_strings || self.non_finite == NonFinite::Allow) {
            return self.admit(place, x);
        }
        // Only digits, signs, points and exponents: Rust's parser also knows words.
        let numeric = text
            .bytes()
            .all(|b| matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
        match text.parse::<f64>() {
            Ok(x) if self.parse_strings && numeric => self.admit(place, x),
            _ => Err(wrong_text(place, text, "a number", self.parse_strings)),
        }
    }

    pub(crate) fn read_boolean(&self, place: Place<'_>, b: bool) -> Result<f64, Rejection> {
        if self.zero_one {
            self.admit(place, f64::from(b))
        } else {
            Err(place.wrong_type(b, "a number"))
        }
    }
}

/// Whole floats up to here are exact; a larger one may stand for several integers.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl IntegerRule {
    pub(crate) fn compile(key: &str, settings: &FieldSettings, problems: &mut Vec<Problem>) -> Self {
        let (min, max) = range(key, settings, problems);
        let mut allowed = Vec::new();
        for (position, scalar) in settings.allowed.iter().flatten().enumerate() {
            match scalar {
                Scalar::Integer(i) => allowed.push(*i),
                other => problems.push(not_a_number(key, position, other)),
            }
        }
        Self {
            // The conversion saturates, which is what an absent limit means.
            min: min.ceil() as i64,
            max: max.floor() as i64,
            out_of_range: settings.out_of_range,
            allowed,
            parse_strings: settings.parse_strings,
            zero_one: settings.zero_one,
        }
    }

    #[inline]
    pub(crate) fn admit(&self, place: Place<'_>, i: i64) -> Result<i64, Rejection> {
        if i >= self.min && i <= self.max && self.allowed.is_empty() {
            Ok(i)
        } else {
            self.admit_with_care(place, i)
        }
    }

    #[cold]
    fn admit_with_care(&self, place: Place<'_>, i: i64) -> Result<i64, Rejection> {
        if i < self.min || i > self.max {
            return match self.out_of_range {
                OutOfRange::Clamp => Ok(i.min(self.max).max(self.min)),
                OutOfRange::Reject => Err(place.reject(
                    Reason::OutOfRange,
                    format_args!("is {i}, outside its range of {} to {}", self.min, self.max),
                )),
            };
        }
        if self.allowed.is_empty() || self.allowed.contains(&i) {
            Ok(i)
        } else {
            Err(place.reject(
                Reason::NotAllowed,
                format_args!("is {i}, which is not among its `allowed` values"),
            ))
        }
    }

    /// Whole floats count: JSON has one kind of number, and some writers say `3.0` for 3.
    pub(crate) fn read_float(&self, place: Place<'_>, x: f64) -> Result<i64, Rejection> {
        if x.is_finite() && x.fract() != 0.0 {
            return Err(place.wrong_type(format_args!("{x:?}"), "a whole number"));
        }
        if x.abs() <= EXACT {
            return self.admit(place, x as i64);
        }
        Err(place.reject(
            Reason::OutOfRange,
            format_args!("is {x:?}, which is beyond the integers that can be kept exactly"),
        ))
    }

    pub(crate) fn read_text(&self, place: Place<'_>, text: &str) -> Result<i64, Rejection> {
        if !self.parse_strings {
            return Err(wrong_text(place, text, "a whole number", false));
        }
        match text.parse::<i64>() {
            Ok(i) => self.admit(place, i),
            Err(error) if matches!(error.kind(), IntErrorKind::PosOverflow | IntErrorKind::NegOverflow) => Err(place
                .reject(
                    Reason::OutOfRange,
                    format_args!("is {}, which does not fit into 64 bits", quote(text)),
                )),
            Err(_) => Err(wrong_text(place, text, "a whole number", true)),
        }
    }

    pub(crate) fn read_boolean(&self, place: Place<'_>, b: bool) -> Result<i64, Rejection> {
        if self.zero_one {
            self.admit(place, i64::from(b))
        } else {
            Err(place.wrong_type(b, "a whole number"))
        }
    }
}

#[cold]
fn wrong_text(place: Place<'_>, text: &str, wanted: &str, parse_strings: bool) -> Rejection {
    let looks_right = !parse_strings && text.parse::<f64>().is_ok_and(f64::is_finite);
    let hint = if looks_right {
        "; `parse_strings = true` would read it"
    } else {
        ""
    };
    place.reject(
        Reason::WrongType,
        format_args!("is the text {}, not {wanted}{hint}", quote(text)),
    )
}

fn not_a_number(key: &str, position: usize, found: &Scalar) -> Problem {
    Problem::new(
        format!("{key}.allowed[{position}]"),
        format!("{found} is not a value of this field's type; write a number of that type"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::settings::FieldType;
    use super::*;

    const PLACE: Place<'static> = Place::field("x");

    fn float(settings: FieldSettings) -> FloatRule {
        let mut problems = Vec::new();
        let rule = FloatRule::compile("fields.x", &settings, &mut problems);
        assert_eq!(problems, []);
        rule
    }

    fn integer(settings: FieldSettings) -> IntegerRule {
        let mut problems = Vec::new();
        let rule = IntegerRule::compile("fields.x", &settings, &mut problems);
        assert_eq!(problems, []);
        rule
    }

    fn reason<T>(result: Result<T, Rejection>) -> Option<Reason> {
        result.err().map(|rejection| rejection.reason)
    }

    #[test]
    fn a_range_is_inclusive() {
        let rule = float(FieldSettings {
            min: Some(0.0),
            max: Some(120.0),
            ..FieldSettings::of(FieldType::Float)
        });
        assert_eq!(rule.admit(PLACE, 0.0), Ok(0.0));
        assert_eq!(rule.admit(PLACE, 120.0), Ok(120.0));
        assert_eq!(reason(rule.admit(PLACE, 120.5)), Some(Reason::OutOfRange));
        assert_eq!(reason(rule.admit(PLACE, -1.0)), Some(Reason::OutOfRange));
    }

    #[test]
    fn clamping_moves_a_number_to_the_nearest_end_but_never_a_nan() {
        let rule = float(FieldSettings {
            min: Some(0.0),
            max: Some(1.0),
            out_of_range: OutOfRange::Clamp,
            ..FieldSettings::of(FieldType::Float)
        });
        assert_eq!(rule.admit(PLACE, 7.0), Ok(1.0));
        assert_eq!(rule.admit(PLACE, -7.0), Ok(0.0));
        assert_eq!(reason(rule.admit(PLACE, f64::NAN)), Some(Reason::NotFinite));
    }

    #[test]
    fn numbers_that_are_not_finite_come_as_text_where_they_are_allowed() {
        let rule = float(FieldSettings {
            non_finite: NonFinite::Allow,
            ..FieldSettings::of(FieldType::Float)
        });
        assert!(rule.read_text(PLACE, "NaN").unwrap().is_nan());
        assert_eq!(rule.read_text(PLACE, "-Infinity"), Ok(f64::NEG_INFINITY));
        assert_eq!(reason(rule.read_text(PLACE, "1.5")), Some(Reason::WrongType));
    }

    #[test]
    fn numbers_in_text_are_read_only_when_asked_for_and_only_as_numbers() {
        let strict = float(FieldSettings::of(FieldType::Float));
        let rejection = strict.read_text(PLACE, "1.5").unwrap_err();
        assert!(rejection.detail.contains("parse_strings"), "{rejection}");
        let rule = float(FieldSettings {
            parse_strings: true,
            ..FieldSettings::of(FieldType::Float)
        });
        assert_eq!(rule.read_text(PLACE, "1.5e2"), Ok(150.0));
        for text in ["", " 1", "1,5", "infinity", "0x10", "one"] {
            assert_eq!(reason(rule.read_text(PLACE, text)), Some(Reason::WrongType), "{text}");
        }
        assert_eq!(reason(rule.read_text(PLACE, "1e999")), Some(Reason::NotFinite));
        assert_eq!(reason(rule.read_text(PLACE, "NaN")), Some(Reason::NotFinite));
    }

    #[test]
    fn whole_floats_are_integers_and_others_are_not() {
        let rule = integer(FieldSettings::of(FieldType::Integer));
        assert_eq!(rule.read_float(PLACE, 3.0), Ok(3));
        assert_eq!(rule.read_float(PLACE, -0.0), Ok(0));
        assert_eq!(reason(rule.read_float(PLACE, 3.5)), Some(Reason::WrongType));
        assert_eq!(reason(rule.read_float(PLACE, 1e20)), Some(Reason::OutOfRange));
    }

    #[test]
    fn the_ends_of_sixty_four_bits_are_integers() {
        let rule = integer(FieldSettings::of(FieldType::Integer));
        assert_eq!(rule.admit(PLACE, i64::MAX), Ok(i64::MAX));
        assert_eq!(rule.admit(PLACE, i64::MIN), Ok(i64::MIN));
    }

    #[test]
    fn a_range_upside_down_is_a_problem_at_its_key() {
        let mut problems = Vec::new();
        let settings = FieldSettings {
            min: Some(2.0),
            max: Some(1.0),
            ..FieldSettings::of(FieldType::Float)
        };
        FloatRule::compile("fields.x", &settings, &mut problems);
        assert_eq!(problems[0].key, "fields.x.min");
    }
}
