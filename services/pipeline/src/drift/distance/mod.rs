//! Distances between the counts of a reference and those of a window.
//!
//! Owns: the closed set of distances, one file each with its formula, and the outcome where there is nothing to compare.
//! Never does: bin a value, see [`crate::histogram`]; judge a distance, see [`super::verdict`]; average distances of parts:
//! counts are added, and the distance is that of the sums.
//!
//! Invariant: a distance is finite and at least 0, or there is none.

mod chi2;
mod cramers_v;
mod g;
mod hellinger;
mod js;
mod kl;
mod ks;
mod l_infinity;
#[cfg(test)]
mod laws;
mod pit_w1;
mod psi;
mod table;
mod tv;
mod w1;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::kl::kl;
pub use self::psi::psi;
pub use self::table::{Bins, Error, Scale, Table};

/// A distance, and how likely one as large is without drift.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// Finite and at least 0.
    pub value: f64,
    /// The p-value, where the distance is the statistic of a test. It falls with the size of the sample: never a reason for
    /// an alarm by itself.
    pub p: Option<f64>,
}

impl Measured {
    const fn value(value: f64) -> Self {
        Self { value, p: None }
    }
}

/// What the file of one distance provides.
struct Kind {
    /// The distance with its article, for messages.
    words: &'static str,
    /// The largest that it can be.
    most: f64,
    /// Whether it needs bins in an order.
    reads_order: bool,
    /// The distance of a table with at least two bins and an event of each.
    measure: fn(&Table<'_>) -> Option<Measured>,
}

macro_rules! distances {
    ($($(#[$doc:meta])* $variant:ident = $word:literal: $module:ident,)+) => {
        /// A distance between counts, by the word that labels and settings use.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum Distance {
            $($(#[$doc])* #[serde(rename = $word)] $variant,)+
        }

        impl Distance {
            /// All distances, in index order.
            pub const ALL: [Self; [$($word,)+].len()] = [$(Self::$variant,)+];

            /// The word used in labels and settings.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            const fn kind(self) -> &'static Kind {
                match self { $(Self::$variant => &$module::KIND,)+ }
            }
        }
    };
}

// A new distance is one file and, here, one `mod` and one row.
distances! {
    /// Population stability index of smoothed shares.
    Psi = "psi": psi,
    /// Kullback-Leibler divergence of the window from the reference, of smoothed shares.
    Kl = "kl": kl,
    /// Jensen-Shannon distance to base 2.
    Js = "js": js,
    /// Hellinger distance.
    Hellinger = "hellinger": hellinger,
    /// Total variation: the share of events that would have to move.
    Tv = "tv": tv,
    /// The largest difference of a bin's shares.
    LInfinity = "l_infinity": l_infinity,
    /// The statistic of Kolmogorov and Smirnov on bins, with its p-value.
    Ks = "ks": ks,
    /// Mean difference of the distribution functions at the edges: Wasserstein's distance on the scale of the reference's
    /// ranks.
    PitW1 = "pit_w1": pit_w1,
    /// Wasserstein's distance in standard deviations of the reference.
    W1 = "w1": w1,
    /// The statistic of the chi-square test of homogeneity, with its p-value.
    Chi2 = "chi2": chi2,
    /// Cramér's V: chi-square without the size of the sample, with the same p-value.
    CramersV = "cramers_v": cramers_v,
    /// The statistic of the likelihood-ratio test of homogeneity, with its p-value.
    G = "g": g,
}

impl Distance {
    /// The largest that it can be: 1, or infinity where it is not bounded.
    pub const fn most(self) -> f64 {
        self.kind().most
    }

    /// Whether it needs bins in an order, as those of numbers are and categories are not.
    pub const fn reads_order(self) -> bool {
        self.kind().reads_order
    }

    /// The distance. `None` where there is nothing to compare: the window or the reference is empty or there is one bin, as
    /// for a constant reference; and where the bins lack the order or the scale that it needs.
    pub fn measure(self, table: &Table<'_>) -> Option<Measured> {
        let has_order = !self.kind().reads_order || !matches!(table.kind(), Bins::Categories);
        if !(table.is_comparable() && has_order) {
            return None;
        }
        (self.kind().measure)(table).filter(|measured| measured.value.is_finite())
    }
}

impl fmt::Display for Distance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind().words)
    }
}
