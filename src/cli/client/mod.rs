//! What the commands that ask a server have in common.
//!
//! What flows in: the server's address, credentials of the environment, what the user wants. What
//! flows out: the server's documents, progress, and exit codes that a CI job can rely on. What must
//! stay true: secrets come from the environment alone, never from arguments, and are never shown;
//! standard output is data only.

mod board;
mod error;
mod http;
mod job;
mod sse;
mod stream;
mod wait;

pub(in crate::cli) use board::Board;
pub(in crate::cli) use error::ClientError;
pub(in crate::cli) use http::{Client, Document};
pub(in crate::cli) use job::{JobView, News};
pub(in crate::cli) use wait::{Wait, WaitArgs};

use super::{Exit, output};
use clap::Args;
use std::{path::PathBuf, time::Duration};

const SERVER_HELP: &str = "The server's address [env: SCANNER_SERVER_URL] [default: \
    http://127.0.0.1:8000]. Credentials come from the environment alone: SCANWATCH_TOKEN, or \
    API_USERNAME and API_PASSWORD";

const CA_FILE_HELP: &str = "Certificates (PEM) of the authorities that vouch for the server, instead \
    of the system's [env: SCANNER_CA_FILE]";

/// Which server is asked, and how its answers are printed.
#[derive(Debug, Args)]
pub(in crate::cli) struct ServerArgs {
    #[arg(long, value_name = "URL", help = SERVER_HELP)]
    server: Option<String>,
    #[arg(long, value_name = "FILE", help = CA_FILE_HELP)]
    ca_file: Option<PathBuf>,
    /// Print the server's documents as they are: JSON, one document a line where there are several.
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// Asks a server, and says what went wrong.
pub(in crate::cli) fn ask(
    args: &ServerArgs,
    questions: impl AsyncFnOnce(&Client) -> Result<Exit, ClientError>,
) -> Exit {
    let client = match Client::of(args) {
        Ok(client) => client,
        Err(error) => return error.tell(),
    };
    // One thread: a command waits, most of the time.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::complain(&format!("cannot start the runtime: {error}"));
            return Exit::Usage;
        }
    };
    runtime.block_on(questions(&client)).unwrap_or_else(|error| error.tell())
}

/// A length of time for people, in its two largest units.
pub(in crate::cli) fn spoken(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}
