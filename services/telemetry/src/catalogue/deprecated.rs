//! Metrics whose time is over.
//!
//! Owns: which they are, what takes their place, and until when they are there; what their help says of it.
//! Never does: remove one; a test fails when that is due.

use eddy_pipeline::format::Version;

use super::Metric;

/// A metric that another takes the place of: it lives one minor version more, and its help says so.
#[derive(Debug, Clone, Copy)]
pub struct Deprecated {
    /// The metric.
    pub metric: Metric,
    /// What to use in its place.
    pub replacement: Metric,
    /// The first version without it.
    pub dropped_in: Version,
}

/// All that are deprecated: none now. No rule and no panel may use one.
pub const DEPRECATED: &[Deprecated] = &[];

impl Metric {
    /// The help that Prometheus is given: with what takes its place, where it is deprecated.
    pub fn full_help(&self) -> String {
        self.help_among(DEPRECATED)
    }

    fn help_among(&self, deprecated: &[Deprecated]) -> String {
        match deprecated.iter().find(|one| one.metric.name == self.name) {
            None => self.help.to_owned(),
            Some(Deprecated {
                replacement,
                dropped_in,
                ..
            }) => format!(
                "Deprecated: use {}; version {dropped_in} will no longer have this one. {}",
                replacement.name, self.help
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{ALL, REBALANCES, STALLS};

    #[test]
    fn a_deprecated_metric_says_what_takes_its_place_and_until_when_it_is_there() {
        let deprecated = [Deprecated {
            metric: STALLS,
            replacement: REBALANCES,
            dropped_in: Version::new(7, 3),
        }];
        assert_eq!(
            STALLS.help_among(&deprecated),
            format!(
                "Deprecated: use eddy_rebalances_total; version 7.3 will no longer have this one. {}",
                STALLS.help
            )
        );
        assert_eq!(REBALANCES.help_among(&deprecated), REBALANCES.help);
    }

    #[test]
    fn what_is_deprecated_is_here_still_and_so_is_what_takes_its_place() {
        let is_here = |metric: &Metric| ALL.iter().any(|known| known.name == metric.name);
        let is_deprecated = |metric: &Metric| DEPRECATED.iter().any(|one| one.metric.name == metric.name);
        for one in DEPRECATED {
            assert!(is_here(&one.metric) && is_here(&one.replacement), "{}", one.metric.name);
            assert!(!is_deprecated(&one.replacement), "{}", one.metric.name);
            assert!(
                Version::THIS < one.dropped_in,
                "{}: its time is over; remove it",
                one.metric.name
            );
        }
    }
}
