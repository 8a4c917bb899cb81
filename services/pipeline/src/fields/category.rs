//! Rules for text: categories and free text.

use super::names::Names;
use super::settings::{FieldSettings, Other, Scalar};
use super::words::{Place, quote};
use crate::rejection::{Reason, Rejection};
use crate::settings::Problem;

/// What a category must be like.
#[derive(Debug, Clone)]
pub(crate) struct CategoryRule {
    /// `None`: any word.
    categories: Option<Names>,
    /// Index of a word that is not in the list; `None` rejects it.
    other: Option<i64>,
}

impl CategoryRule {
    pub(crate) fn compile(key: &str, settings: &FieldSettings, problems: &mut Vec<Problem>) -> Self {
        let other = match settings.other {
            Some(Other::Index(index)) => Some(index),
            Some(Other::Word(_)) | None => None,
        };
        let categories = settings.categories.as_ref().map(|list| {
            let names = Names::new(list.iter().map(String::as_str));
            if list.is_empty() {
                problems.push(Problem::new(
                    format!("{key}.categories"),
                    "an empty list allows no word; list the words, or leave the key out to allow any",
                ));
            }
            for (position, word) in list.iter().enumerate() {
                if names.find(word) != Some(position) {
                    problems.push(Problem::new(
                        format!("{key}.categories[{position}]"),
                        format!("{word:?} stands in the list twice; remove one"),
                    ));
                }
            }
            names
        });
        if settings.other.is_some() && categories.is_none() {
            problems.push(Problem::new(
                format!("{key}.other"),
                "has no effect without `categories`; list the words",
            ));
        }
        Self { categories, other }
    }

    /// Whether words have indices, so that a number input can take them.
    pub(crate) fn has_indices(&self) -> bool {
        self.categories.is_some()
    }

    /// The words in their order; none where any is allowed.
    pub(crate) fn words(&self) -> Vec<String> {
        self.categories
            .iter()
            .flat_map(Names::iter)
            .map(str::to_owned)
            .collect()
    }

    /// The index of a word; 0 for any word where there is no list.
    pub(crate) fn admit(&self, place: Place<'_>, word: &str) -> Result<i64, Rejection> {
        let Some(categories) = &self.categories else {
            return Ok(0);
        };
        if let Some(position) = categories.find(word) {
            return Ok(position as i64);
        }
        self.other.ok_or_else(|| {
            place.reject(
                Reason::NotAllowed,
                format_args!(
                    "is {}, which is not among its {} `categories`",
                    quote(word),
                    categories.len()
                ),
            )
        })
    }
}

/// What a text must be like.
#[derive(Debug, Clone)]
pub(crate) struct TextRule {
    allowed: Option<Names>,
}

impl TextRule {
    pub(crate) fn compile(key: &str, settings: &FieldSettings, problems: &mut Vec<Problem>) -> Self {
        let allowed = settings.allowed.as_ref().map(|list| {
            let texts = list.iter().enumerate().filter_map(|(position, scalar)| match scalar {
                Scalar::Text(text) => Some(text.as_str()),
                other => {
                    problems.push(Problem::new(
                        format!("{key}.allowed[{position}]"),
                        format!("{other} is not a text; put it in quotes"),
                    ));
                    None
                }
            });
            Names::new(texts)
        });
        Self { allowed }
    }

    pub(crate) fn admit(&self, place: Place<'_>, text: &str) -> Result<(), Rejection> {
        match &self.allowed {
            Some(allowed) if allowed.find(text).is_none() => Err(place.reject(
                Reason::NotAllowed,
                format_args!("is {}, which is not among its `allowed` values", quote(text)),
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::{FieldType, RejectWord};
    use super::*;

    const PLACE: Place<'static> = Place::field("sex");

    fn settings(other: Option<Other>) -> FieldSettings {
        FieldSettings {
            categories: Some(vec!["female".into(), "male".into()]),
            other,
            ..FieldSettings::of(FieldType::Category)
        }
    }

    #[test]
    fn a_word_becomes_its_place_in_the_list() {
        let mut problems = Vec::new();
        let rule = CategoryRule::compile("fields.sex", &settings(None), &mut problems);
        assert_eq!(problems, []);
        assert_eq!(rule.admit(PLACE, "male"), Ok(1));
        assert_eq!(rule.admit(PLACE, "x").unwrap_err().reason, Reason::NotAllowed);
    }

    #[test]
    fn another_word_becomes_the_index_that_was_named() {
        let rule = CategoryRule::compile("k", &settings(Some(Other::Index(-1))), &mut Vec::new());
        assert_eq!(rule.admit(PLACE, "x"), Ok(-1));
        let rule = CategoryRule::compile("k", &settings(Some(Other::Word(RejectWord::Reject))), &mut Vec::new());
        assert!(rule.admit(PLACE, "x").is_err());
    }

    #[test]
    fn a_word_listed_twice_is_a_problem() {
        let mut problems = Vec::new();
        let settings = FieldSettings {
            categories: Some(vec!["a".into(), "b".into(), "a".into()]),
            ..FieldSettings::of(FieldType::Category)
        };
        CategoryRule::compile("fields.c", &settings, &mut problems);
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].key, "fields.c.categories[2]");
    }
}
