//! Which column may be the label: by its name, and by what stands in it.
//!
//! Never does: choose. A wrong label makes a model look better or worse than it is, so its user says which one it is.

use super::{Column, Distinct, Kind, Survey};

/// Names that labels have, the most telling first. Case, and what separates words, do not count: `Is_Fraud` is `isfraud`.
pub const LABEL_NAMES: [&str; 30] = [
    "label",
    "labels",
    "target",
    "class",
    "y",
    "outcome",
    "response",
    "groundtruth",
    "truth",
    "churn",
    "churned",
    "exited",
    "attrition",
    "survived",
    "fraud",
    "isfraud",
    "default",
    "defaulted",
    "diagnosis",
    "species",
    "quality",
    "income",
    "approved",
    "converted",
    "clicked",
    "subscribed",
    "deposit",
    "result",
    "sentiment",
    "category",
];

/// Most distinct values of a last column that is taken for a label because it is the last.
const FEW: u64 = 20;

/// A column that may be the label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its name, as [`crate::data::DataSet::with_label`] takes it.
    pub column: String,
    /// Why it may be the label, as a sentence without its subject: `is called like a label`.
    pub reason: String,
}

impl Survey {
    /// The columns that may be the label, the likeliest first: those called like one ([`LABEL_NAMES`]), then those with such
    /// a word in their name, then the last column where it has few distinct values. Columns that are no labels by what they
    /// hold (identifiers, constants, times, lists) are none of them.
    pub fn label_candidates(&self) -> Vec<Candidate> {
        let last = self.columns.len().saturating_sub(1);
        let mut ranked: Vec<(usize, Candidate)> = Vec::new();
        for (at, column) in self
            .columns
            .iter()
            .enumerate()
            .filter(|(_, column)| can_be_label(column))
        {
            let end = (at == last && at > 0).then(|| few_values(column)).flatten();
            let name = by_name(column);
            let rank = match (&name, &end) {
                (Some((rank, _)), _) => *rank,
                (None, Some(_)) => usize::MAX,
                (None, None) => continue,
            };
            let reasons: Vec<String> = name.map(|(_, reason)| reason).into_iter().chain(end).collect();
            let candidate = Candidate {
                column: column.name(),
                reason: reasons.join(" and "),
            };
            ranked.push((rank, candidate));
        }
        // Stable: of the same rank, the first column comes first.
        ranked.sort_by_key(|(rank, _)| *rank);
        ranked.into_iter().map(|(_, candidate)| candidate).collect()
    }
}

fn can_be_label(column: &Column) -> bool {
    matches!(
        column.kind,
        Kind::Boolean | Kind::Integer | Kind::Float | Kind::Category | Kind::Text
    )
}

fn by_name(column: &Column) -> Option<(usize, String)> {
    let name = column.path.last()?;
    let words = words(name);
    let position = |word: &str| LABEL_NAMES.iter().position(|label| *label == word);
    if let Some(rank) = position(&words.concat()) {
        return Some((rank, "is called like a label".to_owned()));
    }
    // A single letter says something only when it is the whole name.
    let telling = words.iter().filter(|word| word.len() > 1);
    let (rank, word) = telling.filter_map(|word| Some((position(word)?, word))).min()?;
    Some((LABEL_NAMES.len() + rank, format!("has `{word}` in its name")))
}

/// The words of a name in small letters: `loan_default`, `LoanDefault` and `loan default` have the same two.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for character in name.chars() {
        let is_border = !character.is_alphanumeric() || (was_lower && character.is_uppercase());
        if is_border && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if character.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(character.to_lowercase());
        }
        was_lower = character.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

fn few_values(column: &Column) -> Option<String> {
    match column.distinct {
        Distinct::Exactly(distinct) if (2..=FEW).contains(&distinct) && distinct * 2 <= column.present => {
            Some(format!("is the last column and has {distinct} distinct values"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn a_name_falls_into_words_however_they_are_separated() {
        for name in [
            "loan_default",
            "LoanDefault",
            "loan default",
            "Loan-Default",
            "__loan..default",
        ] {
            assert_eq!(words(name), ["loan", "default"], "{name}");
        }
        assert_eq!(words("isFraud").concat(), "isfraud");
        assert_eq!(words("IS_FRAUD").concat(), "isfraud");
        assert!(words("").is_empty());
    }
}
