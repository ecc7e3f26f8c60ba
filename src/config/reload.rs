//! Reads the settings again while the server runs.
//!
//! Input: the sources of the start, and the table in force. Output: new settings, and the names of
//! those that changed. Invariants: a setting that only a restart can change keeps the value of the
//! start, and is named again at each reload until then; the first error refuses the whole reload;
//! no report contains a secret.

use super::{Config, Forge, SettingsError, Sources, Webhook, layers, merge_layers, validate};
use crate::model::address::Origin;
use secrecy::ExposeSecret;
use std::collections::BTreeMap;
use toml::{Table, Value};

/// The settings that are used once, at the start: sockets, folders, sandbox, files of [auth].
const AT_START: [&str; 21] = [
    "server.listen",
    "server.public_url",
    "server.tls_certificate_file",
    "server.tls_key_file",
    "server.max_connections",
    "server.header_timeout_secs",
    "server.body_timeout_secs",
    "server.write_timeout_secs",
    "server.max_body_bytes",
    "server.stop_grace_secs",
    "auth.htpasswd_file",
    "auth.tokens_file",
    "auth.reload_interval_secs",
    "jobs.dir",
    "jobs.cleanup_interval_secs",
    "scanner.command",
    "scanner.command_version",
    "scanner.sandbox",
    "scanner.sandbox_paths",
    "log.format",
    "log.level",
];
/// Sections whose settings are all used once.
const SECTIONS_AT_START: [&str; 4] = ["archive", "engine", "slurm", "watch"];

/// The sources of the settings, and the table that is in force.
#[derive(Debug)]
pub struct Reloader {
    sources: Sources,
    table: Table,
}

/// What a reload changed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Changes {
    /// The settings that changed and are in force from now on, sorted.
    pub settings: Vec<String>,
    /// The forges whose token was replaced, added or removed, although no setting changed.
    pub tokens: Vec<Origin>,
    /// The forges whose certificate authorities changed, although no setting changed.
    pub authorities: Vec<Origin>,
    /// The webhooks whose secret or certificate authorities were replaced, although no setting changed.
    pub webhooks: Vec<String>,
    /// The settings that changed and come into force with the next start, sorted.
    pub need_restart: Vec<String>,
}

impl Changes {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Reloader {
    /// Reads all settings for the first time.
    ///
    /// # Errors
    /// Like [`Config::load`].
    pub fn load(sources: Sources) -> Result<(Self, Config), SettingsError> {
        let (table, places) = merge_layers(&sources)?;
        let config = validate(table.clone(), &places, &sources)?;
        Ok((Self { sources, table }, config))
    }

