//! The harness of the whole-service tests.

pub mod checker;
pub mod cluster;
pub mod kafka;
pub mod odd;
pub mod oracle;
pub mod proxy;
pub mod service;
pub mod stage;
