//! The text of one JSON object: whether it is sound, and what remains of it when members are taken out.
//!
//! Owns: the checks that make a row one that every reader of JSON takes. Never does: change a value; what stays keeps its
//! text to the byte.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::data::choice::{Fate, Fates, Taken};
use crate::limits::{CELL_BYTES, COLUMNS, DEPTH, NAME_BYTES};
use crate::text::{clip, push_string};

/// The members of an object in their order, each with the text of its value.
#[derive(Debug)]
pub(crate) struct Members<'a>(pub(crate) Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visit)
    }
}

/// Checks the whole of a text: that it is one object, that no object names a member twice, and the limits.
pub(crate) fn check(text: &str) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.deserialize_map(Walk { depth: 1 })?;
    deserializer.end()
}

/// Any value, looked at and dropped.
struct Walk {
    depth: usize,
}

impl Walk {
    fn deeper<E: serde::de::Error>(&self) -> Result<Self, E> {
        if self.depth >= DEPTH {
            return Err(E::custom(format!("nested deeper than {DEPTH} levels")));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Walk {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        if text.len() > CELL_BYTES {
            return Err(E::custom(format!(
                "a text of {} bytes, and {CELL_BYTES} are read",
                text.len()
            )));
        }
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(self.deeper()?)?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(name) = object.next_key::<String>()? {
            if name.len() > NAME_BYTES {
                return Err(A::Error::custom(format!("a name of more than {NAME_BYTES} bytes")));
            }
            object.next_value_seed(self.deeper()?)?;
            if seen.len() == COLUMNS {
                return Err(A::Error::custom(format!("an object of more than {COLUMNS} members")));
            }
            if seen.contains(&name) {
                return Err(A::Error::custom(format!("`{}` stands in an object twice", clip(&name))));
            }
            seen.insert(name);
        }
        Ok(())
    }
}

/// What remains of an object, whose text was checked, when some members go their ways.
///
/// # Errors
/// When the member that is the label is a list or an object.
pub(crate) fn take(text: &str, fates: &Fates, taken: &mut Taken) -> Result<String, String> {
    let members: Members<'_> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let mut json = String::with_capacity(text.len());
    json.push('{');
    for (name, value) in members.0 {
        let kept = match fates.of_member(&name) {
            Some(Fate::Out) => continue,
            Some(Fate::Label) => {
                *taken = Taken::Label(label(value.get())?);
                continue;
            }
            Some(Fate::Within(inner)) if value.get().starts_with('{') => Some(take(value.get(), inner, taken)?),
            Some(Fate::Within(_)) | None => None,
        };
        if json.len() > 1 {
            json.push(',');
        }
        push_string(&mut json, &name);
        json.push(':');
        json.push_str(kept.as_deref().unwrap_or(value.get()));
    }
    json.push('}');
    Ok(json)
}

/// The text of a label by its JSON; `None` for null.
pub(crate) fn label(json: &str) -> Result<Option<String>, String> {
    match json.as_bytes().first() {
        Some(b'n') => Ok(None),
        Some(b'"') => serde_json::from_str(json).map(Some).map_err(|error| error.to_string()),
        Some(b'[' | b'{') => Err("is a list or an object; a label is a text, a number or a truth value".to_owned()),
        _ => Ok(Some(json.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::choice::Choice;

    fn fates(out: &[&str], label: &str) -> Fates {
        let choice = Choice {
            out: out.iter().map(|name| (*name).to_owned()).collect(),
            label: Some(label.to_owned()),
        };
        Fates::of(&choice, |_| false)
    }

    #[test]
    fn what_stays_keeps_its_text() {
        let text = r#"{ "a":  1.50, "b": {"c": 18446744073709551615, "d": [1.0, null]}, "y": "no", "e": "\u00e4" }"#;
        let mut taken = Taken::Nothing;
        let rest = take(text, &fates(&["/b/d"], "y"), &mut taken).unwrap();
        assert_eq!(rest, r#"{"a":1.50,"b":{"c":18446744073709551615},"e":"\u00e4"}"#);
        assert_eq!(taken, Taken::Label(Some("no".into())));
    }

    #[test]
    fn labels_are_texts_numbers_truth_values_or_missing() {
        let label_of = |value: &str| {
            let mut taken = Taken::Nothing;
            take(&format!("{{\"y\":{value}}}"), &fates(&[], "y"), &mut taken).map(|_| taken)
        };
        for (value, expected) in [
            ("\"a\\n\"", Some("a\n")),
            ("1.50", Some("1.50")),
            ("true", Some("true")),
            ("null", None),
        ] {
            assert_eq!(
                label_of(value),
                Ok(Taken::Label(expected.map(str::to_owned))),
                "{value}"
            );
        }
        assert!(label_of("[1]").is_err());
        let mut taken = Taken::Nothing;
        take("{\"x\":1}", &fates(&[], "y"), &mut taken).unwrap();
        assert_eq!(taken, Taken::Nothing);
    }

    #[test]
    fn what_a_reader_of_json_would_refuse_is_refused() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(DEPTH), "]".repeat(DEPTH));
        for text in [
            "",
            "[]",
            "1",
            "{\"a\":1}{",
            "{\"a\":1e999}",
            "{\"a\":\"\\ud800\"}",
            "{\"a\":1,\"a\":2}",
            "{\"a\":NaN}",
            "{'a':1}",
            &deep,
        ] {
            assert!(check(text).is_err(), "{text}");
        }
        assert!(check("{\"a\":{\"b\":[1,{\"b\":null}]},\"b\":\"\\u00e4\"}").is_ok());
    }
}
