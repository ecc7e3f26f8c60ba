//! The command line: one file per command.
//!
//! Input: arguments and settings. Output: data on standard output, everything else on standard
//! error, and an exit code. Invariants: commands contain no rules of their own; a closed pipe ends
//! a command without an error message.

#[cfg(feature = "nats")]
mod agent;
mod agents;
#[cfg(feature = "archive")]
mod archive;
mod cancel;
mod client;
mod diff;
mod dry_run;
mod exit;
mod filter_args;
mod health;
mod jobs;
mod limits;
mod logging;
mod logs;
mod manual;
mod openapi;
mod output;
mod packages;
mod progress;
mod remove;
mod results;
mod retry;
mod sbom;
mod scan;
mod scan_options;
mod schedules;
mod schema;
mod screen;
mod serve;
mod settings;
mod signals;
mod start_checks;
mod status;
mod submit;
mod table;
mod token;
#[cfg(feature = "top")]
mod top;
mod turns;
mod watch;
mod webhook;
mod worker;

pub use exit::Exit;
pub use output::note_closed_output;

use clap::{Parser, Subcommand};
use settings::SettingsArgs;
use std::process::ExitCode;

/// Scans git repositories for their dependencies, each in a process of its own, and publishes the
/// progress live.
#[derive(Debug, Parser)]
#[command(name = "scanwatch", version, about, arg_required_else_help = true)]
#[command(after_help = exit::CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Print only data and errors: no progress, no warnings, no summary.
    #[arg(long, short, global = true)]
    quiet: bool,
    /// The server's address, as for the commands that send requests to one.
    #[arg(long, value_name = "URL", hide = true)]
    server: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service: clients submit scans over HTTP and follow their progress.
    Serve(serve::ServeArgs),
    /// Scan repositories or local folders now, without a server.
    Scan(scan::ScanArgs),
    /// Submit repositories or groups to a server; with --wait, wait until they are finished.
    Submit(submit::SubmitArgs),
    /// Follow jobs of a server until they are finished; continues after a restart of the server.
    Watch(watch::WatchArgs),
    /// Show the jobs of a server on the terminal, live; `?` lists the keys.
    #[cfg(feature = "top")]
    Top(top::TopArgs),
    /// Print the progress of a job of a server.
    Status(status::StatusArgs),
    /// Print the results of a job of a server.
    Results(results::ResultsArgs),
    /// Find packages in all repositories of a job of a server: who uses a package, and in which
    /// version.
    Packages(packages::PackagesArgs),
    /// Compare the packages of two jobs of the same URL: what was added, removed or changed.
    Diff(diff::DiffArgs),
    /// Print the bill of materials of a job of a server.
    Sbom(sbom::SbomArgs),
    /// Print the log of the scanner of a repository.
    Logs(logs::LogsArgs),
    /// List the jobs of a server, newest first.
    Jobs(jobs::JobsArgs),
    /// Cancel jobs of a server.
    Cancel(cancel::CancelArgs),
    /// Scan the failed repositories of a job again.
    Retry(retry::RetryArgs),
    /// Pause jobs of a server: running scans end on their own, and nothing more is started.
    Pause(turns::TurnArgs),
    /// Resume paused jobs of a server.
    Resume(turns::TurnArgs),
    /// Put jobs of a server before the other jobs of their users.
    Bump(turns::TurnArgs),
    /// Remove finished jobs and their files from a server.
    Rm(remove::RemoveArgs),
    /// List, store, remove and run the schedules of a server.
    Schedules(schedules::SchedulesArgs),
    /// Show the webhooks of a server and their deliveries, send deliveries again, try webhooks.
    #[command(after_help = exit::CODES_OF_REQUESTS)]
    Webhook {
        #[command(subcommand)]
        command: webhook::WebhookCommand,
    },
    /// List and restore the jobs of the archive in object storage; needs no server.
    #[cfg(feature = "archive")]
    #[command(after_help = exit::CODES_OF_ARCHIVE)]
    Archive {
        #[command(subcommand)]
        command: archive::ArchiveCommand,
    },
    /// Print the health of a server.
    Health(health::HealthArgs),
    /// Print how many scans may run at once on a server; with --max, change it.
    Limits(limits::LimitsArgs),
    /// Scan on this machine for a server on another one, through NATS.
    #[cfg(feature = "nats")]
    Agent(agent::AgentArgs),
    /// List the agents on other machines that scan for a server.
    Agents(agents::AgentsArgs),
    /// Run the built-in scanner on one repository. The server starts it; to run it manually, use
    /// --url.
    Worker(worker::WorkerArgs),
    /// Check or print the settings.
    Config {
        #[command(subcommand)]
        command: settings::ConfigCommand,
    },
    /// Manage tokens for programs that use the server.
    #[command(after_help = exit::CODES_OF_PRINTING)]
    Token {
        #[command(subcommand)]
        command: token::TokenCommand,
    },
    /// Print the version.
    #[command(after_help = exit::CODES_OF_PRINTING)]
    Version,
    /// Print the OpenAPI document of the service.
    #[command(after_help = exit::CODES_OF_PRINTING)]
    Openapi,
    /// Print JSON Schemas of the files of a job.
    Schema(schema::SchemaArgs),
    /// Print the completion script of a shell.
    Completions(manual::CompletionsArgs),
    /// Print the manual page, or write one page per command into a folder.
    Man(manual::ManArgs),
    /// Run a shim between server and scanner; the server starts it and sends the task on standard
    /// input.
    #[command(hide = true)]
    Shim {
        /// Job, repository and attempt, shown in the process list.
        _words: Vec<String>,
    },
}

