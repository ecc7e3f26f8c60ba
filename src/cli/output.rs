//! The two streams of a command: data to standard output, the rest to standard error.

use crate::model::unseen::is_unseen;
use std::io::{self, Write};

/// Writes data that more may follow; a reader that has gone away is told as a broken pipe.
pub(super) fn write(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush())
}

/// Writes data. A reader that has gone away (`| head`) is no error.
pub(super) fn data(bytes: &[u8]) -> io::Result<()> {
    match write(bytes) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Says something to the person at the terminal.
pub(super) fn say(text: &str) {
    // With nobody to hear it there is nothing to be done.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Says what went wrong.
pub(super) fn complain(text: &str) {
    say(&format!("scanwatch: {text}"));
}

/// Text of others without control characters, which a terminal obeys.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| if is_unseen(c) { c.escape_default().collect() } else { vec![c] })
        .collect()
}
