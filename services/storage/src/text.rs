//! JSON text as it is put together here, and texts as messages quote them.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Most bytes of a value that a message quotes.
const QUOTED_BYTES: usize = 64;

/// Appends a text as a JSON string.
pub(crate) fn push_string(json: &mut String, text: &str) {
    json.push('"');
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..=0x1f => "",
            _ => continue,
        };
        json.push_str(&text[plain..at]);
        plain = at + 1;
        if escape.is_empty() {
            let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
            json.push_str("\\u00");
            json.push(digit(byte >> 4));
            json.push(digit(byte & 15));
        } else {
            json.push_str(escape);
        }
    }
    json.push_str(&text[plain..]);
    json.push('"');
}

/// Appends the shortest text that reads back as the same 64-bit float. NaN is JSON's `null`; an infinity is the text by
/// which the pipeline's decoder knows it.
pub(crate) fn push_f64(json: &mut String, x: f64) {
    if x.is_finite() {
        write!(json, "{x:?}").expect("writing to a String cannot fail");
    } else {
        push_not_finite(json, x);
    }
}

/// The same for a 32-bit float: the shortest text that reads back as the same 32 bits.
pub(crate) fn push_f32(json: &mut String, x: f32) {
    if x.is_finite() {
        write!(json, "{x:?}").expect("writing to a String cannot fail");
    } else {
        push_not_finite(json, f64::from(x));
    }
}

/// Appends what stands for a number that JSON has not.
pub(crate) fn push_not_finite(json: &mut String, x: f64) {
    json.push_str(if x.is_nan() {
        "null"
    } else if x > 0.0 {
        "\"Infinity\""
    } else {
        "\"-Infinity\""
    });
}

/// The beginning of a text, cut between characters.
pub(crate) fn clip(text: &str) -> Cow<'_, str> {
    if text.len() <= QUOTED_BYTES {
        return Cow::Borrowed(text);
    }
    let end = text.floor_char_boundary(QUOTED_BYTES - '…'.len_utf8());
    Cow::Owned(format!("{}…", &text[..end]))
}

/// `` `a`, `b` and 3 more ``
pub(crate) fn list<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    const LISTED: usize = 12;
    let more = names.len().saturating_sub(LISTED);
    let listed: Vec<String> = names.take(LISTED).map(|name| format!("`{}`", clip(name))).collect();
    let listed = listed.join(", ");
    if more == 0 {
        listed
    } else {
        format!("{listed} and {more} more")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn property_any_text_reads_back_from_its_json(text: String) {
            let mut json = String::new();
            push_string(&mut json, &text);
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }

        #[test]
        fn property_any_finite_float_reads_back_from_its_json(
            x in prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL, y in prop::num::f32::NORMAL,
        ) {
            let mut json = String::new();
            push_f64(&mut json, x);
            prop_assert!(serde_json::from_str::<f64>(&json).is_ok());
            prop_assert_eq!(json.parse::<f64>().unwrap(), x);
            json.clear();
            push_f32(&mut json, y);
            prop_assert_eq!(json.parse::<f32>().unwrap(), y);
        }
    }

    #[test]
    fn floats_that_json_does_not_know_are_null_or_text() {
        let mut json = String::new();
        for x in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            push_f64(&mut json, x);
            json.push(' ');
        }
        assert_eq!(json, "null \"Infinity\" \"-Infinity\" ");
    }
}
