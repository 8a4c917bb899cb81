//! Total variation: ½Σ|rᵢ−sᵢ|, the share of events that would have to move to another bin.

use super::{Kind, Measured, Table};

pub(super) const KIND: Kind = Kind {
    words: "a total variation",
    most: 1.0,
    reads_order: false,
    measure,
};

fn measure(table: &Table<'_>) -> Option<Measured> {
    let twice: f64 = table.shares().map(|(r, s)| (r - s).abs()).sum();
    Some(Measured::value((0.5 * twice).min(1.0)))
}
