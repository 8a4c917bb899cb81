//! A report for a terminal: titles, sentences, tables in columns.

use std::fmt::Write as _;

use super::view::{Section, Table};
use crate::plain::{clipped, plain};

/// Widest cell; what is longer is cut, so that a table stays one.
const WIDEST: usize = 72;

pub(super) fn render(sections: &[Section], title: &str) -> String {
    let mut text = format!("{}\n", plain(title));
    for section in sections {
        write!(text, "\n{}\n", plain(&section.title)).expect("writing to a String cannot fail");
        for sentence in &section.says {
            writeln!(text, "  {}", plain(sentence)).expect("writing to a String cannot fail");
        }
        if let Some(table) = &section.table {
            columns(table, &mut text);
        }
    }
    text
}

fn columns(table: &Table, text: &mut String) {
    let rows: Vec<Vec<String>> = std::iter::once(&table.head)
        .chain(&table.rows)
        .map(|row| row.iter().map(|cell| clipped(cell, WIDEST)).collect())
        .collect();
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
    };
    for row in &rows {
        let mut line = String::from(" ");
        for (column, cell) in row.iter().enumerate() {
            let gap = width(column).unwrap_or(0) - cell.chars().count();
            write!(line, " {cell}{} ", " ".repeat(gap)).expect("writing to a String cannot fail");
        }
        writeln!(text, "{}", line.trim_end()).expect("writing to a String cannot fail");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_nothing_steers_the_terminal() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let section = Section {
            title: "T".into(),
            says: vec!["s".into()],
            table: Some(Table {
                head: row(["of", "n"]),
                rows: vec![row(["a\u{1b}[31m", "1"]), row(["ü", "22"])],
            }),
        };
        let text = render(&[section], "R");
        assert_eq!(text, "R\n\nT\n  s\n  of      n\n  a\u{fffd}[31m  1\n  ü       22\n");
    }
}
