//! The exact maximum mean discrepancy of two clouds of points, and how often chance alone would make it as large (Gretton et
//! al., "A kernel two-sample test", JMLR 2012). It compares every point with every other.

use crate::seed;

/// The kernel exp(−‖x−y‖²/(2σ²)) of all pairs of points, the reference's first.
#[derive(Debug, Clone)]
pub struct KernelTest {
    kernel: Vec<Vec<f64>>,
    reference: usize,
}

impl KernelTest {
    /// Of two clouds of at least two points each, of as many numbers, and a bandwidth σ.
    pub fn new(reference: &[Vec<f64>], current: &[Vec<f64>], bandwidth: f64) -> Self {
        let points: Vec<&Vec<f64>> = reference.iter().chain(current).collect();
        let of = |a: &[f64], b: &[f64]| {
            let squares: f64 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
            (-squares / (2.0 * bandwidth * bandwidth)).exp()
        };
        let row = |a: &&Vec<f64>| points.iter().map(|b| of(a, b)).collect();
        Self {
            kernel: points.iter().map(row).collect(),
            reference: reference.len(),
        }
    }

    /// The unbiased estimate of MMD².
    pub fn mmd2(&self) -> f64 {
        let order: Vec<usize> = (0..self.kernel.len()).collect();
        self.mmd2_in(&order)
    }

    /// The share of random divisions of all points whose MMD² is as large, the given one among them: (1 + b)/(1 + m) of m.
    pub fn permutation_p(&self, permutations: u64, seed: u64) -> f64 {
        let observed = self.mmd2();
        let mut order: Vec<usize> = (0..self.kernel.len()).collect();
        let as_large = (0..permutations).filter(|at| {
            shuffle(&mut order, seed::hash(seed, *at));
            self.mmd2_in(&order) >= observed
        });
        (1 + as_large.count()) as f64 / (1 + permutations) as f64
    }

    fn mmd2_in(&self, order: &[usize]) -> f64 {
        let (a, b) = order.split_at(self.reference);
        let (n, m) = (a.len() as f64, b.len() as f64);
        // The kernel of a point with itself is 1, and is left out.
        (self.sum(a, a) - n) / (n * (n - 1.0)) + (self.sum(b, b) - m) / (m * (m - 1.0)) - 2.0 * self.sum(a, b) / (n * m)
    }

    fn sum(&self, a: &[usize], b: &[usize]) -> f64 {
        let of_row = |row: &usize| b.iter().map(|column| self.kernel[*row][*column]).sum::<f64>();
        a.iter().map(of_row).sum()
    }
}

/// Fisher and Yates'.
fn shuffle(order: &mut [usize], seed: u64) {
    for at in (1..order.len()).rev() {
        let other = seed::hash(seed, at as u64) % (at as u64 + 1);
        order.swap(at, other as usize);
    }
}
