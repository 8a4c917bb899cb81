//! Distances between clouds of points: what is seen of embeddings, or of many features together.
//!
//! Owns: the sums that stand for a cloud, distances between them, what chance makes of these, and projections. Never does:
//! keep points.
//!
//! Invariant: a cloud is a count and sums, so that replicas and windows add up, in any order, as far as 64 bits go. A row
//! with a number that is not finite, or so large that its square would drown all others, is left out whole.

mod centre;
mod fourier;
mod frechet;
mod projection;
mod sums;
mod threshold;

pub use self::centre::{cosine_distance, euclidean_distance};
pub use self::fourier::{FourierFeatures, MeanEmbedding, bandwidth};
pub use self::frechet::{null_mean, squared_frechet};
pub use self::projection::Projection;
pub use self::sums::Sums;
pub use self::threshold::{Bootstrap, frechet_critical};

/// Dimensions that a [`Sums`] may have.
pub const MAX_DIMENSIONS: usize = 32;

/// Numbers beyond this have squares whose products are too large.
const LARGEST: f64 = 1e50;

/// Whether a row can be added.
fn is_usable(row: &[f64]) -> bool {
    // A NaN is no less than anything.
    row.iter().all(|x| x.abs() <= LARGEST)
}
