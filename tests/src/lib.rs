//! The harness of the whole-service tests.

pub mod checker;
pub mod kafka;
pub mod oracle;
pub mod service;
pub mod stage;
