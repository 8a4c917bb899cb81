//! Image folders: one sub-folder for each class, in it the images.
//!
//! Owns: the classes, and the order: classes and files by name, in the order of their bytes, as `torchvision` and Keras sort
//! them too. Never does: decode an image; that is the pipeline's business.
//!
//! Invariant: every file is read or refused. Passed over are only files whose names begin with a point, `Thumbs.db` and
//! `desktop.ini`, which file managers leave behind, and in the folder itself whatever is no image.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Event, Reader, Row};
use crate::error::{At, Error};
use crate::limits::{CLASSES, IMAGE_BYTES, IMAGES_OF_A_CLASS};

/// What the folder holds.
#[derive(Debug)]
pub(crate) struct Layout {
    /// Names of the classes, sorted.
    pub(crate) classes: Vec<String>,
}

impl Layout {
    /// Looks at the folder, not yet into its sub-folders.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let mut classes = Vec::new();
        for (name, kind) in entries(path)? {
            match kind {
                Kind::Folder => classes.push(name),
                Kind::File if is_image_name(&name) => {
                    let message = "lies beside the sub-folders and belongs to no class; move it into one";
                    return Err(Error::row(path, At::File(name.into()), message));
                }
                Kind::File if has_extension(&name, &["parquet", "csv", "jsonl", "ndjson"]) => {
                    let message = format!("is a folder with data files such as `{name}`; pass one of the files");
                    return Err(Error::file(path, message));
                }
                Kind::File => {}
            }
            if classes.len() > CLASSES {
                return Err(Error::file(
                    path,
                    format!("has more than {CLASSES} sub-folders; pass a folder with one for each class"),
                ));
            }
        }
        if classes.is_empty() {
            let message =
                "is a folder without sub-folders; put the images of each class into a sub-folder of that name";
            return Err(Error::file(path, message));
        }
        classes.sort_unstable();
        Ok(Self { classes })
    }
}

/// The images, class by class.
#[derive(Debug)]
pub(crate) struct Rows {
    path: PathBuf,
    layout: Arc<Layout>,
    /// Classes that were begun.
    begun: usize,
    /// Names of the files that are left of the last of them, the next one last.
    left: Vec<String>,
}

impl Rows {
    /// Begins at the first class.
    pub(crate) fn open(path: &Path, layout: Arc<Layout>) -> Self {
        Self {
            path: path.to_owned(),
            layout,
            begun: 0,
            left: Vec::new(),
        }
    }
}

impl Reader for Rows {
    fn next_row(&mut self) -> Result<Option<Row>, Error> {
        let name = loop {
            if let Some(name) = self.left.pop() {
                break name;
            }
            let Some(class) = self.layout.classes.get(self.begun) else {
                return Ok(None);
            };
            self.left = images_of(&self.path, class)?;
            self.begun += 1;
        };
        let class = self.layout.classes[self.begun - 1].clone();
        let at = At::File(Path::new(&class).join(name));
        let bytes = self.image(&at)?;
        Ok(Some(Row {
            event: Event::Image(bytes),
            label: Some(class),
            at,
        }))
    }
}

impl Rows {
    fn image(&self, at: &At) -> Result<Vec<u8>, Error> {
        let At::File(relative) = at else {
            return Ok(Vec::new());
        };
        let path = self.path.join(relative);
        let refuse = |message: String| Error::row(&self.path, at.clone(), message);
        let file = File::open(&path).map_err(|source| Error::read(&path, source))?;
        let mut bytes = Vec::new();
        let read = file.take(IMAGE_BYTES + 1).read_to_end(&mut bytes);
        read.map_err(|source| Error::read(&path, source))?;
        if bytes.len() as u64 > IMAGE_BYTES {
            return Err(refuse(format!(
                "has more than {IMAGE_BYTES} bytes; make it smaller or take it out"
            )));
        }
        let is_image = bytes.starts_with(b"\x89PNG\r\n\x1a\n") || bytes.starts_with(b"\xff\xd8\xff");
        if !is_image {
            return Err(refuse(
                "is called an image, and its content is neither PNG nor JPEG; convert it or take it out".to_owned(),
            ));
        }
        Ok(bytes)
    }
}

/// The names of a class's images, the first one last.
fn images_of(path: &Path, class: &str) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for (name, kind) in entries(&path.join(class))? {
        let at = || At::File(Path::new(class).join(&name));
        if kind == Kind::Folder {
            let message = format!(
                "is a folder within a class; its images must lie in `{class}` itself. Where `{class}` is a part of the data \
                 such as `train`, pass {}",
                path.join(class).display()
            );
            return Err(Error::row(path, at(), message));
        }
        if !is_image_name(&name) {
            let message = "is not called .png, .jpg or .jpeg; convert it or take it out";
            return Err(Error::row(path, at(), message));
        }
        if names.len() >= IMAGES_OF_A_CLASS {
            return Err(Error::row(
                path,
                At::File(class.into()),
                format!("holds more than {IMAGES_OF_A_CLASS} images; take some out"),
            ));
        }
        names.push(name);
    }
    if names.is_empty() {
        let message = "holds no image; put some in, or take the folder away";
        return Err(Error::row(path, At::File(class.into()), message));
    }
    names.sort_unstable_by(|a, b| b.cmp(a));
    Ok(names)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Folder,
    File,
}

