//! Distances between clouds of embeddings: how often they tell of nothing, and which changes they see.

use eddy_pipeline::covariance::Moments;
use eddy_pipeline::drift::distance::{Bins, Table};
use eddy_pipeline::drift::multivariate::{
    Bootstrap, FourierFeatures, MeanEmbedding, Projection, Sums, bandwidth, frechet_critical, squared_frechet,
};
use eddy_pipeline::drift::verdict::{State, VerdictSettings, judge};
use eddy_pipeline::histogram::{counts, equal_mass_edges};
use eddy_pipeline::seed::{hash, normal};

use crate::report::Report;

/// Numbers of an embedding: groups of four that share a factor.
const D: usize = 32;
const GROUPS: usize = 8;
/// Part of a number's variance that its factor makes.
const COMMON: f64 = 0.5;
/// Projections.
const R: usize = 16;
const FOURIER: usize = 128;
const REFERENCE: u64 = 10_000;
/// References, each with windows of its own.
const REPEATS: u64 = 5;
const NULL_WINDOWS: u64 = 200;
const WINDOWS: u64 = 20;
const SIZES: [u64; 2] = [500, 2_000];
const BANDWIDTH_ROWS: usize = 1_000;
const RESAMPLES: u64 = 1_000;
const FALSE_ALARMS: f64 = 0.01;

/// What is told by.
const WAYS: [&str; 3] = ["Fréchet", "RFF-MMD", "PSI of any"];
type Told = [bool; WAYS.len()];

/// What embeddings are like.
#[derive(Debug, Clone, Copy)]
struct World {
    shift: Shift,
    /// Rows differ in size, which gives them heavy tails.
    is_heavy: bool,
}

#[derive(Debug, Clone, Copy)]
enum Shift {
    None,
    /// Every number, in its standard deviations.
    Mean(f64),
    /// Every number, by a factor around 0.
    Scale(f64),
    /// The first pairs of factors become correlated, as strongly as that; nothing else of any number changes.
    Correlation(usize, f64),
    /// Factors have two humps, with the mean and variance that they had.
    Humps,
}

const SHIFTS: [(Shift, &str); 10] = [
    (Shift::None, "nothing"),
    (Shift::Mean(0.05), "means + 0.05 deviations"),
    (Shift::Mean(0.1), "means + 0.1 deviations"),
    (Shift::Mean(0.2), "means + 0.2 deviations"),
    (Shift::Scale(1.05), "scale × 1.05"),
    (Shift::Scale(1.2), "scale × 1.2"),
    (Shift::Correlation(1, 0.3), "one correlation of 0.3"),
    (Shift::Correlation(4, 0.3), "four correlations of 0.3"),
    (Shift::Correlation(4, 0.6), "four correlations of 0.6"),
    (Shift::Humps, "two humps, means and covariances kept"),
];

impl World {
    /// An embedding.
    fn row(self, seed: u64, at: u64) -> [f64; D] {
        let draw = |of: usize| normal(seed, at * (D + GROUPS + 1) as u64 + of as u64);
        let mut factors = [0.0; GROUPS];
        for (group, factor) in factors.iter_mut().enumerate() {
            *factor = draw(group);
        }
        match self.shift {
            Shift::Correlation(pairs, r) => {
                for pair in factors.chunks_exact_mut(2).take(pairs) {
                    pair[1] = r * pair[0] + (1.0 - r * r).sqrt() * pair[1];
                }
            }
            Shift::Humps => {
                // 0.9² + 0.19 = 1. The sign is that of another draw.
                for (group, factor) in factors.iter_mut().enumerate() {
                    let side = normal(!seed, at * GROUPS as u64 + group as u64).signum();
                    *factor = 0.9 * side + 0.19f64.sqrt() * *factor;
                }
            }
            Shift::None | Shift::Mean(_) | Shift::Scale(_) => {}
        }
        let size = if self.is_heavy {
            (0.4 * draw(D + GROUPS)).exp()
        } else {
            1.0
        };
        let (by, times) = match self.shift {
            Shift::Mean(by) => (by, 1.0),
            Shift::Scale(times) => (0.0, times),
            _ => (0.0, 1.0),
        };
        std::array::from_fn(|column| {
            let group = column / (D / GROUPS);
            // Groups differ in scale, so that the first components are the factors.
            let unit = 1.0 + 0.15 * group as f64;
            let own = draw(GROUPS + column);
            unit * (times * size * (COMMON.sqrt() * factors[group] + (1.0 - COMMON).sqrt() * own) + by)
        })
    }
}

