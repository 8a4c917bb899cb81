//! The command line of the benchmark.
//!
//! Owns: its few flags. Never does: read anything else than the arguments.

use crate::bare::Job;

/// What the process is asked to do.
pub(crate) enum Asked {
    /// Measure.
    Rounds(Arguments),
    /// Be a bare part: the benchmark starts itself with this.
    Part(Box<Job>),
}

/// What to measure.
pub(crate) struct Arguments {
    /// Events on the topic.
    pub(crate) events: usize,
    /// Rounds; medians are shown.
    pub(crate) rounds: usize,
    /// Where `perf record` puts a profile of the whole service, one file a round. It makes the whole look dearer.
    pub(crate) profile: Option<String>,
}

const USAGE: &str = "usage: parts [--events N] [--rounds N] [--profile FOLDER]";

/// The flag before a bare part's job.
pub(crate) const PART: &str = "--part";

/// Reads the arguments.
///
/// # Errors
/// One sentence with the usage.
pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Asked, String> {
    let mut asked = Arguments {
        events: 1_000_000,
        rounds: 3,
        profile: None,
    };
    while let Some(argument) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .ok_or_else(|| format!("{argument} needs a value; {USAGE}"))
        };
        match argument.as_str() {
            // Cargo says this to every benchmark.
            "--bench" => {}
            "--events" => asked.events = count(&argument, &value()?)?,
            "--rounds" => asked.rounds = count(&argument, &value()?)?,
            "--profile" => asked.profile = Some(value()?),
            PART => {
                let job = serde_json::from_str(&value()?).map_err(|error| format!("{PART}: {error}"))?;
                return Ok(Asked::Part(Box::new(job)));
            }
            _ => return Err(format!("`{argument}` is not known; {USAGE}")),
        }
    }
    Ok(Asked::Rounds(asked))
}

fn count(flag: &str, text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err(format!("{flag} `{text}` is not a number above zero; {USAGE}")),
        Ok(count) => Ok(count),
    }
}
