//! From a path to the bytes that ONNX Runtime is given.
//!
//! Owns: reading a model's files, their digests, and the order of the checks. Never does: load anything.
//! Invariant: each file is read once, and the very bytes that were checked are the bytes that are loaded; the runtime
//! opens no file of a model.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::error::Error;
use crate::file::{self, Limit};
use crate::scan::{External, Reason, scan};
use crate::settings::Settings;
use crate::zipmap::{ClassNames, unzip};

/// A model as the runtime is given it.
#[derive(Debug)]
pub(crate) struct Intake {
    pub(crate) bytes: Vec<u8>,
    /// SHA-256 of the file as it was.
    pub(crate) sha256: String,
    /// Classes that the file names.
    pub(crate) classes: Vec<ClassNames>,
    pub(crate) weights: Vec<Weights>,
}

/// A file beside a model, with data of its initializers.
#[derive(Debug, Clone)]
pub(crate) struct Weights {
    pub(crate) name: String,
    pub(crate) sha256: String,
    pub(crate) bytes: Arc<[u8]>,
}

/// Reads the model of one `[[models]]` entry, which lies at `path`.
pub(crate) fn take_in(settings: &Settings, path: &Path) -> Result<Intake, Error> {
    let file = file::read(path, &limit("model file", settings))?;
    let sha256 = sha256(&file);
    if let Some(wanted) = &settings.sha256
        && !wanted.eq_ignore_ascii_case(&sha256)
    {
        return Err(Error::Sha256 {
            path: path.into(),
            found: sha256,
            wanted: wanted.clone(),
        });
    }
    refuse_what_is_no_model(path, &file)?;
    let found = scan(&file, &settings.limits).map_err(|refusal| match refusal.reason {
        Reason::Malformed => not_onnx(path, refusal.to_string(), "export or copy it again"),
        _ => Error::Refused {
            path: path.into(),
            refusal: Box::new(refusal),
        },
    })?;
    let weights = weights(settings, path, &found.external).map_err(|fault| Error::ExternalData {
        path: path.into(),
        fault,
    })?;
    let unzipped = unzip(&file).map_err(|error| not_onnx(path, format!("it {error}"), "export or copy it again"))?;
    let classes = unzipped.classes;
    let rewritten = match unzipped.bytes {
        Cow::Borrowed(_) => None,
        Cow::Owned(bytes) => Some(bytes),
    };
    Ok(Intake {
        bytes: rewritten.unwrap_or(file),
        sha256,
        classes,
        weights,
    })
}

fn limit(what: &'static str, settings: &Settings) -> Limit {
    Limit {
        what,
        max_bytes: settings.max_file_bytes.0,
        setting: "`max_file_bytes` of the model",
    }
}

/// Files that people pass by mistake, with what to do about each.
fn refuse_what_is_no_model(path: &Path, file: &[u8]) -> Result<(), Error> {
    let (reason, hint) = if file.is_empty() {
        ("it is empty", "export or copy it again")
    } else if file.starts_with(b"version https://git-lfs") {
        (
            "it is a pointer of Git LFS",
            "fetch the file itself with `git lfs pull`",
        )
    } else if file.trim_ascii_start().starts_with(b"<") {
        ("it looks like a web page", "download the file itself")
    } else if file.get(4..8) == Some(b"ORTM") {
        // The runtime would go by this mark, whatever else the file looks like.
        (
            "it is in the format of ONNX Runtime's own, which cannot be looked into",
            "use the ONNX file that it was made from",
        )
    } else {
        return Ok(());
    };
    Err(not_onnx(path, reason.into(), hint))
}

fn not_onnx(path: &Path, reason: String, hint: &'static str) -> Error {
    Error::NotOnnx {
        path: path.into(),
        reason,
        hint,
    }
}

/// The files that hold data of the model, each of them allowed by name and digest.
fn weights(settings: &Settings, path: &Path, external: &[External<'_>]) -> Result<Vec<Weights>, String> {
    let allowed = &settings.external_data;
    let used: BTreeMap<&str, &External<'_>> = external.iter().map(|tensor| (tensor.file, tensor)).collect();
    if let Some(unused) = allowed.keys().find(|name| !used.contains_key(name.as_str())) {
        return Err(format!(
            "`external_data` names `{unused}`, in which the model keeps nothing; remove it"
        ));
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut weights = Vec::new();
    for name in used.keys() {
        let bytes = file::read_beside(folder, name, &limit("file", settings))
            .map_err(|error| format!("it keeps data in another file: {error}"))?;
        weights.push(Weights {
            name: (*name).into(),
            sha256: sha256(&bytes),
            bytes: bytes.into(),
        });
    }
    if used.keys().any(|name| !allowed.contains_key(*name)) {
        return Err(not_allowed(&weights, used.values().next().copied()));
    }
    for Weights { name, sha256, .. } in &weights {
        let wanted = &allowed[name];
        if !wanted.eq_ignore_ascii_case(sha256) {
            return Err(format!(
                "`{name}` has the SHA-256 {sha256}, and `external_data` asks for {wanted}; put the right file there, or \
                 correct `external_data`"
            ));
        }
    }
    for tensor in external {
        let file = weights.iter().find(|weights| weights.name == tensor.file);
        let size = file.map_or(0, |file| file.bytes.len() as u64);
        if tensor.offset.saturating_add(tensor.length) > size {
            return Err(format!(
                "{} takes {} bytes from {} of `{}`, which has {size}; copy both files again",
                tensor.tensor, tensor.length, tensor.offset, tensor.file
            ));
        }
    }
    Ok(weights)
}

fn not_allowed(weights: &[Weights], example: Option<&External<'_>>) -> String {
    let entries = weights
        .iter()
        .map(|file| format!("\"{}\" = \"{}\"", file.name, file.sha256));
    let entries: Vec<_> = entries.collect();
    let example = example.map_or_else(String::new, |tensor| {
        format!(": {} in `{}`", tensor.tensor, tensor.file)
    });
    format!(
        "it keeps data in other files{example}; export it with its data inside, or allow them with `external_data = {{ {} \
         }}`",
        entries.join(", ")
    )
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
