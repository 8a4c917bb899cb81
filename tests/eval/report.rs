//! Tables in Markdown, printed and written down.

use std::fmt::Display;

/// What was found, section after section.
#[derive(Debug, Default)]
pub(crate) struct Report {
    text: String,
}

impl Report {
    /// A section with what its table shows.
    pub(crate) fn section(&mut self, title: &str, about: &str) {
        self.add(&format!("\n## {title}\n\n{about}\n"));
    }

    /// A table.
    pub(crate) fn table(&mut self, head: &[&str], rows: &[Vec<String>]) {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
        let rule: Vec<String> = head.iter().map(|_| "---".to_owned()).collect();
        let rows: String = rows.iter().map(|row| line(row)).collect();
        self.add(&format!("\n{}{}{rows}", line(&head), line(&rule)));
    }

    /// A paragraph.
    pub(crate) fn say(&mut self, words: impl Display) {
        self.add(&format!("\n{words}\n"));
    }

    /// All of it.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    fn add(&mut self, text: &str) {
        print!("{text}");
        self.text.push_str(text);
    }
}
