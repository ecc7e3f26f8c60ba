//! The arguments that every command with settings has, and `scanwatch config`.

use super::{Exit, output};
use crate::{
    api::auth::Auth,
    config::{Config, DEFAULTS, Refused, Sources},
};
use clap::{Args, Subcommand};
use std::path::PathBuf;

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
pub(super) enum ConfigCommand {
    /// Check the settings as `serve` would, and say what is wrong.
    Check {
        #[command(flatten)]
        settings: SettingsArgs,
    },
    /// Print every setting with its default and its meaning.
    Defaults,
}

impl SettingsArgs {
    /// Reads all settings; `more` are those of flags of the command's own.
    pub(super) fn load(self, more: Vec<(String, String)>) -> Result<Config, Refused> {
        let mut flags = self.settings;
        flags.extend(more);
        let environment = std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Config::load(&Sources { file: self.config, environment, flags })
    }
}

pub(super) fn run(command: ConfigCommand) -> Exit {
    match command {
        ConfigCommand::Check { settings } => match settings.load(Vec::new()) {
            // What the files hold is for the one who checks to hear as well.
            Ok(config) => match Auth::new(None, &config.auth) {
                Ok(_) => {
                    output::say("the settings are fine");
                    Exit::Done
                }
                Err(error) => {
                    output::complain(&error.to_string());
                    Exit::Usage
                }
            },
            Err(refused) => {
                output::complain(&refused.to_string());
                Exit::Usage
            }
        },
        ConfigCommand::Defaults => match output::data(DEFAULTS.as_bytes()) {
            Ok(()) => Exit::Done,
            Err(_) => Exit::Failed,
        },
    }
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("want section.key=value")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}
