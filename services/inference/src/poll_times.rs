//! Where the time of a poll goes.

use std::time::Duration;

/// Where the time of a poll goes: waiting for records, or taking them in. Reads the clock once a burst, not once a record.
pub(crate) struct PollTimes {
    waiting_since: Duration,
    working_since: Option<Duration>,
    /// When the first record came.
    pub(crate) first_record: Option<Duration>,
    waited: Duration,
    worked: Duration,
}

impl PollTimes {
    pub(crate) fn new(now: Duration) -> Self {
        let (waited, worked) = (Duration::ZERO, Duration::ZERO);
        Self {
            waiting_since: now,
            working_since: None,
            first_record: None,
            waited,
            worked,
        }
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.working_since.is_none()
    }

    pub(crate) fn work_began(&mut self, now: Duration) {
        self.waited += now.saturating_sub(self.waiting_since);
        self.working_since = Some(now);
        self.first_record.get_or_insert(now);
    }

    pub(crate) fn wait_began(&mut self, now: Duration) {
        match self.working_since.take() {
            Some(since) => self.worked += now.saturating_sub(since),
            None => self.waited += now.saturating_sub(self.waiting_since),
        }
        self.waiting_since = now;
    }

    /// Time spent waiting, and time spent taking records in.
    pub(crate) fn end(mut self, now: Duration) -> (Duration, Duration) {
        self.wait_began(now);
        (self.waited, self.worked)
    }
}
