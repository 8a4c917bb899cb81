//! Names of classes: which word of the label is which of the model's classes.
//!
//! Invariant: words are put to classes only where the model carries them, they are numbers, or its predictions agree with
//! the label. Sorting alone is no reason: scikit-learn's own breast cancer data has 0 for malignant and 1 for benign.

use std::cmp::Ordering;

use eddy_storage::survey::{Column, Content};

use super::ModelFacts;

/// Most distinct whole numbers of a label that still are classes.
const MOST_CLASSES: usize = 20;

/// What the label is.
#[derive(Debug)]
pub(crate) enum Label {
    /// There is none.
    Unknown,
    /// One word out of these, numbers in their order, other words in that of their bytes.
    Words(Vec<String>),
    /// A number.
    Number,
}

impl Label {
    pub(crate) fn of(column: Option<&Column>) -> Self {
        let Some(column) = column else { return Self::Unknown };
        let are_numbers = matches!(column.content, Content::Integers | Content::Floats);
        let mut words: Vec<String> = column.words.iter().flatten().map(|(word, _)| word.clone()).collect();
        let is_whole = column.numbers.as_ref().is_some_and(|numbers| numbers.is_whole);
        if are_numbers && (words.is_empty() || words.len() > MOST_CLASSES || !is_whole) {
            return Self::Number;
        }
        if words.is_empty() {
            return Self::Unknown;
        }
        if are_numbers {
            words.sort_by(|a, b| number(a).partial_cmp(&number(b)).unwrap_or(Ordering::Equal));
        }
        Self::Words(words)
    }

    pub(crate) const fn is_number(&self) -> bool {
        matches!(self, Self::Number)
    }

    /// Distinct words.
    pub(crate) fn count(&self) -> Option<usize> {
        match self {
            Self::Words(words) => Some(words.len()),
            _ => None,
        }
    }
}

fn number(word: &str) -> f64 {
    word.parse().unwrap_or(f64::NAN)
}

/// What the file says of the names, and what its author should look at.
#[derive(Debug, Default)]
pub(crate) struct Names {
    list: Option<Vec<String>>,
    note: &'static str,
    pub(crate) remarks: Vec<String>,
}

impl Names {
    pub(crate) fn of(model: &ModelFacts, label: &Label) -> Self {
        let Label::Words(words) = label else {
            return Self::default();
        };
        let remark = |remark: String| Self {
            remarks: vec![remark],
            ..Self::default()
        };
        if let Some(own) = &model.class_names {
            return match words.iter().find(|word| !own.contains(word)) {
                Some(word) => remark(format!(
                    "the label has `{word}`, and the model knows the classes {}; their names differ",
                    own.join(", ")
                )),
                None => Self::default(),
            };
        }
        if let Some(agreed) = &model.agreed_classes {
            return Self {
                list: Some(agreed.clone()),
                note: "in the order in which the model's predictions agree with the label",
                remarks: Vec::new(),
            };
        }
        if words.iter().any(|word| number(word).is_nan()) {
            let list = words.join("\", \"");
            return remark(format!(
                "nothing says which class is which word; write them into the head in the model's order: classes = [\"{list}\"]"
            ));
        }
        let is_default = words.iter().enumerate().all(|(at, word)| *word == at.to_string());
        Self {
            list: (!is_default).then(|| words.clone()),
            note: "the numbers of the label in their order, as scikit-learn orders classes",
            remarks: Vec::new(),
        }
    }

    /// The names, where they are as many as the model has classes.
    pub(crate) fn for_width(&self, width: Option<usize>) -> Option<Vec<String>> {
        self.list
            .clone()
            .filter(|list| width.is_none_or(|width| width == list.len()))
    }

    /// The note on the key `classes`, where it is written.
    pub(crate) fn notes(&self, list: Option<&Vec<String>>) -> Vec<(&'static str, String)> {
        list.map(|_| ("classes", self.note.to_owned())).into_iter().collect()
    }
}

/// Which word is which class, by how often they meet: `counts[word][class]` counts rows whose label is the word and whose
/// prediction is the class. For each class the position of its word; `None` where two classes claim one word.
///
/// A class belongs to the word of which it takes the largest share, so that a frequent word does not claim them all. The
/// only class that was never predicted gets the only word that is left.
pub fn class_order(counts: &[Vec<u64>]) -> Option<Vec<usize>> {
    let classes = counts.len();
    if counts.iter().any(|row| row.len() != classes) {
        return None;
    }
    let totals: Vec<u64> = counts.iter().map(|row| row.iter().sum()).collect();
    let share = |word: usize, class: usize| match totals[word] {
        0 => 0.0,
        total => counts[word][class] as f64 / total as f64,
    };
    let mut order: Vec<Option<usize>> = Vec::with_capacity(classes);
    for class in 0..classes {
        let best = (0..classes).max_by(|a, b| share(*a, class).total_cmp(&share(*b, class)))?;
        let rivals = (0..classes)
            .filter(|word| share(*word, class) == share(best, class))
            .count();
        let is_seen = share(best, class) > 0.0;
        if is_seen && rivals > 1 {
            return None;
        }
        order.push(is_seen.then_some(best));
    }
    let mut left: Vec<usize> = (0..classes).filter(|word| !order.contains(&Some(*word))).collect();
    let is_one_unseen = order.iter().filter(|word| word.is_none()).count() == 1;
    for word in order.iter_mut().filter(|word| word.is_none()) {
        *word = if is_one_unseen { left.pop() } else { None };
    }
    let order: Vec<usize> = order.into_iter().collect::<Option<_>>()?;
    left.is_empty().then_some(order)
}

#[cfg(test)]
mod tests {
    use super::class_order;

    #[test]
    fn classes_are_the_words_that_they_agree_with() {
        assert_eq!(class_order(&[vec![90, 10], vec![5, 95]]), Some(vec![0, 1]));
        assert_eq!(class_order(&[vec![10, 90], vec![95, 5]]), Some(vec![1, 0]));
        assert_eq!(
            class_order(&[vec![0, 0, 9], vec![9, 1, 0], vec![1, 9, 0]]),
            Some(vec![1, 2, 0])
        );
    }

    #[test]
    fn a_rare_word_is_not_lost_to_a_frequent_one() {
        assert_eq!(class_order(&[vec![9000, 60], vec![60, 40]]), Some(vec![0, 1]));
    }

    #[test]
    fn a_class_that_is_never_predicted_gets_the_word_that_is_left() {
        assert_eq!(class_order(&[vec![9, 0], vec![1, 0]]), None);
        assert_eq!(
            class_order(&[vec![0, 0, 9], vec![9, 0, 0], vec![5, 0, 1]]),
            Some(vec![1, 2, 0])
        );
    }

    #[test]
    fn what_does_not_agree_has_no_order() {
        assert_eq!(class_order(&[vec![5, 5], vec![5, 5]]), None);
        assert_eq!(class_order(&[vec![9, 9, 0], vec![0, 0, 9], vec![0, 0, 9]]), None);
        assert_eq!(class_order(&[vec![1, 2, 3], vec![1, 2, 3]]), None);
        assert_eq!(class_order(&[vec![0, 0], vec![0, 0]]), None);
    }
}
