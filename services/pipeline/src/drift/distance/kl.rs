//! Kullback-Leibler divergence of the window from the reference: Σqᵢ·ln(qᵢ/pᵢ) of smoothed shares, in nats.

use super::{Kind, Measured, Table};

pub(super) const KIND: Kind = Kind {
    words: "a Kullback-Leibler divergence",
    most: f64::INFINITY,
    reads_order: false,
    measure,
};

fn measure(table: &Table<'_>) -> Option<Measured> {
    // Not negative but for rounding.
    Some(Measured::value(kl(table.smoothed()).max(0.0)))
}

/// Σqᵢ·ln(qᵢ/pᵢ) of pairs (pᵢ, qᵢ) of shares of a reference and a window, none of which is 0.
pub fn kl(shares: impl IntoIterator<Item = (f64, f64)>) -> f64 {
    shares.into_iter().map(|(p, q)| q * (q / p).ln()).sum()
}
