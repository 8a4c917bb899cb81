//! Threads, their end, and the end of the service.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use eddy_host::{
    Call, Cause, Drain, DrainSettings, ExitCode, Failure, Missed, OnDrain, OnExit, Overdue, Policy, Shutdown,
    SystemClock, Tasks, Verdict, Watchdog,
};
use eddy_pipeline::settings::Span;
use eddy_pipeline::time::{Clock, Now};

/// Long enough that only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(30);
const LANE: Policy = Policy {
    on_exit: OnExit::ShutDown,
    on_drain: OnDrain::Finish,
};
const HELPER: Policy = Policy {
    on_exit: OnExit::Log,
    on_drain: OnDrain::Abort,
};

/// A clock that stands still.
#[derive(Debug)]
struct At(Duration);

impl Clock for At {
    fn now(&self) -> Now {
        Now {
            monotonic: self.0,
            unix_ms: 0,
        }
    }
}

fn shutdown(allowance: Duration) -> Shutdown {
    Shutdown::new(Arc::new(SystemClock::start()), allowance)
}

fn tasks() -> Tasks {
    Tasks::new(shutdown(PATIENCE))
}

fn asked() -> Cause {
    Cause::Asked { by: "a test".into() }
}

#[test]
fn a_lane_sees_the_request_and_finishes() {
    let tasks = tasks();
    tasks
        .spawn_thread("lane-0", LANE, |shutdown| {
            shutdown.wait();
            Ok(())
        })
        .expect("a thread");
    assert_eq!(tasks.running(), ["lane-0"]);
    tasks.shutdown().request(asked());
    assert_eq!(tasks.wait_for_finishing(PATIENCE), Ok(()));
    assert_eq!(tasks.running(), [] as [String; 0]);
    assert_eq!(tasks.shutdown().exit_code(), ExitCode::Drained);
}

#[test]
fn a_thread_has_its_name() {
    let (told, name) = mpsc::channel();
    tasks()
        .spawn_thread("lane-7", LANE, move |_| {
            told.send(std::thread::current().name().map(str::to_owned))
                .expect("the test waits");
            Ok(())
        })
        .expect("a thread");
    assert_eq!(name.recv_timeout(PATIENCE), Ok(Some("lane-7".into())));
}

#[test]
fn a_failing_task_ends_the_service_with_its_exit_code() {
    let tasks = tasks();
    tasks
        .spawn_thread("lane-0", LANE, |_| {
            Err(Failure::new(ExitCode::Fenced, "a twin took over"))
        })
        .expect("a thread");
    let cause = tasks.shutdown().wait();
    assert_eq!(cause.to_string(), "`lane-0` failed: a twin took over");
    assert_eq!(tasks.shutdown().exit_code(), ExitCode::Fenced);
}

#[test]
fn a_panic_ends_the_service_like_a_failure() {
    let tasks = tasks();
    tasks
        .spawn_thread("lane-0", HELPER, |_| panic!("row {} has no id", 7))
        .expect("a thread");
    let cause = tasks.shutdown().wait();
    assert!(cause.to_string().contains("panicked: row 7 has no id"), "{cause}");
    assert_eq!(tasks.shutdown().exit_code(), ExitCode::GuaranteeLost);
}

#[test]
fn the_end_of_a_helper_ends_nothing_and_the_end_of_a_lane_the_service() {
    let tasks = tasks();
    tasks.spawn_thread("helper", HELPER, |_| Ok(())).expect("a thread");
    while !tasks.running().is_empty() {
        std::thread::yield_now();
    }
    assert!(!tasks.shutdown().is_requested());
    tasks.spawn_thread("lane-0", LANE, |_| Ok(())).expect("a thread");
    assert_eq!(tasks.shutdown().wait(), Cause::Finished { task: "lane-0".into() });
    assert_eq!(tasks.shutdown().exit_code(), ExitCode::Drained);
}

#[test]
fn the_drain_waits_for_lanes_and_not_for_helpers() {
    let tasks = tasks();
    let (let_go, held) = mpsc::channel::<()>();
    let until_let_go = move |_: Shutdown| {
        // An error means that the test let go by dropping its end.
        let _let_go = held.recv();
        Ok(())
    };
    tasks.spawn_thread("helper", HELPER, until_let_go).expect("a thread");
    assert_eq!(tasks.wait_for_finishing(PATIENCE), Ok(()));
    let (let_lane_go, held) = mpsc::channel::<()>();
    let lane = move |_: Shutdown| {
        let _let_go = held.recv();
        Ok(())
    };
    tasks.spawn_thread("lane-0", LANE, lane).expect("a thread");
    assert_eq!(tasks.wait_for_finishing(Duration::ZERO), Err(vec!["lane-0".to_owned()]));
    drop(let_lane_go);
    assert_eq!(tasks.wait_for_finishing(PATIENCE), Ok(()));
    assert_eq!(tasks.running(), ["helper"]);
    drop(let_go);
}

#[test]
fn the_first_request_sets_the_deadline_for_good() {
    let shutdown = Shutdown::new(Arc::new(At(Duration::from_secs(100))), Duration::from_secs(20));
    assert_eq!(
        (shutdown.deadline(), shutdown.remaining(), shutdown.is_requested()),
        (None, None, false)
    );
    shutdown.request(asked());
    shutdown.request(Cause::Asked {
        by: "somebody else".into(),
    });
    assert_eq!(shutdown.deadline(), Some(Duration::from_secs(120)));
    assert_eq!(shutdown.remaining(), Some(Duration::from_secs(20)));
    assert_eq!(shutdown.cause(), Some(asked()));
    assert!(shutdown.is_requested());
}

