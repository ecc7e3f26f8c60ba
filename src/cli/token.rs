//! `scanwatch token`: creates tokens for programs that use the server.

use super::{Exit, output};
use crate::api::{
    auth::{Expiry, NewToken},
    scope::Scope,
};
use clap::Subcommand;
use secrecy::ExposeSecret;

/// `scanwatch token …`
#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Create a token. The token is printed once, on standard error; the line for [auth]
    /// `tokens_file`, which contains no secret, goes to standard output.
    New {
        /// The name of the token, shown in /health and in jobs.
        name: String,
        /// The permissions of the token: "read" reads, "write" also submits, cancels and retries,
        /// "admin" also removes jobs.
        #[arg(long)]
        scope: Scope,
        /// The last day on which the token is valid (2030-12-31), or the instant at which it
        /// expires.
        #[arg(long, value_name = "DAY")]
        expires: Option<Expiry>,
    },
}

pub(super) fn run(command: TokenCommand) -> Exit {
    let TokenCommand::New { name, scope, expires } = command;
    let token = match NewToken::make(&name, scope, expires.as_ref()) {
        Ok(token) => token,
        Err(error) => {
            output::print_error(&error.to_string());
            return Exit::Usage;
        }
    };
    if let Err(error) = output::write_data(format!("{}\n", token.line).as_bytes()) {
        output::print_error(&format!(
            "cannot write the line for the tokens file to standard output: {error}; the token is not printed, because no server knows it without this line; run the command again with a writable standard output"
        ));
        return Exit::Usage;
    }
    output::print_line(&format!(
        "The token (it is not shown again):\n\n\x20 {}\n\n\
         Clients send it as `Authorization: Bearer TOKEN`, or as the password of the user `token`.\n\
         Append the line on standard output to the file that [auth] tokens_file names.",
        token.secret.expose_secret(),
    ));
    Exit::Done
}
