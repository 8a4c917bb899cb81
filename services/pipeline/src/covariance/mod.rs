//! How features vary together: means and covariances that add up, made safe to invert, and distances by them.
//!
//! Owns: moments, shrinkage, triangular factors and eigenvectors, Gaussian distances in 64 bits. Never does: follow the
//! stream. What is scored against a moving covariance hides its own anomalies; the service scores against a [fitted
//! one](crate::signal::Mahalanobis).
//!
//! Invariant: covariances are of the population (divided by n), as scikit-learn's are.

mod gaussian;
mod moments;
mod shrinkage;
mod symmetric;
mod triangular;

pub use self::gaussian::{ClassGaussians, Gaussian};
pub use self::moments::Moments;
pub use self::shrinkage::{Shrunk, ledoit_wolf, oracle_approximating};
pub use self::symmetric::{Eigen, eigen};
pub use self::triangular::{inverse, whitener};

/// Why there is no distance.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The matrix has no inverse.
    #[error(
        "the covariance has no inverse: feature {feature} is a combination of those before it; leave it out, or shrink"
    )]
    Singular {
        /// The first feature that adds nothing.
        feature: usize,
    },
    /// There is nothing to fit to.
    #[error("a covariance needs rows, and there are none")]
    NoRows,
}
