//! The command line: one file per command.
//!
//! What flows in: arguments, settings. What flows out: data on standard output, everything else
//! on standard error, and an exit code. What must stay true: rules live elsewhere; output is
//! written so that a closed pipe ends it quietly.

mod cancel;
mod client;
mod exit;
mod health;
mod jobs;
mod logging;
mod manual;
mod openapi;
mod output;
mod progress;
mod results;
mod retry;
mod scan;
mod schema;
mod serve;
mod settings;
mod signals;
mod status;
mod submit;
mod table;
mod token;
mod wanted;
mod watch;
mod worker;

pub use exit::Exit;

use clap::{Parser, Subcommand};
use settings::SettingsArgs;
use std::process::ExitCode;

/// Scans git repositories for their dependencies, each in a process of its own, and shows live
/// what happens.
#[derive(Debug, Parser)]
#[command(name = "scanwatch", version, about, arg_required_else_help = true)]
#[command(after_help = exit::CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service: submit scans by HTTP, follow them live.
    Serve(serve::ServeArgs),
    /// Scan repositories or local folders now, without a server.
    Scan(scan::ScanArgs),
    /// Submit repositories or groups to a server; with --wait, follow them to their end.
    Submit(submit::SubmitArgs),
    /// Follow jobs of a server until they are over; a restart of the server ends nothing.
    Watch(watch::WatchArgs),
    /// Print where a job of a server stands.
    Status(status::StatusArgs),
    /// Print what a job of a server has found.
    Results(results::ResultsArgs),
    /// List the jobs of a server, newest first.
    Jobs(jobs::JobsArgs),
    /// End jobs of a server.
    Cancel(cancel::CancelArgs),
    /// Have the failed repositories of a job scanned again.
    Retry(retry::RetryArgs),
    /// Print how a server is.
    Health(health::HealthArgs),
    /// The built-in scanner: one repository. The server starts it; by hand, give --url.
    Worker(worker::WorkerArgs),
    /// Look at the settings.
    Config {
        #[command(subcommand)]
        command: settings::ConfigCommand,
    },
    /// Tokens for programs that use the server.
    #[command(after_help = exit::CODES_OF_PRINTING)]
    Token {
        #[command(subcommand)]
        command: token::TokenCommand,
    },
    /// Print the OpenAPI document of the service.
    #[command(after_help = exit::CODES_OF_PRINTING)]
    Openapi,
    /// Print JSON Schemas of the files of a job.
    Schema(schema::SchemaArgs),
    /// Print the completions of a shell.
    Completions(manual::CompletionsArgs),
    /// Print the manual page, or write one for every command into a folder.
    Man(manual::ManArgs),
    /// Stands between server and scanner; the server starts it, with its task on standard input.
    #[command(hide = true)]
    Shim {
        /// For people who read the list of processes.
        _words: Vec<String>,
    },
}

/// Runs the program to its end.
pub fn run() -> ExitCode {
    // A scan starts this program twice, with these very words: to describe all commands before they are
    // recognized would take as long as the rest of the start.
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    match words.as_slice() {
        [command, _, _, _] if command == "shim" => return crate::shim::run(),
        [command] if command == "worker" => return worker::run_task(),
        _ => {}
    }
    match Cli::parse().command {
        Command::Serve(args) => serve::run(args).into(),
        Command::Scan(args) => scan::run(args).into(),
        Command::Submit(args) => submit::run(&args).into(),
        Command::Watch(args) => watch::run(&args).into(),
        Command::Status(args) => status::run(&args).into(),
        Command::Results(args) => results::run(&args).into(),
        Command::Jobs(args) => jobs::run(&args).into(),
        Command::Cancel(args) => cancel::run(&args).into(),
        Command::Retry(args) => retry::run(&args).into(),
        Command::Health(args) => health::run(&args).into(),
        Command::Worker(args) => worker::run(args),
        Command::Config { command } => settings::run(command).into(),
        Command::Token { command } => token::run(command).into(),
        Command::Openapi => openapi::run().into(),
        Command::Schema(args) => schema::run(&args).into(),
        Command::Completions(args) => manual::completions(&args).into(),
        Command::Man(args) => manual::man(&args).into(),
        Command::Shim { .. } => crate::shim::run(),
    }
}
