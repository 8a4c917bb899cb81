//! An ONNX file as a tree of fields, so that it can be damaged in depth with all lengths still right.

/// A field and what it holds.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub(crate) number: u64,
    pub(crate) holds: Holds,
}

#[derive(Debug, Clone)]
pub(crate) enum Holds {
    Number(u64),
    Fixed(Vec<u8>),
    Bytes(Vec<u8>),
    Message(Vec<Field>),
}

/// Messages of the format that are worth going into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    Value,
    Type,
    Typed,
    Shape,
    Plain,
}

fn inner(kind: Kind, field: u64) -> Option<Kind> {
    Some(match (kind, field) {
        (Kind::Model, 7) | (Kind::Attribute, 6 | 11) => Kind::Graph,
        (Kind::Graph, 1) => Kind::Node,
        (Kind::Graph, 5) | (Kind::Attribute, 5 | 10) => Kind::Tensor,
        (Kind::Graph, 11..=13) => Kind::Value,
        (Kind::Node, 5) => Kind::Attribute,
        (Kind::Value, 2) | (Kind::Attribute, 14 | 15) => Kind::Type,
        (Kind::Type, 1 | 8) => Kind::Typed,
        (Kind::Typed, 2) => Kind::Shape,
        (Kind::Model, 8) | (Kind::Shape, 1) | (Kind::Tensor, 13) => Kind::Plain,
        _ => return None,
    })
}

/// Reads a sound file.
pub(crate) fn read(file: &[u8]) -> Vec<Field> {
    fields(file, Kind::Model).expect("the files that mutants are made of are sound")
}

fn fields(mut bytes: &[u8], kind: Kind) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let number = tag >> 3;
        let mut take = |len: usize| {
            let (taken, rest) = bytes.split_at_checked(len)?;
            bytes = rest;
            Some(taken)
        };
        let holds = match tag & 7 {
            0 => Holds::Number(varint(&mut bytes)?),
            1 => Holds::Fixed(take(8)?.to_vec()),
            5 => Holds::Fixed(take(4)?.to_vec()),
            _ => {
                let len = varint(&mut bytes)? as usize;
                let (content, rest) = bytes.split_at_checked(len)?;
                bytes = rest;
                match inner(kind, number) {
                    Some(inner) => Holds::Message(self::fields(content, inner)?),
                    None => Holds::Bytes(content.to_vec()),
                }
            }
        };
        fields.push(Field { number, holds });
    }
    Some(fields)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// The file of a tree.
pub(crate) fn write(fields: &[Field]) -> Vec<u8> {
    let mut out = Vec::new();
    for Field { number, holds } in fields {
        let kind = match holds {
            Holds::Number(_) => 0,
            Holds::Fixed(bytes) if bytes.len() == 8 => 1,
            Holds::Fixed(_) => 5,
            Holds::Bytes(_) | Holds::Message(_) => 2,
        };
        put_varint(&mut out, number << 3 | kind);
        match holds {
            Holds::Number(number) => put_varint(&mut out, *number),
            Holds::Fixed(bytes) => out.extend_from_slice(bytes),
            Holds::Bytes(bytes) => put_bytes(&mut out, bytes),
            Holds::Message(fields) => put_bytes(&mut out, &write(fields)),
        }
    }
    out
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Calls `visit` with every list of fields in the tree, the outermost first.
pub(crate) fn each_message<'a>(fields: &'a [Field], visit: &mut dyn FnMut(&'a [Field])) {
    visit(fields);
    for field in fields {
        if let Holds::Message(inner) = &field.holds {
            each_message(inner, visit);
        }
    }
}

/// The list of fields that [`each_message`] comes to as number `place`.
pub(crate) fn message_at<'a>(fields: &'a mut Vec<Field>, place: &mut usize) -> Option<&'a mut Vec<Field>> {
    if *place == 0 {
        return Some(fields);
    }
    *place -= 1;
    fields.iter_mut().find_map(|field| match &mut field.holds {
        Holds::Message(inner) => message_at(inner, place),
        _ => None,
    })
}
