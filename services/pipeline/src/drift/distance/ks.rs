//! Kolmogorov and Smirnov on bins: D = max|Fᵢ−Gᵢ|. It is a lower bound of the exact D, less by the largest bin's mass at
//! most; with one bin for each value it is the exact one.
//!
//! p = 2Σ(−1)^(j−1)·exp(−2j²λ²) for j ≥ 1, with λ = (√e + 0.12 + 0.11/√e)·D and e = Nn/(N+n). (Stephens, Journal of the Royal
//! Statistical Society B 1970.) On bins it is conservative.

use super::{Kind, Measured, Table};

pub(super) const KIND: Kind = Kind {
    words: "a Kolmogorov-Smirnov distance",
    most: 1.0,
    reads_order: true,
    measure,
};

/// Below it p is 1 in double precision, and the series is slow.
const LEAST_LAMBDA: f64 = 0.04;

/// Terms of the series: the last is below e⁻³² for every λ that it is summed for.
const TERMS: u32 = 100;

fn measure(table: &Table<'_>) -> Option<Measured> {
    let value = table.gaps().fold(0.0, f64::max);
    // As 1/(1/N + 1/n), which large counts do not overflow.
    let root = (1.0 / (1.0 / table.reference_total() + 1.0 / table.current_total())).sqrt();
    let p = upper_tail((root + 0.12 + 0.11 / root) * value);
    Some(Measured { value, p: Some(p) })
}

fn upper_tail(lambda: f64) -> f64 {
    if lambda <= LEAST_LAMBDA {
        return 1.0;
    }
    let sum: f64 = (1..=TERMS)
        .map(|j| {
            let term = (-2.0 * (f64::from(j) * lambda).powi(2)).exp();
            if j % 2 == 1 { term } else { -term }
        })
        .sum();
    (2.0 * sum).clamp(0.0, 1.0)
}