/// What a folder holds, in any order, without what file managers leave behind.
fn entries(path: &Path) -> Result<Vec<(String, Kind)>, Error> {
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(path).map_err(|source| Error::read(path, source))? {
        let entry = entry.map_err(|source| Error::read(path, source))?;
        let name = entry
            .file_name()
            .into_string()
            .map_err(|name| Error::row(path, At::File(name.into()), "has a name that is not UTF-8; rename it"))?;
        if name.starts_with('.') || name == "Thumbs.db" || name == "desktop.ini" {
            continue;
        }
        // Followed, where it is a link.
        let metadata = std::fs::metadata(entry.path()).map_err(|source| Error::read(&entry.path(), source))?;
        let kind = if metadata.is_dir() { Kind::Folder } else { Kind::File };
        entries.push((name, kind));
    }
    Ok(entries)
}

fn is_image_name(name: &str) -> bool {
    has_extension(name, &["png", "jpg", "jpeg"])
}

fn has_extension(name: &str, extensions: &[&str]) -> bool {
    let found = Path::new(name).extension().and_then(|extension| extension.to_str());
    found.is_some_and(|found| extensions.iter().any(|extension| found.eq_ignore_ascii_case(extension)))
}

#[cfg(test)]
mod tests {
    use super::super::DataSet;
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n....";
    const JPEG: &[u8] = b"\xff\xd8\xff\xe0....";

    type Content<'a> = &'a [(&'a str, &'a [u8])];

    fn folder(files: Content<'_>) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        folder
    }

    fn labels(folder: &Path) -> Result<Vec<(String, String)>, Error> {
        let mut labels = Vec::new();
        for row in DataSet::open(folder)?.rows()? {
            let row = row?;
            labels.push((row.label.unwrap(), row.at.to_string()));
        }
        Ok(labels)
    }

    fn refusal(files: Content<'_>) -> String {
        labels(folder(files).path()).unwrap_err().to_string()
    }

    #[test]
    fn images_come_by_class_and_name_with_the_folder_as_label() {
        let folder = folder(&[
            ("dog/2.png", PNG),
            ("cat/b.jpg", JPEG),
            ("cat/A.JPEG", JPEG),
            ("dog/10.png", PNG),
            ("README", b"x"),
        ]);
        let expected = [
            ("cat", "cat/A.JPEG"),
            ("cat", "cat/b.jpg"),
            ("dog", "dog/10.png"),
            ("dog", "dog/2.png"),
        ];
        let expected = expected.map(|(class, at)| (class.to_owned(), at.to_owned()));
        assert_eq!(labels(folder.path()).unwrap(), expected);
    }

    #[test]
    fn a_row_holds_the_bytes_of_its_file() {
        let folder = folder(&[("a/1.png", PNG)]);
        let row = DataSet::open(folder.path())
            .unwrap()
            .rows()
            .unwrap()
            .next()
            .unwrap()
            .unwrap();
        assert_eq!(row.event, Event::Image(PNG.to_vec()));
    }

    #[test]
    fn what_file_managers_leave_behind_is_passed_over() {
        let folder = folder(&[
            ("a/1.png", PNG),
            (".DS_Store", b""),
            ("a/.DS_Store", b""),
            ("a/Thumbs.db", b""),
            (".git/x.png", PNG),
        ]);
        assert_eq!(labels(folder.path()).unwrap().len(), 1);
    }

    #[test]
    fn what_is_out_of_place_is_refused_by_name() {
        let cases: [(Content<'_>, &str); 7] = [
            (
                &[("a/1.png", PNG), ("2.png", PNG)],
                "2.png: lies beside the sub-folders",
            ),
            (
                &[("a/1.png", PNG), ("a/notes.txt", b"")],
                "a/notes.txt: is not called .png",
            ),
            (&[("train/a/1.png", PNG)], "train/a: is a folder within a class"),
            (&[("a/1.png", b"GIF89a")], "a/1.png: is called an image"),
            (&[("README", b"")], "is a folder without sub-folders"),
            (&[("part-0.parquet", b"")], "pass one of the files"),
            (&[("a/1.png", PNG), ("b/.keep", b"")], "b: holds no image"),
        ];
        for (files, expected) in cases {
            let error = refusal(files);
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn an_image_folder_has_no_columns() {
        let folder = folder(&[("a/1.png", PNG)]);
        let error = DataSet::open(folder.path())
            .unwrap()
            .with_label("a")
            .unwrap_err()
            .to_string();
        assert!(error.contains("its labels are the names of its sub-folders"), "{error}");
    }
}
