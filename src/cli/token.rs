//! `scanwatch token`: tokens for programs that use the server.

use super::{Exit, output};
use crate::api::auth::{Expiry, NewToken, Scope};
use clap::Subcommand;
use secrecy::ExposeSecret;

/// `scanwatch token …`
#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Make a token. It is shown once, on standard error; the line for [auth] `tokens_file`, which
    /// holds no secret, goes to standard output.
    New {
        /// What it is called, in /health and in jobs.
        name: String,
        /// What it may do: "read" looks, "write" submits, cancels and retries too,
        /// "admin" removes jobs too.
        #[arg(long)]
        scope: Scope,
        /// The last day on which it is good (2030-12-31), or the instant at which it ends.
        #[arg(long, value_name = "DAY")]
        expires: Option<Expiry>,
    },
}

pub(super) fn run(command: TokenCommand) -> Exit {
    let TokenCommand::New { name, scope, expires } = command;
    let token = match NewToken::make(&name, scope, expires.as_ref()) {
        Ok(token) => token,
        Err(error) => {
            output::complain(&error.to_string());
            return Exit::Usage;
        }
    };
    if output::data(format!("{}\n", token.line).as_bytes()).is_err() {
        output::complain("cannot write the line: the token is not shown, it would be of no use");
        return Exit::Failed;
    }
    output::say(&format!(
        "The token, which is not shown again:\n\n\x20 {}\n\n\
         It is sent as `Authorization: Bearer TOKEN`, or as the password of the user `token`.\n\
         The line on standard output belongs into the file of [auth] tokens_file.",
        token.secret.expose_secret(),
    ));
    Exit::Done
}
