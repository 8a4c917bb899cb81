//! Draws from an explicit seed, the same on every machine and in every release.

use twox_hash::XxHash3_64;

/// The n-th draw of a seed: xxh3-64 of n's 8 bytes, lowest first.
pub fn hash(seed: u64, n: u64) -> u64 {
    XxHash3_64::oneshot_with_seed(seed, &n.to_le_bytes())
}

/// The n-th draw of a seed as a number from 0 up to 1.
pub fn uniform(seed: u64, n: u64) -> f64 {
    (hash(seed, n) >> 11) as f64 / (1u64 << 53) as f64
}

/// The n-th draw of a seed from the standard normal distribution (Box & Muller).
pub fn normal(seed: u64, n: u64) -> f64 {
    let radius = (-2.0 * (1.0 - uniform(seed, 2 * n)).ln()).sqrt();
    radius * (std::f64::consts::TAU * uniform(seed, 2 * n + 1)).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_have_the_moments_of_their_distributions() {
        let n = 20_000;
        let mean = |of: &dyn Fn(u64) -> f64| (0..n).map(of).sum::<f64>() / n as f64;
        assert!((mean(&|at| uniform(7, at)) - 0.5).abs() < 0.01);
        assert!(mean(&|at| normal(7, at)).abs() < 0.03);
        assert!((mean(&|at| normal(7, at).powi(2)) - 1.0).abs() < 0.05);
        assert!((mean(&|at| normal(7, at).powi(4)) - 3.0).abs() < 0.3);
        assert_ne!(hash(7, 0), hash(8, 0));
    }
}
