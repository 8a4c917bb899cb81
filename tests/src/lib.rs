//! The harness of the whole-service tests.
