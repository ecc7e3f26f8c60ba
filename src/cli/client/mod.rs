//! The client of a server, shared by the commands that send requests to one.
//!
//! Input: the server's address, credentials from the environment, the user's arguments. Output: the
//! server's documents, progress, and exit codes for CI jobs. Invariants: secrets come only from the
//! environment, never from arguments, and are never printed; standard output contains only data.

mod error;
mod event_stream;
mod http;
mod job_name;
mod job_view;
mod paged;
mod progress_display;
pub(in crate::cli) mod skipped;
mod sse;
mod wait;

pub(in crate::cli) use error::ClientError;
#[cfg(feature = "top")]
pub(in crate::cli) use event_stream::{EventStream, StreamUpdate};
pub(in crate::cli) use http::{Client, Document};
pub(in crate::cli) use job_name::{JOB_HELP, JobName};
pub(in crate::cli) use job_view::{JobUpdate, JobView, report_of};
#[cfg(feature = "top")]
pub(in crate::cli) use job_view::{discovered, repositories_of, repository_of};
pub(in crate::cli) use paged::{Paged, each_page};
pub(in crate::cli) use progress_display::ProgressDisplay;
pub(in crate::cli) use wait::{Wait, WaitArgs, print_interrupted};

use super::{Exit, output, signals::Signals};
use clap::Args;
use std::{path::PathBuf, sync::OnceLock, time::Duration};

const SERVER_HELP: &str = "The server's address [env: SCANNER_SERVER_URL] [default: \
    http://127.0.0.1:8000]. Credentials are read only from the environment: SCANWATCH_TOKEN, or \
    API_USERNAME and API_PASSWORD";

const CA_FILE_HELP: &str = "The certificate authorities (PEM) of the server, instead of those of the \
    system [env: SCANNER_CA_FILE]";

/// How many of the completed repositories have the result of an earlier scan; empty if none has.
pub(in crate::cli) fn reused(count: u64) -> String {
    if count > 0 { format!(" ({count} of them unchanged and reused)") } else { String::new() }
}

/// The server.
#[derive(Debug, Args)]
pub(in crate::cli) struct AddressArgs {
    #[arg(long, value_name = "URL", help = SERVER_HELP)]
    server: Option<String>,
    #[arg(long, value_name = "FILE", help = CA_FILE_HELP)]
    ca_file: Option<PathBuf>,
}

/// The server, and how its answers are printed.
#[derive(Debug, Args)]
pub(in crate::cli) struct ServerArgs {
    #[command(flatten)]
    address: AddressArgs,
    /// Print the server's JSON documents unchanged; if there are several, one per line.
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// The server that was named before the command.
static SERVER: OnceLock<String> = OnceLock::new();

/// Names the server for commands whose own arguments name none.
pub(in crate::cli) fn set_server(server: String) {
    // Called once.
    let _ = SERVER.set(server);
}

/// Runs a command with a client of the server, and prints its error.
pub(in crate::cli) fn run_with_client(
    args: &ServerArgs,
    command: impl AsyncFnOnce(&Client) -> Result<Exit, ClientError>,
) -> Exit {
    run_with_client_of(&args.address, http::STREAM_TIMEOUT, command)
}

/// As [`run_with_client`], for a command that prints no documents; `stream_timeout` is how long a
/// stream may be silent.
pub(in crate::cli) fn run_with_client_of(
    address: &AddressArgs,
    stream_timeout: Duration,
    command: impl AsyncFnOnce(&Client) -> Result<Exit, ClientError>,
) -> Exit {
    let client = match Client::from_args(address, stream_timeout) {
        Ok(client) => client,
        Err(error) => return error.report(),
    };
    // One thread is enough, because a command mostly waits.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::print_error(&format!("cannot start the runtime: {error}"));
            return Exit::Usage;
        }
    };
    runtime.block_on(command(&client)).unwrap_or_else(|error| error.report())
}

/// Installs the handlers of the signals that end waiting.
pub(in crate::cli) fn listen() -> Result<Signals, ClientError> {
    Signals::listen()
        .map_err(|error| ClientError::Settings(format!("cannot install signal handlers: {error}")))
}

/// Formats a duration in its two largest units.
pub(in crate::cli) fn format_duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}
