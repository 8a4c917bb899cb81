//! The wire format of schema registries: byte 0, the schema's number as four bytes, then the value itself.

use super::schemas::SchemaKind;
use crate::rejection::{Reason, Rejection};

/// Bytes before the value.
pub(crate) const FRAME: usize = 5;

/// The number of the schema that a value says it was written with.
#[inline]
pub(crate) fn id_of(value: &[u8]) -> Option<u32> {
    match value {
        [0, a, b, c, d, ..] => Some(u32::from_be_bytes([*a, *b, *c, *d])),
        _ => None,
    }
}

/// What is said of a value without that frame: what it is instead, where that can be told.
#[cold]
pub(crate) fn unframed(value: &[u8], kind: SchemaKind) -> Rejection {
    let kind = kind.as_str();
    let framed = format!("{kind} in the framing of a schema registry: byte 0, then the schema's number");
    let detail = match value {
        [] => format!("the value is empty; the pipeline expects {framed}"),
        [0, ..] => format!(
            "the value is {} bytes long, too short for {framed} as four bytes",
            value.len()
        ),
        [b'O', b'b', b'j', 1, ..] => format!(
            "the value is a whole Avro file with its own schema, and the pipeline expects {framed}; have the producer use \
             the registry's serializer"
        ),
        [b'{' | b'[' | b'"', ..] => format!(
            "the value looks like plain JSON, and the pipeline expects {framed}; write `events.format = \"json\"`, or have the \
             producer use the registry's serializer"
        ),
        [first, ..] => format!(
            "the value begins with byte {first}, and the pipeline expects {framed}; have the producer use the registry's \
             serializer"
        ),
    };
    Rejection::new(Reason::Malformed, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_big_endian_and_stands_behind_byte_0() {
        assert_eq!(id_of(&[0, 1, 2, 3, 4]), Some(0x0102_0304));
        assert_eq!(id_of(&[0, 0, 0, 0, 7, 9, 9]), Some(7));
        assert_eq!(id_of(&[0, 0, 0, 0]), None);
        assert_eq!(id_of(&[1, 0, 0, 0, 7]), None);
    }

    #[test]
    fn what_is_not_framed_is_named() {
        let said = |value: &[u8]| unframed(value, SchemaKind::Avro).detail;
        assert!(said(b"").contains("empty"));
        assert!(said(b"\0\0").contains("2 bytes long"));
        assert!(said(b"{\"x\":1}").contains("plain JSON"));
        assert!(said(b"Obj\x01rest").contains("Avro file"));
        assert!(said(b"\x03").contains("byte 3"));
    }
}
