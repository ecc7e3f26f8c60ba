//! The watcher under stress, compared with the limits of the disk and the kernel.
//!
//! `cargo bench --bench watching` measures all rows, `cargo bench --bench watching -- retire` one:
//!
//! - `burst`: one thread renames 100,000 status files into place as fast as possible. How long after
//!   the last rename is the cache equal to the disk, and is a last state lost? Alternately with a bare
//!   watch that reads each file that an event names.
//! - `jobs`: 400 new jobs of nine files at once. Alternately with a thread that reads the same files.
//! - `overflow`: the kernel's queue overflows while the server is stopped.
//! - `retire`: 1,000 finished jobs of 20,000 are removed by a clean-up. How long does an event of
//!   another job take meanwhile, at worst? Alternately with a bare inotify watch.
//!
//! See docs/performance.md.

#![expect(clippy::print_stdout, reason = "a measurement is printed")]

mod bursts;
#[path = "../program/mod.rs"]
mod program;
mod retire;
mod support;

use program::Outcome;

/// A name, and what it measures.
type Row = (&'static str, fn() -> Outcome<()>);

const ROWS: [Row; 4] = [
    ("burst", bursts::burst),
    ("jobs", bursts::jobs),
    ("overflow", bursts::overflow),
    ("retire", retire::retire),
];

fn main() -> Outcome<()> {
    // cargo adds its own options.
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    for (name, measure) in ROWS {
        if wanted.is_empty() || wanted.iter().any(|row| row == name) {
            measure()?;
        }
    }
    Ok(())
}
