//! One of `[[forges]]`: its origin, its token, its certificate authorities.
//!
//! What flows in: a table of the settings, and the files and variables that it names. What flows
//! out: a [`Forge`], or what is wrong. What must stay true: no message repeats a secret.

use super::{Forge, ForgeKind, authorities};
use crate::model::address::{Authority, Origin};
use secrecy::SecretString;
use serde::Deserialize;
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawForge {
    kind: ForgeKind,
    url: String,
    token_file: Option<PathBuf>,
    token_env: Option<String>,
    ca_file: Option<PathBuf>,
    #[serde(default = "default_username")]
    username: String,
}

fn default_username() -> String {
    "oauth2".to_owned()
}

impl RawForge {
    /// The forge, and its bundle of authorities as scanners are told of it.
    pub(super) fn check(
        self,
        environment: &[(String, String)],
    ) -> Result<(Forge, Option<Authority>), String> {
        let parsed = url::Url::parse(&self.url).ok();
        let usable = parsed.filter(|it| {
            matches!(it.scheme(), "https" | "http")
                && it.username().is_empty()
                && it.password().is_none()
        });
        let origin = usable.as_ref().and_then(Origin::of).ok_or_else(|| {
            // The text is not repeated: it may hold a token.
            "`url`: want http(s)://host[:port], without credentials".to_owned()
        })?;
        let token = match (&self.token_file, &self.token_env) {
            (None, None) => None,
            (Some(_), Some(_)) => return Err("want token_file or token_env, not both".to_owned()),
            (Some(path), None) => Some(read_token(path)?),
            (None, Some(name)) => {
                let value =
                    environment.iter().find(|(key, _)| key == name).map(|(_, it)| it.trim());
                let value = value.filter(|it| !it.is_empty());
                let value = value.ok_or_else(|| format!("`token_env`: {name} is not set"))?;
                Some(SecretString::from(value))
            }
        };
        let mut authorities = Vec::new();
        let mut authority = None;
        if let Some(path) = &self.ca_file {
            if origin.scheme != "https" {
                return Err("`ca_file` is for a forge with https".to_owned());
            }
            let (ca_file, certificates) =
                authorities::read(path).map_err(|reason| format!("`ca_file`: {reason}"))?;
            authorities = certificates;
            authority = Some(Authority { origin: origin.clone(), ca_file });
        }
        let forge = Forge { kind: self.kind, origin, username: self.username, token, authorities };
        Ok((forge, authority))
    }
}

fn read_token(path: &Path) -> Result<SecretString, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("`token_file`: cannot read `{}`: {error}", path.display()))?;
    let token = text.trim();
    if token.is_empty() {
        return Err(format!("`token_file`: `{}` is empty", path.display()));
    }
    Ok(SecretString::from(token))
}
