//! Files, read once and with a limit.
//!
//! Owns: the size check, and what a file beside a model may be. Never does: interpret what it reads.
//! Invariant: no more than the limit is ever held, even of a file that grows while it is read; only regular files are
//! read, so that opening one never waits.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::error::Error;

/// What a file is called in messages, and how large it may be.
#[derive(Debug)]
pub(crate) struct Limit {
    pub(crate) what: &'static str,
    pub(crate) max_bytes: u64,
    /// How the limit is raised.
    pub(crate) setting: &'static str,
}

/// Reads a file that the operator named, through whatever links lead to it.
pub(crate) fn read(path: &Path, limit: &Limit) -> Result<Vec<u8>, Error> {
    read_opened(path, OFlags::empty(), limit)
}

/// Reads a file that a model named. The name must not lead anywhere but into the folder: neither by a symbolic link, nor
/// by being a second name of a file elsewhere.
pub(crate) fn read_beside(folder: &Path, name: &str, limit: &Limit) -> Result<Vec<u8>, Error> {
    read_opened(&folder.join(name), OFlags::NOFOLLOW, limit)
}

fn read_opened(path: &Path, flags: OFlags, limit: &Limit) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::Read {
        what: limit.what,
        path: path.into(),
        source,
    };
    let (file, size) = open(path, flags).map_err(failed)?;
    let too_large = |bytes| Error::TooLarge {
        what: limit.what,
        path: path.into(),
        bytes,
        limit: limit.max_bytes,
        setting: limit.setting,
    };
    if size > limit.max_bytes {
        return Err(too_large(size));
    }
    let mut bytes = Vec::with_capacity(size as usize);
    file.take(limit.max_bytes.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > limit.max_bytes {
        return Err(too_large(bytes.len() as u64));
    }
    Ok(bytes)
}

fn open(path: &Path, flags: OFlags) -> io::Result<(File, u64)> {
    let refuse = |reason| Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
    // A pipe is opened without waiting for its other end, and then refused.
    let opened = rustix::fs::open(
        path,
        OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | flags,
        Mode::empty(),
    );
    let file = match opened {
        Err(rustix::io::Errno::LOOP) => return refuse("it is a symbolic link; put the file itself there"),
        opened => File::from(opened?),
    };
    let facts = file.metadata()?;
    if !facts.is_file() {
        return refuse("it is not a file");
    }
    if flags.contains(OFlags::NOFOLLOW) && facts.nlink() > 1 {
        return refuse("it is a hard link to a file that has other names; put a copy there");
    }
    Ok((file, facts.len()))
}
