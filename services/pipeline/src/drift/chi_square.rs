//! The chi-square distribution: its upper tail and its quantiles, exact and as a rule of Prometheus can compute them.
//!
//! Owns: the numerics. Never does: judge; see [`super::verdict`].

use statrs::function::erf::erfc_inv;
use statrs::function::gamma::{gamma_ur, ln_gamma};

/// Steps of Newton's method, which takes about five, or of halving, which takes about sixty.
const MOST_STEPS: usize = 200;

/// P(χ²_dof ≥ x) = Q(dof/2, x/2), the regularised upper incomplete gamma function. 1 without a degree of freedom and for
/// what is not above 0; 0 at infinity.
pub fn upper_tail(dof: f64, x: f64) -> f64 {
    let has_tail = dof > 0.0 && dof.is_finite() && x > 0.0;
    if !has_tail {
        1.0
    } else if x.is_infinite() {
        0.0
    } else {
        gamma_ur(0.5 * dof, 0.5 * x).clamp(0.0, 1.0)
    }
}

/// The x that χ²_dof exceeds with probability `alpha`, to about 12 digits: Newton's method on ln Q, which is concave, kept
/// between bounds. `None` unless `dof` is at least 1 and finite, and `alpha` lies between 0 and 1.
pub fn quantile(dof: f64, alpha: f64) -> Option<f64> {
    let start = wilson_hilferty(dof, alpha)?;
    let (mut low, mut high) = (0.0, dof.max(start));
    while upper_tail(dof, high) > alpha {
        low = high;
        high *= 2.0;
    }
    let half = 0.5 * dof;
    let mut x = start.clamp(low, high);
    for _ in 0..MOST_STEPS {
        let tail = upper_tail(dof, x);
        if tail > alpha {
            low = x
        } else {
            high = x
        }
        let density = 0.5 * ((half - 1.0) * (0.5 * x).ln() - 0.5 * x - ln_gamma(half)).exp();
        let newton = x + tail * (tail / alpha).ln() / density;
        let next = if newton > low && newton < high {
            newton
        } else {
            0.5 * (low + high)
        };
        let is_settled = (next - x).abs() <= 4.0 * f64::EPSILON * x;
        x = next;
        if is_settled {
            break;
        }
    }
    Some(x)
}

/// ν(1 − 2/(9ν) + z·√(2/(9ν)))³ for ν degrees of freedom and the normal quantile z that is exceeded with probability `alpha`
/// (Wilson & Hilferty 1931), never below 0. Its domain is that of [`quantile`].
pub fn wilson_hilferty(dof: f64, alpha: f64) -> Option<f64> {
    let has_quantile = dof >= 1.0 && dof.is_finite() && alpha > 0.0 && alpha < 1.0;
    let part = 2.0 / (9.0 * dof);
    has_quantile.then(|| dof * (1.0 - part + normal_quantile(alpha) * part.sqrt()).max(0.0).powi(3))
}

/// The z that a standard normal number exceeds with probability `alpha`: 3.0902 for one in a thousand.
pub fn normal_quantile(alpha: f64) -> f64 {
    std::f64::consts::SQRT_2 * erfc_inv(2.0 * alpha)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_has_no_tail_or_quantile_has_a_defined_answer() {
        for dof in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(upper_tail(dof, 5.0), 1.0);
            assert_eq!(quantile(dof, 0.1), None);
        }
        for x in [0.0, -1.0, f64::NAN, f64::NEG_INFINITY] {
            assert_eq!(upper_tail(3.0, x), 1.0);
        }
        assert_eq!(upper_tail(3.0, f64::INFINITY), 0.0);
        assert_eq!(upper_tail(3.0, 1e18), 0.0);
        for alpha in [0.0, 1.0, -0.1, 2.0, f64::NAN] {
            assert_eq!(quantile(3.0, alpha), None, "{alpha}");
        }
    }

    #[test]
    fn property_a_quantile_is_exceeded_with_its_probability() {
        proptest!(|(dof in 1..2_000u32, exponent in -12.0..-0.01f64)| {
            let (dof, alpha) = (f64::from(dof), 10f64.powf(exponent));
            let x = quantile(dof, alpha).expect("it has one");
            let tail = upper_tail(dof, x);
            prop_assert!((tail / alpha - 1.0).abs() < 1e-9, "{dof} {alpha}: {x} {tail}");
        });
    }

    #[test]
    fn with_two_degrees_of_freedom_the_tail_is_exponential() {
        for x in [0.1, 1.0, 7.0, 40.0, 1200.0] {
            let tail = upper_tail(2.0, x);
            let expected = (-0.5 * x).exp();
            assert!((tail - expected).abs() <= 1e-12 * expected, "{x}: {tail}");
        }
    }

    #[test]
    fn wilson_and_hilferty_err_by_less_than_three_percent_and_upwards() {
        for dof in 1..=100 {
            let dof = f64::from(dof);
            let exact = quantile(dof, 0.001).expect("it has one");
            let error = wilson_hilferty(dof, 0.001).expect("it has one") / exact - 1.0;
            let most = if dof < 4.0 { 0.031 } else { 0.014 };
            assert!((0.0..most).contains(&error), "{dof}: {error}");
        }
        // The z that the rules in `dashboards/prometheus` are written with.
        assert!((normal_quantile(0.001) - 3.0902).abs() < 5e-5);
    }
}
