//! Schema registries for tests: a real one, and a stand-in that can be in any trouble.

mod apicurio;
mod stand_in;

pub use apicurio::{Apicurio, python};
pub use stand_in::{Mood, StandIn};