#[test]
fn a_failure_during_the_drain_decides_the_exit_code_and_the_first_one_wins() {
    let shutdown = shutdown(PATIENCE);
    let failed = |code| Cause::Failed {
        task: "lane-0".into(),
        code,
        message: "?".into(),
    };
    shutdown.request(asked());
    assert_eq!(shutdown.exit_code(), ExitCode::Drained);
    shutdown.request(failed(ExitCode::GuaranteeLost));
    shutdown.request(failed(ExitCode::Fenced));
    assert_eq!(shutdown.exit_code(), ExitCode::GuaranteeLost);
    assert_eq!(shutdown.cause(), Some(asked()));
}

#[test]
fn a_pause_ends_with_the_request() {
    let shutdown = shutdown(PATIENCE);
    assert!(!shutdown.wait_for(Duration::ZERO));
    let other = shutdown.clone();
    std::thread::scope(|scope| {
        scope.spawn(move || other.request(asked()));
        assert!(shutdown.wait_for(PATIENCE));
    });
}

#[test]
fn a_missed_deadline_names_the_step_and_who_still_runs() {
    let tasks = Tasks::new(shutdown(Duration::ZERO));
    let (_let_go, held) = mpsc::channel::<()>();
    let lane = move |_: Shutdown| {
        let _let_go = held.recv();
        Ok(())
    };
    tasks.spawn_thread("lane-0", LANE, lane).expect("a thread");
    tasks.shutdown().request(asked());
    let (told, missed) = mpsc::channel();
    let _drain = Drain::guard(&tasks, move |missed: &Missed| {
        told.send(missed.clone()).expect("the test waits")
    });
    let missed = missed.recv_timeout(PATIENCE).expect("the deadline has passed");
    assert_eq!((missed.number, missed.allowance), (0, Duration::ZERO));
    assert!(missed.running.contains(&"lane-0".to_owned()), "{missed:?}");
}

#[test]
fn a_start_that_hangs_ends_at_the_deadline_of_the_request_that_came_meanwhile() {
    let tasks = Tasks::new(shutdown(Duration::ZERO));
    let (told, missed) = mpsc::channel();
    let _drain = Drain::guard(&tasks, move |missed: &Missed| {
        told.send(missed.clone()).expect("the test waits")
    });
    assert_eq!(missed.try_recv(), Err(mpsc::TryRecvError::Empty), "nobody has asked");
    tasks.shutdown().request(asked());
    let missed = missed.recv_timeout(PATIENCE).expect("the deadline has passed");
    assert_eq!((missed.number, missed.step.as_str()), (0, "the start"));
}

#[test]
fn a_missed_deadline_reads_as_a_sentence() {
    let missed = Missed {
        number: 2,
        step: "lanes finish".into(),
        allowance: Duration::from_secs(20),
        running: vec!["lane-0".into(), "lane-1".into()],
    };
    assert_eq!(
        missed.to_string(),
        "the drain took longer than `drain.deadline` (20s): it was at step 2, lanes finish; still running: lane-0, lane-1"
    );
}

#[test]
fn a_drain_in_time_misses_nothing() {
    let tasks = tasks();
    tasks.shutdown().request(asked());
    let (told, missed) = mpsc::channel();
    let mut drain = Drain::guard(&tasks, move |missed: &Missed| {
        told.send(missed.clone()).expect("the test waits")
    })
    .expect("a thread");
    drain.step("say that the service is not ready");
    drain.step("lanes finish");
    drain.finish();
    // The guard drops its end of the channel when it goes, without having used it.
    assert_eq!(missed.recv_timeout(PATIENCE), Err(mpsc::RecvTimeoutError::Disconnected));
}

#[test]
fn a_drain_without_time_is_a_problem_of_the_file() {
    assert_eq!(DrainSettings::default().check(), []);
    let problems = DrainSettings {
        deadline: Span::ms(0),
        ..DrainSettings::default()
    }
    .check();
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].key, "drain.deadline");
}

#[test]
fn the_watchdog_names_who_is_stuck_and_in_what() {
    let tasks = tasks();
    let (told, overdue) = mpsc::channel();
    // A receiver that is gone means that the test has seen enough.
    let tell = move |overdue: &Overdue| {
        drop(told.send(overdue.clone()));
        Verdict::Stuck
    };
    let clock = Arc::new(SystemClock::start());
    let watchdog = Watchdog::start(&tasks, clock, Duration::from_millis(1), tell).expect("a thread");
    let (idle, stuck) = (watchdog.beat("lane 0"), watchdog.beat("lane 1"));
    let call = |name, limit| Call {
        name,
        limit,
        waits_outside: false,
    };
    let _patient = idle.enter(call("poll", PATIENCE * 10));
    let _stuck = stuck.enter(call("commit", Duration::from_millis(5)));
    let overdue = overdue.recv_timeout(PATIENCE).expect("it is in the call for ever");
    assert_eq!((overdue.who.as_str(), overdue.call.name), ("lane 1", "commit"));
    assert!(overdue.took > overdue.call.limit, "{overdue}");
}

#[test]
fn a_dropped_watchdog_ends_its_thread() {
    let tasks = tasks();
    let clock = Arc::new(At(Duration::ZERO));
    let watchdog = Watchdog::start(&tasks, clock, PATIENCE, |_| Verdict::Stuck).expect("a thread");
    drop(watchdog);
    while !tasks.running().is_empty() {
        std::thread::yield_now();
    }
}
