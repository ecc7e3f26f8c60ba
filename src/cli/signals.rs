//! The signals by which a person, or the system, ends a command that takes its time.

use crate::sys;
use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What ends a command before it is done: Ctrl-C, `kill`, a terminal that is closed.
#[derive(Debug)]
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// None under nohup(1).
    hangup: Option<Signal>,
}

impl Signals {
    /// From here on a signal is news, and ends nothing by itself.
    pub(super) fn listen() -> io::Result<Self> {
        let hangup = SignalKind::hangup();
        let ignored = sys::was_started_ignoring(hangup.as_raw_value());
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: if ignored { None } else { Some(signal(hangup)?) },
        })
    }

    /// The next one.
    pub(super) async fn next(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = hangup => {}
        }
    }
}
