//! ECOD as PyOD has it (Li et al., TKDE 2022): tail probabilities of each feature by itself, from the empirical
//! distribution of the reference *and* what is scored.

/// The scores of `rows`, higher for the more anomalous.
pub fn ecod(reference: &[Vec<f64>], rows: &[Vec<f64>]) -> Vec<f64> {
    let mut scores = vec![0.0; rows.len()];
    let features = rows.first().map_or(0, Vec::len);
    for feature in 0..features {
        let all: Vec<f64> = reference.iter().chain(rows).map(|row| row[feature]).collect();
        let mut sorted = all.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let n = all.len() as f64;
        let skewness = skewness(&all);
        for (score, row) in scores.iter_mut().zip(rows) {
            let value = row[feature];
            let left = -(sorted.partition_point(|x| *x <= value) as f64 / n).ln();
            let right = -((sorted.len() - sorted.partition_point(|x| *x < value)) as f64 / n).ln();
            let by_skewness = match skewness.total_cmp(&0.0) {
                std::cmp::Ordering::Less => left,
                std::cmp::Ordering::Equal => left + right,
                std::cmp::Ordering::Greater => right,
            };
            *score += left.max(right).max(by_skewness);
        }
    }
    scores
}

fn skewness(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let moment = |power: i32| values.iter().map(|x| (x - mean).powi(power)).sum::<f64>() / n;
    moment(3) / moment(2).powf(1.5)
}
