//! The harness of the whole-service tests.

pub mod kafka;