impl Command {
    /// Whether the command sends requests to a server.
    fn is_client(&self) -> bool {
        #[cfg(feature = "top")]
        if matches!(self, Self::Top(_)) {
            return true;
        }
        matches!(
            self,
            Self::Submit(_)
                | Self::Watch(_)
                | Self::Status(_)
                | Self::Results(_)
                | Self::Jobs(_)
                | Self::Cancel(_)
                | Self::Retry(_)
                | Self::Pause(_)
                | Self::Resume(_)
                | Self::Bump(_)
                | Self::Health(_)
                | Self::Schedules(_)
                | Self::Limits(_)
                | Self::Agents(_)
        )
    }
}

/// Parses the arguments, runs the command and returns its exit code.
pub fn run() -> ExitCode {
    // Each scan starts this program twice with these arguments. Building the description of all
    // commands to parse them would take as long as the rest of the start.
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    match words.as_slice() {
        [command, _, _, _] if command == "shim" => return crate::shim::run(),
        [command] if command == "worker" => return worker::run_task(),
        [command, folder, array] if command == crate::model::element::COMMAND => {
            return crate::shim::element::run(folder.as_ref(), &array.to_string_lossy());
        }
        _ => {}
    }
    let Cli { command, quiet, server } = match Cli::try_parse() {
        Ok(parsed) => parsed,
        Err(error) if error.use_stderr() => error.exit(),
        // A help text or the version.
        Err(text) => return output::print_help(&text).into(),
    };
    if quiet {
        screen::be_quiet();
    }
    if let Some(server) = server {
        if !command.is_client() {
            output::print_error("--server: this command sends no requests to a server");
            return Exit::Usage.into();
        }
        client::set_server(server);
    }
    match command {
        Command::Serve(args) => serve::run(args).into(),
        Command::Scan(args) => scan::run(args).into(),
        Command::Submit(args) => submit::run(&args).into(),
        Command::Watch(args) => watch::run(&args).into(),
        #[cfg(feature = "top")]
        Command::Top(args) => top::run(&args).into(),
        Command::Status(args) => status::run(&args).into(),
        Command::Results(args) => results::run(&args).into(),
        Command::Diff(args) => diff::run(&args).into(),
        Command::Packages(args) => packages::run(&args).into(),
        Command::Sbom(args) => sbom::run(&args).into(),
        Command::Logs(args) => logs::run(&args).into(),
        Command::Jobs(args) => jobs::run(&args).into(),
        Command::Cancel(args) => cancel::run(&args).into(),
        Command::Retry(args) => retry::run(&args).into(),
        Command::Pause(args) => turns::run(&args, "pause").into(),
        Command::Resume(args) => turns::run(&args, "resume").into(),
        Command::Bump(args) => turns::run(&args, "bump").into(),
        Command::Rm(args) => remove::run(&args).into(),
        Command::Schedules(args) => schedules::run(&args).into(),
        Command::Webhook { command } => webhook::run(&command).into(),
        #[cfg(feature = "archive")]
        Command::Archive { command } => archive::run(command).into(),
        Command::Health(args) => health::run(&args).into(),
        Command::Limits(args) => limits::run(&args).into(),
        #[cfg(feature = "nats")]
        Command::Agent(args) => agent::run(args).into(),
        Command::Agents(args) => agents::run(&args).into(),
        Command::Worker(args) => worker::run(args),
        Command::Config { command } => settings::run(command).into(),
        Command::Token { command } => token::run(command).into(),
        Command::Version => {
            output::print(concat!("scanwatch ", env!("CARGO_PKG_VERSION"), "\n").as_bytes()).into()
        }
        Command::Openapi => openapi::run().into(),
        Command::Schema(args) => schema::run(&args).into(),
        Command::Completions(args) => manual::completions(&args).into(),
        Command::Man(args) => manual::man(&args).into(),
        Command::Shim { .. } => crate::shim::run(),
    }
}
