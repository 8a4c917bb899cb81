//! Names of classes and labels: where they come from, and how they are written.

use std::collections::HashSet;

use super::outputs::problem;
use crate::render::json;
use crate::settings::Problem;

/// Names in the order of the probabilities, each with its JSON.
#[derive(Debug, Clone)]
pub(crate) struct Classes {
    names: Vec<String>,
    json: Vec<Vec<u8>>,
}

impl Classes {
    /// The names from the settings, else from the model, else `0`, `1`, … for the `width` that the model promises.
    pub(crate) fn resolve(
        settings: Option<&[String]>,
        model: Option<&[String]>,
        width: Option<usize>,
    ) -> Result<Self, Problem> {
        let names = match (settings, model, width) {
            (Some(names), _, _) | (None, Some(names), _) => names.to_vec(),
            (None, None, Some(width)) => (0..width).map(|class| class.to_string()).collect(),
            (None, None, None) => {
                return Err(problem(
                    "classes",
                    "the model leaves open how many classes it has; list their names in the order of the probabilities",
                ));
            }
        };
        check_names(&names)?;
        let expected = width.or(model.map(<[String]>::len));
        if let Some(expected) = expected
            && names.len() != expected
        {
            let given = names.len();
            return Err(problem(
                "classes",
                format!(
                    "{given} names are given, and the model has {expected} classes; name each of them once, in order"
                ),
            ));
        }
        Ok(Self::named(names))
    }

    fn named(names: Vec<String>) -> Self {
        let json = names
            .iter()
            .map(|name| {
                let mut text = Vec::with_capacity(name.len() + 2);
                json::string(name, &mut text);
                text
            })
            .collect();
        Self { names, json }
    }

    /// The names.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// A name as a JSON string.
    pub(crate) fn json(&self, class: usize) -> &[u8] {
        &self.json[class]
    }
}

fn check_names(names: &[String]) -> Result<(), Problem> {
    if names.is_empty() {
        return Err(problem(
            "classes",
            "the list is empty; name the classes or leave the key out",
        ));
    }
    let mut seen = HashSet::with_capacity(names.len());
    for name in names {
        if !seen.insert(name) {
            return Err(problem(
                "classes",
                format!("`{name}` stands twice; give each class a name of its own"),
            ));
        }
    }
    Ok(())
}
