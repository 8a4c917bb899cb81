//! Draws: the lottery of selection, a hash of the event's id and a salt.
//!
//! Owns: the mapping of an id to a number between 0 and 1.
//! Never does: use the Kafka key, a clock or a generator with state.
//!
//! Invariant: the same event draws the same number from the same salt, wherever and however often it is read; draws from
//! different salts are independent.

use twox_hash::XxHash3_64;

/// Tells the draws of one lottery from those of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Salt(u64);

impl Salt {
    /// The salt with this number, the seed of the hash.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The salt of a lottery by its name: the xxh3-64 of the name.
    pub fn named(name: &str) -> Self {
        Self(XxHash3_64::oneshot(name.as_bytes()))
    }

    /// A number in `[0, 1)`: the upper 53 bits of the xxh3-64 of `id`, seeded with the salt, times 2⁻⁵³.
    pub fn draw(self, id: &str) -> f64 {
        let hash = XxHash3_64::oneshot_with_seed(self.0, id.as_bytes());
        (hash >> 11) as f64 * (-53_f64).exp2()
    }
}
