//! The words that labels take.
//!
//! Owns: the closed sets of telemetry's own, and the words of those that other crates own.
//! Never does: name a label or a metric.

use eddy_pipeline::decode::Change;
use eddy_pipeline::drift::distance::Distance;
use eddy_pipeline::drift::watch::Standing;
use eddy_pipeline::rejection::Reason;
use eddy_pipeline::score::RunFault;
use eddy_pipeline::select::{Arm, Drawn};
use eddy_pipeline::signal::Signal;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// Every value, in the order of the catalogue.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The label's value.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            pub(super) fn words() -> Vec<&'static str> {
                Self::ALL.iter().map(|value| value.as_str()).collect()
            }
        }
    };
}

words! {
    /// A part of a lane's work, for [`STAGE_SECONDS`](super::STAGE_SECONDS).
    LaneStage {
        /// Waiting for records.
        Poll = "poll",
        /// Taking records in: from the broker's buffer into the tensors.
        Decode = "decode",
        /// All models' runs, and the reading of their outputs.
        Model = "model",
        /// Selecting, and writing the outputs into the producer's queue.
        Produce = "produce",
        /// Making progress durable.
        Checkpoint = "checkpoint",
    }
}

words! {
    /// How a checkpoint ended.
    CheckpointOutcome {
        /// Its span is durable.
        Committed = "committed",
        /// Its span was rolled back and is done again.
        Aborted = "aborted",
    }
}

words! {
    /// Why a lane does not take records.
    PauseCause {
        /// Too large a share of the events became dead letters.
        Flood = "flood",
        /// Kafka does not take or confirm outputs.
        Kafka = "kafka",
        /// The model or its device is sick.
        Model = "model",
        /// The person on call asked for it.
        Operator = "operator",
        /// The schema registry does not answer, or a schema is not to be read.
        Schema = "schema",
    }
}

words! {
    /// What came of a request to the schema registry.
    RegistryOutcome {
        /// What was asked for.
        Answered = "answered",
        /// It has no such schema or subject.
        Unknown = "unknown",
        /// It does not let us in.
        Denied = "denied",
        /// An answer that is none, or that is not to be read.
        Unfit = "unfit",
        /// It was in trouble, or wants to be asked less often.
        Failed = "failed",
        /// No answer, or no encryption that is to be trusted.
        Unreachable = "unreachable",
    }
}

words! {
    /// What became of spans.
    SpanOutcome {
        /// The collector took them.
        Exported = "exported",
        /// It refused them.
        Refused = "refused",
        /// It was out of reach for too long, or too slow for what is traced.
        Dropped = "dropped",
    }
}

words! {
    /// What a certificate of ours is for: the table of the pipeline file that names it.
    Certificate {
        /// What the admin address shows.
        Admin = "admin.tls",
        /// What brokers are shown.
        Kafka = "kafka.tls",
        /// What the schema registry is shown.
        Registry = "registry.tls",
    }
}

words! {
    /// On which side of the reference a value lies.
    Side {
        /// Below its least value.
        Below = "below",
        /// Above its greatest value.
        Above = "above",
    }
}

words! {
    /// What becomes of a feature, for [`DRIFT_FEATURES`](super::DRIFT_FEATURES).
    FeatureState {
        /// It is counted.
        Watched = "watched",
        /// It is not, for want of series.
        LeftOut = "left_out",
    }
}

/// The value of the label `fault`.
pub const fn fault_word(fault: RunFault) -> &'static str {
    match fault {
        RunFault::Refused => "refused",
        RunFault::TimedOut => "timed_out",
        RunFault::BadOutput => "bad_output",
    }
}

/// Every fault of a run, in the order of the catalogue.
pub(crate) const FAULTS: [RunFault; 3] = [RunFault::Refused, RunFault::TimedOut, RunFault::BadOutput];

pub(super) fn drawn_words() -> Vec<&'static str> {
    Drawn::ALL.into_iter().map(Drawn::as_str).collect()
}

pub(super) fn signal_words() -> Vec<&'static str> {
    Signal::ALL.into_iter().map(Signal::as_str).collect()
}

pub(super) fn standing_words() -> Vec<&'static str> {
    Standing::ALL.map(Standing::as_str).to_vec()
}

pub(super) fn statistic_words() -> Vec<&'static str> {
    Distance::ALL.map(Distance::as_str).to_vec()
}

pub(super) fn arm_words() -> Vec<&'static str> {
    Arm::ALL.iter().map(|arm| arm.as_str()).collect()
}

pub(super) fn fault_words() -> Vec<&'static str> {
    FAULTS.map(fault_word).to_vec()
}

pub(super) fn reason_words() -> Vec<&'static str> {
    Reason::ALL.iter().map(|reason| reason.as_str()).collect()
}

pub(super) fn change_words() -> Vec<&'static str> {
    Change::ALL.iter().map(|change| change.as_str()).collect()
}
