//! Stopping: SIGINT, SIGTERM, SIGHUP and the deadline of the run, noticed once and known
//! everywhere. A hang-up that is [taken](Stop::take_hang_ups) stops nothing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::code::Code;
use crate::error::{Error, Result};
use crate::exit::Exit;

/// What stops the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// SIGINT.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// SIGHUP.
    HangUp,
    /// The run's own deadline has passed.
    Deadline,
}

impl Signal {
    /// The number to forward to children.
    #[must_use]
    pub(crate) fn number(self) -> i32 {
        match self {
            Self::HangUp => 1,
            Self::Interrupt => 2,
            Self::Terminate | Self::Deadline => 15,
        }
    }

    /// The code the process ends with.
    #[must_use]
    pub(crate) fn exit(self) -> Exit {
        match self {
            Self::Interrupt => Exit::Interrupted,
            Self::Terminate | Self::HangUp => Exit::Terminated,
            Self::Deadline => Exit::Timeout,
        }
    }
}

/// SIGXFSZ, which has the same number everywhere.
const FILE_TOO_LARGE: i32 = 25;

/// How long everything may take to end after a signal before it is cut off.
const GRACE: Duration = Duration::from_secs(40);

/// Whether and by what the run is being stopped. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Stop {
    sender: Arc<watch::Sender<Option<Signal>>>,
    /// How many hang-ups came since they are taken.
    hang_ups: Arc<watch::Sender<u64>>,
    grace: Arc<Mutex<Duration>>,
    holds: Arc<watch::Sender<usize>>,
}

/// Work that has to finish, such as a database that is being put in place
/// while its daemon is stopped.
#[derive(Debug)]
pub(crate) struct Hold(Arc<watch::Sender<usize>>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self {
            sender: Arc::new(watch::Sender::new(None)),
            hang_ups: Arc::new(watch::Sender::new(0)),
            grace: Arc::new(Mutex::new(GRACE)),
            holds: Arc::new(watch::Sender::new(0)),
        }
    }
}

/// Whether this process was started with SIGHUP ignored (`SigIgn` of proc(5); its first
/// bit is signal 1).
fn hang_ups_are_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).is_ok_and(|it| it & 1 == 1))
}

impl Stop {
    /// Listens for signals from now on; needs a running tokio runtime. A second
    /// signal sends `again`, for those who do not want to wait.
    pub(crate) fn listen(&self, again: tokio::sync::mpsc::Sender<Signal>) -> Result<()> {
        for (kind, what) in [
            (SignalKind::interrupt(), Signal::Interrupt),
            (SignalKind::terminate(), Signal::Terminate),
            (SignalKind::hangup(), Signal::HangUp),
        ] {
            // For `nohup`: what was ignored stays so, here and in what is started.
            if what == Signal::HangUp && hang_ups_are_ignored() {
                continue;
            }
            let mut stream = signal(kind)?;
            let (stop, again) = (self.clone(), again.clone());
            tokio::spawn(async move {
                while stream.recv().await.is_some() {
                    if what == Signal::HangUp && stop.hang_ups.receiver_count() > 0 {
                        stop.hang_ups.send_modify(|count| *count += 1);
                    } else if stop.signal().is_none() {
                        stop.request(what);
                    } else {
                        let _full = again.try_send(what);
                    }
                }
            });
        }
        // Of a file that got as long as it may be, whoever writes it says so; without this
        // the process ends, and leaves what it was about to remove.
        let _handled = signal(SignalKind::from_raw(FILE_TOO_LARGE))?;
        Ok(())
    }

    /// Asks everything to stop.
    pub(crate) fn request(&self, signal: Signal) {
        self.sender.send_if_modified(|now| {
            let first = now.is_none();
            if first {
                *now = Some(signal);
            }
            first
        });
    }

    /// From now on a hang-up stops nothing: it changes what this receives, for as long
    /// as it lives.
    #[must_use]
    pub(crate) fn take_hang_ups(&self) -> watch::Receiver<u64> {
        self.hang_ups.subscribe()
    }

    /// What runs now may take longer to end than the rest.
    pub(crate) fn allow(&self, grace: Duration) {
        *self.grace.lock().unwrap_or_else(PoisonError::into_inner) = grace;
    }

    /// Returns when the run was stopped and has used up its time to end.
    pub(crate) async fn overdue(&self) -> Signal {
        let signal = self.stopped().await;
        let grace = *self.grace.lock().unwrap_or_else(PoisonError::into_inner);
        tokio::time::sleep(grace).await;
        signal
    }

    /// Until it is dropped, a caller that gives up waiting for work waits for this as well.
    #[must_use]
    pub(crate) fn hold(&self) -> Hold {
        self.holds.send_modify(|count| *count += 1);
        Hold(Arc::clone(&self.holds))
    }

    /// Returns when the run has been stopped for `grace`, and nothing is held that has
    /// to come to its end.
    pub(crate) async fn stopped_for(&self, grace: Duration) -> Signal {
        let signal = self.stopped().await;
        tokio::time::sleep(grace).await;
        let mut holds = self.holds.subscribe();
        let _sender_lives = holds.wait_for(|count| *count == 0).await;
        signal
    }

    /// What stopped the run, if anything did.
    #[must_use]
    pub(crate) fn signal(&self) -> Option<Signal> {
        *self.sender.borrow()
    }

    /// Returns when the run is being stopped.
    pub(crate) async fn stopped(&self) -> Signal {
        let mut receiver = self.sender.subscribe();
        loop {
            let now = *receiver.borrow_and_update();
            if let Some(signal) = now {
                return signal;
            }
            if receiver.changed().await.is_err() {
                // The sender lives as long as self.
                std::future::pending::<()>().await;
            }
        }
    }

    /// The error of work that was stopped.
    #[must_use]
    pub(crate) fn error(signal: Signal) -> Error {
        let (code, word) = match signal {
            Signal::Interrupt => (Code::Interrupted, "interrupted"),
            Signal::Terminate | Signal::HangUp => (Code::Terminated, "terminated"),
            Signal::Deadline => (Code::Overdue, "not finished before the deadline"),
        };
        Error::new(code, word)
    }
}
