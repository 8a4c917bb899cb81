//! Which column is the label: said by the user, or the only one that it can be.
//!
//! Never does: guess in silence. What was found is told with its reason; what is not clear is asked for.

use eddy_pipeline::tensor::TensorSpec;
use eddy_storage::data::{DataSet, Format};
use eddy_storage::survey::{Candidate, Limits, Survey};

use super::Error;

/// Rows that are looked at to find the label.
const ROWS: u64 = 20_000;

/// A data set with its label beside its events, and how the label was found, for people.
pub(crate) fn find(data: DataSet, said: Option<&str>, inputs: &[TensorSpec]) -> Result<(DataSet, String), Error> {
    if data.format() == Format::Images {
        return Ok((data, "the names of the sub-folders".to_owned()));
    }
    if let Some(label) = said {
        return Ok((data.with_label(label)?, format!("`{label}`, as you say")));
    }
    let limits = Limits {
        rows: ROWS,
        ..Limits::default()
    };
    // A column that has the name of an input is one.
    let is_input = |column: &str| inputs.iter().any(|input| input.name == column);
    let mut candidates = Survey::of(&data, limits)?.label_candidates();
    candidates.retain(|candidate| !is_input(&candidate.column));
    match clear(&candidates) {
        Some(candidate) => {
            let found = format!("`{}`: it {}", candidate.column, candidate.reason);
            Ok((data.with_label(&candidate.column)?, found))
        }
        None if candidates.is_empty() => Ok((data, NONE.to_owned())),
        None => {
            let lines = candidates
                .iter()
                .map(|candidate| format!("  --label {}    it {}", candidate.column, candidate.reason));
            Err(Error::WhichLabel(lines.collect::<Vec<_>>().join("\n")))
        }
    }
}

const NONE: &str = "none: no column looks like one; if there is one, name it with --label";

/// The one that it must be: the only one, or the only one that is called like a label as a whole.
fn clear(candidates: &[Candidate]) -> Option<&Candidate> {
    if let [only] = candidates {
        return Some(only);
    }
    let is_called = |candidate: &&Candidate| candidate.reason.starts_with("is called like a label");
    let mut called = candidates.iter().filter(is_called);
    called.next().filter(|_| called.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(column: &str, reason: &str) -> Candidate {
        Candidate {
            column: column.to_owned(),
            reason: reason.to_owned(),
        }
    }

    #[test]
    fn two_columns_that_are_called_like_labels_are_not_clear() {
        let called = |column: &str| candidate(column, "is called like a label");
        let last = candidate("z", "is the last column and has 2 distinct values");
        assert_eq!(clear(&[]), None);
        assert_eq!(clear(std::slice::from_ref(&last)), Some(&last));
        assert_eq!(clear(&[called("y"), last.clone()]), Some(&called("y")));
        assert_eq!(clear(&[called("y"), called("target"), last]), None);
    }
}
