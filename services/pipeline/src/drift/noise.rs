//! What PSI is when nothing drifts: a window is a sample, and a sample differs from its reference.
//!
//! Owns: the law (1/N + 1/n)·χ²_{B−1} for B bins, N events of a reference and n of a window, which follows from the
//! multinomial counts to first order. Never does: judge; see [`super::verdict`].

use super::chi_square;

/// The law of PSI without drift.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Noise {
    /// 1/N + 1/n.
    scale: f64,
    /// B − 1.
    dof: f64,
}

impl Noise {
    /// Of so many bins, events of the reference and events of the window. `None` without two bins and an event of each.
    pub fn new(bins: usize, reference: f64, current: f64) -> Option<Self> {
        (bins >= 2 && reference >= 1.0 && current >= 1.0).then(|| Self {
            scale: 1.0 / reference + 1.0 / current,
            dof: (bins - 1) as f64,
        })
    }

    /// v₀ = (B−1)(1/N + 1/n), the mean.
    pub fn expected(self) -> f64 {
        self.dof * self.scale
    }

    /// v* = (1/N + 1/n)·χ²_{B−1}(1−α), which `alpha` of all windows without drift exceed. `None` unless `alpha` lies between
    /// 0 and 1.
    pub fn critical(self, alpha: f64) -> Option<f64> {
        chi_square::quantile(self.dof, alpha).map(|x| x * self.scale)
    }

    /// The same by Wilson and Hilferty, as recording rules compute it: a little higher, by 1.4 % at most from five bins on
    /// at one in a thousand.
    pub fn critical_by_rule(self, alpha: f64) -> Option<f64> {
        chi_square::wilson_hilferty(self.dof, alpha).map(|x| x * self.scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_two_bins_and_events_there_is_no_noise() {
        assert_eq!(Noise::new(0, 10.0, 10.0), None);
        assert_eq!(Noise::new(1, 10.0, 10.0), None);
        assert_eq!(Noise::new(10, 0.0, 10.0), None);
        assert_eq!(Noise::new(10, 10.0, 0.0), None);
        let noise = Noise::new(10, 10.0, 10.0).expect("there is some");
        assert_eq!(noise.critical(0.0), None);
        assert_eq!(noise.critical(f64::NAN), None);
    }
}
