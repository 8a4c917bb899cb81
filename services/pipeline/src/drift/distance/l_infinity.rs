//! L-infinity: max|rᵢ−sᵢ|, the largest difference of a bin's shares.

use super::{Kind, Measured, Table};

pub(super) const KIND: Kind = Kind {
    words: "an L-infinity distance",
    most: 1.0,
    reads_order: false,
    measure,
};

fn measure(table: &Table<'_>) -> Option<Measured> {
    let most = table.shares().map(|(r, s)| (r - s).abs()).fold(0.0, f64::max);
    Some(Measured::value(most))
}
