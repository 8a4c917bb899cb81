//! How well the anomaly signals tell anomalies from ordinary rows.

use eddy_pipeline::coreset::k_center;
use eddy_pipeline::covariance::{Moments, ledoit_wolf, whitener};
use eddy_pipeline::histogram::counts;
use eddy_pipeline::signal::{Centre, Column, Hbos, Knn, Mahalanobis, Matrix, Measure, Standard, ZMax};
use eddy_pipeline::yardstick::{HalfSpaceTrees, Split, ecod};

use crate::data::{Table, folder};
use crate::managers::quantile;
use crate::model::Model;
use crate::report::Report;

/// AUROC of `z_max`, `hbos`, `mahalanobis`, `knn` and half-space trees, from independent implementations on the same rows.
const EXPECTED: [(&str, [f64; 5]); 5] = [
    ("shuttle", [0.9951, 0.9985, 0.9966, 0.9986, 0.8162]),
    ("breast_cancer", [0.9404, 0.9453, 0.9621, 0.9502, 0.8815]),
    ("digits_0", [0.9862, 0.9983, 0.9871, 0.9874, 0.5]),
    ("digits_3", [0.891, 0.9728, 0.9333, 0.9384, 0.5]),
    ("digits_8", [0.8759, 0.8833, 0.9417, 0.9364, 0.5]),
];
/// Bins of HBOS between the ends of its range.
const BINS: usize = 20;
const NEIGHBOUR: usize = 5;
const TREE_WINDOW: u64 = 250;
/// Rows of the reference that half-space trees learn.
const TREE_ROWS: usize = 3_000;

/// A clean reference, and rows to score.
struct Set {
    name: &'static str,
    reference: Table,
    rows: Table,
    anomalous: Vec<bool>,
    /// Mean and standard deviation of each feature of the reference.
    moments: Vec<(f64, f64)>,
}

/// Adds the table.
pub(crate) fn report(report: &mut Report) {
    report.section(
        "Anomaly signals",
        "AUROC against labels that nothing was fitted to: measured / expected from independent implementations on the same \
         rows (Shuttle: 5,000 ordinary rows as reference, 20,000 scored; breast cancer: benign against 40 malignant; digits: \
         one digit against 60 others, all pixels jittered). `knn` has a random coreset of up to 500 points, as the expected \
         number has; `knn, k-center` is what a profile makes. Half-space trees and ECOD are yardsticks that the service \
         does not run: the trees are river's own, and they learn what they score; this ECOD looks at what it scores, too, \
         and has no number to compare with.",
    );
    let (mut table, mut worst) = (Vec::new(), 0.0_f64);
    for (name, expected) in EXPECTED {
        let set = Set::read(name);
        let found = [
            set.measure(&set.z_max()),
            set.measure(&set.hbos()),
            set.measure(&set.mahalanobis()),
            set.measure(&set.knn(&set.random_core())),
            set.half_space_trees(),
        ];
        for (found, expected) in found.iter().zip(expected) {
            worst = worst.max((found - expected).abs());
        }
        let cells = found.iter().zip(expected);
        let cells = cells.map(|(found, expected)| format!("{found:.4} / {expected:.4}"));
        let core = k_center(set.standardised().matrix(), 512, 0);
        let others = [set.measure(&set.knn(&core)), set.ecod()];
        let others = others.iter().map(|found| format!("{found:.4}"));
        table.push([name.to_owned()].into_iter().chain(cells).chain(others).collect());
    }
    report.table(
        &[
            "data",
            "z_max",
            "hbos",
            "mahalanobis",
            "knn",
            "half-space trees",
            "knn, k-center",
            "ECOD",
        ],
        &table,
    );
    report.say(format!(
        "The largest difference from an expected number is {worst:.4}; 0.005 is allowed."
    ));
}

/// Rows in standard deviations from the mean of the reference.
struct Standardised {
    width: usize,
    values: Vec<f32>,
}

