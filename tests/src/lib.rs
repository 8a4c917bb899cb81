//! The harness of the whole-service tests.

pub mod certificates;
pub mod checker;
pub mod cluster;
pub mod collector;
pub mod contract;
pub mod dashboards;
pub mod identity_provider;
pub mod kafka;
pub mod legacy;
pub mod odd;
pub mod oracle;
pub mod prometheus;
pub mod proxy;
pub mod registry;
pub mod rules;
pub mod secure;
pub mod service;
pub mod stage;
