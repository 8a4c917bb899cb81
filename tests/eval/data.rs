//! The data sets that `tests/setup/eval` wrote.

use std::path::{Path, PathBuf};

/// A file of numbers.
#[derive(Debug)]
pub(crate) struct Table {
    names: Vec<String>,
    pub(crate) rows: Vec<Vec<f64>>,
}

impl Table {
    /// Reads one by its name.
    ///
    /// # Panics
    /// When it is not there or holds anything but numbers.
    pub(crate) fn read(name: &str) -> Self {
        let path = folder().join(format!("data/{name}.csv"));
        let text =
            std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}; run tests/setup/eval", path.display()));
        let mut lines = text.lines();
        let names = lines.next().unwrap_or_default().split(',').map(str::to_owned).collect();
        let number = |word: &str| -> f64 {
            word.parse()
                .unwrap_or_else(|e| panic!("{}: `{word}`: {e}; run tests/setup/eval", path.display()))
        };
        let rows = lines.map(|line| line.split(',').map(number).collect()).collect();
        Self { names, rows }
    }

    /// A column by its name.
    pub(crate) fn column(&self, name: &str) -> Vec<f64> {
        let at = self.names.iter().position(|other| other == name);
        let at = at.unwrap_or_else(|| panic!("there is no column `{name}`; run tests/setup/eval"));
        self.rows.iter().map(|row| row[at]).collect()
    }

    /// Takes the last column away.
    pub(crate) fn pop(&mut self) -> Vec<f64> {
        self.names.pop();
        let last = |row: &mut Vec<f64>| row.pop().expect("a row has columns");
        self.rows.iter_mut().map(last).collect()
    }

    /// The rows as one run of 32-bit numbers, as the service has them.
    pub(crate) fn floats(&self) -> Vec<f32> {
        self.rows.iter().flatten().map(|value| *value as f32).collect()
    }

    /// Names of the columns.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }
}

/// Where the data sets and the learners are.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../.eddy/eval")
}
