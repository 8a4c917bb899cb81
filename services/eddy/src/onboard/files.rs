//! Where the files of `eddy init` go, and their writing: all of them or none.

use std::io;
use std::path::{Component, Path, PathBuf};

use eddy_pipeline::profile::Profile;

use super::Error;
use crate::cli::InitArguments;
use crate::profile::{FILE, staged};

/// What the pipeline file is called.
pub(crate) const PIPELINE: &str = "pipeline.toml";

/// Where everything is.
#[derive(Debug)]
pub(crate) struct Place {
    folder: PathBuf,
    /// The model, from the root of the file system.
    pub(crate) model: PathBuf,
    /// The model, relative to the folder.
    pub(crate) relative_model: PathBuf,
    /// What to call the pipeline.
    pub(crate) name: String,
}

impl Place {
    /// The folder that was named, else that of the model.
    ///
    /// # Errors
    /// When files are there that may not be replaced, or the model is not there.
    pub(crate) fn of(arguments: &InitArguments) -> Result<Self, Error> {
        let model = std::path::absolute(&arguments.model).map_err(|source| wrong(&arguments.model, source))?;
        let parent = model.parent().map(Path::to_owned).unwrap_or_default();
        let folder = match &arguments.out {
            Some(out) => out.clone(),
            None => match arguments.model.parent() {
                Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
                _ => PathBuf::from("."),
            },
        };
        let taken = [PIPELINE, FILE].map(|name| folder.join(name));
        if let Some(path) = taken.iter().find(|path| !arguments.force && path.exists()) {
            return Err(Error::Exists(path.clone()));
        }
        let absolute = std::path::absolute(&folder).map_err(|source| wrong(&folder, source))?;
        // `model.onnx` says nothing; the folder that it lies in may.
        let stem = model.file_stem().unwrap_or_default();
        let name = match stem.to_str() {
            Some("model") => parent.file_name().unwrap_or(stem),
            _ => stem,
        };
        Ok(Self {
            relative_model: relative(&absolute, &model),
            name: name.to_string_lossy().into_owned(),
            folder,
            model,
        })
    }

    /// The pipeline file.
    pub(crate) fn pipeline(&self) -> PathBuf {
        self.folder.join(PIPELINE)
    }
}

/// The way from a folder to a file, both from the root.
fn relative(folder: &Path, file: &Path) -> PathBuf {
    let clean = |path: &Path| -> Vec<PathBuf> {
        let mut parts: Vec<PathBuf> = Vec::new();
        for part in path.components() {
            match part {
                Component::ParentDir => drop(parts.pop()),
                part => parts.push(PathBuf::from(part.as_os_str())),
            }
        }
        parts
    };
    let (from, to) = (clean(folder), clean(file));
    let shared = from.iter().zip(&to).take_while(|(one, other)| one == other).count();
    // Nothing but the root in common: a path from the root says it shorter.
    if shared <= 1 && from.len() > 1 {
        return file.to_owned();
    }
    let up = from[shared..].iter().map(|_| PathBuf::from(".."));
    up.chain(to[shared..].iter().cloned()).collect()
}

/// Writes the files: under temporary names, then `sound` is asked for the pipeline that they make, then they get their
/// names. Gives what was written.
///
/// # Errors
/// What cannot be written, or is not sound; files and folders that were made are then gone again.
pub(crate) fn write(
    place: &Place,
    text: &str,
    profile: Option<&Profile>,
    sound: impl FnOnce(&str, &Path) -> Result<(), Error>,
) -> Result<Vec<String>, Error> {
    let made = Made::folder(&place.folder).map_err(|source| wrong(&place.folder, source))?;
    let pipeline = place.pipeline();
    let path = place.folder.join(FILE);
    let stage = |path: &Path, content: &[u8]| staged(path, content).map_err(|source| wrong(path, source));
    let profile = profile.map(|profile| stage(&path, &profile.to_json())).transpose()?;
    let temporary = profile.as_ref().and_then(|file| file.path().file_name());
    let trial = match temporary.and_then(std::ffi::OsStr::to_str) {
        Some(name) => text.replace(&profile_line(FILE), &profile_line(name)),
        None => text.to_owned(),
    };
    sound(&trial, &place.folder)?;
    let file = stage(&pipeline, text.as_bytes())?;
    let mut written = Vec::new();
    if let Some(profile) = profile {
        profile.persist(&path).map_err(|error| wrong(&path, error.error))?;
        written.push(path.display().to_string());
    }
    if let Err(error) = file.persist(&pipeline) {
        if !written.is_empty() {
            // The profile is of no use without its pipeline; that this failed is said in any case.
            drop(std::fs::remove_file(&path));
        }
        return Err(wrong(&pipeline, error.error));
    }
    made.keep();
    written.insert(0, pipeline.display().to_string());
    Ok(written)
}

/// The line of the pipeline file that names a profile.
pub(crate) fn profile_line(name: &str) -> String {
    format!("\nprofile = \"{name}\"\n")
}

fn wrong(path: &Path, source: io::Error) -> Error {
    Error::Write {
        path: path.to_owned(),
        source,
    }
}

/// Folders that were made, outermost last; they go unless they are kept.
struct Made(Vec<PathBuf>);

impl Made {
    fn folder(path: &Path) -> io::Result<Self> {
        let missing = path
            .ancestors()
            .take_while(|path| !path.as_os_str().is_empty() && !path.exists());
        let made = Self(missing.map(Path::to_owned).collect());
        std::fs::create_dir_all(path)?;
        Ok(made)
    }

    fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for folder in &self.0 {
            // One that is no longer empty is somebody's.
            drop(std::fs::remove_dir(folder));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_found_from_the_folder_of_the_file() {
        let way = |folder: &str, file: &str| relative(Path::new(folder), Path::new(file)).display().to_string();
        assert_eq!(way("/a/b", "/a/b/m.onnx"), "m.onnx");
        assert_eq!(way("/a/b", "/a/b/c/m.onnx"), "c/m.onnx");
        assert_eq!(way("/a/b/out", "/a/b/m.onnx"), "../m.onnx");
        assert_eq!(way("/a/b/../c", "/a/m.onnx"), "../m.onnx");
        assert_eq!(way("/x/y", "/a/m.onnx"), "/a/m.onnx");
    }

    #[test]
    fn folders_that_were_made_go_unless_they_are_kept() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("a/b");
        drop(Made::folder(&deep).unwrap());
        assert!(!root.path().join("a").exists());
        Made::folder(&deep).unwrap().keep();
        assert!(deep.exists());
        drop(Made::folder(&deep).unwrap());
        assert!(deep.exists(), "it was there before");
    }
}
