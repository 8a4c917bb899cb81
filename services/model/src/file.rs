//! Files, read once and with a limit.
//!
//! Owns: the size check. Never does: interpret what it reads.
//! Invariant: no more than the limit is ever held, even of a file that grows while it is read.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::error::Error;

/// What a file is called in messages, and how large it may be.
#[derive(Debug)]
pub(crate) struct Limit {
    pub(crate) what: &'static str,
    pub(crate) max_bytes: u64,
    /// How the limit is raised.
    pub(crate) setting: &'static str,
}

pub(crate) fn read(path: &Path, limit: &Limit) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::Read {
        what: limit.what,
        path: path.into(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
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
