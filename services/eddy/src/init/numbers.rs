//! Ranges for the pipeline file, and numbers as the file writes them.

/// Integers up to here are exact in the file's numbers.
pub(crate) const EXACT: f64 = 9_007_199_254_740_992.0;

/// What a range allows beyond the data: so many times its width on either side. The tails of what is measured are long, and
/// what lies outside becomes a dead letter; once the width catches another unit or a missing comma, and hardly ever an
/// honest extreme.
const BEYOND: f64 = 1.0;

/// The range of the data, widened by its width and rounded outwards to two digits of it. Where the data has nothing below
/// zero, the range has neither; the same above. `None` where no such range can be written.
pub(crate) fn widened(min: f64, max: f64) -> Option<(f64, f64)> {
    let width = match max - min {
        0.0 if min == 0.0 => 1.0,
        0.0 => min.abs(),
        width => width,
    };
    let step = 10f64.powf(width.log10().floor() - 1.0);
    let below = (
        ((min - BEYOND * width) / step).floor() * step,
        f64::floor as fn(f64) -> f64,
    );
    let above = (
        ((max + BEYOND * width) / step).ceil() * step,
        f64::ceil as fn(f64) -> f64,
    );
    let [low, high] = [below, above].map(|(end, outwards)| shortest(end, step, outwards));
    let low = if min >= 0.0 { low.max(0.0) } else { low };
    let high = if max <= 0.0 && min < 0.0 { high.min(0.0) } else { high };
    let is_sound = low <= min && high >= max && [low, high].iter().all(|end| end.is_finite() && end.abs() <= EXACT);
    is_sound.then_some((low, high))
}

/// A multiple of `step` without the digits that floating point adds to it.
fn shortest(end: f64, step: f64, outwards: fn(f64) -> f64) -> f64 {
    let decimals = (-step.log10().round()).max(0.0) as usize;
    if decimals == 0 {
        return outwards(end);
    }
    format!("{end:.decimals$}").parse().unwrap_or(end)
}

/// A number as TOML writes it, whole ones without a point.
pub(crate) fn text(x: f64) -> String {
    if x.fract() == 0.0 && x.abs() <= 1e15 {
        // Adding zero takes the sign off a zero.
        format!("{}", x + 0.0)
    } else {
        format!("{x:?}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_range_is_widened_by_its_width_and_rounded() {
        assert_eq!(widened(0.42, 80.0), Some((0.0, 160.0)));
        assert_eq!(widened(-1.0, 1.0), Some((-3.0, 3.0)));
        assert_eq!(widened(12.0, 74.2), Some((0.0, 137.0)));
        assert_eq!(widened(0.1, 0.35), Some((0.0, 0.6)));
        assert_eq!(widened(-7.0, -2.0), Some((-12.0, 0.0)));
        assert_eq!(widened(5.0, 5.0), Some((0.0, 10.0)));
        assert_eq!(widened(0.0, 0.0), Some((0.0, 1.0)));
        assert_eq!(widened(1000.0, 1499.0), Some((500.0, 2000.0)));
    }

    #[test]
    fn a_range_that_the_file_cannot_write_is_none() {
        assert_eq!(widened(0.0, 1e18), None);
        assert_eq!(widened(f64::MIN, f64::MAX), None);
    }

    proptest! {
        #[test]
        fn property_a_range_holds_the_data(a in -1e9..1e9f64, b in 0.0..1e6f64) {
            let (low, high) = widened(a, a + b).unwrap();
            prop_assert!(low <= a && a + b <= high, "{low} {high}");
            prop_assert!(a < 0.0 || low >= 0.0);
            let text = super::text(low);
            prop_assert_eq!(text.parse::<f64>().unwrap(), low);
        }
    }
}
