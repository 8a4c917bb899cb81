//! Fields: the values that an event must hold, their rules, and where they land in the models' inputs.
//!
//! Owns: the settings `[fields.*]`, the conversion and validation of one value, the binding of fields to model inputs.
//! Never does: read a format. A [decoder](crate::decode) finds the values and hands them to a row, one by one.
//!
//! Invariant: a row that was filled without a rejection has every element of every input written.

pub mod image;
mod names;
mod settings;

pub use image::{Channels, ExifOrientation, Filter, ImageSettings, Layout, Resize};
pub(crate) use names::Names;
pub use settings::{
    DefaultValue, Element, FieldSettings, FieldType, NonFinite, NullRule, Other, OutOfRange, RejectWord, Scalar,
    TimePart, TimeUnit,
};
