//! How often windows are called drift where there is none, and how often where there is some.
//!
//! Owns: streams, known and real, cut into windows. The profile, its bins and the rules are the service's own, with the
//! settings that it has by default; the simple thresholds beside them are what others use.

mod census;
mod null;
mod rules;
mod shifts;

use crate::report::Report;

/// Events of a window.
const WINDOWS: [usize; 5] = [200, 500, 1_000, 5_000, 10_000];

/// Adds the tables.
pub(crate) fn report(report: &mut Report) {
    let census = census::Census::read();
    let splits = census.splits();
    census::report(report, &census, &splits);
    shifts::report(report, &splits);
    null::report(report);
}

/// A share as a percentage.
fn percent(count: u64, of: u64) -> String {
    match of {
        0 => "none".to_owned(),
        _ if count == 0 => "0 %".to_owned(),
        _ => {
            let part = 100.0 * count as f64 / of as f64;
            // Few of many are not none.
            let digits = if part < 1.0 { 2 } else { 1 };
            format!("{part:.digits$} %")
        }
    }
}
