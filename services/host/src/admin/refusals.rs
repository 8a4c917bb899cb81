//! The lines of the audit about what was refused, of which a stranger may cause as many as it likes.
//!
//! Owns: how many lines each address has had. Never does: decide what is refused.
//!
//! Invariant: in a window an address has so many lines as it has attempts, and then one that counts the others; so have all
//! together that are beyond the addresses that are remembered. (A [`Throttle`](eddy_telemetry::Throttle) lets one line through.)

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::http::StatusCode;
use eddy_telemetry::AUDIT;

use super::guard::{ADDRESSES, WINDOW, origin};

#[derive(Debug)]
pub(super) struct Refusals {
    most_lines: u32,
    /// Of each [`origin`]; `None` is everybody else.
    windows: Mutex<BTreeMap<Option<IpAddr>, Window>>,
}

#[derive(Debug)]
struct Window {
    since: Instant,
    lines: u32,
    untold: u64,
}

impl Refusals {
    pub(super) fn new(most_lines: u32) -> Self {
        Self {
            most_lines,
            windows: Mutex::default(),
        }
    }

    /// One request was refused.
    pub(super) fn tell(&self, from: SocketAddr, what: &str, (status, result): (StatusCode, &str), now: Instant) {
        self.settle(now);
        if self.has_line(from.ip(), now) {
            tracing::warn!(target: AUDIT, who = %from, what, status = status.as_u16(), result);
        }
    }

    /// Counts in one line what had none in a window that is over.
    pub(super) fn settle(&self, now: Instant) {
        self.settle_where(|window| now.saturating_duration_since(window.since) >= WINDOW);
    }

    /// The same for all windows: nobody will ask any more.
    pub(super) fn close(&self) {
        self.settle_where(|_| true);
    }

    fn settle_where(&self, mut is_over: impl FnMut(&Window) -> bool) {
        self.windows().retain(|from, window| {
            let is_over = is_over(window);
            if is_over && window.untold > 0 {
                let who = from.map_or_else(|| "other addresses".to_owned(), |from| from.to_string());
                let refused = window.untold;
                let result = "so many more were refused within a minute, and had no line each";
                tracing::warn!(target: AUDIT, who, refused, result);
            }
            !is_over
        });
    }

    fn has_line(&self, from: IpAddr, now: Instant) -> bool {
        let mut windows = self.windows();
        let from = Some(origin(from));
        let is_remembered = windows.len() < ADDRESSES || windows.contains_key(&from);
        let window = windows.entry(from.filter(|_| is_remembered)).or_insert(Window {
            since: now,
            lines: 0,
            untold: 0,
        });
        let has_line = window.lines < self.most_lines;
        match has_line {
            true => window.lines += 1,
            false => window.untold += 1,
        }
        has_line
    }

    fn windows(&self) -> MutexGuard<'_, BTreeMap<Option<IpAddr>, Window>> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write;
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("nobody panics").extend_from_slice(line);
            Ok(line.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// The lines of the log that this leaves.
    pub(in super::super) fn logged(act: impl FnOnce()) -> Vec<String> {
        let lines = Lines::default();
        let writer = lines.clone();
        let log = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(log, act);
        let text = String::from_utf8(lines.0.lock().expect("nobody panics").clone()).expect("a log is text");
        text.lines().map(str::to_owned).collect()
    }

    fn address(number: u32) -> SocketAddr {
        (IpAddr::from(number.to_be_bytes()), 1234).into()
    }

    fn refuse(refusals: &Refusals, from: SocketAddr, now: Instant) {
        refusals.tell(from, "pause", (StatusCode::UNAUTHORIZED, "wrong"), now);
    }

    #[test]
    fn an_address_has_so_many_lines_in_a_window_and_then_one_that_counts_the_others() {
        let refusals = Refusals::new(3);
        let start = Instant::now();
        let [one, other] = [7, 8].map(address);
        let lines = logged(|| (0..50).for_each(|_| refuse(&refusals, one, start)));
        assert_eq!(lines.len(), 3, "{lines:?}");
        for words in [
            "WARN",
            "eddy::audit",
            "who=0.0.0.7:1234",
            "pause",
            "status=401",
            "wrong",
        ] {
            assert!(lines[0].contains(words), "{words}: {lines:?}");
        }
        let lines = logged(|| refuse(&refusals, other, start));
        assert_eq!(lines.len(), 1, "another address has lines of its own: {lines:?}");

        let before = start + WINDOW - Duration::from_millis(1);
        assert_eq!(logged(|| refusals.settle(before)), [""; 0]);
        let lines = logged(|| refusals.settle(start + WINDOW));
        assert_eq!(lines.len(), 1, "who had all its lines needs no count: {lines:?}");
        for words in ["WARN", "eddy::audit", "who=\"0.0.0.7\"", "refused=47"] {
            assert!(lines[0].contains(words), "{words}: {lines:?}");
        }
        let lines = logged(|| refuse(&refusals, one, start + WINDOW));
        assert_eq!(lines.len(), 1, "a new window: {lines:?}");
        assert_eq!(logged(|| refusals.close()), [""; 0]);
    }

    #[test]
    fn however_many_addresses_are_refused_the_lines_are_limited_and_what_has_none_is_counted_at_the_end() {
        let refusals = Refusals::new(1);
        let now = Instant::now();
        let addresses = ADDRESSES as u32 + 100;
        let lines = logged(|| (0..addresses).for_each(|number| refuse(&refusals, address(number), now)));
        assert_eq!(lines.len(), ADDRESSES + 1);
        let lines = logged(|| refusals.close());
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(
            lines[0].contains("who=\"other addresses\"") && lines[0].contains("refused=99"),
            "{lines:?}"
        );
    }
}
