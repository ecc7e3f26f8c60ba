//! Stop requests from outside.
//!
//! Input: SIGTERM from the shim, SIGINT from a terminal. Output: a flag.
//!
//! Invariants: a signal only sets the flag; every long loop checks it, and git is ended by its
//! owner. So nothing that the scanner started survives it, and guards remove its folders.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering},
    },
    time::Duration,
};

/// How long a stop may take. Less than the grace period of a shim (5 s), after which the scanner is
/// killed.
const PATIENCE: Duration = Duration::from_secs(3);

/// Whether the scan has to stop, and by which signal.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicI32>);

impl Stop {
    /// Records SIGTERM, SIGINT and SIGHUP from now on, for the whole process.
    pub fn on_signals() -> io::Result<Self> {
        use signal_hook::{consts, iterator::Signals};
        let stop = Self::default();
        let mut signals = Signals::new([consts::SIGTERM, consts::SIGINT, consts::SIGHUP])?;
        let noted = stop.clone();
        // The thread lives as long as the process.
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            if let Some(signal) = signals.forever().next() {
                noted.ask(signal);
                std::thread::sleep(PATIENCE);
                // A parser that never returns must not delay the stop.
                std::process::exit(128 + signal);
            }
        })?;
        Ok(stop)
    }

    /// Requests a stop, as if by this signal.
    pub fn ask(&self, signal: i32) {
        self.0.store(signal, Ordering::Relaxed);
    }

    /// The signal that requested the stop, if any.
    pub fn asked(&self) -> Option<i32> {
        Some(self.0.load(Ordering::Relaxed)).filter(|signal| *signal != 0)
    }
}
