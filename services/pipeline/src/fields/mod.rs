//! Fields: the values that an event must hold, their rules, and where they land in the models' inputs.
//!
//! Owns: the settings `[fields.*]`, the conversion and validation of one value, the binding of fields to model inputs.
//! Never does: read a format. A [decoder](crate::decode) finds the values and hands them to a row, one by one.
//!
//! Invariant: a row that was filled without a rejection has every element of every input written.

mod bind;
mod category;
mod feature;
pub mod image;
mod names;
mod number;
mod row;
mod rule;
mod settings;
mod sort;
mod store;
mod timestamp;
mod vector;
mod words;

pub(crate) use bind::bind;
pub use feature::{Feature, FeatureKind};
pub(crate) use feature::{aim as aim_features, features, is_look};
pub use image::{Channels, ExifOrientation, Filter, ImageSettings, Layout, Resize};
pub(crate) use names::Names;
pub(crate) use row::{Appetite, Row, RowState};
pub(crate) use rule::{ElementRule, Field, Kind};
pub use settings::{
    DefaultValue, Element, FieldSettings, FieldType, NonFinite, NullRule, Other, OutOfRange, RejectWord, Scalar,
    TimePart, TimeUnit,
};
pub(crate) use timestamp::TimeReader;
pub(crate) use vector::PlainVector;
pub(crate) use words::{Place, clip, quote};
