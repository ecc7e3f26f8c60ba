//! The watcher under stress, beside what the disk and the kernel allow.
//!
//! `cargo bench --bench watching` measures all rows, `cargo bench --bench watching -- retire` one:
//!
//! - `burst`: 100,000 status files are renamed into place as fast as one thread can. How long after
//!   the last of them is the cache equal to the disk, and is a last state lost? In turns with a bare
//!   watch that reads each file that is named to it.
//! - `jobs`: 400 new jobs of nine files at once. In turns with a thread that reads the same files.
//! - `overflow`: the kernel's queue overflows while the server is stopped.
//! - `retire`: 1,000 finished jobs of 20,000 are removed by a clean-up. How long does an event of
//!   another job take meanwhile, at worst? In turns with a bare inotify watch.
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
    // cargo adds options of its own.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|it| !it.starts_with('-')).collect();
    for (name, measure) in ROWS {
        if wanted.is_empty() || wanted.iter().any(|it| it == name) {
            measure()?;
        }
    }
    Ok(())
}
