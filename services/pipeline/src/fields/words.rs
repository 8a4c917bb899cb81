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
}

impl<'a> Place<'a> {
    pub(crate) fn field(field: &'a str) -> Self {
        Self { field, element: None }
    }

    pub(crate) fn element(field: &'a str, element: usize) -> Self {
        Self {
            field,
            element: Some(element),
        }
    }

    /// A rejection with a sentence that begins with this place.
    #[cold]
    pub(crate) fn reject(self, reason: Reason, rest: impl fmt::Display) -> Rejection {
        Rejection::new(reason, format!("{self} {rest}"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters_within_the_limit() {
        let long = "ä".repeat(100);
        let clipped = clip(&long);
        assert!(clipped.len() <= QUOTED_BYTES);
        assert!(clipped.ends_with('…'));
        assert_eq!(clip("short"), "short");
    }
}
