//! Writing one value into one element of one model's input.
//!
//! Invariant: a target was checked against its input's element type when it was bound, so a write cannot meet a type
//! that it does not know; it can only meet a number that the type cannot hold.

use half::f16;

use crate::tensor::{Buffer, DType, Inputs};

/// Where a field's first column lands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    /// Which binding.
    pub(crate) model: usize,
    /// Which input of the model.
    pub(crate) input: usize,
    /// Which element of the input's row.
    pub(crate) column: usize,
    /// Whether the input holds strings, so that a category writes its word.
    pub(crate) is_string: bool,
    /// Whether it is a feature, which never refuses a number.
    pub(crate) is_feature: bool,
}

/// A number that an input's element type cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Overflow(pub(crate) DType);

/// The elements of a target's row, for a value that fills many at once.
#[derive(Debug)]
pub(crate) enum Cells<'a> {
    Float32(&'a mut [f32]),
    Float64(&'a mut [f64]),
    Float16(&'a mut [f16]),
}

/// Row `row` of a target's input, `offset` elements on.
struct Spot<'a> {
    data: &'a mut Buffer,
    at: usize,
}

impl Target {
    #[inline]
    fn spot<'a>(&self, inputs: &'a mut [Inputs], row: usize, offset: usize) -> Spot<'a> {
        let input = &mut inputs[self.model].inputs[self.input];
        let at = row * input.width + self.column + offset;
        Spot {
            data: &mut input.data,
            at,
        }
    }

    #[inline(always)]
    pub(crate) fn float(&self, inputs: &mut [Inputs], row: usize, offset: usize, x: f64) -> Result<(), Overflow> {
        let Spot { data, at } = self.spot(inputs, row, offset);
        match data {
            Buffer::Float32(cells) => {
                let narrow = x as f32;
                if narrow.is_infinite() && x.is_finite() && !self.is_feature {
                    return Err(Overflow(DType::Float32));
                }
                cells[at] = narrow;
            }
            Buffer::Float64(cells) => cells[at] = x,
            _ => return self.rare_float(inputs, row, offset, x),
        }
        Ok(())
    }

    /// Apart, or the compiler computes these conversions ahead for every float (measured: a fifth of an event).
    #[inline(never)]
    fn rare_float(&self, inputs: &mut [Inputs], row: usize, offset: usize, x: f64) -> Result<(), Overflow> {
        let Spot { data, at } = self.spot(inputs, row, offset);
        let Buffer::Float16(cells) = data else {
            // Only the parts of a timestamp come here; they are finite.
            return self.integer(inputs, row, offset, x.floor() as i64);
        };
        let narrow = f16::from_f64(x);
        if narrow.is_infinite() && x.is_finite() {
            return Err(Overflow(DType::Float16));
        }
        cells[at] = narrow;
        Ok(())
    }

    #[inline]
    pub(crate) fn integer(&self, inputs: &mut [Inputs], row: usize, offset: usize, i: i64) -> Result<(), Overflow> {
        let Spot { data, at } = self.spot(inputs, row, offset);
        match data {
            Buffer::Float32(cells) => cells[at] = i as f32,
            Buffer::Float64(cells) => cells[at] = i as f64,
            Buffer::Float16(cells) => {
                let narrow = f16::from_f64(i as f64);
                if narrow.is_infinite() {
                    return Err(Overflow(DType::Float16));
                }
                cells[at] = narrow;
            }
            Buffer::Int32(cells) => cells[at] = i32::try_from(i).map_err(|_| Overflow(DType::Int32))?,
            Buffer::Int64(cells) => cells[at] = i,
            Buffer::Bool(cells) => cells[at] = i != 0,
            Buffer::String(_) => unreachable!("a number is never bound to a string input"),
        }
        Ok(())
    }

    /// `len` elements of a row of a `float32` input.
    pub(crate) fn float32<'a>(&self, inputs: &'a mut [Inputs], row: usize, len: usize) -> Option<&'a mut [f32]> {
        let Spot { data, at } = self.spot(inputs, row, 0);
        match data {
            Buffer::Float32(cells) => Some(&mut cells[at..at + len]),
            _ => None,
        }
    }

    /// Copies `len` elements of a row of a `float32` input to those of another model's.
    pub(crate) fn copy_float32(&self, inputs: &mut [Inputs], row: usize, (to, len): (&Self, usize)) {
        let Ok([from, into]) = inputs.get_disjoint_mut([self.model, to.model]) else {
            return;
        };
        let start = |target: &Self, width: usize| row * width + target.column;
        let (from, into) = (&from.inputs[self.input], &mut into.inputs[to.input]);
        let (first, second) = (start(self, from.width), start(to, into.width));
        if let (Buffer::Float32(from), Buffer::Float32(into)) = (&from.data, &mut into.data) {
            into[second..second + len].copy_from_slice(&from[first..first + len]);
        }
    }

    /// `len` elements of a row that takes floats.
    pub(crate) fn cells<'a>(&self, inputs: &'a mut [Inputs], row: usize, len: usize) -> Cells<'a> {
        let Spot { data, at } = self.spot(inputs, row, 0);
        match data {
            Buffer::Float32(cells) => Cells::Float32(&mut cells[at..at + len]),
            Buffer::Float64(cells) => Cells::Float64(&mut cells[at..at + len]),
            Buffer::Float16(cells) => Cells::Float16(&mut cells[at..at + len]),
            _ => unreachable!("an image is only ever bound to floats"),
        }
    }

    /// Overwrites the text in place, so that its allocation is kept.
    #[inline]
    pub(crate) fn text(&self, inputs: &mut [Inputs], row: usize, text: &str) {
        let Spot { data, at } = self.spot(inputs, row, 0);
        match data {
            Buffer::String(cells) => {
                cells[at].clear();
                cells[at].push_str(text);
            }
            _ => unreachable!("a text is only ever bound to a string input"),
        }
    }
}
