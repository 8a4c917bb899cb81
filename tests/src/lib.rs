//! The harness of the whole-service tests.

pub mod kafka;
pub mod odd;
pub mod oracle;
pub mod service;
pub mod stage;