/// All that is known of a reference.
struct Reference {
    projection: Projection,
    rows: Vec<Vec<f64>>,
    sums: Sums,
    fourier: FourierFeatures,
    cloud: MeanEmbedding,
    /// z(x) of each row, so that windows drawn from the rows are sums.
    images: Vec<Vec<f64>>,
    /// Edges and counts of each projection.
    bins: Vec<(Vec<f64>, Vec<u64>)>,
}

impl Reference {
    fn new(is_heavy: bool, seed: u64) -> Self {
        let world = World {
            shift: Shift::None,
            is_heavy,
        };
        let rows: Vec<[f64; D]> = (0..REFERENCE).map(|at| world.row(seed, at)).collect();
        let mut moments = Moments::new(D);
        rows.iter().for_each(|row| moments.push(row));
        let covariance = moments.covariance().expect("there are rows");
        let projection = Projection::whitened(moments.mean().to_vec(), &covariance, R).expect("they are finite");
        let rows: Vec<Vec<f64>> = rows.iter().map(|row| projected(&projection, row)).collect();
        let mut sums = Sums::new(R);
        rows.iter().for_each(|row| assert!(sums.push(row)));
        let bandwidth = bandwidth(&rows[..BANDWIDTH_ROWS]).expect("rows differ");
        let fourier = FourierFeatures::drawn(R, FOURIER, bandwidth, hash(seed, 1)).expect("they are finite");
        let mut cloud = MeanEmbedding::new(FOURIER);
        rows.iter().for_each(|row| assert!(cloud.push(&fourier, row)));
        let image = |row: &Vec<f64>| {
            let mut one = MeanEmbedding::new(FOURIER);
            one.push(&fourier, row);
            one.sums().to_vec()
        };
        let images = rows.iter().map(image).collect();
        let bins = (0..R)
            .map(|at| bins(rows.iter().map(|row| row[at]).collect()))
            .collect();
        Self {
            projection,
            rows,
            sums,
            fourier,
            cloud,
            images,
            bins,
        }
    }

    /// The thresholds of windows of n rows: of the Fréchet distance and of MMD.
    fn critical(&self, n: u64) -> [f64; 2] {
        let bootstrap = Bootstrap {
            rows: n,
            resamples: RESAMPLES,
            false_alarms: FALSE_ALARMS,
            seed: n,
        };
        let mmd2 = |rows: &mut dyn Iterator<Item = usize>| {
            let (mut count, mut sums) = (0, vec![0.0; FOURIER]);
            for row in rows {
                count += 1;
                sums.iter_mut().zip(&self.images[row]).for_each(|(sum, z)| *sum += z);
            }
            self.cloud.mmd2(&MeanEmbedding::from_parts(count, sums)?)
        };
        [
            frechet_critical(&self.rows, &bootstrap).expect("there are rows"),
            bootstrap.critical(self.rows.len(), mmd2).expect("there are rows"),
        ]
    }

