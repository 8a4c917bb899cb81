//! Hashes of documents: two that mean the same have the same.

use serde_json::Value;
use sha2::{Digest, Sha256};
use twox_hash::{XxHash3_64, XxHash3_128};

use crate::render::json;

/// Hexadecimal digits of a configuration's hash.
const DIGITS: usize = 16;

/// The first 16 hexadecimal digits of the SHA-256 of the settings in canonical form: keys sorted, no white space. The
/// value of the header `eddy.config`.
pub fn config_hash(settings: &Value) -> String {
    Sha256::digest(canonical(settings))
        .iter()
        .take(DIGITS / 2)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A document in canonical form: keys sorted, no white space.
pub fn canonical(document: &Value) -> Vec<u8> {
    let mut text = Vec::new();
    write_canonical(document, &mut text);
    text
}

/// The xxh3-64 of a text as 16 hexadecimal digits.
pub fn xxh3_hex(text: &[u8]) -> String {
    format!("{:016x}", XxHash3_64::oneshot(text))
}

/// The xxh3-128 of a text: stands for it where there are too many to keep. Among a billion texts no two are alike by
/// chance, but somebody who wants two alike can find them.
pub fn xxh3_128(text: &[u8]) -> u128 {
    XxHash3_128::oneshot(text)
}

fn write_canonical(value: &Value, text: &mut Vec<u8>) {
    match value {
        Value::Object(members) => {
            // Sorted here: whether a map of serde_json keeps an order depends on features that any crate may switch on.
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(key, _)| *key);
            text.push(b'{');
            for (at, (key, value)) in members.into_iter().enumerate() {
                if at > 0 {
                    text.push(b',');
                }
                json::string(key, text);
                text.push(b':');
                write_canonical(value, text);
            }
            text.push(b'}');
        }
        Value::Array(elements) => {
            text.push(b'[');
            for (at, element) in elements.iter().enumerate() {
                if at > 0 {
                    text.push(b',');
                }
                write_canonical(element, text);
            }
            text.push(b']');
        }
        Value::String(string) => json::string(string, text),
        Value::Null | Value::Bool(_) | Value::Number(_) => text.extend_from_slice(value.to_string().as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    // The expected digits come from `printf '…' | sha256sum`.

    #[test]
    fn the_hash_is_the_start_of_the_sha256_of_the_canonical_text() {
        // {}
        assert_eq!(config_hash(&json!({})), "44136fa355b3678a");
        // {"a":[1,2.5,null,true,"x\"y"],"b":{"c":{},"d":[]}}
        let settings = json!({"b": {"d": [], "c": {}}, "a": [1, 2.5, null, true, "x\"y"]});
        assert_eq!(config_hash(&settings), "61fcb5c5bdb7db73");
    }

    #[test]
    fn the_order_of_keys_does_not_matter_and_that_of_elements_does() {
        let parse = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
        let one = config_hash(&parse(r#"{"a":{"x":1,"y":2},"b":[1,2]}"#));
        assert_eq!(one, config_hash(&parse(r#"{"b":[1,2],"a":{"y":2,"x":1}}"#)));
        assert_ne!(one, config_hash(&parse(r#"{"b":[2,1],"a":{"y":2,"x":1}}"#)));
    }
}
