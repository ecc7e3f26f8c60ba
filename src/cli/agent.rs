//! `scanwatch agent`: scans on this machine for a server on another one.
//!
//! Input: settings, signals. Output: an agent; with `enroll`, a key and the permissions that the agent needs in NATS.

use super::{
    Exit, SettingsArgs,
    client::{ServerArgs, run_with_client},
    exit, logging, output,
};
use crate::{
    agent::{AgentError, Settings, SettingsProblem, Stop, read_key, run as run_agent},
    config::Config,
    store::chain,
    sys::{
        self,
        service_manager::{self, NOTIFY_VARIABLE, ServiceState},
    },
    wire::{
        permissions::{self, Permissions},
        seal::AgentKey,
    },
};
use clap::{Args, Subcommand};
use serde_json::json;
use std::{
    convert::Infallible,
    fs::{DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

/// `scanwatch agent`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_help = exit::CODES_OF_AGENT)]
pub(super) struct AgentArgs {
    #[command(subcommand)]
    command: Option<AgentCommand>,
    #[command(flatten)]
    agent: OwnArgs,
}

#[derive(Debug, Subcommand)]
enum AgentCommand {
    /// Enroll this agent at a server: create its key, send the public part, and print the permissions that its user needs
    /// in NATS. Requires an account of the scope admin.
    #[command(after_help = exit::CODES_OF_REQUESTS)]
    Enroll {
        #[command(flatten)]
        agent: OwnArgs,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Print the permissions that the user of this agent needs in NATS, for the configuration of nats-server.
    #[command(after_help = exit::CODES_OF_PRINTING)]
    Permissions {
        #[command(flatten)]
        agent: OwnArgs,
        /// Print a JSON object with the lists `publish` and `subscribe`.
        #[arg(long)]
        json: bool,
    },
}

/// What is specific to one agent.
#[derive(Debug, Default, Args)]
struct OwnArgs {
    #[command(flatten)]
    settings: SettingsArgs,
    /// The name of the agent, instead of [agent] name.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// A NATS server, instead of [agent] nats. May be repeated, for the servers of one cluster.
    #[arg(long, value_name = "URL")]
    nats: Vec<String>,
}

impl OwnArgs {
    fn load(self) -> Result<Config, String> {
        let mut flags = Vec::new();
        flags.extend(self.name.map(|name| ("agent.name".to_owned(), name)));
        if !self.nats.is_empty() {
            flags.push(("agent.nats".to_owned(), self.nats.join(",")));
        }
        self.settings.load(flags).map_err(|error| error.to_string())
    }
}

pub(super) fn run(args: AgentArgs) -> Exit {
    match args.command {
        None => serve(args.agent),
        Some(AgentCommand::Enroll { agent, server }) => enroll(agent, &server),
        Some(AgentCommand::Permissions { agent, json }) => print_permissions(agent, json),
    }
}

fn refused(message: &str) -> Exit {
    output::print_error(message);
    Exit::Usage
}

fn serve(args: OwnArgs) -> Exit {
    let config = match args.load() {
        Ok(config) => config,
        Err(message) => return refused(&message),
    };
    logging::start(config.log);
    sys::close_descriptors_on_exec();
    if let Err(error) = sys::protect_memory() {
        tracing::warn!(%error, "other processes of this user can read the agent's memory");
    }
    sys::raise_descriptor_limit();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refused(&format!("cannot start the runtime: {error}")),
    };
    let served = runtime.block_on(async {
        let (requests, stop) = watch::channel(Stop::No);
        notify_manager(ServiceState::Ready);
        tokio::select! {
            served = run_agent(config, stop) => served,
            never = stop_on_signals(requests) => match never {},
        }
    });
    runtime.shutdown_background();
    match served {
        Ok(()) => Exit::Done,
        Err(error) => {
            output::print_error(&chain(&error));
            if matches!(error, AgentError::Locked(_)) { Exit::Locked } else { Exit::Usage }
        }
    }
}

/// The first signal drains the agent, the second one hands its attempts to others, the third one ends it at once.
async fn stop_on_signals(stop: watch::Sender<Stop>) -> Infallible {
    let signals = signal(SignalKind::terminate()).and_then(|terminate| {
        signal(SignalKind::interrupt()).map(|interrupt| (terminate, interrupt))
    });
    let Ok((mut terminate, mut interrupt)) = signals else {
        tracing::error!(
            "cannot install signal handlers: the first signal ends this process at once"
        );
        return std::future::pending().await;
    };
    for next in [Stop::Drain, Stop::HandBack] {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!(?next, "a stop was requested; the next signal goes further");
        notify_manager(ServiceState::Stopping);
        stop.send_replace(next);
    }
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    // Nothing is lost: running scans continue, and the next run of the agent adopts them.
    std::process::exit(130);
}

fn notify_manager(state: ServiceState) {
    if let Some(socket) = std::env::var_os(NOTIFY_VARIABLE)
        && let Err(error) = service_manager::notify(&socket, state)
    {
        tracing::warn!(?socket, %error, "cannot notify the service manager of {state:?}");
    }
}

fn permissions_of(settings: &Settings) -> Permissions {
    permissions::of_agent(&settings.names, &settings.name, &settings.labels)
}

fn load(args: OwnArgs) -> Result<Settings, String> {
    let config = args.load()?;
    Settings::of(&config).map_err(|error| error.to_string())
}

fn print_permissions(args: OwnArgs, as_json: bool) -> Exit {
    let settings = match load(args) {
        Ok(settings) => settings,
        Err(message) => return refused(&message),
    };
    let permissions = permissions_of(&settings);
    if as_json {
        output::print(format!("{}\n", json!(permissions)).as_bytes())
    } else {
        output::print(permissions.for_nats_server().as_bytes())
    }
}

fn enroll(args: OwnArgs, server: &ServerArgs) -> Exit {
    let settings = match load(args) {
        Ok(settings) => settings,
        Err(message) => return refused(&message),
    };
    let key = match key_of(&settings.key_file) {
        Ok(key) => key,
        Err(message) => return refused(&message),
    };
    run_with_client(server, async |client| {
        let labels: Vec<_> = settings.labels.iter().map(ToString::to_string).collect();
        let body = json!({
            "name": settings.name.as_str(),
            "public_key": key.public().as_str(),
            "labels": labels,
        });
        let answer = client.post("/agents", Some(&body)).await?;
        if server.json {
            output::write(&answer.line())?;
            return Ok(Exit::Done);
        }
        output::print_line(&format!(
            "The agent {} is enrolled at {} with the key in {}.\n\
             Its user in NATS needs the permissions on standard output. In the configuration of nats-server they belong to\n\
             the user of this agent; docs/agents.md has an example.",
            settings.name,
            client.server(),
            settings.key_file.display(),
        ));
        output::write(permissions_of(&settings).for_nats_server().as_bytes())?;
        Ok(Exit::Done)
    })
}

/// The agent's key; a new one if there is none.
fn key_of(path: &Path) -> Result<AgentKey, String> {
    match read_key(path) {
        Err(SettingsProblem::NoKey { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
            let key = AgentKey::generate();
            create(path, &key)
                .map_err(|error| format!("cannot create the key {}: {error}", path.display()))?;
            Ok(key)
        }
        other => other.map_err(|error| error.to_string()),
    }
}

/// Writes a new key, which only this user can read.
fn create(path: &Path, key: &AgentKey) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let seed = key.seed().map_err(io::Error::other)?;
    // Nothing reads the file before it is enrolled; what a crash leaves is refused as unusable.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{seed}")?;
    file.sync_all()
}
