//! What is wrong with a settings file, one line each.

use std::fmt;

use super::tree::Place;

/// One thing to mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Where.
    pub place: Place,
    /// The dotted key it is about; empty for the whole file.
    pub key: String,
    /// One sentence: what is wrong and what to write instead.
    pub message: String,
}

/// Everything that is wrong with one file, in the order of the file; variables of the environment come last.
///
/// Displayed as one line each: `pipeline.toml:12:3: unknown key …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    file: String,
    diagnostics: Vec<Diagnostic>,
}

impl Problems {
    /// Sorts them by place and drops repetitions.
    pub fn new(file: String, mut diagnostics: Vec<Diagnostic>) -> Self {
        diagnostics.sort_by(|a, b| a.place.cmp(&b.place));
        let mut said: Vec<Diagnostic> = Vec::with_capacity(diagnostics.len());
        for diagnostic in diagnostics {
            if !said.contains(&diagnostic) {
                said.push(diagnostic);
            }
        }
        Self {
            file,
            diagnostics: said,
        }
    }

    /// One problem with the file as a whole, such as that it cannot be read.
    pub fn whole(file: String, message: String) -> Self {
        let diagnostic = Diagnostic {
            place: Place::Whole,
            key: String::new(),
            message,
        };
        Self::new(file, vec![diagnostic])
    }

    /// All of them.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// Whether there is nothing to mend.
    pub fn is_empty(&self) -> bool {
        self.diagnostics.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.diagnostics.len()
    }

    /// Each of them with its place.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.diagnostics.iter().map(|diagnostic| {
            // A message of several lines stays one problem to the eye.
            let message = diagnostic.message.trim_end().replace('\n', "\n    ");
            match &diagnostic.place {
                Place::Whole => format!("{}: {message}", self.file),
                Place::File { .. } => format!("{}:{}: {message}", self.file, diagnostic.place),
                Place::Variable(name) => format!("environment variable {name}: {message}"),
            }
        })
    }

    /// Takes over another list about the same file.
    pub fn merge(&mut self, other: Self) {
        self.diagnostics.extend(other.diagnostics);
        let diagnostics = std::mem::take(&mut self.diagnostics);
        *self = Self::new(std::mem::take(&mut self.file), diagnostics);
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, line) in self.lines().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&line)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
