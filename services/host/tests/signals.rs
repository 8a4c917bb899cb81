//! What signals do to a process. Each test runs itself again as a child, which signals itself.

use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use eddy_host::{Cause, Drain, ExitCode, Shutdown, SystemClock, Tasks, drain_on_signals, exit_now, exit_on_missed};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::raise;

const CHILD: &str = "EDDY_TEST_SIGNALS_CHILD";

/// Runs the test of this name in a process of its own, where [`is_child`] holds.
fn in_child(test: &str) -> ExitStatus {
    Command::new(std::env::current_exe().expect("a test knows its own program"))
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, "1")
        .status()
        .expect("the test's program runs")
}

#[expect(clippy::disallowed_methods, reason = "how a test tells its child that it is one")]
fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

fn service(allowance: Duration) -> Tasks {
    let tasks = Tasks::new(Shutdown::new(Arc::new(SystemClock::start()), allowance));
    drain_on_signals(&tasks).expect("the system knows these signals");
    tasks
}

fn asked(by: &str) -> Cause {
    Cause::Asked { by: by.to_owned() }
}

#[test]
fn a_signal_drains() {
    if !is_child() {
        assert_eq!(in_child("a_signal_drains").code(), Some(0));
        return;
    }
    let tasks = service(Duration::from_secs(600));
    raise(SIGTERM).expect("it can be raised");
    assert_eq!(tasks.shutdown().wait(), asked("SIGTERM"));
    exit_now(ExitCode::Drained);
}

#[test]
fn another_signal_ends_the_process_at_once() {
    if !is_child() {
        assert_eq!(in_child("another_signal_ends_the_process_at_once").code(), Some(76));
        return;
    }
    let tasks = service(Duration::from_secs(600));
    raise(SIGINT).expect("it can be raised");
    assert_eq!(tasks.shutdown().wait(), asked("SIGINT"));
    // Signals of the first second are one wish; one of these is the other one.
    loop {
        raise(SIGINT).expect("it can be raised");
        std::thread::yield_now();
    }
}

#[test]
fn a_missed_drain_ends_the_process_with_its_own_code() {
    if !is_child() {
        assert_eq!(
            in_child("a_missed_drain_ends_the_process_with_its_own_code").code(),
            Some(76)
        );
        return;
    }
    let tasks = service(Duration::ZERO);
    raise(SIGTERM).expect("it can be raised");
    tasks.shutdown().wait();
    let _drain = Drain::guard(&tasks, exit_on_missed).expect("a thread");
    loop {
        std::thread::park();
    }
}

#[test]
fn an_immediate_end_carries_its_code() {
    if !is_child() {
        assert_eq!(in_child("an_immediate_end_carries_its_code").code(), Some(70));
        return;
    }
    exit_now(ExitCode::GuaranteeLost);
}
