//! Eddy's library: the pipeline file, the command line and what they put together.
//!
//! Owns: the composition of every crate's settings into one file ([`settings`]), the command line ([`cli`]).
//! Never does: work on an event.
#![deny(missing_docs)]

pub mod cli;
pub mod settings;
