//! The reference profiles that a pipeline file names.
//!
//! Owns: reading them, up to a limit. Never does: judge by them.
//!
//! Invariant: a model has the profile that was built for it and its version, or none.

use std::path::Path;

use eddy_pipeline::profile::Profile;
use eddy_pipeline::settings::Problem;

use crate::file::PipelineFile;

/// Larger than any profile: one of 1,024 features has about 10 MB.
const MAX_PROFILE_BYTES: u64 = 64 << 20;

/// The reference profiles of the models, each of the model that it was built for.
pub(super) fn load(file: &PipelineFile, folder: &Path) -> (Vec<Option<Profile>>, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut load = |(index, model): (usize, &eddy_model::Settings)| {
        let path = folder.join(model.profile.as_ref()?);
        let profile = profile_of(model, &path);
        let wrong = |message: String| {
            Problem::new(
                format!("models[{index}].profile"),
                format!("{}: {message}", path.display()),
            )
        };
        profile.map_err(|message| problems.push(wrong(message))).ok()
    };
    let profiles = file.models.iter().enumerate().map(&mut load).collect();
    (profiles, problems)
}

/// The reference profile of a model.
///
/// # Errors
/// What is wrong with it, and what to do.
pub(crate) fn profile_of(model: &eddy_model::Settings, path: &Path) -> Result<Profile, String> {
    let next = "write it with `eddy profile`, or correct the path";
    let size = std::fs::metadata(path)
        .map_err(|error| format!("cannot be read: {error}; {next}"))?
        .len();
    if size > MAX_PROFILE_BYTES {
        return Err(format!(
            "has {size} bytes, more than the {MAX_PROFILE_BYTES} of any profile; {next}"
        ));
    }
    let text = std::fs::read(path).map_err(|error| format!("cannot be read: {error}; {next}"))?;
    let profile = Profile::from_json(&text).map_err(|error| error.to_string())?;
    if (&profile.model, &profile.version) != (&model.name, &model.version) {
        return Err(format!(
            "is of model `{}`, version {}, and this is model `{}`, version {}; {next}",
            profile.model, profile.version, model.name, model.version
        ));
    }
    Ok(profile)
}
