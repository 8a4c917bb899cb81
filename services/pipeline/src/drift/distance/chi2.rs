//! Chi-square of homogeneity of the 2×B table, without Yates' correction: Σ(O−E)²/E over both rows, which is
//! N·n·Σ(rᵢ−sᵢ)²/(cᵢ+dᵢ). Columns without an event are left out; B′ others give B′−1 degrees of freedom.

use super::{Kind, Measured, Table};
use crate::drift::chi_square::upper_tail;

pub(super) const KIND: Kind = Kind {
    words: "a chi-square",
    most: f64::INFINITY,
    reads_order: false,
    measure,
};

fn measure(table: &Table<'_>) -> Option<Measured> {
    let counts = table.counts().zip(table.shares());
    let terms = counts.filter(|((c, d), _)| c + d > 0.0);
    let sum: f64 = terms.map(|((c, d), (r, s))| (r - s).powi(2) / (c + d)).sum();
    let value = table.reference_total() * table.current_total() * sum;
    let p = Some(p(table, value));
    Some(Measured { value, p })
}

/// How likely a statistic of homogeneity as large as this is without drift.
pub(super) fn p(table: &Table<'_>, statistic: f64) -> f64 {
    let columns = table.counts().filter(|(c, d)| c + d > 0.0).count();
    upper_tail(columns.saturating_sub(1) as f64, statistic)
}
