//! Population stability index: Σ(qᵢ−pᵢ)·ln(qᵢ/pᵢ) of smoothed shares. Without drift it is (1/N + 1/n)·χ²_{B−1}; see
//! [`crate::drift::noise`].

use super::{Kind, Measured, Table};

pub(super) const KIND: Kind = Kind {
    words: "a population stability index",
    most: f64::INFINITY,
    reads_order: false,
    measure,
};

fn measure(table: &Table<'_>) -> Option<Measured> {
    Some(Measured::value(psi(table.smoothed())))
}

/// Σ(qᵢ−pᵢ)·ln(qᵢ/pᵢ) of pairs (pᵢ, qᵢ) of shares of a reference and a window, none of which is 0.
pub fn psi(shares: impl IntoIterator<Item = (f64, f64)>) -> f64 {
    shares.into_iter().map(|(p, q)| (q - p) * (q / p).ln()).sum()
}
