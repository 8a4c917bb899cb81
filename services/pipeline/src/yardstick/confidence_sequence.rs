//! Confidence sequences for the mean of numbers between 0 and 1, which hold at all times at once with probability 1−α
//! (Waudby-Smith & Ramdas, "Estimating means of bounded random variables by betting", JRSS B 2024): at time t,
//! (Σ λᵢxᵢ ± (ln(2/α) + Σ vᵢ)) / Σ λᵢ with weights λ that depend on earlier numbers only.

/// The sums of weights, weighted numbers and variance terms.
#[derive(Debug, Clone, Default, PartialEq)]
struct Weighted {
    weights: f64,
    numbers: f64,
    variance: f64,
}

impl Weighted {
    fn push(&mut self, x: f64, weight: f64, variance: f64) {
        self.weights += weight;
        self.numbers += weight * x;
        self.variance += variance;
    }

    fn interval(&self, alpha: f64) -> (f64, f64) {
        if self.weights == 0.0 {
            return (0.0, 1.0);
        }
        let centre = self.numbers / self.weights;
        let radius = ((2.0 / alpha).ln() + self.variance) / self.weights;
        ((centre - radius).max(0.0), (centre + radius).min(1.0))
    }
}

/// Predictable plug-in empirical Bernstein (Theorem 2): narrow when the numbers vary little.
#[derive(Debug, Clone, PartialEq)]
pub struct EmpiricalBernstein {
    alpha: f64,
    count: f64,
    weighted: Weighted,
    sum: f64,
    /// Estimates from earlier numbers, with half a number of ½ and a quarter of variance to begin with.
    mean: f64,
    squares: f64,
}

/// No weight is larger.
const LARGEST_WEIGHT: f64 = 0.5;

impl EmpiricalBernstein {
    /// Wrong at any time with probability α at most; α lies between 0 and 1.
    pub fn new(alpha: f64) -> Self {
        Self {
            alpha,
            count: 0.0,
            weighted: Weighted::default(),
            sum: 0.0,
            mean: 0.5,
            squares: 0.25,
        }
    }

    /// Takes a number in. One that is not finite is passed over; one outside counts as the nearer end.
    pub fn update(&mut self, x: f64) {
        if !x.is_finite() {
            return;
        }
        let x = x.clamp(0.0, 1.0);
        let variance = self.squares / (self.count + 1.0);
        self.count += 1.0;
        let scale = variance * self.count * (1.0 + self.count).ln();
        let weight = (2.0 * (2.0 / self.alpha).ln() / scale).sqrt().min(LARGEST_WEIGHT);
        let psi = -(-weight).ln_1p() - weight;
        self.weighted.push(x, weight, (x - self.mean).powi(2) * psi);
        self.sum += x;
        self.mean = (0.5 + self.sum) / (self.count + 1.0);
        self.squares += (x - self.mean).powi(2);
    }

    /// The ends; 0 and 1 before the first number.
    pub fn interval(&self) -> (f64, f64) {
        self.weighted.interval(self.alpha)
    }
}

/// Predictable mixture Hoeffding: as wide for any numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Hoeffding {
    alpha: f64,
    count: f64,
    weighted: Weighted,
}

impl Hoeffding {
    /// Wrong at any time with probability α at most; α lies between 0 and 1.
    pub fn new(alpha: f64) -> Self {
        Self {
            alpha,
            count: 0.0,
            weighted: Weighted::default(),
        }
    }

    /// Takes a number in. One that is not finite is passed over; one outside counts as the nearer end.
    pub fn update(&mut self, x: f64) {
        if !x.is_finite() {
            return;
        }
        self.count += 1.0;
        let scale = self.count * (1.0 + self.count).ln();
        let weight = (8.0 * (2.0 / self.alpha).ln() / scale).sqrt().min(1.0);
        self.weighted.push(x.clamp(0.0, 1.0), weight, weight * weight / 8.0);
    }

    /// The ends; 0 and 1 before the first number.
    pub fn interval(&self) -> (f64, f64) {
        self.weighted.interval(self.alpha)
    }
}
