//! The program's entry point: runs the command line and maps the result to an exit code.

use std::process::ExitCode;

/// Runs before the runtime of Rust, which opens `/dev/null` in the place of a closed standard output.
#[ctor::ctor(unsafe)]
fn before_main() {
    scanwatch::cli::note_closed_output();
}

fn main() -> ExitCode {
    scanwatch::cli::run()
}