    /// What is told of a window.
    fn told(&self, world: World, n: u64, seed: u64, critical: [f64; 2]) -> Told {
        let rows: Vec<Vec<f64>> = (0..n)
            .map(|at| projected(&self.projection, &world.row(seed, at)))
            .collect();
        let (mut sums, mut cloud) = (Sums::new(R), MeanEmbedding::new(FOURIER));
        for row in &rows {
            sums.push(row);
            cloud.push(&self.fourier, row);
        }
        let frechet = squared_frechet(&self.sums, &sums).expect("there are rows");
        let mmd2 = self.cloud.mmd2(&cloud).expect("there are rows");
        let warns = |(at, (edges, reference)): (usize, &(Vec<f64>, Vec<u64>))| {
            let current = counts(edges, rows.iter().map(|row| row[at]));
            let table = Table::new(reference, &current, Bins::Ordered).expect("the same bins");
            matches!(
                judge(&table, &VerdictSettings::default()).state,
                State::Warning | State::Alert
            )
        };
        [
            frechet > critical[0],
            mmd2 > critical[1],
            self.bins.iter().enumerate().any(warns),
        ]
    }
}

fn projected(projection: &Projection, row: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; projection.len()];
    projection.project(row, &mut out);
    out
}

fn bins(mut values: Vec<f64>) -> (Vec<f64>, Vec<u64>) {
    values.sort_unstable_by(f64::total_cmp);
    let edges = equal_mass_edges(&values, 10);
    let counts = counts(&edges, values);
    (edges, counts)
}

/// Adds the table.
pub(crate) fn report(report: &mut Report) {
    report.section(
        "Embeddings",
        &format!(
            "Embeddings of {D} numbers in {GROUPS} groups, each with a factor of its own that makes half of the variance; \
             `heavy` ones differ in size from row to row by a log-normal factor (0.4). A reference of {REFERENCE} rows, {R} \
             whitened principal components, and windows of {} or {}. Fréchet distance (squared) and MMD by {FOURIER} random \
             Fourier features, both above thresholds from {RESAMPLES} windows drawn from the reference, at a nominal rate of \
             false alarms of {} %; and a warning by PSI of any projection. Percentage of windows that are told of; of \
             `nothing` there are {}, of each shift {}, over {REPEATS} references.",
            SIZES[0],
            SIZES[1],
            100.0 * FALSE_ALARMS,
            REPEATS * NULL_WINDOWS,
            REPEATS * WINDOWS,
        ),
    );
    // They share nothing, and take a minute each.
    let worlds = std::thread::scope(|scope| {
        let of = |is_heavy| scope.spawn(move || Found::new(is_heavy, REPEATS, NULL_WINDOWS, WINDOWS));
        [false, true]
            .map(of)
            .map(|thread| thread.join().expect("it panics at nothing"))
    });
    let rows = SHIFTS.iter().enumerate().map(|(at, (_, name))| {
        let cells = worlds.iter().flat_map(|found| found.0[at]).map(|part| {
            let parts = part.map(|part| format!("{:.1}", 100.0 * part));
            parts.join(" / ")
        });
        [(*name).to_owned()].into_iter().chain(cells).collect()
    });
    let rows: Vec<Vec<String>> = rows.collect();
    let ways = WAYS.join(" / ");
    let columns = ["normal", "heavy"].map(|kind| SIZES.map(|n| format!("{kind}, {n}: {ways}")));
    let columns = columns.as_flattened();
    let head: Vec<&str> = ["shift"]
        .into_iter()
        .chain(columns.iter().map(String::as_str))
        .collect();
    report.table(&head, &rows);
    report.say(conclusion(&worlds));
}

fn conclusion(worlds: &[Found; 2]) -> String {
    let alarms: Vec<f64> = worlds
        .iter()
        .flat_map(|found| found.0[0])
        .map(|part| 100.0 * part[0])
        .collect();
    let one_correlation = SHIFTS
        .iter()
        .position(|(shift, _)| matches!(shift, Shift::Correlation(1, _)))
        .expect("it is a shift");
    // Of the larger windows of the normal world.
    let [frechet, mmd, psi] = worlds[0].0[one_correlation][1].map(|part| 100.0 * part);
    format!(
        "False alarms of the Fréchet distance are {:.1} % on average, {:.1} % to {:.1} %, where {} % are asked for; windows \
         that share a reference are not independent. The service has the Fréchet distance because it sees embeddings whose \
         numbers vary together in another way, each of them as before: one correlation of 0.3 in {frechet:.0} % of the \
         normal windows of {} rows, where MMD sees {mmd:.0} % and PSI {psi:.0} %. It takes about as many sums ({} against \
         {FOURIER}) and no cosines. It loses to MMD on heavy tails, which make its threshold high: for a small shift of all \
         means it needs about four times the events. Changes of shape that leave means and covariances alone are seen by \
         none of them here. PSI of projections, one by one, sees only what is large: that is what it is for.",
        alarms.iter().sum::<f64>() / alarms.len() as f64,
        alarms.iter().copied().fold(f64::INFINITY, f64::min),
        alarms.iter().copied().fold(0.0, f64::max),
        100.0 * FALSE_ALARMS,
        SIZES[1],
        R + R * (R + 1) / 2,
    )
}

