//! G of the 2×B table: 2ΣO·ln(O/E) over both rows, 0·ln 0 = 0. It has the degrees of freedom of χ².

use super::chi2;
use super::{Kind, Measured, Table};

pub(super) const KIND: Kind = Kind {
    words: "a likelihood ratio",
    most: f64::INFINITY,
    reads_order: false,
    measure,
};

fn measure(table: &Table<'_>) -> Option<Measured> {
    let events = table.reference_total() + table.current_total();
    let counts = table.counts().zip(table.shares());
    let half: f64 = counts
        .map(|((c, d), (r, s))| {
            let both = (c + d) / events;
            term(c, r, both) + term(d, s, both)
        })
        .sum();
    // Not negative but for rounding.
    let value = (2.0 * half).max(0.0);
    let p = Some(chi2::p(table, value));
    Some(Measured { value, p })
}

/// O·ln(O/E), with O/E as the ratio of shares.
fn term(count: f64, share: f64, expected: f64) -> f64 {
    if count > 0.0 {
        count * (share / expected).ln()
    } else {
        0.0
    }
}
