//! One event's values on their way into one row of every model's inputs.
//!
//! Owns: the step from a value that a format found to a validated, converted, stored one; defaults; the check that
//! nothing is missing. Never does: know where in an event a value stood.
//!
//! Invariant: [`Row::finish`] is `Ok` only when every column of the row was written.

mod cells;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub(super) use self::cells::overflows;
use super::image::{LOOKS, Workshop};
use super::number::IntegerRule;
use super::rule::{ElementRule, Field, Fill, Kind};
use super::settings::NullRule;
use super::timestamp::TimeReader;
use super::vector::PlainVector;
use super::words::{Place, clip, quote};
use crate::rejection::{Reason, Rejection};
use crate::tensor::Inputs;

/// What a row needs that outlives one event.
#[derive(Debug, Default)]
pub(crate) struct RowState {
    /// For each field the generation of the event that last filled it.
    filled: Vec<u32>,
    generation: u32,
    workshop: Workshop,
    bytes: Vec<u8>,
}

impl RowState {
    pub(crate) fn new(fields: usize) -> Self {
        Self {
            filled: vec![0; fields],
            ..Self::default()
        }
    }

    /// Whether the event of the last row had a value for a field.
    pub(crate) fn had(&self, field: usize) -> bool {
        self.filled[field] == self.generation
    }
}

/// What a field takes, for values that can be taken in several ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Appetite {
    Number,
    Text,
    Time,
    Image,
    List,
}

/// One row being filled.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub(crate) fields: &'a [Field],
    inputs: &'a mut [Inputs],
    row: usize,
    record_ms: Option<i64>,
    state: &'a mut RowState,
    count: usize,
}

impl<'a> Row<'a> {
    pub(crate) fn new(
        fields: &'a [Field],
        inputs: &'a mut [Inputs],
        row: usize,
        record_ms: Option<i64>,
        state: &'a mut RowState,
    ) -> Self {
        state.generation = state.generation.wrapping_add(1);
        if state.generation == 0 {
            state.filled.fill(0);
            state.generation = 1;
        }
        Self {
            fields,
            inputs,
            row,
            record_ms,
            state,
            count: 0,
        }
    }

    /// Whether a field takes a list.
    #[inline]
    pub(crate) fn is_vector(&self, field: usize) -> bool {
        matches!(self.fields[field].kind, Kind::Vector(_))
    }

    /// Whether a field takes an image, whose text is long.
    #[inline]
    pub(crate) fn is_image(&self, field: usize) -> bool {
        matches!(self.fields[field].kind, Kind::Image(_))
    }

    /// What a field makes of a value that has several forms.
    pub(crate) fn appetite(&self, field: usize) -> Appetite {
        match &self.fields[field].kind {
            Kind::Float(_) | Kind::Integer(_) | Kind::Boolean(_) => Appetite::Number,
            Kind::Category(_) | Kind::Text(_) => Appetite::Text,
            Kind::Timestamp(_) => Appetite::Time,
            Kind::Image(_) => Appetite::Image,
            Kind::Vector(_) => Appetite::List,
        }
    }

    #[inline]
    fn mark(&mut self, field: usize) {
        self.state.filled[field] = self.state.generation;
        self.count += 1;
    }

    #[inline(always)]
    pub(crate) fn float(&mut self, index: usize, x: f64) -> Result<(), Rejection> {
        let field = &self.fields[index];
        let place = field.place();
        match &field.kind {
            Kind::Float(rule) => {
                let x = rule.admit(place, x)?;
                self.store_float(index, 0, x)?;
            }
            Kind::Integer(rule) => {
                let i = rule.read_float(place, x)?;
                self.store_integer(index, 0, i)?;
            }
            Kind::Timestamp(rule) => {
                let us = rule.reader.read_float(place, x)?;
                self.store_time(index, us)?;
            }
            Kind::Boolean(rule) if rule.zero_one && (x == 0.0 || x == 1.0) => self.store_integer(index, 0, x as i64)?,
            _ => return Err(self.mismatch(index, format_args!("the number {x:?}"))),
        }
        self.mark(index);
        Ok(())
    }

