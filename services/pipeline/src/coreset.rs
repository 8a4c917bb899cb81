//! Coresets: few points that stand for many.

use crate::signal::{Matrix, squared_distance};

/// Positions of up to `size` points so that no point is far from one of them: each is the one that is farthest from those
/// before (k-center greedy; Gonzalez 1985), from the first on, which the seed picks. Fewer where points repeat.
pub fn k_center(points: Matrix<'_>, size: usize, seed: u64) -> Vec<usize> {
    if points.rows() == 0 || size == 0 {
        return Vec::new();
    }
    let mut next = (crate::seed::hash(seed, 0) % points.rows() as u64) as usize;
    let mut chosen = Vec::with_capacity(size);
    let mut distances = vec![f32::INFINITY; points.rows()];
    loop {
        chosen.push(next);
        let centre = points.row(next);
        let mut farthest = (0, 0.0);
        for (row, nearest) in distances.iter_mut().enumerate() {
            *nearest = nearest.min(squared_distance(points.row(row), centre));
            if *nearest > farthest.1 {
                farthest = (row, *nearest);
            }
        }
        if chosen.len() == size || farthest.1 == 0.0 {
            return chosen;
        }
        next = farthest.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_corners_of_a_square_come_before_what_lies_inside() {
        let points = [0.5, 0.5, 0.0, 0.0, 1.0, 0.0, 0.4, 0.6, 0.0, 1.0, 1.0, 1.0];
        let points = Matrix::new(&points, 6, 2);
        for seed in 0..20 {
            let mut chosen = k_center(points, 5, seed);
            chosen.sort_unstable();
            let corners = chosen.iter().filter(|row| [1, 2, 4, 5].contains(*row)).count();
            assert_eq!(corners, 4, "{chosen:?}");
        }
    }

    #[test]
    fn points_that_repeat_are_taken_once_and_the_same_seed_takes_the_same() {
        let points = [1.0f32; 30];
        assert_eq!(k_center(Matrix::new(&points, 10, 3), 5, 7).len(), 1);
        assert!(k_center(Matrix::empty(0), 5, 7).is_empty());
        let points: Vec<f32> = (0..300).map(|at| (at as f32 * 0.7).sin()).collect();
        let points = Matrix::new(&points, 100, 3);
        assert_eq!(k_center(points, 20, 7), k_center(points, 20, 7));
        assert_ne!(k_center(points, 20, 7), k_center(points, 20, 8));
    }
}
