//! How a process ends: a closed set of exit codes, and the immediate end.
//!
//! Owns: the numbers. Never does: decide which one it is; callers know why they end.

use std::fmt;

/// Why the process ended; what a supervisor reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExitCode {
    /// Everything was finished and made durable, or there was nothing to do.
    Drained,
    /// The command line was wrong.
    Usage,
    /// A broker, a store, a registry or a replica could not be reached.
    Unreachable,
    /// A guarantee could no longer be kept.
    GuaranteeLost,
    /// A twin with the same identity took over.
    Fenced,
    /// The drain did not finish before its deadline, or was cut short; or a command was stopped before its end.
    DrainMissed,
    /// The pipeline file, or something it names, is wrong, or does not do what its tests expect; or a file cannot be written.
    Configuration,
}

impl ExitCode {
    /// Every code, by number.
    pub const ALL: [Self; 7] = [
        Self::Drained,
        Self::Usage,
        Self::Unreachable,
        Self::GuaranteeLost,
        Self::Fenced,
        Self::DrainMissed,
        Self::Configuration,
    ];

    /// The number that the operating system sees.
    pub const fn number(self) -> u8 {
        match self {
            Self::Drained => 0,
            Self::Usage => 64,
            Self::Unreachable => 69,
            Self::GuaranteeLost => 70,
            Self::Fenced => 75,
            Self::DrainMissed => 76,
            Self::Configuration => 78,
        }
    }

    /// One sentence: what it means, and what to do.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Drained => "everything taken in was finished and made durable",
            Self::Usage => "the command line was wrong; `eddy help` shows what is possible",
            Self::Unreachable => {
                "a broker, a store or a schema registry could not be reached at the start; check its address, the network and the \
                 credentials"
            }
            Self::GuaranteeLost => {
                "a guarantee could no longer be kept, so the process stopped and left the offsets where they were; the error \
                 before this line says which, and a restart does the unfinished work again"
            }
            Self::Fenced => {
                "another process with the same identity took over; give each replica its own `kafka.instance`, or stop the twin"
            }
            Self::DrainMissed => {
                "the drain did not finish before `drain.deadline`, or was cut short; what was not durable is done again \
                 after the restart"
            }
            Self::Configuration => {
                "the pipeline file, or something it names, is wrong; `eddy check` lists every problem"
            }
        }
    }
}

impl fmt::Display for ExitCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (exit code {})", self.sentence(), self.number())
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.number())
    }
}

/// Says how the process ends, which is the last line of its log.
pub fn say_end(code: ExitCode) {
    match code {
        ExitCode::Drained => tracing::info!("ends: {code}"),
        _ => tracing::error!("ends: {code}"),
    }
}

/// Ends the process at once: nothing is unwound, flushed or waited for, and no exit handler of a C library runs, since
/// one that hangs is why this is called. Log first.
pub fn exit_now(code: ExitCode) -> ! {
    signal_hook::low_level::exit(i32::from(code.number()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_design() {
        let numbers = ExitCode::ALL.map(ExitCode::number);
        assert_eq!(numbers, [0, 64, 69, 70, 75, 76, 78]);
    }

    #[test]
    fn a_code_says_what_it_means_and_its_number() {
        let text = ExitCode::Fenced.to_string();
        assert!(
            text.contains("kafka.instance") && text.ends_with("(exit code 75)"),
            "{text}"
        );
    }
}
