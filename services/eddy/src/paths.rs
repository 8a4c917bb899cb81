//! Paths that are written into pipeline files.
//!
//! Owns: the way from a pipeline file's folder to a file, as the system follows it.
//! Never does: write anything.
//!
//! Invariant: a way that was found leads to the file through links too, or is the file's path from the root.

use std::io;
use std::path::{Component, Path, PathBuf};

/// A path without links and `..`, also of what is not there yet: the part of it that is there is looked up.
///
/// # Errors
/// When the system cannot say where the path begins.
pub(crate) fn real(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let known = path
        .ancestors()
        .find_map(|part| Some((part, part.canonicalize().ok()?)));
    let Some((part, known)) = known else {
        return Ok(path);
    };
    // What is not there yet is made without links, so that `..` in it means what it says.
    let missing = path.strip_prefix(part).unwrap_or(Path::new(""));
    Ok(clean(&known.join(missing)))
}

/// The real path of a file by its own name: its folder's links are followed, and it may be one.
///
/// # Errors
/// As [`real`].
pub(crate) fn real_file(path: &Path) -> io::Result<PathBuf> {
    match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) => Ok(real(&in_here(folder))?.join(name)),
        _ => real(path),
    }
}

/// The way from a folder to a file, both real.
pub(crate) fn relative(folder: &Path, file: &Path) -> PathBuf {
    let (from, to): (Vec<_>, Vec<_>) = (folder.components().collect(), file.components().collect());
    let shared = from.iter().zip(&to).take_while(|(one, other)| one == other).count();
    // Nothing but the root in common: a path from the root says it shorter.
    if shared <= 1 && from.len() > 1 {
        return file.to_owned();
    }
    let up = from[shared..].iter().map(|_| Component::ParentDir);
    up.chain(to[shared..].iter().copied()).collect()
}

/// A folder that is named by nothing is the one we are in.
pub(crate) fn in_here(folder: &Path) -> PathBuf {
    if folder.as_os_str().is_empty() {
        PathBuf::from(".")
    } else {
        folder.to_owned()
    }
}

/// Whether two paths lead to one file.
pub(crate) fn is_same(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(cleaned.pop()),
            part => cleaned.push(part),
        }
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_found_from_the_folder_of_another() {
        let way = |folder: &str, file: &str| relative(Path::new(folder), Path::new(file)).display().to_string();
        assert_eq!(way("/a/b", "/a/b/m.onnx"), "m.onnx");
        assert_eq!(way("/a/b", "/a/b/c/m.onnx"), "c/m.onnx");
        assert_eq!(way("/a/b/out", "/a/b/m.onnx"), "../m.onnx");
        assert_eq!(way("/x/y", "/a/m.onnx"), "/a/m.onnx");
    }

    #[test]
    fn what_is_not_there_yet_has_a_real_path_too() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let root = root.path().canonicalize().expect("it is there");
        assert_eq!(
            real(&root.join("new/../other/deep")).expect("it begins"),
            root.join("other/deep")
        );
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_to_folders_and_a_file_keeps_its_name() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let root = root.path().canonicalize().expect("it is there");
        std::fs::create_dir_all(root.join("far/away")).expect("there is room");
        std::os::unix::fs::symlink(root.join("far/away"), root.join("near")).expect("links can be made");
        std::os::unix::fs::symlink(root.join("far/away"), root.join("current.onnx")).expect("links can be made");
        assert_eq!(
            real(&root.join("near/new")).expect("it begins"),
            root.join("far/away/new")
        );
        let model = real_file(&root.join("current.onnx")).expect("it begins");
        assert_eq!(model, root.join("current.onnx"));
        assert!(is_same(&root.join("near"), &root.join("far/away")) && !is_same(&root, &root.join("near")));
    }
}
