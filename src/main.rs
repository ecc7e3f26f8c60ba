//! The program's entry point: runs the command line and maps the result to an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    scanwatch::cli::run()
}
