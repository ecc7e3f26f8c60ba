//! The settings arguments, which several commands share, and `scanwatch config`.

use super::{Exit, output, start_checks};
use crate::{
    config::{
        Config, DEFAULTS, EffectiveSetting, Reloader, SettingsError, Sources,
        foreign::{self, Imported},
    },
    ecosystem::yaml_value,
    store::chain,
};
use clap::{Args, Subcommand};
use serde_json::{Map, json};
use std::{
    fmt::Write,
    fs, io,
    path::{Path, PathBuf},
};

/// The column at which `config show` prints the sources of settings, in characters.
const SOURCE_COLUMN: usize = 56;

/// Sources of settings in addition to the defaults and the environment.
#[derive(Debug, Clone, Default, Args)]
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
    /// Check the settings as `serve` would, and report errors.
    Check {
        #[command(flatten)]
        settings: SettingsArgs,
    },
    /// Print the effective value of every setting, and where it comes from: the default, a file and
    /// line, a variable, a flag. Secrets are not settings: for a token, only its source is shown.
    Show {
        /// Print one JSON object: each setting with its `value`, and its source as `from`.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        settings: SettingsArgs,
    },
    /// Print every setting with its default and its meaning.
    Defaults,
    /// Print the settings file that corresponds to the config.yaml of the Python service. What has no
    /// equivalent is listed on standard error.
    Import {
        /// The file, or `-` for standard input.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

impl SettingsArgs {
    /// Reads all settings, to be read again later; `more` are the command's own flags.
    pub(super) fn reloadable(
        self,
        more: Vec<(String, String)>,
    ) -> Result<(Reloader, Config), SettingsError> {
        Reloader::load(self.sources(more))
    }

    /// Reads all settings; `more` are the command's own flags.
    pub(super) fn load(self, more: Vec<(String, String)>) -> Result<Config, SettingsError> {
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
            Ok(config) => check(&config),
            Err(refused) => refuse(&refused),
        },
        ConfigCommand::Show { json, settings } => {
            match Config::effective(&settings.sources(Vec::new())) {
                Ok(settings) if json => output::print(as_json(&settings).as_bytes()),
                Ok(settings) => output::print(as_file(&settings).as_bytes()),
                Err(refused) => refuse(&refused),
            }
        }
        ConfigCommand::Defaults => output::print(DEFAULTS.as_bytes()),
        ConfigCommand::Import { file } => import(&file),
    }
}

/// Prints a settings file that corresponds to a file of the Python service.
fn import(file: &Path) -> Exit {
    let name = if file == "-" { "standard input".into() } else { file.display().to_string() };
    let text = match if file == "-" {
        io::read_to_string(io::stdin())
    } else {
        fs::read_to_string(file)
    } {
        Ok(text) => text,
        Err(error) => {
            output::print_error(&format!("cannot read {name}: {error}"));
            return Exit::Usage;
        }
    };
    let document = match yaml_value(&text) {
        Ok(document) => document,
        Err((line, message)) => {
            output::print_error(&format!("{name}, line {line}: {}", output::printable(&message)));
            return Exit::Usage;
        }
    };
    let Imported { settings, remarks } = foreign::import(&document);
    for remark in remarks {
        output::print_message(&format!("not taken over: {}", output::printable(&remark)));
    }
    if settings.is_empty() {
        output::print_error(&format!("{name} has no setting that scanwatch knows"));
        return Exit::Usage;
    }
    match toml::to_string_pretty(&settings) {
        Ok(text) => output::print(text.as_bytes()),
        Err(error) => {
            output::print_error(&format!("cannot print the settings as TOML: {error}"));
            Exit::Failed
        }
    }
}

/// Checks what `serve` checks before it listens, and prints every error and warning.
fn check(config: &Config) -> Exit {
    match (start_checks::accounts(config), start_checks::certificate(config)) {
        (Ok(auth), Ok(tls)) => {
            for warning in start_checks::warnings(config, &auth, tls.as_ref()) {
                output::print_message(&format!("warning: {warning}"));
            }
            if let Some(proxy) = &config.network.proxy {
                output::print_message(&format!(
                    "note: hosts are contacted through the proxy {}, which resolves their names: it has to block \
                     private addresses, which are not checked here; hosts of network.no_proxy are checked as \
                     without a proxy",
                    proxy.url
                ));
            }
            output::print_message("the settings are valid");
            Exit::Done
        }
        (accounts, certificate) => {
            for error in [accounts.err(), certificate.err()].into_iter().flatten() {
                output::print_error(&chain(&error));
            }
            Exit::Usage
        }
    }
}

fn refuse(refused: &SettingsError) -> Exit {
    output::print_error(&refused.to_string());
    Exit::Usage
}

fn as_json(settings: &[EffectiveSetting]) -> String {
    let members = settings.iter().map(|setting| {
        let from = setting.place.as_deref().unwrap_or("default");
        (setting.path.clone(), json!({ "value": setting.value, "from": from }))
    });
    format!("{:#}\n", serde_json::Value::Object(members.collect::<Map<_, _>>()))
}

/// Renders an equivalent settings file, with the sources as comments.
fn as_file(settings: &[EffectiveSetting]) -> String {
    let mut text = String::new();
    for EffectiveSetting { path, value, place } in settings {
        let setting = format!("{path} = {value}");
        let place = output::printable(place.as_deref().unwrap_or("default"));
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "{setting:SOURCE_COLUMN$}  # {place}");
    }
    text
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected section.key=value")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}
