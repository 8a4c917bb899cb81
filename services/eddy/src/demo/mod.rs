//! `eddy demo`: the whole loop in one process, to be watched.
mod camera;
mod script;
mod summary;
mod tally;
mod view;
