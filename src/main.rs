//! The program: reads the command line, runs it, maps the result to an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    scanwatch::cli::run()
}
