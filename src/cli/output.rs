//! Output of a command: data to standard output, messages to standard error.

use super::{Exit, screen};
use crate::model::control_chars::is_unprintable;
use std::{
    io::{self, Write},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

/// Whether standard output was closed when the program started.
static IS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Records whether standard output is closed, so that a command with data reports it. To be called before `main`: the
/// runtime of Rust then opens `/dev/null` in its place.
pub fn note_closed_output() {
    IS_CLOSED.store(rustix::io::fcntl_getfd(rustix::stdio::stdout()).is_err(), Relaxed);
}

/// Writes data and flushes it. Returns `BrokenPipe` if the reader has closed the pipe.
pub(super) fn write(bytes: &[u8]) -> io::Result<()> {
    check_open()?;
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush())
}

fn check_open() -> io::Result<()> {
    if IS_CLOSED.load(Relaxed) { Err(io::Error::other("it is closed")) } else { Ok(()) }
}

/// Writes data. A closed pipe (`| head`) is not an error.
pub(super) fn write_data(bytes: &[u8]) -> io::Result<()> {
    without_broken_pipe(write(bytes))
}

fn without_broken_pipe(written: io::Result<()>) -> io::Result<()> {
    written.or_else(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(error),
    })
}

/// Writes the data of a command that does nothing else. Prints an error if that fails.
pub(super) fn print(bytes: &[u8]) -> Exit {
    exit_of(write_data(bytes))
}

/// Prints a help text or the version, which clap would print without reporting that it cannot.
pub(super) fn print_help(text: &clap::Error) -> Exit {
    let printed = check_open().and_then(|()| text.print()).and_then(|()| io::stdout().flush());
    exit_of(without_broken_pipe(printed))
}

fn exit_of(written: io::Result<()>) -> Exit {
    match written {
        Ok(()) => Exit::Done,
        Err(error) => {
            print_error(&format!("cannot write to standard output: {error}"));
            Exit::Usage
        }
    }
}

/// Prints a line on standard error, unless messages are suppressed.
pub(super) fn print_message(text: &str) {
    if !screen::is_quiet() {
        print_line(text);
    }
}

/// Prints a line on standard error, above live lines.
pub(super) fn print_line(text: &str) {
    // If standard error is closed, there is no other place to report to.
    let _ = screen::above(|| writeln!(io::stderr().lock(), "{text}"));
}

/// Prints an error message on standard error.
pub(super) fn print_error(text: &str) {
    print_line(&format!("scanwatch: {text}"));
}

/// Escapes control characters in untrusted text, because a terminal would interpret them.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| if is_unprintable(c) { c.escape_default().collect() } else { vec![c] })
        .collect()
}