impl Standardised {
    fn matrix(&self) -> Matrix<'_> {
        Matrix::new(&self.values, self.values.len() / self.width, self.width)
    }
}

impl Set {
    fn read(name: &'static str) -> Self {
        let mut rows = Table::read(&format!("{name}-rows"));
        let anomalous = rows.pop().into_iter().map(|label| label == 1.0).collect();
        let reference = Table::read(&format!("{name}-reference"));
        let moments = (0..reference.names().len())
            .map(|feature| {
                let values = || reference.rows.iter().map(|row| row[feature]);
                let n = reference.rows.len() as f64;
                let mean = values().sum::<f64>() / n;
                let variance = values().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
                (mean, variance.sqrt())
            })
            .collect();
        Self {
            name,
            reference,
            rows,
            anomalous,
            moments,
        }
    }

    fn width(&self) -> usize {
        self.moments.len()
    }

    /// The AUROC of a signal.
    fn measure(&self, measure: &dyn Measure) -> f64 {
        let features = self.rows.floats();
        let model = Model::binary(&vec![0.5; self.rows.rows.len()]);
        let scores = model.measured(measure, Matrix::new(&features, self.rows.rows.len(), self.width()));
        let scores: Vec<f64> = scores.into_iter().map(f64::from).collect();
        auroc(&scores, &self.anomalous)
    }

    fn z_max(&self) -> ZMax {
        let columns = self.moments.iter().enumerate();
        ZMax::new(
            self.width(),
            columns
                .filter(|(_, (_, std))| *std > 0.0)
                .map(|(position, (mean, std))| (position, *mean, *std)),
        )
    }

    fn hbos(&self) -> Hbos {
        let fitted: Vec<((f64, f64), Vec<u64>)> = (0..self.width())
            .map(|feature| {
                let mut values: Vec<f64> = self.reference.rows.iter().map(|row| row[feature]).collect();
                values.sort_unstable_by(f64::total_cmp);
                let (low, high) = (quantile(&values, 0.001), quantile(&values, 0.999));
                // A feature that does not vary counts by whether it does now.
                let (high, bins) = if high > low { (high, BINS) } else { (low + 1e-9, 1) };
                let edges: Vec<f64> = (0..=bins)
                    .map(|k| low + (high - low) * k as f64 / bins as f64)
                    .collect();
                ((low, high), counts(&edges, values))
            })
            .collect();
        let columns: Vec<Column<'_>> = fitted
            .iter()
            .enumerate()
            .map(|(position, (range, counts))| Column {
                position,
                range: Some(*range),
                counts,
                missing: 0,
            })
            .collect();
        Hbos::new(self.width(), &columns)
    }

    /// Shrunk in standardised features, over those as they are.
    fn mahalanobis(&self) -> Mahalanobis {
        let varying: Vec<usize> = (0..self.width()).filter(|at| self.moments[*at].1 > 0.0).collect();
        let standard = |row: &Vec<f64>| -> Vec<f64> {
            let of = |at: &usize| (row[*at] - self.moments[*at].0) / self.moments[*at].1;
            varying.iter().map(of).collect()
        };
        let mut moments = Moments::new(varying.len());
        self.reference.rows.iter().for_each(|row| moments.push(&standard(row)));
        let rows = self.reference.rows.iter();
        let fourth_powers = rows.map(|row| moments.fourth_power(&standard(row))).sum();
        let shrunk = ledoit_wolf(&moments, fourth_powers).expect("there are rows");
        let mut packed = whitener(&shrunk.covariance).expect("it has an inverse").into_iter();
        let mut weights = Vec::new();
        for row in 1..=varying.len() {
            let stds = varying.iter().map(|at| self.moments[*at].1);
            weights.extend(packed.by_ref().take(row).zip(stds).map(|(w, std)| (w / std) as f32));
        }
        let centre = |at: &usize| Centre {
            position: *at,
            mean: self.moments[*at].0 as f32,
            median: self.moments[*at].0 as f32,
        };
        Mahalanobis::new(self.width(), varying.iter().map(centre).collect(), weights)
    }

