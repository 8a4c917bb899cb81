//! Many tests at once: p-values of many features, and how many of those that are rejected may be so by luck.
//!
//! Owns: the adjustment. Never does: drop a feature; what is no p-value counts as one that rejects nothing.

/// Adjusts p-values by Benjamini and Hochberg (1995): of those that are at most q after it, a share of at most q is expected
/// to be false. Out comes, in the same order, min over j ≥ i of p₍ⱼ₎·m/j for the i-th smallest of m, at most 1.
///
/// What lies outside 0 to 1, and NaN, is taken for 1.
pub fn benjamini_hochberg(p_values: &[f64]) -> Vec<f64> {
    let sound = |p: f64| if (0.0..=1.0).contains(&p) { p } else { 1.0 };
    let mut falling: Vec<(usize, f64)> = p_values.iter().copied().map(sound).enumerate().collect();
    falling.sort_unstable_by(|(_, a), (_, b)| b.total_cmp(a));
    let count = falling.len();
    let mut adjusted = vec![1.0; count];
    let mut lowest = 1.0f64;
    for (from_top, (at, p)) in falling.into_iter().enumerate() {
        let rank = count - from_top;
        // In this order it is at least p, to the last digit.
        lowest = lowest.min(p * (count as f64 / rank as f64));
        adjusted[at] = lowest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_p_value_rejects_nothing_and_still_counts() {
        assert!(benjamini_hochberg(&[]).is_empty());
        let odd = [f64::NAN, f64::INFINITY, -1.0, 0.01];
        assert_eq!(benjamini_hochberg(&odd), [1.0, 1.0, 1.0, 0.04]);
    }

    #[test]
    fn property_order_is_kept_and_nothing_becomes_smaller() {
        proptest!(|(p_values in prop::collection::vec(0.0..=1.0f64, 1..60))| {
            let adjusted = benjamini_hochberg(&p_values);
            for (p, a) in p_values.iter().zip(&adjusted) {
                prop_assert!(*p <= *a && *a <= 1.0);
                for (q, b) in p_values.iter().zip(&adjusted) {
                    prop_assert!(*p >= *q || *a <= *b);
                }
            }
        });
    }
}
