//! Where the files of `eddy init` go, and their writing: all of them or none.

use std::io;
use std::path::{Path, PathBuf};

use eddy_storage::table::{Existing, WholeFile};

use super::Error;
use crate::cli::InitArguments;
use crate::paths::{self, in_here};
use crate::profile::FILE;

/// What the pipeline file is called.
pub(crate) const PIPELINE: &str = "pipeline.toml";

/// Where everything is.
#[derive(Debug)]
pub(crate) struct Place {
    /// Where the files go.
    pub(crate) folder: PathBuf,
    /// What becomes of files that are there.
    existing: Existing,
    /// The model, from the root of the file system.
    pub(crate) model: PathBuf,
    /// The model, relative to the folder, links on the way to both followed.
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
            None => in_here(arguments.model.parent().unwrap_or(Path::new(""))),
        };
        let taken = [PIPELINE, FILE].map(|name| folder.join(name));
        if let Some(path) = taken.iter().find(|path| !arguments.force && path.exists()) {
            return Err(Error::Exists(path.clone()));
        }
        let real = paths::real(&folder).map_err(|source| wrong(&folder, source))?;
        let real_model = paths::real_file(&model).map_err(|source| wrong(&model, source))?;
        let relative_model = paths::relative(&real, &real_model);
        check_text(&relative_model)?;
        // `model.onnx` says nothing; the folder that it lies in may.
        let stem = model.file_stem().unwrap_or_default();
        let name = match stem.to_str() {
            Some("model") => parent.file_name().unwrap_or(stem),
            _ => stem,
        };
        Ok(Self {
            relative_model,
            name: name.to_string_lossy().into_owned(),
            existing: if arguments.force {
                Existing::Replace
            } else {
                Existing::Refuse
            },
            folder,
            model,
        })
    }

    /// What the pipeline file calls the model: by the way from its folder if that leads there, else by its path from the
    /// root. The folder is there by now.
    fn model_as_written(&self) -> Result<&Path, Error> {
        if paths::is_same(&self.folder.join(&self.relative_model), &self.model) {
            return Ok(&self.relative_model);
        }
        check_text(&self.model)?;
        Ok(&self.model)
    }

    /// The pipeline file.
    pub(crate) fn pipeline(&self) -> PathBuf {
        self.folder.join(PIPELINE)
    }
}

/// Writes the files: under temporary names, then `sound` is asked for the pipeline that they make, then they get their
/// names. `text` makes the pipeline file, from what it is to call the model. Gives what was written.
///
/// # Errors
/// What cannot be written, or is not sound; files and folders that were made are then gone again, and what was there before
/// is there.
pub(crate) fn write(
    place: &Place,
    text: impl FnOnce(&Path) -> String,
    profile: Option<&[u8]>,
    sound: impl FnOnce(&str, &Path) -> Result<(), Error>,
) -> Result<Vec<String>, Error> {
    let made = Made::folder(&place.folder).map_err(|source| wrong(&place.folder, source))?;
    let text = text(place.model_as_written()?);
    let (pipeline, path) = (place.pipeline(), place.folder.join(FILE));
    let stage = |path: &Path, content: &[u8]| WholeFile::holding(path, place.existing, content);
    let profile = profile.map(|profile| stage(&path, profile)).transpose()?;
    let hidden = profile.as_ref().and_then(|file| file.hidden().file_name());
    let trial = match hidden.and_then(std::ffi::OsStr::to_str) {
        Some(name) => text.replace(&profile_line(FILE), &profile_line(name)),
        None => text.clone(),
    };
    let file = stage(&pipeline, text.as_bytes())?;
    sound(&trial, &place.folder)?;
    let mut written = vec![pipeline.display().to_string()];
    let before = match profile.is_some() && path.exists() {
        true => Some(std::fs::read(&path).map_err(|source| wrong(&path, source))?),
        false => None,
    };
    let before = before.map(|before| stage(&path, &before)).transpose()?;
    if let Some(profile) = profile {
        profile.finish()?;
        written.push(path.display().to_string());
    }
    if let Err(error) = file.finish() {
        // The profile is of no use without its pipeline. That this failed is said in any case.
        match before {
            Some(before) => drop(before.finish()),
            None if written.len() > 1 => drop(std::fs::remove_file(&path)),
            None => {}
        }
        return Err(error.into());
    }
    made.keep();
    Ok(written)
}

/// The line of the pipeline file that names a profile.
pub(crate) fn profile_line(name: &str) -> String {
    format!("\nprofile = \"{name}\"\n")
}

/// A pipeline file is UTF-8, and so are the paths in it.
fn check_text(path: &Path) -> Result<(), Error> {
    match path.to_str() {
        Some(_) => Ok(()),
        None => Err(Error::NotText(path.to_owned())),
    }
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

    fn place(folder: &Path) -> Place {
        Place {
            folder: folder.to_owned(),
            existing: Existing::Replace,
            model: folder.join("m.onnx"),
            relative_model: "m.onnx".into(),
            name: "m".into(),
        }
    }

    #[test]
    fn a_way_that_does_not_lead_to_the_model_is_not_written() {
        let root = tempfile::tempdir().unwrap();
        let mut place = place(root.path());
        std::fs::write(&place.model, "").unwrap();
        assert_eq!(place.model_as_written().unwrap(), Path::new("m.onnx"));
        place.relative_model = "../m.onnx".into();
        assert_eq!(place.model_as_written().unwrap(), place.model);
    }

    #[test]
    fn what_was_there_is_there_again_when_the_pipeline_file_fails() {
        let root = tempfile::tempdir().unwrap();
        let (place, old) = (place(root.path()), root.path().join(FILE));
        let write = || {
            write(
                &place,
                |_| String::new(),
                Some(b"{}"),
                |_, folder| {
                    // A folder takes its name while it is looked at.
                    std::fs::create_dir_all(folder.join(PIPELINE).join("in the way"))
                        .map_err(|source| wrong(folder, source))
                },
            )
        };
        std::fs::write(&old, "mine").unwrap();
        assert!(write().is_err());
        assert_eq!(std::fs::read_to_string(&old).unwrap(), "mine");
        std::fs::remove_dir_all(place.pipeline()).unwrap();
        std::fs::remove_file(&old).unwrap();
        assert!(write().is_err());
        assert!(!old.exists(), "a profile without its pipeline goes");
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
