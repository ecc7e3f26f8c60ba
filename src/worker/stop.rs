//! The wish of somebody outside that the scan ends now.
//!
//! A shim ends its scanner by SIGTERM, a terminal by SIGINT. The wish is only noted here; every
//! loop that may take long looks at it, and git is ended by whoever holds it. So nothing that
//! the scanner started outlives it, and its folders are removed by their guards.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering},
    },
    time::Duration,
};

/// How long the scan may take to end in order, once it is told to. Less than the grace of a
/// shim (5 s), after which it is killed.
const PATIENCE: Duration = Duration::from_secs(3);

/// Whether, and by which signal, the scan is told to end.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicI32>);

impl Stop {
    /// Notes SIGTERM, SIGINT and SIGHUP from now on, for the whole process.
    pub fn on_signals() -> io::Result<Self> {
        use signal_hook::{consts, iterator::Signals};
        let stop = Self::default();
        let mut signals = Signals::new([consts::SIGTERM, consts::SIGINT, consts::SIGHUP])?;
        let noted = stop.clone();
        // Its owner is the process: it waits for signals until there is no more process.
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            if let Some(signal) = signals.forever().next() {
                noted.ask(signal);
                std::thread::sleep(PATIENCE);
                // A parser that never comes back does not hold up the end.
                std::process::exit(128 + signal);
            }
        })?;
        Ok(stop)
    }

    /// Tells the scan to end, as if by this signal.
    pub fn ask(&self, signal: i32) {
        self.0.store(signal, Ordering::Relaxed);
    }

    /// The signal by which the scan is told to end.
    pub fn asked(&self) -> Option<i32> {
        Some(self.0.load(Ordering::Relaxed)).filter(|it| *it != 0)
    }
}
