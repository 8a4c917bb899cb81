//! What was found in one column, as it is told.

use jiff::Timestamp;

use crate::data::child;

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// There is none.
    Nothing,
    /// Truth values.
    Booleans,
    /// Whole numbers of 64 bits, written without point and exponent.
    Integers,
    /// Numbers, some of them with a fraction or an exponent.
    Floats,
    /// Texts, each an RFC 3339 time.
    Timestamps,
    /// Texts.
    Texts,
    /// Lists of numbers, all of the same length.
    Vectors {
        /// Numbers in each.
        length: usize,
        /// Whether all of them are whole.
        is_whole: bool,
    },
    /// Lists of other things, or of different lengths.
    Lists,
    /// Values of different types.
    Mixture,
}

/// What a column is to a model, as far as its values tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// No row has a value.
    Empty,
    /// Every row has the same value.
    Constant,
    /// Names the row: all values differ, and they are texts without white space, or whole numbers that only rise or whose
    /// column is called like an identifier.
    Identifier,
    /// Truth values.
    Boolean,
    /// Whole numbers; [`Column::words`] lists them where they are few.
    Integer,
    /// Numbers.
    Float,
    /// Texts out of a list of few, each of them several times; [`Column::words`] lists them.
    Category,
    /// Other texts.
    Text,
    /// Points in time.
    Timestamp,
    /// Lists of numbers of this length.
    Vector(usize),
    /// Other lists.
    List,
    /// Values of different types, so that no field can hold all of them.
    Mixture,
}

/// How many distinct values there are, by their text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distinct {
    /// So many.
    Exactly(u64),
    /// So many when the count was given up.
    AtLeast(u64),
}

/// Numbers of a column, or of all elements of its vectors.
#[derive(Debug, Clone, PartialEq)]
pub struct Numbers {
    /// The smallest that is finite.
    pub min: f64,
    /// The largest that is finite.
    pub max: f64,
    /// Shares and the quantiles at them, from 1 % to 99 %; of vectors none.
    pub quantiles: Vec<(f64, f64)>,
    /// Whether every number is whole, however it is written.
    pub is_whole: bool,
    /// How many rows hold an infinity or NaN instead, as the texts `"Infinity"`, `"-Infinity"` and `"NaN"`.
    pub not_finite: u64,
}

impl Numbers {
    /// The median.
    pub fn median(&self) -> Option<f64> {
        self.quantiles.iter().find(|(share, _)| *share == 0.5).map(|(_, x)| *x)
    }
}

/// What was found in one column.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// The members that lead to it, one unless it lies within objects.
    pub path: Vec<String>,
    /// What it is to a model.
    pub kind: Kind,
    /// What its values are.
    pub content: Content,
    /// Rows that have a value.
    pub present: u64,
    /// Rows that have none: null, or no such member.
    pub missing: u64,
    /// How many distinct values there are. Lists are not counted.
    pub distinct: Distinct,
    /// All values by their text with how often each stands there, in the order of their bytes, where they are no more than
    /// [`super::Limits::words`].
    pub words: Option<Vec<(String, u64)>>,
    /// Where the values are numbers or vectors of them.
    pub numbers: Option<Numbers>,
    /// The earliest and the latest of timestamps.
    pub times: Option<(Timestamp, Timestamp)>,
    /// The first distinct values, as JSON, long ones cut.
    pub examples: Vec<String>,
}

impl Column {
    /// The name by which a data set knows it: of a member of objects its pointer.
    pub fn name(&self) -> String {
        match self.path.as_slice() {
            [only] => only.clone(),
            _ => self.pointer(),
        }
    }

    /// The JSON pointer that leads to it in an event.
    pub fn pointer(&self) -> String {
        self.path
            .iter()
            .fold(String::new(), |pointer, step| child(&pointer, step))
    }
}
