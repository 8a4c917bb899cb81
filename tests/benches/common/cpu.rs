//! Processor time of whole processes: all threads, user and kernel.

use std::fs;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// What this process has used so far.
pub(crate) fn of_this_process() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(used.tv_sec as u64, used.tv_nsec as u32)
}

/// What another process has used so far, to a hundredth of a second. Panics when it does not run.
pub(crate) fn of_process(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the measured process runs");
    // The name of the program, in brackets, may hold anything.
    let (_, fields) = stat.rsplit_once(')').expect("the kernel writes the name in brackets");
    let ticks = |at: usize| -> u64 {
        let field = fields.split_whitespace().nth(at);
        field
            .and_then(|field| field.parse().ok())
            .expect("the kernel writes numbers here")
    };
    // Fields 14 and 15, user and kernel time; the state, field 3, is the first after the name.
    let used = ticks(11) + ticks(12);
    Duration::from_secs_f64(used as f64 / rustix::param::clock_ticks_per_second() as f64)
}
