//! `eddy profile accept`: what a feature is like by now is its new normal.
//!
//! Owns: which profiles are rewritten, and what is said about it.
//! Never does: change a running replica; a profile counts from the next start on, under a new id.
//!
//! Invariant: a profile is whole, as it was or as it is to be. Nothing is written unless all profiles can be.

use std::fmt::Write as _;
use std::path::PathBuf;

use eddy_host::ExitCode;
use eddy_pipeline::profile::{Feature, LEAST_ROWS, Profile, Source};
use eddy_storage::table::{Existing, WholeFile};

use crate::assemble::{assemble, profile_of};
use crate::cli::AcceptArguments;
use crate::file;
use crate::profile::{Error, Recorder, leave_bare, of_topic};
use crate::program;
use crate::recall::{self, moment, now_ms};
use crate::replay::{self, Batch, Feed, Replay};

/// Carries the command out: the summary goes to standard output, what is wrong to standard error.
pub fn accept(arguments: &AcceptArguments, variables: impl IntoIterator<Item = (String, String)>) -> ExitCode {
    program::answer(rewrite(arguments, variables), Error::exit_code)
}

/// A profile that has the feature.
struct Known {
    position: usize,
    path: PathBuf,
    profile: Profile,
}

/// Reads the span, measures the feature anew and rewrites every profile that has it.
///
/// # Errors
/// [`Error`]; all profiles are then as they were.
pub fn rewrite(
    arguments: &AcceptArguments,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<String, Error> {
    let mut pipeline = file::load(&arguments.pipeline, variables).map_err(Error::Pipeline)?;
    let known = with_feature(&pipeline, &arguments.feature)?;
    let span = moment::span(arguments.since, arguments.until, now_ms()).map_err(Error::Span)?;
    leave_bare(&mut pipeline.file);
    let assembly = assemble(&pipeline).map_err(Error::Pipeline)?;
    let mut replay = Replay::new(&assembly, Feed::Topic)?;
    let mut recorders: Vec<Recorder> = known
        .iter()
        .map(|known| {
            let segments = known.profile.segments.as_ref().map(|segments| segments.field.clone());
            let head = assembly.heads()[known.position].as_ref();
            Recorder::new(known.position, head, replay.features()).with_segment(segments)
        })
        .collect();
    let each = |batch: &Batch<'_>| recorders.iter_mut().try_for_each(|recorder| recorder.take(batch));
    let wanted = (Some(arguments.since), arguments.until);
    let (since, until) = (moment::rfc3339(span.start), moment::rfc3339(span.end));
    let topic = recall::one_topic(&pipeline.file.topics.events, arguments.topic.as_deref()).map_err(Error::Span)?;
    let short = |rows: u64| {
        Error::Span(format!(
            "topic `{topic}` has {rows} events from {since} to {until} that can be scored, and a normal takes {LEAST_ROWS}; name an \
         earlier --since, or more --rows"
        ))
    };
    let tally = match of_topic(&pipeline, wanted, (Some(&topic), arguments.rows), &mut replay, each) {
        Err(Error::Replay(replay::Error::NoRows)) => return Err(short(0)),
        tally => tally?,
    };
    tally.check()?;
    if tally.rows - tally.rejected() < LEAST_ROWS {
        return Err(short(tally.rows - tally.rejected()));
    }
    let mut accepted = Vec::new();
    for (
        Known {
            position,
            path,
            mut profile,
        },
        recorder,
    ) in known.into_iter().zip(recorders)
    {
        let newer = recorder.finish(&assembly.models()[position], Source::Recorded)?;
        let (before, was) = (profile.id(), like(&profile, &arguments.feature));
        profile.accept(&arguments.feature, &newer, (&since, &until))?;
        let file = WholeFile::holding(&path, Existing::Replace, &profile.to_json()).map_err(Error::Write)?;
        accepted.push((path, (before, was), profile, file));
    }
    let mut text = String::new();
    for (path, (before, was), profile, file) in accepted {
        file.finish().map_err(Error::Write)?;
        let is = like(&profile, &arguments.feature);
        let note = profile.notes.last().map(ToString::to_string).unwrap_or_default();
        writeln!(
            text,
            "model        {} {}\nprofile      {before} is now {}\nwas          {was}\nis now       {is}",
            profile.model,
            profile.version,
            profile.id()
        )
        .and_then(|()| writeln!(text, "note         {note}\nwritten to   {}", path.display()))
        .expect("writing to a String cannot fail");
    }
    text.push_str("Restart the replicas: they count against it, in new series, from then on.\n");
    Ok(text)
}

/// What a feature is like, in a few words.
fn like(profile: &Profile, feature: &str) -> String {
    let share = |part: u64, rest: u64| 100.0 * part as f64 / (part + rest).max(1) as f64;
    match profile.features.iter().find(|known| known.name() == feature) {
        Some(Feature::Number(number)) => {
            let missing = share(number.missing, number.counts.iter().sum());
            let moments = number.moments.map_or_else(
                || "no value".to_owned(),
                |m| format!("{} to {}, mean {}, deviation {}", m.min, m.max, m.mean, m.std),
            );
            format!("{moments}, {missing:.1} % missing")
        }
        Some(Feature::Category(category)) => {
            let all: u64 = category.counts.iter().sum();
            let most = category
                .categories
                .iter()
                .zip(&category.counts)
                .max_by_key(|(_, count)| **count);
            let most = most.map_or_else(String::new, |(word, count)| {
                format!("`{word}` in {:.1} %, ", share(*count, all - count))
            });
            format!("{most}{:.1} % missing", share(category.missing, all))
        }
        None => String::new(),
    }
}

/// The profiles of the pipeline's models that have a feature.
fn with_feature(pipeline: &file::Pipeline, feature: &str) -> Result<Vec<Known>, Error> {
    let (mut known, mut names) = (Vec::new(), Vec::new());
    for (position, model) in pipeline.file.models.iter().enumerate() {
        let Some(path) = &model.profile else { continue };
        let path = pipeline.folder.join(path);
        let profile = profile_of(model, &path).map_err(|error| Error::Known(format!("{}: {error}", path.display())))?;
        names.extend(profile.features.iter().map(Feature::name).map(str::to_owned));
        if profile.features.iter().any(|known| known.name() == feature) {
            known.push(Known {
                position,
                path,
                profile,
            });
        }
    }
    if !known.is_empty() {
        return Ok(known);
    }
    names.dedup();
    Err(Error::NoFeature {
        feature: feature.to_owned(),
        known: match eddy_pipeline::settings::nearest(feature, names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None if names.is_empty() => "they have none at all; build one with `eddy profile`".to_owned(),
            None => format!("they have {}", names.join(", ")),
        },
    })
}
