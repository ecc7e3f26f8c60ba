//! Logging to standard error, as text or JSON.

use super::screen;
use crate::config::{LogConfig, LogFormat};
use std::io::{self, IsTerminal};
use tracing_subscriber::fmt;

/// Starts logging, once per process.
pub(super) fn start(config: LogConfig) {
    let builder = fmt()
        .with_max_level(config.level)
        .with_writer(|| screen::Above)
        .with_target(false)
        // tracing reports a failed write (a full disk, a closed pipe) with `eprintln!`, which
        // panics if its own write fails.
        .log_internal_errors(false);
    let started = match config.format {
        LogFormat::Json => {
            tracing::subscriber::set_global_default(builder.json().flatten_event(true).finish())
        }
        LogFormat::Text => {
            let colours = screen::has_colours(io::stderr().is_terminal());
            tracing::subscriber::set_global_default(builder.with_ansi(colours).finish())
        }
    };
    // Only a second call fails; the first one stays in effect.
    let _ = started;
}
