//! Notes of the values of one column, and what comes of them.
//!
//! Invariant: what is kept of a value does not depend on its length, and how many are kept is bounded by [`Room`].

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher as _;

use indexmap::IndexMap;
use jiff::Timestamp;

use super::Limits;
use super::column::{Column, Content, Distinct, Kind, Numbers};
use super::sample::Sample;
use crate::text::{clip, push_string};

/// Longest text that counts as a word.
const WORD_BYTES: usize = 256;
/// Longest text that counts as an identifier.
const IDENTIFIER_BYTES: usize = 128;
/// Fewest values of which it says anything that they all differ.
const MANY: u64 = 20;
/// Shares at which quantiles are taken.
const SHARES: [f64; 7] = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99];

/// What may still be kept.
#[derive(Debug)]
pub(crate) struct Room {
    limits: Limits,
    left: usize,
}

impl Room {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            left: limits.kept,
            limits,
        }
    }
}

/// Notes of the values of one column.
#[derive(Debug, Default)]
pub(crate) struct Observer {
    booleans: u64,
    integers: u64,
    floats: u64,
    texts: u64,
    /// Texts that stand for infinities and NaN among numbers.
    not_finite: u64,
    lists: u64,
    objects: u64,
    range: Option<(f64, f64)>,
    sample: Sample,
    fractions: bool,
    times: Times,
    order: Order,
    vectors: Lengths,
    longest: usize,
    spaces: bool,
    distinct: HashSet<u64>,
    repeats: bool,
    /// Whether more distinct values came than are counted.
    overflow: bool,
    words: Words,
    examples: Vec<String>,
}

/// The earliest and the latest time, as long as every text is one.
#[derive(Debug, Default)]
enum Times {
    #[default]
    None,
    Between(Timestamp, Timestamp),
    Not,
}

/// Whether integers only rise.
#[derive(Debug, Default)]
enum Order {
    #[default]
    Empty,
    Rising(i64),
    Not,
}

/// The length of lists of numbers, as long as they have the same.
#[derive(Debug, Default)]
enum Lengths {
    #[default]
    None,
    Same(usize),
    Different,
}

/// Few words with their counts, or too many.
#[derive(Debug)]
enum Words {
    Few(IndexMap<String, u64>),
    Many,
}

impl Default for Words {
    fn default() -> Self {
        Self::Few(IndexMap::new())
    }
}

impl Observer {
    /// Whether there was any value.
    pub(crate) fn is_present(&self) -> bool {
        self.present() > 0
    }

    fn present(&self) -> u64 {
        self.booleans + self.integers + self.floats + self.texts + self.not_finite + self.lists
    }

    /// The column is an object elsewhere.
    pub(crate) fn object(&mut self) {
        self.objects += 1;
    }

    /// Notes a value by its JSON, which is sound.
    pub(crate) fn observe(&mut self, json: &str, room: &mut Room) {
        match json.as_bytes().first() {
            None | Some(b'n') => return,
            Some(b't' | b'f') => {
                self.booleans += 1;
                self.value(json, room);
            }
            Some(b'"') => {
                let inner = &json[1..json.len() - 1];
                if inner.contains('\\') {
                    let text: String = serde_json::from_str(json).unwrap_or_default();
                    self.text(&text, room);
                } else {
                    self.text(inner, room);
                }
            }
            Some(b'[') => self.list(json),
            Some(_) => self.number(json, room),
        }
        if self.examples.len() < room.limits.examples {
            let example = clip(json);
            if !self.examples.iter().any(|known| *known == example) {
                self.examples.push(example.into_owned());
            }
        }
    }

    /// Notes a label, which is a text wherever it comes from.
    pub(crate) fn label(&mut self, text: &str, room: &mut Room) {
        let is_number = text.starts_with(|c: char| c == '-' || c.is_ascii_digit())
            && serde_json::from_str::<serde_json::Number>(text).is_ok();
        if is_number || matches!(text, "true" | "false") {
            self.observe(text, room);
        } else {
            let mut json = String::new();
            push_string(&mut json, text);
            self.observe(&json, room);
        }
    }

