//! The values that a walk looks for: a field's, the event's id, the event's time.
//!
//! Owns: which JSON types each of them takes. What a value must be like is the row's business.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::walk::{Skip, Walk};
use crate::decode::captured::{TIME, not_an_id};
use crate::decode::rules::Rules;
use crate::fields::PlainVector;
use crate::rejection::Rejection;

/// The value of a field.
pub(super) struct FieldVisitor<'a, 'w, 'e> {
    pub(super) walk: &'a mut Walk<'w, 'e>,
    pub(super) field: usize,
    pub(super) depth: usize,
}

impl<'de> Visitor<'de> for FieldVisitor<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    #[inline]
    fn visit_f64<E: Error>(self, x: f64) -> Result<(), E> {
        let result = self.walk.event.row.float(self.field, x);
        self.walk.keep(result)
    }
    #[inline]
    fn visit_i64<E: Error>(self, i: i64) -> Result<(), E> {
        let result = self.walk.event.row.integer(self.field, i);
        self.walk.keep(result)
    }
    #[inline]
    fn visit_u64<E: Error>(self, i: u64) -> Result<(), E> {
        let row = &mut self.walk.event.row;
        let result = match i64::try_from(i) {
            Ok(i) => row.integer(self.field, i),
            Err(_) => row.large(self.field, i),
        };
        self.walk.keep(result)
    }
    fn visit_bool<E: Error>(self, b: bool) -> Result<(), E> {
        let result = self.walk.event.row.boolean(self.field, b);
        self.walk.keep(result)
    }
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        let result = self.walk.event.row.null(self.field);
        self.walk.keep(result)
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        if !self.walk.event.row.is_image(self.field) {
            self.walk.admit_text(text)?;
        }
        let result = self.walk.event.row.text(self.field, text);
        self.walk.keep(result)
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        self.walk.enter::<A::Error>(self.depth)?;
        let rejection = self.walk.event.row.mismatch(self.field, "an object");
        Err(self.walk.refuse(rejection))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self { walk, field, depth } = self;
        walk.enter::<A::Error>(depth)?;
        if !walk.event.row.is_vector(field) {
            let rejection = walk.event.row.mismatch(field, "a list");
            return Err(walk.refuse(rejection));
        }
        let mut at = 0;
        if let Some(mut vector) = walk.event.row.plain_vector(field) {
            let (refusal, rules) = (&mut walk.refusal, walk.rules);
            while let Some(()) = seq.next_element_seed(PlainElement {
                vector: &mut vector,
                refusal,
                rules,
                at,
            })? {
                at += 1;
            }
            // A vector is not longer than its field says, so counting afterwards is soon enough.
            walk.elements += at;
            walk.within_elements()?;
            let result = walk.event.row.end_plain_vector(field, at);
            return walk.keep(result);
        }
        while seq.next_element_seed(Element { walk, field, at })?.is_some() {
            walk.count()?;
            at += 1;
        }
        let result = walk.event.row.end_vector(field, at);
        walk.keep(result)
    }
}

/// One element of a vector.
struct Element<'a, 'w, 'e> {
    walk: &'a mut Walk<'w, 'e>,
    field: usize,
    at: usize,
}

impl Element<'_, '_, '_> {
    #[cold]
    fn mismatch<E: Error>(self, found: &str) -> E {
        let rejection = self.walk.event.row.element_mismatch(self.field, self.at, found);
        self.walk.refuse(rejection)
    }
}

impl<'de> DeserializeSeed<'de> for Element<'_, '_, '_> {
    type Value = ();

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Element<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a number")
    }

    #[inline]
    fn visit_f64<E: Error>(self, x: f64) -> Result<(), E> {
        let result = self.walk.event.row.element_float(self.field, self.at, x);
        self.walk.keep(result)
    }
    #[inline]
    fn visit_i64<E: Error>(self, i: i64) -> Result<(), E> {
        let result = self.walk.event.row.element_integer(self.field, self.at, i);
        self.walk.keep(result)
    }
    #[inline]
    fn visit_u64<E: Error>(self, i: u64) -> Result<(), E> {
        let row = &mut self.walk.event.row;
        let result = match i64::try_from(i) {
            Ok(i) => row.element_integer(self.field, self.at, i),
            Err(_) => row.element_float(self.field, self.at, i as f64),
        };
        self.walk.keep(result)
    }
    fn visit_bool<E: Error>(self, b: bool) -> Result<(), E> {
        let result = self.walk.event.row.element_boolean(self.field, self.at, b);
        self.walk.keep(result)
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.walk.admit_text(text)?;
        let result = self.walk.event.row.element_text(self.field, self.at, text);
        self.walk.keep(result)
    }
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Err(self.mismatch("null"))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(self.mismatch("a list"))
    }
    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(self.mismatch("an object"))
    }
}

