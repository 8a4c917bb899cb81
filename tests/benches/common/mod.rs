//! What the benchmarks of the service share: a real Kafka full of events, the service at work on them, flags.
//!
//! Owns: whatever two of them need. Never does: print a figure.
#![allow(dead_code, reason = "no benchmark needs all of it")]

pub(crate) mod clients;
pub(crate) mod cpu;
pub(crate) mod events;
pub(crate) mod metrics;
pub(crate) mod setting;
pub(crate) mod whole;

use std::process::ExitCode;

/// The service.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_eddy-under-test");

/// Reads the command line: flags with a number above zero, and flags with a text. What is not given stays as it is.
///
/// # Errors
/// The code to end with; what is wrong was said.
pub(crate) fn read_flags(
    usage: &str,
    numbers: &mut [(&str, &mut usize)],
    texts: &mut [(&str, &mut Option<String>)],
) -> Result<(), ExitCode> {
    let read = flags(std::env::args().skip(1), numbers, texts);
    read.map_err(|problem| {
        eprintln!("{problem}; {usage}");
        ExitCode::from(64)
    })
}

fn flags(
    mut words: impl Iterator<Item = String>,
    numbers: &mut [(&str, &mut usize)],
    texts: &mut [(&str, &mut Option<String>)],
) -> Result<(), String> {
    // Cargo says `--bench` to every benchmark.
    while let Some(word) = words.by_ref().find(|word| word != "--bench") {
        if let Some((_, number)) = numbers.iter_mut().find(|(flag, _)| *flag == word) {
            let count = words
                .next()
                .and_then(|value| value.parse().ok())
                .filter(|count| *count > 0);
            **number = count.ok_or_else(|| format!("{word} needs a number above zero"))?;
        } else if let Some((_, text)) = texts.iter_mut().find(|(flag, _)| *flag == word) {
            **text = Some(words.next().ok_or_else(|| format!("{word} needs a value"))?);
        } else {
            return Err(format!("`{word}` is not known"));
        }
    }
    Ok(())
}
