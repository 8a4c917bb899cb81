//! The walk of the tree against the schema. Reports every mistake and mends it, so that one does not hide the next.
//!
//! Never does: print a string that stands where no string belongs. It may be a secret in the wrong form.
//!
//! Invariant: a function that returns `true` leaves behind a node that satisfies the schema.

mod scalar;
mod table;

use serde_json::Value;

use super::problems::Diagnostic;
use super::schema::{Alternative, Schema};
use super::tree::{Content, Node};

/// Walks the whole tree. `true`: what is left of it satisfies the schema, though perhaps only after mending.
pub(super) fn walk(root: &mut Node, schema: &Schema, diagnostics: &mut Vec<Diagnostic>) -> bool {
    let mut walk = Walk { schema, diagnostics };
    walk.node(root, schema.root(), "")
}

struct Walk<'a> {
    schema: &'a Schema,
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl Walk<'_> {
    /// Walks one value. `false`: it is wrong, and its owner must do without it.
    fn node(&mut self, node: &mut Node, schema: &Value, path: &str) -> bool {
        let alternatives = self.schema.alternatives(schema);
        let type_name = node.content.type_name();
        let (fitting, others): (Vec<_>, Vec<_>) = alternatives.into_iter().partition(|a| a.accepts(type_name));
        if fitting.is_empty() {
            let message = wrong_type(node, &others, path);
            self.report(node, path, message);
            return false;
        }
        match &mut node.content {
            Content::Table(_) => self.table(node, &fitting, path),
            Content::List(_) => self.best(node, &fitting, |walk, node, alternative| {
                walk.list(node, alternative, path)
            }),
            _ => self.scalar(node, &fitting, path),
        }
    }

    fn list(&mut self, node: &mut Node, alternative: &Alternative, path: &str) -> bool {
        let Content::List(items) = &mut node.content else {
            return true;
        };
        let mut sound = true;
        for (index, item) in items.iter_mut().enumerate() {
            sound &= self.node(item, alternative.item(index), &format!("{path}[{index}]"));
        }
        let count = items.len();
        if let Some(message) = scalar::wrong_length(count, alternative) {
            self.report(node, path, format!("`{path}` {message}"));
            return false;
        }
        sound
    }

    /// Walks a value by the alternative that leaves the fewest mistakes.
    fn best(
        &mut self,
        node: &mut Node,
        alternatives: &[Alternative],
        mut attempt: impl FnMut(&mut Walk<'_>, &mut Node, &Alternative) -> bool,
    ) -> bool {
        let mut best: Option<(Vec<Diagnostic>, Node, bool)> = None;
        for alternative in alternatives {
            let mut diagnostics = Vec::new();
            let mut copy = node.clone();
            let mut walk = Walk {
                schema: self.schema,
                diagnostics: &mut diagnostics,
            };
            let sound = attempt(&mut walk, &mut copy, alternative);
            if best
                .as_ref()
                .is_none_or(|(fewest, ..)| diagnostics.len() < fewest.len())
            {
                best = Some((diagnostics, copy, sound));
            }
        }
        let (diagnostics, mended, sound) = best.expect("only called with alternatives that accept the type");
        self.diagnostics.extend(diagnostics);
        *node = mended;
        sound
    }

    fn report(&mut self, node: &Node, path: &str, message: String) {
        self.diagnostics.push(Diagnostic {
            place: node.place.clone(),
            key: path.to_owned(),
            message,
        });
    }
}

fn wrong_type(node: &Node, expected: &[Alternative], path: &str) -> String {
    let mut wanted: Vec<String> = expected.iter().map(Alternative::described).collect();
    wanted.dedup();
    let wanted = wanted.join(" or ");
    let name = if path.is_empty() {
        "the file".to_owned()
    } else {
        format!("`{path}`")
    };
    if expected
        .iter()
        .any(|alternative| alternative.format() == Some("secret"))
    {
        return format!("{name} is a secret and is never written in the file; write {wanted}");
    }
    format!("{name} must be {wanted}; found {}", node.content.described())
}
