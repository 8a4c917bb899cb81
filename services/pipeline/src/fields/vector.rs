//! The short way of the most common vector: floats that feed one `float32` input.
//!
//! Invariant: it gives the same rows and the same refusals as the way that every other vector takes.

use super::number::FloatRule;
use super::row::{overflows, too_many};
use super::store::Overflow;
use super::words::Place;
use crate::rejection::Rejection;
use crate::tensor::DType;

/// A vector of floats on its way into one `float32` input.
#[derive(Debug)]
pub(crate) struct PlainVector<'a> {
    place: Place<'a>,
    rule: &'a FloatRule,
    cells: &'a mut [f32],
}

impl<'a> PlainVector<'a> {
    pub(super) fn new(place: Place<'a>, rule: &'a FloatRule, cells: &'a mut [f32]) -> Self {
        Self { place, rule, cells }
    }

    #[inline]
    fn element(&self, at: usize) -> Place<'a> {
        Place {
            element: Some(at),
            ..self.place
        }
    }

    /// Writes one element; the same outcome as that of [`super::row::Row::element_float`].
    #[inline]
    pub(crate) fn float(&mut self, at: usize, x: f64) -> Result<(), Rejection> {
        let place = self.element(at);
        let x = self.rule.admit(place, x)?;
        let narrow = x as f32;
        match self.cells.get_mut(at) {
            Some(cell) if narrow.is_finite() || !x.is_finite() => {
                *cell = narrow;
                Ok(())
            }
            Some(_) => Err(overflows(place, format_args!("{x:?}"), Overflow(DType::Float32))),
            None => Err(too_many(self.place.field, self.cells.len())),
        }
    }

    pub(crate) fn text(&mut self, at: usize, text: &str) -> Result<(), Rejection> {
        let x = self.rule.read_text(self.element(at), text)?;
        self.float(at, x)
    }

    pub(crate) fn boolean(&mut self, at: usize, b: bool) -> Result<(), Rejection> {
        let x = self.rule.read_boolean(self.element(at), b)?;
        self.float(at, x)
    }

    /// An element that no vector takes.
    #[cold]
    pub(crate) fn mismatch(&self, at: usize, found: &str) -> Rejection {
        self.element(at).wrong_type(found, "a number")
    }
}
