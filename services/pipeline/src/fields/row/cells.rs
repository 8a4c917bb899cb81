//! The last step of a value: from validated into the cells of every input that its field feeds.
//!
//! Never does: judge a value, but for one that an input's type cannot hold.

use super::Row;
use crate::fields::rule::Kind;
use crate::fields::store::Overflow;
use crate::fields::timestamp;
use crate::fields::words::Place;
use crate::rejection::{Reason, Rejection};

impl Row<'_> {
    #[inline]
    pub(super) fn store_float(&mut self, index: usize, at: usize, x: f64) -> Result<(), Rejection> {
        let field = &self.fields[index];
        for target in &field.targets {
            target
                .float(self.inputs, self.row, at, x)
                .map_err(|overflow| overflows(field.place(), format_args!("{x:?}"), overflow))?;
        }
        Ok(())
    }

    #[inline]
    pub(super) fn store_integer(&mut self, index: usize, at: usize, i: i64) -> Result<(), Rejection> {
        let field = &self.fields[index];
        for target in &field.targets {
            target
                .integer(self.inputs, self.row, at, i)
                .map_err(|overflow| overflows(field.place(), format_args!("{i}"), overflow))?;
        }
        Ok(())
    }

    pub(super) fn store_category(&mut self, index: usize, word: &str, position: i64) -> Result<(), Rejection> {
        let field = &self.fields[index];
        for target in &field.targets {
            if target.is_string {
                target.text(self.inputs, self.row, word);
            } else {
                target
                    .integer(self.inputs, self.row, 0, position)
                    .map_err(|overflow| overflows(field.place(), format_args!("{position}"), overflow))?;
            }
        }
        Ok(())
    }

    pub(super) fn store_text(&mut self, index: usize, text: &str) {
        for target in &self.fields[index].targets {
            target.text(self.inputs, self.row, text);
        }
    }

    pub(super) fn store_time(&mut self, index: usize, us: i64) -> Result<(), Rejection> {
        let field = &self.fields[index];
        let place = field.place();
        let Kind::Timestamp(rule) = &field.kind else {
            unreachable!("only timestamps are stored as times");
        };
        for (at, part) in rule.parts.iter().enumerate() {
            let value = timestamp::part(place, *part, us, self.record_ms)?;
            self.store_float(index, at, value)?;
        }
        Ok(())
    }
}

#[cold]
pub(in crate::fields) fn overflows(
    place: Place<'_>,
    value: std::fmt::Arguments<'_>,
    Overflow(dtype): Overflow,
) -> Rejection {
    place.reject(
        Reason::OutOfRange,
        format_args!("is {value}, which does not fit into the model's {dtype}"),
    )
}