/// Of each shift and size of windows, the share that is told of in each way.
struct Found([[[f64; WAYS.len()]; SIZES.len()]; SHIFTS.len()]);

impl Found {
    fn new(is_heavy: bool, repeats: u64, null_windows: u64, windows: u64) -> Self {
        let mut found = [[[0.0; WAYS.len()]; SIZES.len()]; SHIFTS.len()];
        for repeat in 0..repeats {
            let seed = hash(u64::from(is_heavy), repeat);
            let reference = Reference::new(is_heavy, seed);
            for (size, n) in SIZES.into_iter().enumerate() {
                let critical = reference.critical(n);
                for (at, (shift, _)) in SHIFTS.into_iter().enumerate() {
                    let windows = if matches!(shift, Shift::None) {
                        null_windows
                    } else {
                        windows
                    };
                    for window in 0..windows {
                        let seed = hash(hash(seed, 1_000 + n), at as u64 * 1_000 + window);
                        let told = reference.told(World { shift, is_heavy }, n, seed, critical);
                        for (found, told) in found[at][size].iter_mut().zip(told) {
                            *found += f64::from(u8::from(told)) / (repeats * windows) as f64;
                        }
                    }
                }
            }
        }
        Self(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shifts_keep_what_they_say_they_keep() {
        let moments = |shift: Shift| {
            let mut moments = Moments::new(D);
            let world = World { shift, is_heavy: false };
            (0..20_000).for_each(|at| moments.push(&world.row(3, at)));
            moments
        };
        let variance = |moments: &Moments, at: usize| moments.comoments()[at * D + at] / moments.count() as f64;
        let covariance =
            |moments: &Moments, a: usize, b: usize| moments.comoments()[a * D + b] / moments.count() as f64;
        let none = moments(Shift::None);
        assert!((variance(&none, 0) - 1.0).abs() < 0.05);
        assert!((covariance(&none, 0, 1) - COMMON).abs() < 0.05);
        assert!(covariance(&none, 0, 4).abs() < 0.05);
        for kept in [Shift::Humps, Shift::Correlation(4, 0.6)] {
            let kept = moments(kept);
            for at in 0..D {
                assert!(kept.mean()[at].abs() < 0.06);
                assert!((variance(&kept, at) / variance(&none, at) - 1.0).abs() < 0.1);
            }
        }
        assert!((covariance(&moments(Shift::Correlation(1, 0.6)), 0, 4) / 1.15 - 0.6 * COMMON).abs() < 0.05);
        assert!((moments(Shift::Mean(0.2)).mean()[31] / (1.0 + 0.15 * 7.0) - 0.2).abs() < 0.05);
    }

    #[test]
    fn a_few_windows_without_drift_are_quiet_and_a_large_shift_is_told() {
        let reference = Reference::new(true, 5);
        let critical = reference.critical(500);
        let alarms = |shift: Shift| -> usize {
            let told = (0..20).map(|seed| reference.told(World { shift, is_heavy: true }, 500, 100 + seed, critical));
            told.filter(|told| told[0]).count()
        };
        assert!(alarms(Shift::None) <= 3);
        assert_eq!(alarms(Shift::Mean(0.5)), 20);
    }
}
