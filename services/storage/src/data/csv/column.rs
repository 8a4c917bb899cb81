//! The type of a column of a CSV file, settled by all of its cells.
//!
//! Invariant: every cell that was observed can be written as a cell of that type.

use super::cell::{Cell, Zone};
use crate::text::push_string;

/// What the cells of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ColumnType {
    /// Not one cell holds anything.
    Nothing,
    /// Numbers.
    Numbers,
    /// Truth values.
    Booleans,
    /// Points in time.
    Times,
    /// Texts, or a mixture, which has no better type.
    Texts,
}

/// What was seen in a column so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Observed {
    numbers: bool,
    infinities: bool,
    booleans: bool,
    times: bool,
    texts: bool,
    assumed_zones: bool,
}

impl Observed {
    pub(crate) fn observe(&mut self, cell: &Cell<'_>) {
        match cell {
            Cell::Empty | Cell::MissingWord => {}
            Cell::Number(_) => self.numbers = true,
            Cell::Infinite(_) => self.infinities = true,
            Cell::Boolean(_) => self.booleans = true,
            Cell::Time(_, zone) => {
                self.times = true;
                self.assumed_zones |= *zone == Zone::Assumed;
            }
            Cell::Text => self.texts = true,
        }
    }

    /// The type that all cells fit.
    pub(crate) fn settle(self) -> ColumnType {
        match (self.texts, self.numbers, self.infinities, self.booleans, self.times) {
            (false, false, false, false, false) => ColumnType::Nothing,
            // A column of nothing but the word `inf` is a column of words.
            (false, true, _, false, false) => ColumnType::Numbers,
            (false, false, false, true, false) => ColumnType::Booleans,
            (false, false, false, false, true) => ColumnType::Times,
            _ => ColumnType::Texts,
        }
    }

    /// Whether times were taken for UTC because they do not say where their clock hangs.
    pub(crate) fn assumes_utc(self) -> bool {
        self.settle() == ColumnType::Times && self.assumed_zones
    }
}

impl ColumnType {
    /// Appends a cell's JSON. `Err` when it does not fit: the file is not the one that was observed.
    pub(crate) fn push_json(self, json: &mut String, text: &str) -> Result<(), Misfit> {
        if self == Self::Texts {
            if text.is_empty() {
                json.push_str("null");
            } else {
                push_string(json, text);
            }
            return Ok(());
        }
        let cell = Cell::of(text);
        let fits = match &cell {
            Cell::Empty | Cell::MissingWord => true,
            Cell::Number(_) | Cell::Infinite(_) => self == Self::Numbers,
            Cell::Boolean(_) => self == Self::Booleans,
            Cell::Time(..) => self == Self::Times,
            Cell::Text => false,
        };
        if !fits {
            return Err(Misfit);
        }
        cell.push_json(json);
        Ok(())
    }

    /// The cell as the text of a label; `None` where it is missing.
    pub(crate) fn label(self, text: &str) -> Option<String> {
        match (self, Cell::of(text)) {
            (_, Cell::Empty) => None,
            (Self::Texts, _) => Some(text.to_owned()),
            (_, Cell::MissingWord) => None,
            (_, Cell::Number(number)) => Some(number.into_owned()),
            (_, Cell::Boolean(b)) => Some(b.to_string()),
            (_, Cell::Time(time, _)) => Some(time.to_string()),
            (_, Cell::Infinite(_) | Cell::Text) => Some(text.trim().to_owned()),
        }
    }
}

/// A cell that does not fit the type of its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Misfit;

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(cells: &[&str]) -> ColumnType {
        let mut observed = Observed::default();
        for cell in cells {
            observed.observe(&Cell::of(cell));
        }
        observed.settle()
    }

    fn json(column: ColumnType, cells: &[&str]) -> Vec<String> {
        let texts = cells.iter().map(|cell| {
            let mut json = String::new();
            column.push_json(&mut json, cell).map(|()| json)
        });
        texts.map(|text| text.expect("every cell fits")).collect()
    }

    #[test]
    fn a_missing_word_is_null_only_where_the_rest_is_typed() {
        for (rest, expected) in [
            ("3.10", "3.10"),
            ("True", "true"),
            ("2026-05-01", "\"2026-05-01T00:00:00Z\""),
        ] {
            let cells = ["NA", rest, "", " "];
            assert_eq!(json(settled(&cells), &cells), ["null", expected, "null", "null"]);
        }
        let cells = ["NA", "DE", "", " "];
        assert_eq!(json(settled(&cells), &cells), ["\"NA\"", "\"DE\"", "null", "\" \""]);
    }

    #[test]
    fn one_text_among_numbers_makes_a_column_of_texts() {
        let cells = ["1", "2.50", "three"];
        assert_eq!(json(settled(&cells), &cells), ["\"1\"", "\"2.50\"", "\"three\""]);
        assert_eq!(settled(&["1", "true"]), ColumnType::Texts);
        assert_eq!(settled(&["1", "2026-05-01"]), ColumnType::Texts);
    }

    #[test]
    fn infinities_are_numbers_among_numbers_and_words_among_themselves() {
        assert_eq!(settled(&["inf", "1"]), ColumnType::Numbers);
        assert_eq!(settled(&["inf", "inf"]), ColumnType::Texts);
    }

    #[test]
    fn a_column_without_a_value_is_all_null() {
        let cells = ["", "NA", "nan"];
        assert_eq!(settled(&cells), ColumnType::Nothing);
        assert_eq!(json(ColumnType::Nothing, &cells), ["null", "null", "null"]);
    }

    #[test]
    fn a_label_is_the_text_that_the_event_would_have_had() {
        assert_eq!(ColumnType::Numbers.label(" 1.0"), Some("1.0".into()));
        assert_eq!(ColumnType::Booleans.label("True"), Some("true".into()));
        assert_eq!(ColumnType::Texts.label("NA"), Some("NA".into()));
        assert_eq!(ColumnType::Numbers.label("NA"), None);
    }
}
