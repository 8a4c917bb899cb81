//! Protocol Buffers on the wire: as much of them as it takes to walk over an ONNX file and copy it.
//!
//! Owns: fields and their bytes. Never does: know what a field means, or follow one inwards.
//! Invariant: any bytes at all give fields or an error, never a panic, and nothing is allocated for reading.

/// What is wrong with the bytes, as the rest of a sentence about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WireError {
    #[error("ends in the middle of a field")]
    Truncated,
    #[error("contains what no Protocol Buffers message contains")]
    Malformed,
}

/// One field of a message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field<'a> {
    pub(crate) number: u64,
    pub(crate) value: Value<'a>,
    /// The whole field with its tag, to be copied as it is.
    pub(crate) raw: &'a [u8],
}

/// What a field holds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed32,
    Fixed64,
    Bytes(&'a [u8]),
}

impl<'a> Field<'a> {
    /// The bytes, where this is the field `number` and holds bytes.
    pub(crate) fn bytes(&self, number: u64) -> Option<&'a [u8]> {
        match self.value {
            Value::Bytes(bytes) if self.number == number => Some(bytes),
            _ => None,
        }
    }
}

/// The fields of a message, in their order. Ends after the first error.
pub(crate) fn fields(message: &[u8]) -> Fields<'_> {
    Fields { rest: message }
}

#[derive(Debug, Clone)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = read_field(&mut self.rest);
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

fn read_field<'a>(rest: &mut &'a [u8]) -> Result<Field<'a>, WireError> {
    let start = *rest;
    let tag = read_varint(rest)?;
    let number = tag >> 3;
    if number == 0 || number > (1 << 29) - 1 {
        return Err(WireError::Malformed);
    }
    let value = match tag & 7 {
        0 => Value::Varint(read_varint(rest)?),
        1 => {
            take(rest, 8)?;
            Value::Fixed64
        }
        2 => {
            let len = read_varint(rest)?;
            let len = usize::try_from(len).map_err(|_| WireError::Truncated)?;
            Value::Bytes(take(rest, len)?)
        }
        5 => {
            take(rest, 4)?;
            Value::Fixed32
        }
        _ => return Err(WireError::Malformed),
    };
    let raw = &start[..start.len() - rest.len()];
    Ok(Field { number, value, raw })
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Result<&'a [u8], WireError> {
    let (taken, left) = rest.split_at_checked(len).ok_or(WireError::Truncated)?;
    *rest = left;
    Ok(taken)
}

/// Reads one variable-length number off the front.
pub(crate) fn read_varint(rest: &mut &[u8]) -> Result<u64, WireError> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, left) = rest.split_first().ok_or(WireError::Truncated)?;
        *rest = left;
        // Only one bit of the tenth byte is left for the number; loaders differ in what they make of the others.
        if shift == 63 && byte > 1 {
            return Err(WireError::Malformed);
        }
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(WireError::Malformed)
}

/// Appends a field that holds a number.
pub(crate) fn put_number(out: &mut Vec<u8>, field: u64, number: u64) {
    put_varint(out, field << 3);
    put_varint(out, number);
}

/// Appends a field that holds bytes: a string or a message.
pub(crate) fn put_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_varint(out, field << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}
