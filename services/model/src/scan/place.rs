//! Where something is in a file, in words.
//!
//! Owns: the sentence's beginning. Never does: cost anything while nothing is wrong.
//! Invariant: whatever a file says of itself is shown short and without control characters.

use std::fmt::Write as _;

use super::format::{Kind, Message, NODE_OPERATOR, NODE_OUTPUT};
use crate::wire::{Value, fields};

/// Longest name that is shown, in characters.
const SHOWN: usize = 60;
/// Most places of which the innermost is shown to be part.
const OUTER: usize = 4;

/// A message that is being looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step<'a> {
    /// What it is to the message around it.
    pub(super) label: &'static str,
    pub(super) message: &'static Message,
    pub(super) bytes: &'a [u8],
}

/// The innermost of the steps, and what it is part of.
pub(super) fn describe(steps: &[Step<'_>]) -> String {
    let (Some(innermost), outer) = (steps.last(), &steps[..steps.len().saturating_sub(1)]) else {
        return "the model".into();
    };
    let mut text = name(innermost);
    let is_landmark = |step: &&Step<'_>| step.message.name.is_some();
    for step in outer.iter().rev().filter(is_landmark).take(OUTER) {
        write!(text, " of {}", name(step)).expect("writing to a String cannot fail");
    }
    text
}

fn name(step: &Step<'_>) -> String {
    let Step { label, message, bytes } = step;
    if message.kind == Kind::Model {
        return "the model".into();
    }
    let own = message.name.and_then(|field| text(bytes, field));
    match message.kind {
        Kind::Node => {
            let name = own.filter(|name| !name.is_empty()).or_else(|| text(bytes, NODE_OUTPUT));
            let operator = text(bytes, NODE_OPERATOR).unwrap_or_default();
            format!("node `{}` ({})", shown(name.unwrap_or_default()), shown(operator))
        }
        _ => match own.filter(|name| !name.is_empty()) {
            Some(name) => format!("{label} `{}`", shown(name)),
            None => format!("a {label} without a name"),
        },
    }
}

/// The first bytes in the field, whatever else is wrong with the message.
pub(super) fn text(message: &[u8], field: u64) -> Option<&[u8]> {
    fields(message)
        .map_while(Result::ok)
        .find_map(|found| match found.value {
            Value::Bytes(bytes) if found.number == field => Some(bytes),
            _ => None,
        })
}

/// A name out of a file, fit to be shown.
pub(super) fn shown(name: &[u8]) -> String {
    let head = &name[..name.len().min(4 * SHOWN)];
    let text = String::from_utf8_lossy(head);
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if name.len() > head.len() || text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}
