//! The arguments that every command with settings has, and `scanwatch config`.

use super::{Exit, output};
use crate::{
    api::{auth::Auth, tls::Tls},
    config::{Config, DEFAULTS, Effective, Refused, Sources},
};
use clap::{Args, Subcommand};
use serde_json::{Map, json};
use std::{fmt::Write, path::PathBuf};

/// Where the places of settings begin to be said, in characters.
const PLACE_COLUMN: usize = 56;

/// Where settings come from, beside the defaults and the environment.
#[derive(Debug, Default, Args)]
pub(super) struct SettingsArgs {
    /// A settings file (TOML); `scanwatch config defaults` prints one with every setting.
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// One setting, such as `scanner.max_concurrent_processes=8`. May be repeated.
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE", value_parser = parse_pair)]
    pub(super) settings: Vec<(String, String)>,
}

/// `scanwatch config …`
#[derive(Debug, Subcommand)]
#[command(after_help = super::exit::CODES_OF_CONFIG)]
pub(super) enum ConfigCommand {
    /// Check the settings as `serve` would, and say what is wrong.
    Check {
        #[command(flatten)]
        settings: SettingsArgs,
    },
    /// Print every setting as it holds, and where it comes from: the default, a file and line, a
    /// variable, a flag. Secrets are not settings: of a token, only where it is read from is said.
    Show {
        /// One JSON object: each setting with its `value`, and `from`.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        settings: SettingsArgs,
    },
    /// Print every setting with its default and its meaning.
    Defaults,
}

impl SettingsArgs {
    /// Reads all settings; `more` are those of flags of the command's own.
    pub(super) fn load(self, more: Vec<(String, String)>) -> Result<Config, Refused> {
        Config::load(&self.sources(more))
    }

    fn sources(self, more: Vec<(String, String)>) -> Sources {
        let mut flags = self.settings;
        flags.extend(more);
        let environment = std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Sources { file: self.config, environment, flags }
    }
}

pub(super) fn run(command: ConfigCommand) -> Exit {
    match command {
        ConfigCommand::Check { settings } => match settings.load(Vec::new()) {
            Ok(config) => check_files(&config),
            Err(refused) => refuse(&refused),
        },
        ConfigCommand::Show { json, settings } => {
            match Config::effective(&settings.sources(Vec::new())) {
                Ok(settings) if json => print(&as_json(&settings)),
                Ok(settings) => print(&as_file(&settings)),
                Err(refused) => refuse(&refused),
            }
        }
        ConfigCommand::Defaults => print(DEFAULTS),
    }
}

/// Checks what `serve` would read: what the files hold is for the one who checks to hear as well.
fn check_files(config: &Config) -> Exit {
    let users = Auth::new(None, &config.auth).map_err(|error| error.to_string());
    let tls = config.server.tls.as_ref().map(Tls::open).transpose();
    let tls = tls.map_err(|error| error.to_string());
    match (users, tls) {
        (Ok(_), Ok(tls)) => {
            for warning in tls.as_ref().map(Tls::warnings).unwrap_or_default() {
                output::say(&format!("warning: {warning}"));
            }
            output::say("the settings are fine");
            Exit::Done
        }
        (users, tls) => {
            for error in [users.err(), tls.err()].into_iter().flatten() {
                output::complain(&error);
            }
            Exit::Usage
        }
    }
}

fn print(text: &str) -> Exit {
    match output::data(text.as_bytes()) {
        Ok(()) => Exit::Done,
        Err(error) => {
            output::complain(&format!("cannot write to standard output: {error}"));
            Exit::Failed
        }
    }
}

fn refuse(refused: &Refused) -> Exit {
    output::complain(&refused.to_string());
    Exit::Usage
}

fn as_json(settings: &[Effective]) -> String {
    let members = settings.iter().map(|it| {
        let from = it.place.as_deref().unwrap_or("default");
        (it.path.clone(), json!({ "value": it.value, "from": from }))
    });
    format!("{:#}\n", serde_json::Value::Object(members.collect::<Map<_, _>>()))
}

/// As a settings file that says the same, with the places as comments.
fn as_file(settings: &[Effective]) -> String {
    let mut text = String::new();
    for Effective { path, value, place } in settings {
        let setting = format!("{path} = {value}");
        let place = output::printable(place.as_deref().unwrap_or("default"));
        // A `String` takes all that is written to it.
        let _ = writeln!(text, "{setting:PLACE_COLUMN$}  # {place}");
    }
    text
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("want section.key=value")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}
