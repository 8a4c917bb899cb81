//! Eigenvalues and eigenvectors of a symmetric matrix.

/// A symmetric matrix taken apart: A = Σ λₖ·vₖvₖᵀ.
#[derive(Debug, Clone, PartialEq)]
pub struct Eigen {
    /// λ, the largest first.
    pub values: Vec<f64>,
    /// The vₖ, one row of d numbers each, of length 1, at right angles. Of both signs it is the one whose largest number
    /// is positive.
    pub vectors: Vec<f64>,
}

/// Sweeps after which no matrix has anything left beside its diagonal; ten are many.
const MAX_SWEEPS: usize = 60;

/// Takes a symmetric matrix of d by d apart, row-major, by cyclic Jacobi rotations (Golub & Van Loan, "Matrix
/// Computations", §8.5). Takes in the order of 10·d³ steps: under a millisecond for d = 32, ten seconds for d = 512.
/// `None` when a number is not finite.
///
/// # Panics
/// When the matrix is not square.
pub fn eigen(symmetric: &[f64]) -> Option<Eigen> {
    let d = symmetric.len().isqrt();
    assert_eq!(symmetric.len(), d * d, "a symmetric matrix is d by d");
    if !symmetric.iter().all(|x| x.is_finite()) {
        return None;
    }
    // Numbers of at most 1 have squares that add up.
    let scale = symmetric.iter().fold(0.0, |largest: f64, x| largest.max(x.abs()));
    let divisor = if scale > 0.0 { scale } else { 1.0 };
    let mut matrix: Vec<f64> = symmetric.iter().map(|x| x / divisor).collect();
    let mut vectors = identity(d);
    let norm: f64 = matrix.iter().map(|x| x * x).sum();
    for _ in 0..MAX_SWEEPS {
        if beside_diagonal(&matrix, d) <= f64::EPSILON * f64::EPSILON * norm {
            break;
        }
        for p in 0..d {
            for q in p + 1..d {
                rotate(&mut matrix, &mut vectors, d, p, q);
            }
        }
    }
    Some(sorted(&matrix, &vectors, d, scale))
}

fn identity(d: usize) -> Vec<f64> {
    let mut identity = vec![0.0; d * d];
    identity.iter_mut().step_by(d + 1).for_each(|x| *x = 1.0);
    identity
}

/// The sum of squares beside the diagonal.
fn beside_diagonal(matrix: &[f64], d: usize) -> f64 {
    let elements = matrix.iter().enumerate();
    elements.filter(|(at, _)| at % (d + 1) != 0).map(|(_, x)| x * x).sum()
}

/// Makes the element at row p and column q zero by a turn of their plane.
fn rotate(matrix: &mut [f64], vectors: &mut [f64], d: usize, p: usize, q: usize) {
    let element = matrix[p * d + q];
    if element == 0.0 {
        return;
    }
    let theta = (matrix[q * d + q] - matrix[p * d + p]) / (2.0 * element);
    let tangent = theta.signum() / (theta.abs() + theta.hypot(1.0));
    let cosine = 1.0 / tangent.hypot(1.0);
    let sine = tangent * cosine;
    let turn = |x: f64, y: f64| (cosine * x - sine * y, sine * x + cosine * y);
    for rows in [&mut *matrix, vectors] {
        let (above, below) = rows.split_at_mut(q * d);
        for (x, y) in above[p * d..(p + 1) * d].iter_mut().zip(&mut below[..d]) {
            (*x, *y) = turn(*x, *y);
        }
    }
    for row in matrix.chunks_exact_mut(d) {
        (row[p], row[q]) = turn(row[p], row[q]);
    }
    matrix[p * d + q] = 0.0;
    matrix[q * d + p] = 0.0;
}

fn sorted(matrix: &[f64], vectors: &[f64], d: usize, scale: f64) -> Eigen {
    let mut order: Vec<usize> = (0..d).collect();
    order.sort_by(|a, b| matrix[b * d + b].total_cmp(&matrix[a * d + a]));
    let mut eigen = Eigen {
        values: order.iter().map(|k| scale * matrix[k * d + k]).collect(),
        vectors: Vec::with_capacity(d * d),
    };
    for k in order {
        let vector = &vectors[k * d..(k + 1) * d];
        let largest = vector
            .iter()
            .copied()
            .reduce(|a, b| if b.abs() > a.abs() { b } else { a });
        let sign = largest.map_or(1.0, f64::signum);
        eigen.vectors.extend(vector.iter().map(|x| sign * x));
    }
    eigen
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Σ λₖ·vₖvₖᵀ.
    fn product(eigen: &Eigen) -> Vec<f64> {
        let d = eigen.values.len();
        let element = |i: usize, j: usize| {
            let of = |k: usize| eigen.values[k] * eigen.vectors[k * d + i] * eigen.vectors[k * d + j];
            (0..d).map(of).sum()
        };
        (0..d * d).map(|at| element(at / d, at % d)).collect()
    }

    #[test]
    fn known_matrices_are_taken_apart() {
        let half = 0.5f64.sqrt();
        let two = eigen(&[2.0, 1.0, 1.0, 2.0]).expect("it is finite");
        assert!((two.values[0] - 3.0).abs() < 1e-15 && (two.values[1] - 1.0).abs() < 1e-15);
        assert!((two.vectors[0] - half).abs() < 1e-15 && (two.vectors[1] - half).abs() < 1e-15);
        assert_eq!(eigen(&[0.0; 4]).expect("it is finite").values, [0.0; 2]);
        assert!(eigen(&[]).expect("it is finite").values.is_empty());
        assert_eq!(eigen(&[7.0]).expect("it is finite").values, [7.0]);
        assert_eq!(eigen(&[f64::NAN]), None);
        assert_eq!(eigen(&[1.0, f64::INFINITY, f64::INFINITY, 1.0]), None);
        let huge = eigen(&[1e300, 0.0, 0.0, 1e290]).expect("it is finite");
        assert!((huge.values[0] / 1e300 - 1.0).abs() < 1e-15 && (huge.values[1] / 1e290 - 1.0).abs() < 1e-15);
    }

    #[test]
    fn property_parts_make_the_matrix_again_and_stand_at_right_angles() {
        let matrix = (1..9usize).prop_flat_map(|d| (Just(d), prop::collection::vec(-10.0..10.0f64, d * d)));
        proptest!(|((d, numbers) in matrix, repeats in 0..3usize)| {
            // Rows that repeat make eigenvalues that repeat.
            let at = |i: usize, j: usize| numbers[(i.min(j) / (repeats + 1)) * d + i.max(j) / (repeats + 1)];
            let symmetric: Vec<f64> = (0..d * d).map(|k| at(k / d, k % d)).collect();
            let eigen = eigen(&symmetric).expect("it is finite");
            prop_assert!(eigen.values.is_sorted_by(|a, b| a >= b));
            for (a, b) in product(&eigen).iter().zip(&symmetric) {
                prop_assert!((a - b).abs() < 1e-12 * 10.0 * d as f64, "{} {}", a, b);
            }
            let rows: Vec<&[f64]> = eigen.vectors.chunks_exact(d).collect();
            for (k, a) in rows.iter().enumerate() {
                for (l, b) in rows.iter().enumerate() {
                    let dot: f64 = a.iter().zip(*b).map(|(a, b)| a * b).sum();
                    prop_assert!((dot - f64::from(u8::from(k == l))).abs() < 1e-13 * d as f64);
                }
            }
        });
    }
}
