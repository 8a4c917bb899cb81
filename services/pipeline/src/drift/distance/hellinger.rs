//! Hellinger distance: √(1 − Σ√(rᵢsᵢ)), here as √(½Σ(√rᵢ−√sᵢ)²), which is the same and keeps its digits near 0.

use super::{Kind, Measured, Table};

pub(super) const KIND: Kind = Kind {
    words: "a Hellinger distance",
    most: 1.0,
    reads_order: false,
    measure,
};

fn measure(table: &Table<'_>) -> Option<Measured> {
    let twice: f64 = table.shares().map(|(r, s)| (r.sqrt() - s.sqrt()).powi(2)).sum();
    Some(Measured::value((0.5 * twice).min(1.0).sqrt()))
}