    #[inline(always)]
    pub(crate) fn integer(&mut self, index: usize, i: i64) -> Result<(), Rejection> {
        let field = &self.fields[index];
        let place = field.place();
        match &field.kind {
            Kind::Float(rule) => {
                let x = rule.admit(place, i as f64)?;
                self.store_float(index, 0, x)?;
            }
            Kind::Integer(rule) => {
                let i = rule.admit(place, i)?;
                self.store_integer(index, 0, i)?;
            }
            Kind::Timestamp(rule) => {
                let us = rule.reader.read_integer(place, i)?;
                self.store_time(index, us)?;
            }
            Kind::Category(_) => return self.text(index, itoa::Buffer::new().format(i)),
            Kind::Boolean(rule) if rule.zero_one && (i == 0 || i == 1) => self.store_integer(index, 0, i)?,
            _ => return Err(self.mismatch(index, format_args!("the number {i}"))),
        }
        self.mark(index);
        Ok(())
    }

    /// An integer beyond `i64`.
    #[cold]
    pub(crate) fn large(&mut self, index: usize, i: u64) -> Result<(), Rejection> {
        match &self.fields[index].kind {
            Kind::Category(_) => self.text(index, itoa::Buffer::new().format(i)),
            _ => self.float(index, i as f64),
        }
    }

    pub(crate) fn boolean(&mut self, index: usize, b: bool) -> Result<(), Rejection> {
        let field = &self.fields[index];
        let place = field.place();
        match &field.kind {
            Kind::Boolean(_) => self.store_integer(index, 0, i64::from(b))?,
            Kind::Float(rule) => {
                let x = rule.read_boolean(place, b)?;
                self.store_float(index, 0, x)?;
            }
            Kind::Integer(rule) => {
                let i = rule.read_boolean(place, b)?;
                self.store_integer(index, 0, i)?;
            }
            _ => return Err(self.mismatch(index, b)),
        }
        self.mark(index);
        Ok(())
    }

    pub(crate) fn text(&mut self, index: usize, text: &str) -> Result<(), Rejection> {
        let field = &self.fields[index];
        let place = field.place();
        match &field.kind {
            Kind::Category(rule) => {
                let position = rule.admit(place, text)?;
                self.store_category(index, text, position)?;
            }
            Kind::Text(rule) => {
                rule.admit(place, text)?;
                self.store_text(index, text);
            }
            Kind::Float(rule) => {
                let x = rule.read_text(place, text)?;
                self.store_float(index, 0, x)?;
            }
            Kind::Integer(rule) => {
                let i = rule.read_text(place, text)?;
                self.store_integer(index, 0, i)?;
            }
            Kind::Timestamp(rule) => {
                let us = rule.reader.read_text(place, text)?;
                self.store_time(index, us)?;
            }
            Kind::Boolean(rule) => match text {
                "true" if rule.parse_strings => self.store_integer(index, 0, 1)?,
                "false" if rule.parse_strings => self.store_integer(index, 0, 0)?,
                _ => return Err(self.mismatch(index, format_args!("the text {}", quote(text)))),
            },
            Kind::Image(_) => return self.base64_image(index, text),
            Kind::Vector(_) => return Err(self.mismatch(index, format_args!("the text {}", quote(text)))),
        }
        self.mark(index);
        Ok(())
    }

    /// A point in time, in microseconds since the Unix epoch, that says by itself what it is.
    pub(crate) fn instant(&mut self, index: usize, us: i64) -> Result<(), Rejection> {
        let us = TimeReader::instant(self.fields[index].place(), us)?;
        self.store_time(index, us)?;
        self.mark(index);
        Ok(())
    }

    pub(crate) fn null(&mut self, index: usize) -> Result<(), Rejection> {
        match self.fields[index].null {
            NullRule::Missing => Ok(()),
            NullRule::Reject => Err(self.mismatch(index, "null")),
        }
    }

    /// One element of a vector.
    #[inline]
    pub(crate) fn element_float(&mut self, index: usize, at: usize, x: f64) -> Result<(), Rejection> {
        let place = self.fields[index].element(at);
        match self.element_rule(index, at)? {
            ElementRule::Float(rule) => {
                let x = rule.admit(place, x)?;
                self.store_float(index, at, x)
            }
            ElementRule::Integer(rule) => {
                let i = rule.read_float(place, x)?;
                self.store_integer(index, at, i)
            }
        }
    }