    fn number(&mut self, json: &str, room: &mut Room) {
        let integer = json.parse::<i64>();
        match integer {
            Ok(i) => {
                self.integers += 1;
                self.order = match self.order {
                    Order::Empty => Order::Rising(i),
                    Order::Rising(last) if i > last => Order::Rising(i),
                    _ => Order::Not,
                };
            }
            Err(_) => self.floats += 1,
        }
        let x: f64 = json.parse().unwrap_or(f64::NAN);
        self.in_range(x);
        self.sample.take(x, room.limits.sample, &mut room.left);
        self.value(json, room);
    }

    fn in_range(&mut self, x: f64) {
        let (min, max) = self.range.unwrap_or((x, x));
        self.range = Some((min.min(x), max.max(x)));
        self.fractions |= x.fract() != 0.0;
    }

    fn text(&mut self, text: &str, room: &mut Room) {
        if matches!(text, "Infinity" | "-Infinity" | "NaN") {
            self.not_finite += 1;
            return self.value(text, room);
        }
        self.texts += 1;
        self.longest = self.longest.max(text.len());
        self.spaces |= text.contains(char::is_whitespace);
        self.times = match (&self.times, text.parse::<Timestamp>()) {
            (Times::None, Ok(time)) => Times::Between(time, time),
            (Times::Between(from, to), Ok(time)) => Times::Between(time.min(*from), time.max(*to)),
            _ => Times::Not,
        };
        self.value(text, room);
    }

    fn list(&mut self, json: &str) {
        self.lists += 1;
        let numbers: Result<Vec<&serde_json::value::RawValue>, _> = serde_json::from_str(json);
        let items = numbers.unwrap_or_default();
        for item in &items {
            let is_number = !item.get().starts_with(['"', '[', '{', 'n', 't', 'f']);
            match item.get().parse::<f64>() {
                Ok(x) if is_number => self.in_range(x),
                _ => self.vectors = Lengths::Different,
            }
        }
        self.vectors = match self.vectors {
            Lengths::None if !items.is_empty() => Lengths::Same(items.len()),
            Lengths::Same(length) if items.len() == length => Lengths::Same(length),
            _ => Lengths::Different,
        };
    }

    /// Counts a value among the distinct ones.
    fn value(&mut self, text: &str, room: &mut Room) {
        if let Words::Few(words) = &mut self.words {
            if let Some(count) = words.get_mut(text) {
                *count += 1;
                self.repeats = true;
                return;
            }
            if words.len() < room.limits.words && text.len() <= WORD_BYTES {
                words.insert(text.to_owned(), 1);
            } else {
                self.words = Words::Many;
            }
        }
        // A column that repeats itself is no identifier, whatever else it holds.
        let mut hasher = DefaultHasher::new();
        hasher.write(text.as_bytes());
        let hash = hasher.finish();
        if self.distinct.contains(&hash) {
            self.repeats = true;
        } else if self.distinct.len() >= room.limits.distinct || room.left == 0 {
            self.overflow = true;
        } else {
            room.left -= 1;
            self.distinct.insert(hash);
        }
    }

