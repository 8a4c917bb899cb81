//! Formats of what outlives a process: files, headers, notes beside offsets, and how transactional ids are made.
//!
//! Owns: for each of them, the number that this version writes and the oldest that it reads. The schemas of files repeat it,
//! which a test holds them to.
//! Never does: read or convert anything.
//!
//! Invariant: what the version before wrote is read, so `oldest` rises one version after `written` at the earliest. What a
//! newer version wrote is refused by its number, before anything is made of the rest.

/// One format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// What is of this format, in the plural.
    pub of: &'static str,
    /// The number that is written.
    pub written: u32,
    /// The oldest number that is read; all between both are read, too.
    pub oldest: u32,
    /// Where the number stands, and what it is where it is not there.
    pub stands: &'static str,
}

/// A minor version of Eddy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Its first number.
    pub major: u32,
    /// Its second.
    pub minor: u32,
}

impl Version {
    /// This one.
    pub const THIS: Self = Self {
        major: number(env!("CARGO_PKG_VERSION_MAJOR")),
        minor: number(env!("CARGO_PKG_VERSION_MINOR")),
    };

    /// A minor version.
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

const fn number(text: &str) -> u32 {
    match u32::from_str_radix(text, 10) {
        Ok(number) => number,
        Err(_) => panic!("Cargo's versions are numbers"),
    }
}

/// Pipeline files. Format 2 calls two keys by other names.
pub const PIPELINE: Format = Format {
    of: "pipeline files",
    written: 2,
    oldest: 1,
    stands: "key `format`; 1 where it is not there",
};

/// Policy files.
pub const POLICY: Format = Format::first("policy files", "key `format`; 1 where it is not there");

/// Reference profiles.
pub const PROFILE: Format = Format::first("reference profiles", "member `format`");

/// Files with rows whose results are known.
pub const GOLDEN: Format = Format::first("golden files", "member `format`");

/// Everything that goes to a topic: predictions, samples, dead letters. Readers ignore what they do not know.
pub const OUTPUT: Format = Format::first(
    "predictions, samples and dead letters",
    "header `eddy.format`, and member `format` of predictions",
);

/// What a partition's budget has left, in the metadata of its committed offset.
pub const BUDGET_NOTE: Format = Format::first("notes of budgets", "member `format`; 1 where it is not there");

/// What a job of `eddy redrive` has done, in the metadata of its committed offset.
pub const JOB_NOTE: Format = Format::first("notes of redrive jobs", "member `redrive`");

/// How transactional ids are made: `GROUP-INSTANCE-LANE`.
///
/// A replica ends what it left open, and fences its twin, because its next process has the very same id. With another
/// scheme a new process would do neither to the old one, which could then commit what the new one commits as well; during
/// a rolling upgrade that is the ordinary case. So the ids of scheme 1 stay as they are, byte for byte, and scheme 1 has
/// no number in them. A scheme to come puts its number behind a dot at their end (`GROUP-INSTANCE-LANE.2`, which no id of
/// scheme 1 is, since a lane is digits only, and which the same grant by prefix covers), and a replica of it takes over its id
/// of scheme 1 before that of its own, for as long as `oldest` is 1.
pub const TRANSACTIONAL_ID: Format = Format::first(
    "transactional ids",
    "scheme 1 has no number in its ids; later ones end in `.` and theirs",
);

/// States of `eddy replay --resume`.
pub const REPLAY_STATE: Format = Format::first("states of a replay", "member `format` of the first line");

/// What `eddy replay --json` prints; nothing here reads it.
pub const REPLAY_REPORT: Format = Format::first("reports of a replay", "member `format`");

/// What `eddy why --json` prints; nothing here reads it.
pub const STORY: Format = Format::first("stories of events", "member `format`");

/// All of them.
pub const ALL: [&Format; 11] = [
    &PIPELINE,
    &POLICY,
    &PROFILE,
    &GOLDEN,
    &OUTPUT,
    &BUDGET_NOTE,
    &JOB_NOTE,
    &TRANSACTIONAL_ID,
    &REPLAY_STATE,
    &REPLAY_REPORT,
    &STORY,
];

impl Format {
    const fn first(of: &'static str, stands: &'static str) -> Self {
        Self {
            of,
            written: 1,
            oldest: 1,
            stands,
        }
    }

    /// Whether a number is one that this version reads.
    ///
    /// # Errors
    /// What to do instead, as the rest of a sentence that begins with what has the number.
    pub fn judge(&self, found: i64) -> Result<u32, String> {
        let (reads, of) = (self.reads(), self.of);
        match u32::try_from(found) {
            Ok(known) if (self.oldest..=self.written).contains(&known) => Ok(known),
            _ if found > i64::from(self.written) => Err(format!(
                "is of format {found}, and this version of Eddy reads {reads} of {of}; use the version that it comes from, \
                 or a newer one"
            )),
            _ if found >= 1 => Err(format!(
                "is of format {found}, and this version of Eddy reads {reads} of {of}; let an older version bring it up"
            )),
            _ => Err(format!(
                "is of format {found}, which there is not; {} is the newest of {of}",
                self.written
            )),
        }
    }

    /// The numbers that are read, in words.
    pub fn reads(&self) -> String {
        let Self { oldest, written, .. } = *self;
        match written - oldest {
            0 => format!("format {written}"),
            1 => format!("formats {oldest} and {written}"),
            _ => format!("formats {oldest} to {written}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THIRD: Format = Format {
        of: "plans",
        written: 3,
        oldest: 2,
        stands: "",
    };

    #[test]
    fn a_number_outside_of_what_is_read_is_refused_with_what_to_do() {
        assert_eq!((THIRD.judge(2), THIRD.judge(3)), (Ok(2), Ok(3)));
        let refused = |found| THIRD.judge(found).expect_err("it is not read");
        assert_eq!(
            refused(4),
            "is of format 4, and this version of Eddy reads formats 2 and 3 of plans; use the version that it comes from, or \
             a newer one"
        );
        assert!(refused(i64::MAX).contains("or a newer one"));
        assert!(refused(1).ends_with("let an older version bring it up"));
        for none in [0, -1, i64::MIN] {
            assert!(refused(none).contains("which there is not; 3 is the newest"), "{none}");
        }
    }

    #[test]
    fn versions_have_the_order_of_their_numbers() {
        assert!(Version::new(0, 2) < Version::new(0, 10) && Version::new(0, 10) < Version::new(1, 0));
        assert!(env!("CARGO_PKG_VERSION").starts_with(&format!("{}.", Version::THIS)));
    }

    #[test]
    fn the_version_before_is_read() {
        for format in ALL {
            assert!(format.oldest >= 1 && format.oldest <= format.written, "{}", format.of);
            assert!(format.written == 1 || format.oldest < format.written, "{}", format.of);
        }
    }
}
