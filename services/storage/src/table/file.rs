//! A file that is whole or not there.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::Existing;
use crate::error::Error;

const BUFFER_BYTES: usize = 256 << 10;

/// A file under a hidden name beside the one it will have. Dropped before it is finished, it goes.
#[derive(Debug)]
pub struct WholeFile {
    file: BufWriter<NamedTempFile>,
    path: PathBuf,
    existing: Existing,
}

impl WholeFile {
    /// Begins a file.
    ///
    /// # Errors
    /// When it is a folder, is there already and may not be replaced, or its folder cannot be written.
    pub fn create(path: &Path, existing: Existing) -> Result<Self, Error> {
        if path.is_dir() {
            return Err(Error::file(path, "is a folder; name a file in it"));
        }
        if existing == Existing::Refuse && path.exists() {
            return Err(taken(path));
        }
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let mut builder = tempfile::Builder::new();
        let prefix = format!(".{name}.");
        builder.prefix(&prefix).suffix(".unfinished");
        // A table is for others to read, as far as the umask lets them.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder
            .tempfile_in(folder(path))
            .map_err(|source| Error::write(path, source))?;
        Ok(Self {
            file: BufWriter::with_capacity(BUFFER_BYTES, file),
            path: path.to_owned(),
            existing,
        })
    }

    /// A file with this content, which already can be read under its [hidden name](Self::hidden).
    ///
    /// # Errors
    /// As [`Self::create`], and when the content cannot be written.
    pub fn holding(path: &Path, existing: Existing, content: &[u8]) -> Result<Self, Error> {
        let mut file = Self::create(path, existing)?;
        let written = file.write_all(content).and_then(|()| file.flush());
        written.map_err(|source| Error::write(path, source))?;
        Ok(file)
    }

    /// The name that it will have.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name that it has until then, in the same folder.
    pub fn hidden(&self) -> &Path {
        self.file.get_ref().path()
    }

    /// Makes the content durable, then its name; gives its size.
    ///
    /// # Errors
    /// When that cannot be done, and then no file of the name is there, or the one that was there before.
    pub fn finish(self) -> Result<u64, Error> {
        let Self { file, path, existing } = self;
        let write = |source| Error::write(&path, source);
        let file = file.into_inner().map_err(|error| write(error.into_error()))?;
        file.as_file().sync_all().map_err(write)?;
        let bytes = file.as_file().metadata().map_err(write)?.len();
        let named = match existing {
            Existing::Replace => file.persist(&path),
            Existing::Refuse => file.persist_noclobber(&path),
        };
        named.map_err(|error| match error.error.kind() {
            std::io::ErrorKind::AlreadyExists => taken(&path),
            _ => Error::write(&path, error.error),
        })?;
        // The name itself is in the folder.
        #[cfg(unix)]
        std::fs::File::open(folder(&path))
            .and_then(|folder| folder.sync_all())
            .map_err(|source| Error::write(&path, source))?;
        Ok(bytes)
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

fn taken(path: &Path) -> Error {
    Error::file(
        path,
        "is there already; choose another name, or say that it is to be replaced",
    )
}

/// The folder of a file.
fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_can_be_read_before_it_has_its_name_and_goes_when_it_never_gets_it() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("a.json");
        std::fs::write(&path, "old").expect("there is room");
        let file = WholeFile::holding(&path, Existing::Replace, b"new").expect("there is room");
        assert_eq!(std::fs::read(file.hidden()).expect("it is there"), b"new");
        assert_eq!(file.hidden().parent(), Some(folder.path()));
        drop(file);
        assert_eq!(std::fs::read_dir(folder.path()).expect("it is there").count(), 1);
        let file = WholeFile::holding(&path, Existing::Replace, b"new").expect("there is room");
        assert_eq!(file.finish().expect("it gets its name"), 3);
        assert_eq!(std::fs::read(&path).expect("it is there"), b"new");
    }
}
