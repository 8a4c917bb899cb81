//! Wasserstein's distance after each value became its rank in the reference: the mean of |Fᵢ−Gᵢ| over the B−1 edges. It has
//! no unit, and outliers do not rule it. With bins of equal mass it is ½ when all events leave to one side.

use super::{Kind, Measured, Table};

pub(super) const KIND: Kind = Kind {
    words: "a Wasserstein distance of ranks",
    most: 1.0,
    reads_order: true,
    measure,
};

fn measure(table: &Table<'_>) -> Option<Measured> {
    let edges = (table.bins() - 1) as f64;
    Some(Measured::value(table.gaps().sum::<f64>() / edges))
}