    /// One element of a vector.
    #[inline]
    pub(crate) fn element_integer(&mut self, index: usize, at: usize, i: i64) -> Result<(), Rejection> {
        let place = self.fields[index].element(at);
        match self.element_rule(index, at)? {
            ElementRule::Float(rule) => {
                let x = rule.admit(place, i as f64)?;
                self.store_float(index, at, x)
            }
            ElementRule::Integer(rule) => {
                let i = rule.admit(place, i)?;
                self.store_integer(index, at, i)
            }
        }
    }

    /// One element of a vector that is a truth value.
    pub(crate) fn element_boolean(&mut self, index: usize, at: usize, b: bool) -> Result<(), Rejection> {
        let place = self.fields[index].element(at);
        match self.element_rule(index, at)? {
            ElementRule::Float(rule) => {
                let x = rule.read_boolean(place, b)?;
                self.store_float(index, at, x)
            }
            ElementRule::Integer(rule) => {
                let i = rule.read_boolean(place, b)?;
                self.store_integer(index, at, i)
            }
        }
    }

    /// One element of a vector that is a text.
    pub(crate) fn element_text(&mut self, index: usize, at: usize, text: &str) -> Result<(), Rejection> {
        let place = self.fields[index].element(at);
        match self.element_rule(index, at)? {
            ElementRule::Float(rule) => {
                let x = rule.read_text(place, text)?;
                self.store_float(index, at, x)
            }
            ElementRule::Integer(rule) => {
                let i = IntegerRule::read_text(rule, place, text)?;
                self.store_integer(index, at, i)
            }
        }
    }

    /// An element that no vector takes.
    #[cold]
    pub(crate) fn element_mismatch(&self, index: usize, at: usize, found: &str) -> Rejection {
        self.fields[index].element(at).wrong_type(found, "a number")
    }

