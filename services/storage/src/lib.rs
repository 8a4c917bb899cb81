//! Data sets and tables: rows come in as events, tables go out as files.
//!
//! Owns: reading CSV, Parquet, JSON and image folders ([`data`]), and looking at what their columns hold
//! ([`survey`]); writing Parquet and CSV ([`table`]), and
//! any file that is to be whole or not there ([`table::WholeFile`]).
//! Never does: know a pipeline, a model or a topic.
//!
//! Invariant: a row is read as it was meant or refused with its place; nothing is skipped, cut off or guessed in silence.
#![deny(missing_docs)]

pub mod data;
mod error;
pub mod limits;
pub mod survey;
pub mod table;
mod text;

pub use error::{At, Error};
