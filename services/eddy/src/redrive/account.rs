//! What a job did, in numbers.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::filter::Verdict;
use crate::recall::counted;

/// What was read: every record is sent or counted under why it was not.
#[derive(Debug, Default)]
pub(super) struct Account {
    sent: u64,
    /// What was sent, by reason, arm and model; a sample counts under each of its arms and models.
    words: BTreeMap<String, u64>,
    again: u64,
    foreign: u64,
    other_pipeline: u64,
    other_topic: u64,
    other_reason: u64,
    other_model: u64,
    not_original: BTreeMap<&'static str, u64>,
}

impl Account {
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// Records that were read.
    pub(super) fn read(&self) -> u64 {
        let others = self.other_pipeline + self.other_topic + self.other_reason + self.other_model;
        let left_out = self.again + self.foreign + others;
        self.sent + left_out + self.not_original.values().sum::<u64>()
    }

    pub(super) fn send(&mut self, words: &[String]) {
        self.sent += 1;
        for word in words {
            match self.words.get_mut(word) {
                Some(count) => *count += 1,
                None => {
                    self.words.insert(word.clone(), 1);
                }
            }
        }
    }

    /// An event that the job has sent already.
    pub(super) fn again(&mut self) {
        self.again += 1;
    }

    pub(super) fn skip(&mut self, verdict: &Verdict<'_>) {
        match verdict {
            Verdict::Send { .. } => {}
            Verdict::Foreign => self.foreign += 1,
            Verdict::OtherPipeline => self.other_pipeline += 1,
            Verdict::OtherTopic => self.other_topic += 1,
            Verdict::OtherReason => self.other_reason += 1,
            Verdict::OtherModel => self.other_model += 1,
            Verdict::NotOriginal(body) => *self.not_original.entry(*body).or_default() += 1,
        }
    }

    pub(super) fn report(&self, job: &str, (from, to): (&str, &str), is_dry: bool) -> String {
        let (events, records) = (counted(self.sent, "event"), counted(self.read(), "record"));
        let mut text = match is_dry {
            true => format!("a dry run of job `{job}`: of {records} on `{from}`, {events} would be sent to `{to}`\n"),
            false => format!("job `{job}`: of {records} on `{from}`, {events} were sent to `{to}`\n"),
        };
        let mut line = |count: u64, what: &str| {
            if count > 0 {
                writeln!(text, "{count:>9}  {what}").expect("writing to a String cannot fail");
            }
        };
        for (word, count) in &self.words {
            line(*count, word);
        }
        line(self.again, "left out: this job has sent the event before");
        line(self.other_topic, "left out: of another topic of events");
        line(self.other_reason, "left out: another reason");
        line(self.other_model, "left out: another model");
        for (body, count) in &self.not_original {
            line(
                *count,
                &format!("left out: the body is {body}, not the event's own bytes"),
            );
        }
        line(self.other_pipeline, "left out: of another pipeline");
        line(self.foreign, "left out: not written by Eddy");
        text
    }
}
