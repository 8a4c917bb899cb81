//! The primitive encodings of Avro, checked.
//!
//! Invariant: nothing is read beyond the end, and nothing is allocated.

use crate::rejection::{Reason, Rejection};

/// What is left of a value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bytes<'b> {
    rest: &'b [u8],
    /// Bytes of the whole value, its frame too.
    length: usize,
}

#[cold]
pub(super) fn malformed(detail: impl Into<std::borrow::Cow<'static, str>>) -> Rejection {
    Rejection::new(Reason::Malformed, detail)
}

#[cold]
fn ends() -> Rejection {
    malformed("the value ends in the middle of what its schema says")
}

impl<'b> Bytes<'b> {
    /// The bytes of `value` from `start` on.
    pub(super) fn new(value: &'b [u8], start: usize) -> Self {
        Self {
            rest: value.get(start..).unwrap_or_default(),
            length: value.len(),
        }
    }

    /// Where the next byte stands in the whole value.
    #[inline]
    pub(super) fn position(&self) -> usize {
        self.length - self.rest.len()
    }

    #[inline]
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    #[inline]
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Rejection> {
        let (bytes, rest) = self.rest.split_first_chunk::<N>().ok_or_else(ends)?;
        self.rest = rest;
        Ok(*bytes)
    }

    #[inline]
    pub(super) fn take(&mut self, count: usize) -> Result<&'b [u8], Rejection> {
        let (bytes, rest) = self.rest.split_at_checked(count).ok_or_else(ends)?;
        self.rest = rest;
        Ok(bytes)
    }

    pub(super) fn boolean(&mut self) -> Result<bool, Rejection> {
        match self.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(malformed(format!("a truth value is byte {other}, not 0 or 1"))),
        }
    }

    /// A zigzag integer.
    #[inline]
    pub(super) fn long(&mut self) -> Result<i64, Rejection> {
        let raw = match *self.rest {
            [byte, ref rest @ ..] if byte < 0x80 => {
                self.rest = rest;
                u64::from(byte)
            }
            _ => self.varint()?,
        };
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    fn varint(&mut self) -> Result<u64, Rejection> {
        let mut raw = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            // Only one bit is left for the tenth byte.
            if shift == 63 && byte > 1 {
                break;
            }
            raw |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(raw);
            }
        }
        Err(malformed("an integer has more than 64 bits"))
    }

    #[inline]
    pub(super) fn int(&mut self) -> Result<i32, Rejection> {
        let long = self.long()?;
        i32::try_from(long).map_err(|_| malformed(format!("{long} does not fit into an `int`")))
    }

    /// The length of what follows, which must be there.
    #[inline]
    pub(super) fn length(&mut self) -> Result<usize, Rejection> {
        let length = self.long()?;
        match usize::try_from(length) {
            Ok(length) if length <= self.rest.len() => Ok(length),
            Ok(_) => Err(ends()),
            Err(_) => Err(malformed(format!("a length is {length}"))),
        }
    }

    /// Bytes behind their length.
    #[inline]
    pub(super) fn counted(&mut self) -> Result<&'b [u8], Rejection> {
        let length = self.length()?;
        self.take(length)
    }

    /// The head of a block of an array or map: how many items it has, 0 at the end, and where it ends, if it says so.
    pub(super) fn block(&mut self) -> Result<(usize, Option<usize>), Rejection> {
        let count = self.long()?;
        let end = if count < 0 {
            let length = self.length()?;
            Some(self.position() + length)
        } else {
            None
        };
        let count = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
        Ok((count, end))
    }

    /// Checks that a block ends where it said.
    pub(super) fn end_block(&self, end: Option<usize>) -> Result<(), Rejection> {
        match end {
            Some(end) if end != self.position() => Err(malformed(format!(
                "a block of items was to end at byte {end}, and does not"
            ))),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long(bytes: &[u8]) -> Result<i64, Rejection> {
        Bytes::new(bytes, 0).long()
    }

    #[test]
    fn integers_are_zigzag_of_at_most_64_bits() {
        // The examples of Avro's specification, and the ends.
        assert_eq!(long(&[0]), Ok(0));
        assert_eq!(long(&[1]), Ok(-1));
        assert_eq!(long(&[2]), Ok(1));
        assert_eq!(long(&[0x7F]), Ok(-64));
        assert_eq!(long(&[0x80, 0x01]), Ok(64));
        let ones = [0xFF; 9];
        assert_eq!(long(&[&ones[..], &[1]].concat()), Ok(i64::MIN));
        assert_eq!(long(&[&[0xFE][..], &ones[1..], &[1]].concat()), Ok(i64::MAX));
        for broken in [
            [&ones[..], &[2]].concat(),
            [&ones[..], &[0x81, 0]].concat(),
            vec![0x80],
            vec![],
        ] {
            assert_eq!(long(&broken).unwrap_err().reason, Reason::Malformed, "{broken:?}");
        }
    }

    #[test]
    fn a_length_beyond_the_end_or_below_zero_is_refused() {
        assert!(Bytes::new(&[2, 9], 0).counted().is_ok());
        assert!(Bytes::new(&[4, 9], 0).counted().is_err());
        assert!(Bytes::new(&[1, 9], 0).counted().is_err());
    }

    #[test]
    fn the_smallest_count_of_a_block_is_a_number_too() {
        let mut bytes = [0xFF; 10];
        bytes[9] = 1;
        let block = [&bytes[..], &[0]].concat();
        assert_eq!(Bytes::new(&block, 0).block(), Ok((1 << 63, Some(11))));
    }
}
