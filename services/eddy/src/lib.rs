//! Eddy's library: the pipeline file, the command line and what they put together.
//!
//! Owns: the composition of every crate's settings into one file ([`mod@file`], by [`settings`]), the command line ([`cli`]).
//! Never does: work on an event.
#![deny(missing_docs)]

pub mod accept;
pub mod assemble;
mod backlog;
pub mod check;
pub mod cli;
pub mod compare;
pub mod demo;
mod desk;
#[cfg(feature = "failpoints")]
mod failpoints;
pub mod file;
mod forecast;
pub mod init;
mod loglevel;
pub mod migrate;
pub mod onboard;
mod oncall;
mod paths;
mod plain;
mod policy;
pub mod predictions;
pub mod profile;
pub mod program;
mod recall;
mod redrive;
pub mod replay;
pub mod run;
mod samples;
pub mod schema;
mod schemas;
mod score;
pub mod settings;
mod status;
mod topics;
pub mod traces;
mod trial;
mod vigil;
mod watched;
mod why;
