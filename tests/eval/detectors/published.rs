//! The table of an independent implementation.

use super::{Kind, STRICT, USUAL};

pub(super) const PUBLISHED_RUNS: usize = 40;
pub(super) const PUBLISHED_STREAMS: usize = 20;

/// Median delay in events, percentage of runs that miss the change, percentage with a false alarm before it.
pub(super) type Cell = (f64, f64, f64);

/// One row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Published {
    /// False alarms in 10,000 events, for each rate before.
    pub(super) nulls: [f64; 2],
    /// Of each change.
    pub(super) changes: [Cell; 5],
}

const NEVER: f64 = f64::INFINITY;

pub(super) const PUBLISHED: [(Kind, &str, Published); 10] = [
    (
        Kind::ESr(1e-5),
        "e-SR, α = 1e-5",
        Published {
            nulls: [0.0, 0.07],
            changes: [
                (467.5, 0.0, 0.0),
                (85.0, 0.0, 0.0),
                (973.5, 0.0, 0.0),
                (273.0, 0.0, 0.0),
                (51.0, 0.0, 0.0),
            ],
        },
    ),
    (
        Kind::ESr(1e-4),
        "e-SR, α = 1e-4",
        Published {
            nulls: [0.03, 0.23],
            changes: [
                (275.0, 0.0, 0.0),
                (56.5, 0.0, 0.0),
                (526.5, 0.0, 7.5),
                (213.5, 0.0, 5.0),
                (39.5, 0.0, 7.5),
            ],
        },
    ),
    (
        Kind::Adwin(0.002),
        "ADWIN, δ = 0.002",
        Published {
            nulls: [0.0, 0.05],
            changes: [
                (943.0, 2.5, 0.0),
                (143.0, 0.0, 0.0),
                (1551.0, 32.5, 0.0),
                (527.0, 0.0, 0.0),
                (111.0, 0.0, 0.0),
            ],
        },
    ),
    (
        Kind::Adwin(1e-4),
        "ADWIN, δ = 1e-4",
        Published {
            nulls: [0.0, 0.0],
            changes: [
                (1615.0, 12.5, 0.0),
                (207.0, 0.0, 0.0),
                (2767.0, 75.0, 0.0),
                (879.0, 0.0, 0.0),
                (111.0, 0.0, 0.0),
            ],
        },
    ),
    (
        Kind::Ddm,
        "DDM",
        Published {
            nulls: [0.55, 0.15],
            changes: [
                (407.0, 2.5, 75.0),
                (122.5, 0.0, 62.5),
                (903.0, 27.5, 30.0),
                (547.0, 5.0, 32.5),
                (142.5, 0.0, 22.5),
            ],
        },
    ),
    (
        Kind::Eddm,
        "EDDM",
        Published {
            nulls: [9.15, 11.88],
            changes: [
                (164.0, 0.0, 97.5),
                (101.0, 2.5, 100.0),
                (102.0, 5.0, 87.5),
                (73.5, 0.0, 97.5),
                (47.0, 0.0, 92.5),
            ],
        },
    ),
    (
        Kind::HddmA(USUAL),
        "HDDM_A, 0.001",
        Published {
            nulls: [0.0, 0.07],
            changes: [
                (2813.5, 45.0, 0.0),
                (189.5, 0.0, 0.0),
                (1369.0, 27.5, 2.5),
                (469.5, 0.0, 0.0),
                (68.0, 0.0, 5.0),
            ],
        },
    ),
    (
        Kind::HddmA(STRICT),
        "HDDM_A, 1e-5",
        Published {
            nulls: [0.0, 0.0],
            changes: [
                (4804.0, 97.5, 0.0),
                (322.0, 0.0, 0.0),
                (2543.0, 82.5, 0.0),
                (843.5, 0.0, 0.0),
                (104.5, 0.0, 0.0),
            ],
        },
    ),
    (
        Kind::HddmW,
        "HDDM_W",
        Published {
            nulls: [0.0, 0.68],
            changes: [
                (NEVER, 100.0, 0.0),
                (2236.0, 20.0, 0.0),
                (1406.0, 5.0, 12.5),
                (272.5, 0.0, 15.0),
                (36.5, 0.0, 12.5),
            ],
        },
    ),
    (
        Kind::PageHinkley,
        "Page-Hinkley",
        Published {
            nulls: [0.03, 0.38],
            changes: [
                (1363.0, 0.0, 0.0),
                (367.0, 0.0, 0.0),
                (1068.0, 2.5, 0.0),
                (468.0, 0.0, 0.0),
                (157.5, 0.0, 0.0),
            ],
        },
    ),
];
