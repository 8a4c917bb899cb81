//! Cramér's V of the 2×B table: √(χ²/(N+n)), from 0 to 1 whatever the size of the sample. The p-value is that of χ².

use super::chi2;
use super::{Kind, Measured, Table};

pub(super) const KIND: Kind = Kind {
    words: "a Cramér's V",
    most: 1.0,
    reads_order: false,
    measure,
};

fn measure(table: &Table<'_>) -> Option<Measured> {
    let chi2 = (chi2::KIND.measure)(table)?;
    let events = table.reference_total() + table.current_total();
    let value = (chi2.value / events).min(1.0).sqrt();
    Some(Measured { value, ..chi2 })
}
