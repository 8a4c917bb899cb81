//! The id of a document that was refused before its id was met.
//!
//! A second pass that looks for one pointer and skips everything else without looking at it, so that numbers out of
//! range, wrong types and limits do not stop it. Broken JSON does, where the id stands behind the break.

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::decode::Captured;

/// Sets `captured.id` if the document has a fit one at `pointer`.
pub(super) fn salvage(document: &[u8], pointer: &[String], captured: &mut Captured) {
    let mut deserializer = serde_json::Deserializer::from_slice(document);
    // The outcome is in `captured`: the error may as well say that the id was found and nothing more is needed.
    _ = Seek { pointer, captured }.deserialize(&mut deserializer);
}

/// What is left of the pointer.
struct Seek<'a> {
    pointer: &'a [String],
    captured: &'a mut Captured,
}

impl Seek<'_> {
    fn found<E: Error>(self, text: &str) -> Result<(), E> {
        if self.pointer.is_empty() && self.captured.name(text, "the id field").is_ok() {
            return Err(E::custom("found"));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.found(text)
    }
    fn visit_i64<E: Error>(self, i: i64) -> Result<(), E> {
        self.found(itoa::Buffer::new().format(i))
    }
    fn visit_u64<E: Error>(self, i: u64) -> Result<(), E> {
        self.found(itoa::Buffer::new().format(i))
    }
    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((part, pointer)) = self.pointer.split_first() else {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(());
        };
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            if key == part.as_str() {
                let captured = &mut *self.captured;
                map.next_value_seed(Seek { pointer, captured })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let wanted = self
            .pointer
            .split_first()
            .and_then(|(part, rest)| Some((part.parse::<usize>().ok()?, rest)));
        for at in 0.. {
            let more = match wanted {
                Some((index, pointer)) if index == at => {
                    let captured = &mut *self.captured;
                    seq.next_element_seed(Seek { pointer, captured })?.is_some()
                }
                _ => seq.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                break;
            }
        }
        Ok(())
    }
}
