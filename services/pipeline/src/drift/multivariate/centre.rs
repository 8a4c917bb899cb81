//! Distances between the means of two clouds.

/// The Euclidean distance ‖a−b‖, in the unit of the numbers.
///
/// # Panics
/// When the means have not the same dimensions.
pub fn euclidean_distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len(), "means of the same dimensions");
    let squares = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b));
    squares.sum::<f64>().sqrt()
}

/// The cosine distance 1 − a·b/(‖a‖‖b‖), from 0, the same direction, to 2, the opposite one. `None` when a mean is 0, which
/// has no direction, or a number is not finite. Near 0 it is all noise: it is for embeddings whose mean is not, never for
/// rows that were centred.
///
/// # Panics
/// When the means have not the same dimensions.
pub fn cosine_distance(a: &[f64], b: &[f64]) -> Option<f64> {
    assert_eq!(a.len(), b.len(), "means of the same dimensions");
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let cosine = dot(a, b) / (dot(a, a).sqrt() * dot(b, b).sqrt());
    cosine.is_finite().then(|| 1.0 - cosine.clamp(-1.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_have_their_ends() {
        assert_eq!(euclidean_distance(&[3.0, 0.0], &[0.0, 4.0]), 5.0);
        assert_eq!(cosine_distance(&[1.0, 0.0], &[5.0, 0.0]), Some(0.0));
        assert_eq!(cosine_distance(&[1.0, 0.0], &[0.0, 2.0]), Some(1.0));
        assert_eq!(cosine_distance(&[1.0, 0.0], &[-2.0, 0.0]), Some(2.0));
        assert_eq!(cosine_distance(&[0.0, 0.0], &[1.0, 0.0]), None);
        assert_eq!(cosine_distance(&[f64::NAN, 0.0], &[1.0, 0.0]), None);
    }
}
