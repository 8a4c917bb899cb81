//! Strings, numbers and lengths: allowed words, bounds, formats.

use eddy_pipeline::settings::{Bytes, Span, nearest};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as ValueError, StrDeserializer};

use super::Walk;
use crate::settings::schema::{Alternative, quoted};
use crate::settings::tree::{Content, Node};

impl Walk<'_> {
    /// Walks a value that is neither table nor list, given the alternatives that allow its type.
    pub(super) fn scalar(&mut self, node: &Node, alternatives: &[Alternative], path: &str) -> bool {
        if let Content::String(text) = &node.content
            && alternatives.iter().all(|alternative| !alternative.words().is_empty())
        {
            let words: Vec<&str> = alternatives.iter().flat_map(Alternative::words).collect();
            if words.contains(&text.as_str()) {
                return true;
            }
            self.report(node, path, format!("`{path}` {}", unknown_word(text, &words)));
            return false;
        }
        let mut faults = alternatives.iter().map(|alternative| fault(&node.content, alternative));
        let Some(Some(first)) = faults.next() else {
            return true;
        };
        if faults.any(|fault| fault.is_none()) {
            return true;
        }
        self.report(node, path, format!("`{path}` {first}"));
        false
    }
}

/// "cannot be "earlyest"; did you mean "earliest"? It is one of …".
pub(super) fn unknown_word(text: &str, words: &[&str]) -> String {
    let all = quoted(words.iter().copied());
    match nearest(&text.to_lowercase(), words.iter().copied()) {
        Some(near) => format!("cannot be \"{text}\"; did you mean \"{near}\"? It takes one of {all}"),
        None => format!("cannot be \"{text}\"; it takes one of {all}"),
    }
}

fn fault(content: &Content, alternative: &Alternative) -> Option<String> {
    match content {
        Content::String(text) => string_fault(text, alternative),
        Content::Integer(number) if *number < 0 && alternative.format() == Some("bytes") => {
            Some(format!("is {number}; a size cannot be less than nothing"))
        }
        Content::Integer(number) => number_fault(*number as f64, &number.to_string(), alternative),
        Content::Float(number) => number_fault(*number, &number.to_string(), alternative),
        _ => None,
    }
}

fn string_fault(text: &str, alternative: &Alternative) -> Option<String> {
    let words = alternative.words();
    if !words.is_empty() {
        return (!words.contains(&text)).then(|| unknown_word(text, &words));
    }
    let value: StrDeserializer<'_, ValueError> = text.into_deserializer();
    let unreadable = match alternative.format() {
        Some("span") => Span::deserialize(value).err(),
        Some("bytes") => Bytes::deserialize(value).err(),
        _ => None,
    };
    if let Some(error) = unreadable {
        return Some(format!("cannot be read: {error}"));
    }
    let characters = text.chars().count() as f64;
    if alternative.bound("minLength").is_some_and(|least| characters < least) {
        let emptiness = if text.is_empty() { "is empty" } else { "is too short" };
        return Some(format!(
            "{emptiness}; write something, or leave the key out for its default"
        ));
    }
    let most = alternative.bound("maxLength").filter(|most| characters > *most)?;
    Some(format!("has {characters} characters; at most {most} are allowed"))
}

fn number_fault(number: f64, written: &str, alternative: &Alternative) -> Option<String> {
    let least = alternative.bound("minimum");
    let most = alternative.bound("maximum");
    let above = alternative.bound("exclusiveMinimum");
    let below = alternative.bound("exclusiveMaximum");
    // A number that is no number is below nothing and above nothing, so ask for what must hold.
    let holds = least.is_none_or(|least| number >= least)
        && most.is_none_or(|most| number <= most)
        && above.is_none_or(|above| number > above)
        && below.is_none_or(|below| number < below);
    if holds {
        return None;
    }
    let bounds = [
        least.map(|bound| format!("at least {bound}")),
        above.map(|bound| format!("more than {bound}")),
        most.map(|bound| format!("at most {bound}")),
        below.map(|bound| format!("less than {bound}")),
    ];
    let bounds: Vec<String> = bounds.into_iter().flatten().collect();
    Some(format!("is {written}; it must be {}", bounds.join(" and ")))
}

/// What is wrong with the number of items of a list, if anything.
pub(super) fn wrong_length(count: usize, alternative: &Alternative) -> Option<String> {
    let least = alternative.bound("minItems");
    let most = alternative.bound("maxItems");
    let items = |bound: f64| {
        if bound == 1.0 {
            "1 item".to_owned()
        } else {
            format!("{bound} items")
        }
    };
    match (least, most) {
        (Some(least), Some(most)) if least == most && count as f64 != least => {
            Some(format!("has {count} items; it takes exactly {}", items(least)))
        }
        (Some(least), _) if (count as f64) < least => {
            Some(format!("has {count} items; it takes at least {}", items(least)))
        }
        (_, Some(most)) if count as f64 > most => Some(format!("has {count} items; it takes at most {}", items(most))),
        _ => None,
    }
}
