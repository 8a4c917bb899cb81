//! What keeps the memory and the environment of a process its own.
//!
//! Owns: the table `[process]`, core dumps, and taking a secret out of the environment. Never does: know which variables
//! hold secrets; callers do.
//!
//! Invariant: the environment is touched only while the process has one thread.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char};

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The table `[process]`: what others may see of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProcessSettings {
    /// Whether a crash may leave a core dump, and programs of the same user may look into the process's memory, such as
    /// debuggers and profilers. Passwords and tokens are in it. Default: `false`.
    pub core_dumps: bool,
}

/// From now on a crash leaves no core dump, wherever the system would put it, and no other process without privileges
/// looks into this one.
///
/// # Errors
/// When the system refuses.
pub fn forbid_core_dumps() -> std::io::Result<()> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none)?;
    // A system that pipes dumps into a program does not ask for the limit.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// Takes a variable out of the environment, and its value out of the memory that the system shows as the environment with
/// which the process began. Gives the value.
///
/// `None` when it is not set or not UTF-8, and, untouched, when the process has other threads already.
#[expect(clippy::disallowed_methods, reason = "its callers are where secrets are read")]
pub fn take_variable(name: &str) -> Option<String> {
    if !is_alone() {
        return None;
    }
    let value = std::env::var(name).ok()?;
    // SAFETY: both race with threads that read the environment; there are none.
    unsafe {
        overwrite(name);
        std::env::remove_var(name);
    }
    Some(value)
}

/// # Safety
/// No other thread uses the environment.
unsafe fn overwrite(name: &str) {
    unsafe extern "C" {
        static mut environ: *const *mut c_char;
    }
    // SAFETY: `environ` is null, or a list of texts that ends with null; the texts are writable memory of the process and
    // keep their length.
    unsafe {
        let mut entry = environ;
        while !entry.is_null() && !(*entry).is_null() {
            let text = CStr::from_ptr(*entry).to_bytes();
            let rest = text.strip_prefix(name.as_bytes());
            let length = rest.and_then(|rest| rest.strip_prefix(b"=")).map_or(0, <[u8]>::len);
            let start = (*entry).add(text.len() - length);
            for at in 0..length {
                start.add(at).write_volatile(0);
            }
            entry = entry.add(1);
        }
    }
}

fn is_alone() -> bool {
    std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1)
}
