//! The words of rejections about one value: they name the place and never quote more than a little of it.

use std::borrow::Cow;
use std::fmt;

use crate::rejection::{Reason, Rejection};

/// Most bytes of an event's value that a sentence quotes.
const QUOTED_BYTES: usize = 64;

/// Where a value stands: a field, and in a vector the element.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) field: &'a str,
    pub(crate) element: Option<usize>,
    /// Whether what stands there may not be told.
    pub(crate) is_masked: bool,
}

impl<'a> Place<'a> {
    pub(crate) const fn field(field: &'a str) -> Self {
        Self {
            field,
            element: None,
            is_masked: false,
        }
    }

    pub(crate) fn element(field: &'a str, element: usize) -> Self {
        Self {
            element: Some(element),
            ..Self::field(field)
        }
    }

    /// A rejection with a sentence that begins with this place.
    #[cold]
    pub(crate) fn reject(self, reason: Reason, rest: impl fmt::Display) -> Rejection {
        match self.is_masked {
            true => Rejection::new(
                reason,
                format!("{self} does not fit; its value is masked (`events.mask`)"),
            ),
            false => Rejection::new(reason, format!("{self} {rest}")),
        }
    }

    /// A rejection of a value of the wrong type.
    #[cold]
    pub(crate) fn wrong_type(self, found: impl fmt::Display, wanted: &str) -> Rejection {
        self.reject(Reason::WrongType, format_args!("is {found}, not {wanted}"))
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.element {
            None => write!(f, "field `{}`", clip(self.field)),
            Some(element) => write!(f, "element {element} of field `{}`", clip(self.field)),
        }
    }
}

/// The beginning of a text, cut between characters.
pub(crate) fn clip(text: &str) -> Cow<'_, str> {
    if text.len() <= QUOTED_BYTES {
        return Cow::Borrowed(text);
    }
    let end = text.floor_char_boundary(QUOTED_BYTES - '…'.len_utf8());
    Cow::Owned(format!("{}…", &text[..end]))
}

/// The beginning of a text in quotation marks, with what cannot be seen escaped.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        let alone = format!("{:?}", character.encode_utf8(&mut [0; 4]));
        let escaped = &alone[1..alone.len() - 1];
        if quoted.len() + escaped.len() > QUOTED_BYTES {
            quoted.push('…');
            break;
        }
        quoted.push_str(escaped);
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_text_is_short_however_much_of_it_is_escaped() {
        assert_eq!(quote("it's \"ä\"\n"), r#""it's \"ä\"\n""#);
        for long in ["\u{7f}".repeat(100), "ä".repeat(100), "\"".repeat(100)] {
            let quoted = quote(&long);
            assert!(quoted.len() <= QUOTED_BYTES + 4 && quoted.ends_with("…\""), "{quoted}");
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters_within_the_limit() {
        let long = "ä".repeat(100);
        let clipped = clip(&long);
        assert!(clipped.len() <= QUOTED_BYTES);
        assert!(clipped.ends_with('…'));
        assert_eq!(clip("short"), "short");
    }
}
