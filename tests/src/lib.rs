//! The harness of the whole-service tests.

pub mod certificates;
pub mod identity_provider;
pub mod kafka;
pub mod legacy;
pub mod oracle;
pub mod secure;
pub mod service;
pub mod stage;
