//! Waiting for conditions.

use std::fmt::Display;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// How long the broker may take over anything that it is asked. Generous: it is there to end a test that hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(180);
pub(crate) const PAUSE: Duration = Duration::from_millis(20);
/// How long one attempt may take.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// Tries until it works, and panics with the last reason when it never does.
pub(crate) fn eventually<T, E: Display>(what: &str, mut attempt: impl FnMut() -> Result<T, E>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match attempt() {
            Ok(value) => return value,
            Err(reason) if Instant::now() > deadline => panic!("never came true: {what}; last: {reason}"),
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

/// Waits on this thread; librdkafka's admin client answers from a thread of its own.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}