    /// How each feature is standardised; one that does not vary keeps its own scale, as scikit-learn has it.
    fn standards(&self) -> Vec<Standard> {
        let of = |(position, (mean, std)): (usize, &(f64, f64))| Standard {
            position,
            mean: *mean as f32,
            std: if *std > 0.0 { *std as f32 } else { 1.0 },
            median: *mean as f32,
        };
        self.moments.iter().enumerate().map(of).collect()
    }

    fn standardised(&self) -> Standardised {
        let (features, standards) = (self.reference.floats(), self.standards());
        let rows = features.chunks_exact(self.width());
        Standardised {
            width: self.width(),
            values: rows
                .flat_map(|row| standards.iter().map(|standard| standard.of(row)))
                .collect(),
        }
    }

    fn random_core(&self) -> Vec<usize> {
        let rows = Table::read(&format!("{}-core", self.name)).column("row");
        rows.into_iter().map(|row| row as usize).collect()
    }

    fn knn(&self, core: &[usize]) -> Knn {
        let all = self.standardised();
        let points: Vec<f32> = core.iter().flat_map(|row| all.matrix().row(*row)).copied().collect();
        let points = Matrix::new(&points, core.len(), self.width());
        Knn::new(self.width(), self.standards(), points, NEIGHBOUR)
    }

    fn half_space_trees(&self) -> f64 {
        let path = folder().join(format!("data/{}-trees.json", self.name));
        let text = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}; run tests/setup/eval", path.display()));
        let trees: Vec<Vec<Option<(usize, f64)>>> = serde_json::from_slice(&text).expect("trees in heap order");
        let split = |node: Option<(usize, f64)>| node.map(|(feature, threshold)| Split { feature, threshold });
        let trees = trees.into_iter().map(|tree| tree.into_iter().map(split).collect());
        let mut trees = HalfSpaceTrees::new(trees.collect(), TREE_WINDOW);
        let reference = &self.reference.rows;
        let first = reference.len().saturating_sub(TREE_ROWS);
        reference[first..].iter().for_each(|row| trees.learn(row));
        let mut scores = Vec::new();
        for row in &self.rows.rows {
            scores.push(trees.score(row));
            trees.learn(row);
        }
        auroc(&scores, &self.anomalous)
    }

    fn ecod(&self) -> f64 {
        auroc(&ecod(&self.reference.rows, &self.rows.rows), &self.anomalous)
    }
}

/// The probability that an anomaly scores above an ordinary row, ties counting half (Mann & Whitney).
fn auroc(scores: &[f64], anomalous: &[bool]) -> f64 {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_unstable_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    let (mut ranks, mut from) = (0.0, 0);
    for tied in order.chunk_by(|a, b| scores[*a] == scores[*b]) {
        let rank = from as f64 + (tied.len() as f64 + 1.0) / 2.0;
        ranks += rank * tied.iter().filter(|row| anomalous[**row]).count() as f64;
        from += tied.len();
    }
    let anomalies = anomalous.iter().filter(|is| **is).count() as f64;
    let ordinary = scores.len() as f64 - anomalies;
    (ranks - anomalies * (anomalies + 1.0) / 2.0) / (anomalies * ordinary)
}

#[cfg(test)]
mod tests {
    use super::auroc;

    #[test]
    fn a_score_that_separates_has_an_area_of_1_and_one_that_is_constant_of_a_half() {
        let anomalous = [false, true, false, true];
        assert_eq!(auroc(&[0.1, 0.9, 0.2, 0.8], &anomalous), 1.0);
        assert_eq!(auroc(&[0.5; 4], &anomalous), 0.5);
        assert_eq!(auroc(&[0.1, 0.2, 0.2, 0.0], &anomalous), 0.375);
    }
}