    /// What comes of it, in all `rows`.
    pub(crate) fn finish(self, path: Vec<String>, rows: u64) -> Column {
        let content = self.content();
        let distinct = self.distinct.len() as u64;
        let mut column = Column {
            kind: Kind::Empty,
            content,
            present: self.present(),
            missing: rows.saturating_sub(self.present()),
            distinct: if self.overflow {
                Distinct::AtLeast(distinct)
            } else {
                Distinct::Exactly(distinct)
            },
            words: None,
            numbers: None,
            times: None,
            examples: self.examples.clone(),
            path,
        };
        column.kind = self.kind(&column);
        if let Times::Between(from, to) = self.times
            && content == Content::Timestamps
        {
            column.times = Some((from, to));
        }
        if let Words::Few(words) = self.words
            && self.lists == 0
        {
            let mut words: Vec<(String, u64)> = words.into_iter().collect();
            words.sort_unstable();
            column.words = Some(words).filter(|words| !words.is_empty());
        }
        let are_numbers = matches!(content, Content::Integers | Content::Floats | Content::Vectors { .. });
        column.numbers = self.range.filter(|_| are_numbers).map(|(min, max)| Numbers {
            min,
            max,
            quantiles: self.sample.quantiles(&SHARES),
            is_whole: !self.fractions,
            not_finite: self.not_finite,
        });
        column
    }

    fn content(&self) -> Content {
        let numbers = self.integers + self.floats;
        // Words for infinities are numbers among numbers, and words among words.
        let texts = if numbers == 0 {
            self.texts + self.not_finite
        } else {
            self.texts
        };
        let kinds = [self.booleans, numbers, texts, self.lists, self.objects];
        if kinds.iter().filter(|count| **count > 0).count() > 1 {
            return Content::Mixture;
        }
        match (&self.times, &self.vectors) {
            _ if self.booleans > 0 => Content::Booleans,
            _ if self.floats > 0 || (self.integers > 0 && self.not_finite > 0) => Content::Floats,
            _ if self.integers > 0 => Content::Integers,
            (Times::Between(..), _) if self.not_finite == 0 => Content::Timestamps,
            _ if texts > 0 => Content::Texts,
            (_, Lengths::Same(length)) => Content::Vectors {
                length: *length,
                is_whole: !self.fractions,
            },
            _ if self.lists > 0 => Content::Lists,
            _ => Content::Nothing,
        }
    }

    fn kind(&self, column: &Column) -> Kind {
        let all_differ = !self.repeats && (column.present >= MANY || is_called_identifier(&column.path));
        let is_rising = matches!(self.order, Order::Rising(_)) || is_called_identifier(&column.path);
        let is_constant = column.distinct == Distinct::Exactly(1) && column.missing == 0 && column.present > 1;
        match column.content {
            Content::Nothing => Kind::Empty,
            Content::Mixture => Kind::Mixture,
            Content::Lists => Kind::List,
            Content::Vectors { length, .. } => Kind::Vector(length),
            _ if is_constant => Kind::Constant,
            Content::Booleans => Kind::Boolean,
            Content::Floats => Kind::Float,
            Content::Timestamps => Kind::Timestamp,
            Content::Integers if all_differ && is_rising => Kind::Identifier,
            Content::Integers => Kind::Integer,
            Content::Texts if all_differ && !self.spaces && self.longest <= IDENTIFIER_BYTES => Kind::Identifier,
            Content::Texts => match &self.words {
                Words::Few(words) if words.len() <= 2 || words.len() as u64 * 2 <= column.present => Kind::Category,
                _ => Kind::Text,
            },
        }
    }
}

/// Whether a name is one of those that identifiers have: `id`, `customer_id`, `PassengerId`, `uuid`, and those that pandas
/// gives to its index.
fn is_called_identifier(path: &[String]) -> bool {
    let Some(name) = path.last() else { return false };
    let is_index = name.starts_with("Unnamed: ") || name.starts_with("__index_level_");
    let lower = name.to_ascii_lowercase();
    let is_word = matches!(lower.as_str(), "id" | "uuid" | "guid" | "index" | "key");
    let ends = ["_id", "-id", " id", ".id", "_uuid", "_key"]
        .iter()
        .any(|end| lower.ends_with(end));
    let is_camel = name
        .strip_suffix("Id")
        .or(name.strip_suffix("ID"))
        .is_some_and(|start| start.ends_with(|c: char| c.is_lowercase()));
    is_index || is_word || ends || lower.starts_with("id_") || is_camel
}
