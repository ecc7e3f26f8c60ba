//! The signals that interrupt a long-running command.

use crate::sys;
use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Interrupts of a command: SIGINT (Ctrl-C), SIGTERM, and SIGHUP (a closed terminal).
#[derive(Debug)]
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// `None` under nohup(1).
    hangup: Option<Signal>,
}

impl Signals {
    /// Installs the handlers. From here on a signal no longer ends the process by itself.
    pub(super) fn listen() -> io::Result<Self> {
        let hangup = SignalKind::hangup();
        let ignored = sys::inherits_ignored(hangup.as_raw_value());
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: if ignored { None } else { Some(signal(hangup)?) },
        })
    }

    /// Waits for the next signal.
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
