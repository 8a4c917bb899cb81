//! What can go wrong with a data set or a table.
//!
//! Owns: the sentences. Invariant: each names the file, the place in it, the column where there is one, and the next step.

use std::fmt;
use std::path::{Path, PathBuf};

/// Why a data set cannot be read or a table cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system will not let a file or folder be read.
    #[error("{path} cannot be read: {source}; check the path and its permissions", path = path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The system will not let a file be written.
    #[error("{path} cannot be written: {source}; check the folder, its permissions and its free space", path = path.display())]
    Write {
        /// The file that was to be.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file as a whole is no data set that can be read, or no table that can be written.
    #[error("{path}: {message}", path = path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong, and what to do.
        message: String,
    },
    /// Something is wrong with a column.
    #[error("{path}, column `{column}`: {message}", path = path.display())]
    Column {
        /// The file or folder.
        path: PathBuf,
        /// The column's name.
        column: String,
        /// What is wrong, and what to do.
        message: String,
    },
    /// Something is wrong with a row.
    #[error("{path}, {at}: {message}", path = path.display())]
    Row {
        /// The file or folder.
        path: PathBuf,
        /// Where in it.
        at: At,
        /// What is wrong, and what to do.
        message: String,
    },
    /// Something is wrong with one cell of a row.
    #[error("{path}, {at}, column `{column}`: {message}", path = path.display())]
    Cell {
        /// The file or folder.
        path: PathBuf,
        /// Where in it.
        at: At,
        /// The column's name.
        column: String,
        /// What is wrong, and what to do.
        message: String,
    },
}

/// Where a row stands in its data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// It begins in this line of a text file, counted from 1.
    Line(u64),
    /// It is this row of a file that has no lines, counted from 1.
    Row(u64),
    /// It is this file, relative to the folder that is the data set.
    File(PathBuf),
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Row(row) => write!(f, "row {row}"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Error {
    pub(crate) fn read(path: &Path, source: std::io::Error) -> Self {
        let path = path.to_owned();
        Self::Read { path, source }
    }

    pub(crate) fn write(path: &Path, source: std::io::Error) -> Self {
        let path = path.to_owned();
        Self::Write { path, source }
    }

    pub(crate) fn file(path: &Path, message: impl Into<String>) -> Self {
        Self::File {
            path: path.to_owned(),
            message: message.into(),
        }
    }

    pub(crate) fn column(path: &Path, column: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Column {
            path: path.to_owned(),
            column: column.into(),
            message: message.into(),
        }
    }

    pub(crate) fn row(path: &Path, at: At, message: impl Into<String>) -> Self {
        Self::Row {
            path: path.to_owned(),
            at,
            message: message.into(),
        }
    }

    pub(crate) fn cell(path: &Path, at: At, column: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Cell {
            path: path.to_owned(),
            at,
            column: column.into(),
            message: message.into(),
        }
    }
}
