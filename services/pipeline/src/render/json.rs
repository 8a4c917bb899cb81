//! JSON written by hand into a reused buffer: strings and numbers, nothing else.

/// Appends a JSON string with its quotes. Escapes what must be escaped and leaves all other UTF-8 as it is.
pub fn string(text: &str, json: &mut Vec<u8>) {
    json.push(b'"');
    let bytes = text.as_bytes();
    let mut written = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if !must_escape(*byte) {
            continue;
        }
        json.extend_from_slice(&bytes[written..at]);
        escape(*byte, json);
        written = at + 1;
    }
    json.extend_from_slice(&bytes[written..]);
    json.push(b'"');
}

const fn must_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn escape(byte: u8, json: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' => json.extend_from_slice(br#"\""#),
        b'\\' => json.extend_from_slice(br"\\"),
        b'\n' => json.extend_from_slice(br"\n"),
        b'\r' => json.extend_from_slice(br"\r"),
        b'\t' => json.extend_from_slice(br"\t"),
        0x08 => json.extend_from_slice(br"\b"),
        0x0c => json.extend_from_slice(br"\f"),
        _ => {
            json.extend_from_slice(br"\u00");
            json.push(HEX[usize::from(byte >> 4)]);
            json.push(HEX[usize::from(byte & 0xf)]);
        }
    }
}

/// Appends the shortest number that reads back as the same 32-bit float; `null` for NaN and infinities.
pub fn float(value: f32, json: &mut Vec<u8>) {
    if value.is_finite() {
        json.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else {
        json.extend_from_slice(b"null");
    }
}

/// Appends a number, the shortest text that reads back as it; what is not finite becomes `null`.
pub fn double(value: f64, json: &mut Vec<u8>) {
    if value.is_finite() {
        json.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else {
        json.extend_from_slice(b"null");
    }
}

/// Appends an array of [`float`]s.
pub fn floats(values: &[f32], json: &mut Vec<u8>) {
    json.push(b'[');
    let mut numbers = zmij::Buffer::new();
    for (at, value) in values.iter().enumerate() {
        if at > 0 {
            json.push(b',');
        }
        if value.is_finite() {
            json.extend_from_slice(numbers.format_finite(*value).as_bytes());
        } else {
            json.extend_from_slice(b"null");
        }
    }
    json.push(b']');
}

/// Appends an integer.
pub fn integer(value: i64, json: &mut Vec<u8>) {
    json.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut json = Vec::new();
        write(&mut json);
        String::from_utf8(json).expect("JSON is UTF-8")
    }

    #[test]
    fn property_a_string_is_written_as_serde_json_writes_it() {
        proptest!(|(text in "(\\PC|[\\x00-\\x1f\"\\\\])*")| {
            let expected = serde_json::to_string(&text).expect("a string is JSON");
            prop_assert_eq!(written(|json| string(&text, json)), expected);
        });
    }

    #[test]
    fn every_control_character_is_escaped() {
        for code in 0..0x80u8 {
            let text = char::from(code).to_string();
            let expected = serde_json::to_string(&text).expect("a string is JSON");
            assert_eq!(written(|json| string(&text, json)), expected, "{code:#x}");
        }
    }

    #[test]
    fn property_a_float_reads_back_as_itself() {
        proptest!(|(bits: u32)| {
            let value = f32::from_bits(bits);
            let text = written(|json| float(value, json));
            if value.is_finite() {
                prop_assert_eq!(text.parse::<f32>().expect("a number").to_bits(), bits);
                prop_assert!(serde_json::from_str::<f64>(&text).is_ok(), "{} is JSON", text);
            } else {
                prop_assert_eq!(text, "null");
            }
        });
    }

    #[test]
    fn floats_are_short_and_separated_by_commas() {
        assert_eq!(written(|json| floats(&[0.98, 1.0, 0.02], json)), "[0.98,1.0,0.02]");
        assert_eq!(written(|json| floats(&[], json)), "[]");
        assert_eq!(written(|json| floats(&[f32::NAN], json)), "[null]");
    }

    #[test]
    fn property_an_integer_reads_back_as_itself() {
        proptest!(|(value: i64)| {
            prop_assert_eq!(written(|json| integer(value, json)).parse::<i64>(), Ok(value));
        });
    }
}