/// One element of a vector that goes into one `float32` input.
struct PlainElement<'a, 'v> {
    vector: &'a mut PlainVector<'v>,
    refusal: &'a mut Option<Rejection>,
    rules: &'a Rules,
    at: usize,
}

impl PlainElement<'_, '_> {
    #[inline]
    fn keep<E: Error>(self, result: Result<(), Rejection>) -> Result<(), E> {
        result.map_err(|rejection| {
            *self.refusal = Some(rejection);
            E::custom("refused")
        })
    }

    #[cold]
    fn mismatch<E: Error>(self, found: &str) -> Result<(), E> {
        let rejection = self.vector.mismatch(self.at, found);
        self.keep(Err(rejection))
    }
}

impl<'de> DeserializeSeed<'de> for PlainElement<'_, '_> {
    type Value = ();

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for PlainElement<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a number")
    }

    #[inline]
    fn visit_f64<E: Error>(self, x: f64) -> Result<(), E> {
        let result = self.vector.float(self.at, x);
        self.keep(result)
    }
    #[inline]
    fn visit_i64<E: Error>(self, i: i64) -> Result<(), E> {
        self.visit_f64(i as f64)
    }
    #[inline]
    fn visit_u64<E: Error>(self, i: u64) -> Result<(), E> {
        self.visit_f64(i as f64)
    }
    fn visit_bool<E: Error>(self, b: bool) -> Result<(), E> {
        let result = self.vector.boolean(self.at, b);
        self.keep(result)
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let admitted = self.rules.admit_text(text);
        let result = admitted.and_then(|()| self.vector.text(self.at, text));
        self.keep(result)
    }
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.mismatch("null")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        self.mismatch("a list")
    }
    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        self.mismatch("an object")
    }
}

/// The event's id.
pub(super) struct IdVisitor<'a, 'w, 'e> {
    pub(super) walk: &'a mut Walk<'w, 'e>,
    pub(super) depth: usize,
}

impl IdVisitor<'_, '_, '_> {
    fn id<E: Error>(self, text: &str) -> Result<(), E> {
        // A header that named the event wins, and then the field is not even looked at.
        if self.walk.event.captured.id.is_some() {
            return Ok(());
        }
        let result = self.walk.event.captured.name(text, "the id field");
        self.walk.keep(result)
    }

    fn mismatch<E: Error>(self, found: &str) -> Result<(), E> {
        if self.walk.event.captured.id.is_some() {
            return Ok(());
        }
        Err(self.walk.refuse(not_an_id(found)))
    }
}

impl<'de> Visitor<'de> for IdVisitor<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an id")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.walk.admit_text(text)?;
        self.id(text)
    }
    fn visit_i64<E: Error>(self, i: i64) -> Result<(), E> {
        self.id(itoa::Buffer::new().format(i))
    }
    fn visit_u64<E: Error>(self, i: u64) -> Result<(), E> {
        self.id(itoa::Buffer::new().format(i))
    }
    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.mismatch("a number with a fraction or exponent")
    }
    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.mismatch("a truth value")
    }
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.mismatch("null")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        let Self { walk, depth } = self;
        if walk.event.captured.id.is_some() {
            return Skip { walk, depth }.visit_seq(seq);
        }
        Err(walk.refuse(not_an_id("a list")))
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let Self { walk, depth } = self;
        if walk.event.captured.id.is_some() {
            return Skip { walk, depth }.visit_map(map);
        }
        Err(walk.refuse(not_an_id("an object")))
    }
}

/// The event's time.
pub(super) struct TimeVisitor<'a, 'w, 'e> {
    pub(super) walk: &'a mut Walk<'w, 'e>,
}

impl TimeVisitor<'_, '_, '_> {
    fn keep<E: Error>(self, us: Result<i64, Rejection>) -> Result<(), E> {
        let result = us.map(|us| self.walk.event.captured.at(us));
        self.walk.keep(result)
    }

    fn mismatch<E: Error>(self, found: &str) -> E {
        self.walk.refuse(TIME.wrong_type(found, "a time"))
    }
}

impl<'de> Visitor<'de> for TimeVisitor<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a time")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.walk.admit_text(text)?;
        let us = self.walk.rules.time.read_text(TIME, text);
        self.keep(us)
    }
    fn visit_i64<E: Error>(self, i: i64) -> Result<(), E> {
        let us = self.walk.rules.time.read_integer(TIME, i);
        self.keep(us)
    }
    fn visit_u64<E: Error>(self, i: u64) -> Result<(), E> {
        self.visit_i64(i64::try_from(i).unwrap_or(i64::MAX))
    }
    fn visit_f64<E: Error>(self, x: f64) -> Result<(), E> {
        let us = self.walk.rules.time.read_float(TIME, x);
        self.keep(us)
    }
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Err(self.mismatch("a truth value"))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(self.mismatch("a list"))
    }
    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(self.mismatch("an object"))
    }
}
