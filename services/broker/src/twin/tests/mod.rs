//! Promises of the twin.