    /// The cells of a vector of floats that feeds one `float32` input and nothing else: by far the most common one, and
    /// worth a way of its own, since all that is decided per element otherwise is decided once here.
    pub(crate) fn plain_vector(&mut self, index: usize) -> Option<PlainVector<'_>> {
        let field = &self.fields[index];
        let Kind::Vector(vector) = &field.kind else {
            return None;
        };
        let (ElementRule::Float(rule), [target, others @ ..]) = (&vector.elements, field.targets.as_slice()) else {
            return None;
        };
        if !others.iter().all(|other| other.is_feature) {
            return None;
        }
        let cells = target.float32(self.inputs, self.row, vector.length)?;
        Some(PlainVector::new(field.place(), rule, cells))
    }

    /// The end of a [plain vector](Self::plain_vector): its features are a copy of what the model gets.
    pub(crate) fn end_plain_vector(&mut self, index: usize, count: usize) -> Result<(), Rejection> {
        self.end_vector(index, count)?;
        if let [target, features] = self.fields[index].targets.as_slice() {
            target.copy_float32(self.inputs, self.row, (features, count));
        }
        Ok(())
    }

    /// The end of a vector of `count` elements.
    pub(crate) fn end_vector(&mut self, index: usize, count: usize) -> Result<(), Rejection> {
        let Kind::Vector(rule) = &self.fields[index].kind else {
            return Err(self.mismatch(index, "a list"));
        };
        if count != rule.length {
            return Err(self.fields[index].place().reject(
                Reason::WrongShape,
                format_args!("has {count} elements, not {}", rule.length),
            ));
        }
        self.mark(index);
        Ok(())
    }

    /// The bytes of an encoded image.
    pub(crate) fn image(&mut self, index: usize, bytes: &[u8]) -> Result<(), Rejection> {
        let field = &self.fields[index];
        let Kind::Image(picture) = &field.kind else {
            return Err(self.mismatch(index, "an image"));
        };
        let mut looks = [f32::NAN; LOOKS.len()];
        let is_watched = field.targets.iter().any(|target| target.is_feature);
        let look = is_watched.then_some(&mut looks);
        let pixels = picture.decode(field.place(), bytes, &mut self.state.workshop, look)?;
        for target in &field.targets {
            if target.is_feature {
                if let Some(cells) = target.float32(self.inputs, self.row, LOOKS.len()) {
                    cells.copy_from_slice(&looks);
                }
                continue;
            }
            picture.write(&pixels, target.cells(self.inputs, self.row, picture.elements()));
        }
        self.state.workshop.take_back(pixels);
        self.mark(index);
        Ok(())
    }

    fn base64_image(&mut self, index: usize, text: &str) -> Result<(), Rejection> {
        // Browsers say `data:image/png;base64,…`.
        let body = match text.strip_prefix("data:") {
            Some(rest) => rest.split_once(',').map_or(rest, |(_, body)| body),
            None => text,
        };
        let mut bytes = std::mem::take(&mut self.state.bytes);
        bytes.clear();
        let result = match STANDARD.decode_vec(body, &mut bytes) {
            Ok(()) => self.image(index, &bytes),
            Err(error) => Err(self.fields[index]
                .place()
                .reject(Reason::Malformed, format_args!("is not an image in base64: {error}"))),
        };
        self.state.bytes = bytes;
        result
    }

    /// Puts defaults where nothing was found, and refuses an event that lacks a required field.
    pub(crate) fn finish(&mut self) -> Result<(), Rejection> {
        if self.count == self.fields.len() {
            return Ok(());
        }
        for index in 0..self.fields.len() {
            if self.state.filled[index] != self.state.generation {
                self.fill(index)?;
                self.leave_out_features(index);
            }
        }
        Ok(())
    }

    /// The default stands in for a missing value where a model needs one; the features show that it is missing.
    fn leave_out_features(&mut self, index: usize) {
        let field = &self.fields[index];
        for target in field.targets.iter().filter(|target| target.is_feature) {
            if let Some(cells) = target.float32(self.inputs, self.row, field.features()) {
                cells.fill(f32::NAN);
            }
        }
    }

    /// Writes the default of one field.
    pub(crate) fn fill(&mut self, index: usize) -> Result<(), Rejection> {
        let field = &self.fields[index];
        let Some(fill) = &field.default else {
            let detail = match field.null {
                NullRule::Missing => "is missing or null",
                NullRule::Reject => "is missing",
            };
            return Err(Place::field(&field.name).reject(
                Reason::MissingField,
                format_args!("{detail} at `{}`, and has no default", clip(&field.pointer)),
            ));
        };
        match fill {
            Fill::Float(x) => self.store_float(index, 0, *x),
            Fill::Integer(i) => self.store_integer(index, 0, *i),
            Fill::Boolean(b) => self.store_integer(index, 0, i64::from(*b)),
            Fill::Category(word, position) => self.store_category(index, word, *position),
            Fill::TimeUs(us) => self.store_time(index, *us),
            Fill::Text(text) => {
                self.store_text(index, text);
                Ok(())
            }
            Fill::Floats(list) => list
                .iter()
                .enumerate()
                .try_for_each(|(at, x)| self.store_float(index, at, *x)),
            Fill::Integers(list) => list
                .iter()
                .enumerate()
                .try_for_each(|(at, i)| self.store_integer(index, at, *i)),
        }
    }

    #[inline]
    fn element_rule(&self, index: usize, at: usize) -> Result<&'a ElementRule, Rejection> {
        let field = &self.fields[index];
        match &field.kind {
            Kind::Vector(rule) if at < rule.length => Ok(&rule.elements),
            Kind::Vector(rule) => Err(too_many(&field.name, rule.length)),
            _ => Err(self.mismatch(index, "a list")),
        }
    }

    /// A value of another type than the field's.
    #[cold]
    pub(crate) fn mismatch(&self, index: usize, found: impl std::fmt::Display) -> Rejection {
        let field = &self.fields[index];
        let wanted = match &field.kind {
            Kind::Float(_) => "a number",
            Kind::Integer(_) => "a whole number",
            Kind::Boolean(_) => "true or false",
            Kind::Category(_) | Kind::Text(_) => "a text",
            Kind::Timestamp(_) => "a time",
            Kind::Vector(_) => "a list of numbers",
            Kind::Image(_) => "an image in base64",
        };
        field.place().wrong_type(found, wanted)
    }
}

#[cold]
pub(super) fn too_many(field: &str, length: usize) -> Rejection {
    Place::field(field).reject(Reason::WrongShape, format_args!("has more than {length} elements"))
}
