//! Validates one of `[[forges]]`: its origin, its token, its certificate authorities.
//!
//! Input: a table of the settings, and the files and variables that it names. Output: a [`Forge`],
//! or an error message. Invariants: no message contains a secret.

use super::{Forge, ForgeKind, authorities};
use crate::model::address::{Authority, Origin};
use secrecy::SecretString;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// One of `[[forges]]`, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ForgeSection {
    kind: ForgeKind,
    url: String,
    token_file: Option<PathBuf>,
    token_env: Option<String>,
    ca_file: Option<PathBuf>,
    username: Option<String>,
}

impl ForgeSection {
    /// The forge, and its bundle of certificate authorities for the scanners' task.
    pub(super) fn check(
        self,
        environment: &[(String, String)],
    ) -> Result<(Forge, Option<Authority>), String> {
        let parsed = url::Url::parse(&self.url).ok();
        let usable = parsed.filter(|url| {
            matches!(url.scheme(), "https" | "http")
                && url.username().is_empty()
                && url.password().is_none()
        });
        let origin = usable.as_ref().and_then(Origin::of).ok_or_else(|| {
            // Do not print the text: it may contain a token.
            "`url`: expected http(s)://host[:port], without credentials".to_owned()
        })?;
        let token = match (&self.token_file, &self.token_env) {
            (None, None) => None,
            (Some(_), Some(_)) => {
                return Err("expected token_file or token_env, not both".to_owned());
            }
            (Some(path), None) => Some(read_token(path)?),
            (None, Some(name)) => {
                let value =
                    environment.iter().find(|(key, _)| key == name).map(|(_, text)| text.trim());
                let value = value.filter(|text| !text.is_empty());
                let value = value.ok_or_else(|| format!("`token_env`: {name} is not set"))?;
                Some(SecretString::from(value))
            }
        };
        let mut authorities = Vec::new();
        let mut authority = None;
        if let Some(path) = &self.ca_file {
            if origin.scheme != "https" {
                return Err("`ca_file` requires an https URL".to_owned());
            }
            let (ca_file, certificates) =
                authorities::read(path).map_err(|reason| format!("`ca_file`: {reason}"))?;
            authorities = certificates;
            authority = Some(Authority { origin: origin.clone(), ca_file });
        }
        let forge = Forge {
            kind: self.kind,
            origin,
            username: self.username.unwrap_or_else(|| self.kind.token_user().to_owned()),
            token,
            token_on_request: false,
            authorities,
        };
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
