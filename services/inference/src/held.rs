//! Copies of the outputs in a lane's open transaction, for the day that it is aborted.
//!
//! Owns: the bytes and the limit on them. Never does: send; [`crate::ledger`] does.
//!
//! Invariant: what it gives back is every output that was pushed since it was cleared, in order and byte for byte; when it
//! cannot hold them all, it is not whole and gives back none.

use std::ops::Range;

use eddy_broker::Ticket;
use eddy_pipeline::event::{Destination, Header, Output};

/// A piece of an arena.
type Piece = Range<usize>;

#[derive(Debug)]
struct Copied {
    to: Destination,
    partition: i32,
    place: (Ticket, u32),
    key: Option<Piece>,
    value: Option<Piece>,
    headers: Piece,
}

/// The outputs of one transaction, in order. Its memory is used again.
#[derive(Debug, Default)]
pub(crate) struct Held {
    limit: u64,
    overflowed: bool,
    outputs: Vec<Copied>,
    headers: Vec<(Piece, Option<Piece>)>,
    names: String,
    bytes: Vec<u8>,
}

impl Held {
    /// Empties it for the next transaction, with a limit in bytes.
    pub(crate) fn clear(&mut self, limit: u64) {
        self.limit = limit;
        self.overflowed = false;
        self.outputs.clear();
        self.headers.clear();
        self.names.clear();
        self.bytes.clear();
    }

    /// Copies an output. Beyond the limit nothing is kept until the next [`Held::clear`].
    pub(crate) fn push(&mut self, output: &Output<'_>, place: (Ticket, u32)) {
        if self.overflowed {
            return;
        }
        let first_header = self.headers.len();
        for header in output.headers {
            let start = self.names.len();
            self.names.push_str(header.name);
            let value = header.value.map(|value| self.store(value));
            self.headers.push((start..self.names.len(), value));
        }
        let copied = Copied {
            to: output.to,
            partition: output.partition,
            place,
            key: output.key.map(|key| self.store(key)),
            value: output.value.map(|value| self.store(value)),
            headers: first_header..self.headers.len(),
        };
        self.outputs.push(copied);
        if (self.bytes.len() + self.names.len()) as u64 > self.limit {
            self.clear(self.limit);
            self.overflowed = true;
        }
    }

    /// Whether all outputs since [`Held::clear`] are here.
    pub(crate) fn is_whole(&self) -> bool {
        !self.overflowed
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.outputs.len()
    }

    /// Shows each output with its place, in order, until one fails.
    pub(crate) fn each<E>(&self, mut show: impl FnMut(&Output<'_>, (Ticket, u32)) -> Result<(), E>) -> Result<(), E> {
        let slice = |piece: &Piece| &self.bytes[piece.clone()];
        let mut headers = Vec::new();
        for copied in &self.outputs {
            headers.clear();
            headers.extend(self.headers[copied.headers.clone()].iter().map(|(name, value)| Header {
                name: &self.names[name.clone()],
                value: value.as_ref().map(slice),
            }));
            let output = Output {
                to: copied.to,
                partition: copied.partition,
                key: copied.key.as_ref().map(slice),
                value: copied.value.as_ref().map(slice),
                headers: &headers,
            };
            show(&output, copied.place)?;
        }
        Ok(())
    }

    fn store(&mut self, bytes: &[u8]) -> Piece {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADERS: [Header<'static>; 2] = [
        Header {
            name: "eddy.id",
            value: Some(b"a"),
        },
        Header {
            name: "note",
            value: None,
        },
    ];

    fn output<'a>(to: Destination, key: Option<&'a [u8]>, value: Option<&'a [u8]>) -> Output<'a> {
        Output {
            to,
            partition: 3,
            key,
            value,
            headers: &HEADERS,
        }
    }

    fn shown(held: &Held) -> Vec<String> {
        let mut shown = Vec::new();
        let end: Result<(), ()> = held.each(|output, place| {
            shown.push(format!("{output:?} at {place:?}"));
            Ok(())
        });
        assert_eq!(end, Ok(()));
        shown
    }

    #[test]
    fn outputs_come_back_in_order_and_as_they_were() {
        let outputs = [
            output(Destination::Predictions, Some(b"key"), Some(b"value")),
            output(Destination::Retraining, None, Some(b"")),
            output(Destination::DeadLetters, Some(b""), None),
        ];
        let mut held = Held::default();
        held.clear(1000);
        for (row, output) in (0..).zip(&outputs) {
            held.push(output, (7, row));
        }
        let expected: Vec<String> = (0..3)
            .map(|row| format!("{:?} at {:?}", outputs[row], (7, row)))
            .collect();
        assert_eq!(shown(&held), expected);
        assert!(held.is_whole());
    }

    #[test]
    fn beyond_the_limit_none_is_kept_until_it_is_cleared() {
        let large = output(Destination::Predictions, None, Some(&[0; 100]));
        let mut held = Held::default();
        held.clear(150);
        held.push(&large, (0, 0));
        assert!(held.is_whole());
        held.push(&large, (0, 1));
        held.push(&output(Destination::Predictions, None, None), (0, 2));
        assert!(!held.is_whole());
        assert_eq!(held.len(), 0);
        held.clear(150);
        assert!(held.is_whole());
    }

    #[test]
    fn the_first_failure_ends_the_showing() {
        let mut held = Held::default();
        held.clear(1000);
        for row in 0..3 {
            held.push(&output(Destination::Predictions, None, None), (0, row));
        }
        let mut seen = 0;
        let end = held.each(|_, (_, row)| {
            seen += 1;
            if row == 1 { Err("no") } else { Ok(()) }
        });
        assert_eq!((end, seen), (Err("no"), 2));
    }
}
