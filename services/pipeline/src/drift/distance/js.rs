//! Jensen-Shannon distance: √((½Σrᵢ·ln(rᵢ/mᵢ) + ½Σsᵢ·ln(sᵢ/mᵢ))/ln 2) with m = (r+s)/2 and 0·ln 0 = 0. 0 for equal shares, 1
//! when no bin holds events of both. (Endres & Schindelin, IEEE Transactions on Information Theory 2003.)

use super::{Kind, Measured, Table};

pub(super) const KIND: Kind = Kind {
    words: "a Jensen-Shannon distance",
    most: 1.0,
    reads_order: false,
    measure,
};

fn measure(table: &Table<'_>) -> Option<Measured> {
    let twice: f64 = table.shares().map(|(r, s)| toward(r, s) + toward(s, r)).sum();
    let divergence = 0.5 * twice / std::f64::consts::LN_2;
    Some(Measured::value(divergence.clamp(0.0, 1.0).sqrt()))
}

/// r·ln(r/m), by a logarithm that keeps its digits where r is close to m: the root would make much of what is lost.
fn toward(r: f64, s: f64) -> f64 {
    if r > 0.0 { r * ((r - s) / (r + s)).ln_1p() } else { 0.0 }
}