    /// Reads all settings again, with the tokens and certificate authorities that they name.
    /// `before` are those in force.
    ///
    /// # Errors
    /// The first invalid setting; in this case the settings in force stay.
    pub fn reload(&mut self, before: &Config) -> Result<(Config, Changes), SettingsError> {
        let (mut table, places) = merge_layers(&self.sources)?;
        // A value that only a restart can bring into force has to be valid too: the next start would
        // fail otherwise.
        validate(table.clone(), &places, &self.sources)?;
        let mut changes = Changes::default();
        for path in differences(&self.table, &table) {
            if is_used_once(&path) {
                keep(&mut table, &self.table, &path);
                changes.need_restart.push(path);
            } else {
                changes.settings.push(path);
            }
        }
        let config = validate(table.clone(), &places, &self.sources)?;
        if !changes.settings.iter().any(|path| path == "forges") {
            for (old, new) in before.forges.iter().zip(&config.forges) {
                if secret(old) != secret(new) {
                    changes.tokens.push(new.origin.clone());
                }
                if old.authorities != new.authorities {
                    changes.authorities.push(new.origin.clone());
                }
            }
        }
        if !changes.settings.iter().any(|path| path == "webhooks") {
            let pairs = before.webhooks.iter().zip(&config.webhooks);
            let replaced = pairs.filter(|(old, new)| !has_same_files(old, new));
            changes.webhooks.extend(replaced.map(|(_, new)| new.name.clone()));
        }
        self.table = table;
        Ok((config, changes))
    }
}

fn secret(forge: &Forge) -> Option<&str> {
    forge.token.as_ref().map(ExposeSecret::expose_secret)
}

fn has_same_files(old: &Webhook, new: &Webhook) -> bool {
    let secrets = |of: &Webhook| -> Vec<String> {
        of.secrets.iter().map(|secret| secret.expose_secret().to_owned()).collect()
    };
    secrets(old) == secrets(new) && old.authorities == new.authorities
}

fn is_used_once(path: &str) -> bool {
    let section = path.split('.').next().unwrap_or_default();
    AT_START.contains(&path) || SECTIONS_AT_START.contains(&section)
}

/// The names of the settings whose values differ, sorted.
fn differences(old: &Table, new: &Table) -> Vec<String> {
    let list = |table: &Table| -> BTreeMap<String, Value> {
        let settings = layers::flatten(table.clone(), &BTreeMap::new());
        settings.into_iter().map(|setting| (setting.path, setting.value)).collect()
    };
    let (old, mut new) = (list(old), list(new));
    let mut names: Vec<String> = old
        .into_iter()
        .filter_map(|(path, value)| (new.remove(&path) != Some(value)).then_some(path))
        .collect();
    // What is left is new.
    names.extend(new.into_keys());
    names.sort_unstable();
    names
}

/// Gives a setting of `table` its value in `kept`.
fn keep(table: &mut Table, kept: &Table, path: &str) {
    let Some((section, key)) = path.split_once('.') else { return };
    let value = kept.get(section).and_then(|members| members.get(key)).cloned();
    if let (Some(Value::Table(members)), Some(value)) = (table.get_mut(section), value) {
        members.insert(key.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::atomic::{self, Durability};
    use std::path::Path;

    fn write(path: &Path, text: &str) {
        let folder = path.parent().unwrap();
        atomic::replace(folder, path, text.as_bytes(), Durability::Eventual).unwrap();
    }

    /// Breaks if a setting that only a restart changes is applied or forgotten, or if a file with a
    /// fault changes anything.
    #[test]
    fn settings_are_applied_kept_or_refused_as_a_whole() {
        let root = tempfile::tempdir().unwrap();
        let (file, token) = (root.path().join("s.toml"), root.path().join("token"));
        let forge = format!(
            "[[forges]]\nkind = \"git\"\nurl = \"https://git.example\"\ntoken_file = \"{}\"\n",
            token.display()
        );
        write(&token, "first");
        write(&file, &forge);
        let sources = Sources { file: Some(file.clone()), ..Sources::default() };
        let (mut reloader, config) = Reloader::load(sources).unwrap();
        let (config, changes) = reloader.reload(&config).unwrap();
        assert!(changes.is_empty(), "{changes:?}");

        write(&token, "second");
        let text = format!(
            "limits.max_packages = 7\nserver.listen = \"127.0.0.1:1\"\nwatch.mode = \"poll\"\n\
             categories.a.dependencies = [\"a\"]\n{forge}"
        );
        write(&file, &text);
        let (config, changes) = reloader.reload(&config).unwrap();
        for name in ["categories.Databases", "categories.a", "limits.max_packages"] {
            assert!(changes.settings.iter().any(|changed| changed == name), "{name}: {changes:?}");
        }
        assert_eq!(changes.need_restart, ["server.listen", "watch.mode"]);
        assert_eq!(changes.tokens.len(), 1);
        assert_eq!(config.limits.max_packages, 7);
        assert_eq!(config.server.listen.port(), 8000);
        assert_eq!(secret(&config.forges[0]), Some("second"));

        write(&file, &text.replace("= 7", "= -7"));
        let error = reloader.reload(&config).unwrap_err().to_string();
        assert!(error.contains("s.toml, line 1: `limits.max_packages`"), "{error}");
        write(&file, &text);
        let (_, changes) = reloader.reload(&config).unwrap();
        let expected = Changes { need_restart: changes.need_restart.clone(), ..Changes::default() };
        assert_eq!((changes.need_restart.len(), changes), (2, expected));
    }

    #[test]
    fn every_setting_of_the_start_exists() {
        let (defaults, _) = merge_layers(&Sources::default()).unwrap();
        let names = differences(&Table::new(), &defaults);
        for name in AT_START {
            assert!(names.iter().any(|known| known == name), "{name} is no setting");
        }
        for section in SECTIONS_AT_START {
            let is_of_it = |name: &&String| name.split('.').next() == Some(section);
            assert!(names.iter().filter(is_of_it).any(|name| is_used_once(name)), "{section}");
        }
    }
}
