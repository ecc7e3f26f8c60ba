//! Validates one of `[[webhooks]]`: its URL, its secrets, its events.
//!
//! Input: a table of the settings, and the files and variables that it names. Output: a [`Webhook`], or an error
//! message that names the webhook. Invariants: no message contains a secret.

use super::authorities;
use crate::model::webhook::{EventKind, WebhookKind, is_name, secret_bytes};
use rustls::pki_types::CertificateDer;
use secrecy::SecretString;
use serde::Deserialize;
use std::{collections::BTreeSet, fmt, path::PathBuf, time::Duration};
use url::Url;

/// The maximum number of secrets of one webhook: the current one, and those that are being replaced.
const MAX_SECRETS: usize = 4;
/// The longest timeout of an answer, in seconds.
const MAX_TIMEOUT: u64 = 120;
/// The maximum number of deliveries to one webhook at once.
const MAX_CONCURRENT: u64 = 32;
/// The limits of the number of deliveries that wait.
const MAX_PENDING: std::ops::RangeInclusive<u64> = 1..=100_000;

/// One of `[[webhooks]]`: a trusted target. Its URL may contain a secret, so only its origin is ever shown.
#[derive(Clone)]
pub struct Webhook {
    pub name: String,
    pub kind: WebhookKind,
    pub url: Url,
    /// Signing secrets, the current one first; of Dependency-Track the API key.
    pub secrets: Vec<SecretString>,
    pub events: BTreeSet<EventKind>,
    /// The certificate authorities of `ca_file`, trusted in addition to the system's.
    pub authorities: Vec<CertificateDer<'static>>,
    /// The timeout of a delivery, from the connection to the end of the answer.
    pub timeout: Duration,
    pub max_concurrent: usize,
    pub max_pending: usize,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Webhook({}, {:?})", self.name, self.kind)
    }
}

/// One of `[[webhooks]]`, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhookSection {
    name: String,
    #[serde(default = "standard")]
    kind: WebhookKind,
    url: String,
    secret_file: Option<PathBuf>,
    secret_env: Option<String>,
    events: Option<Vec<String>>,
    ca_file: Option<PathBuf>,
    #[serde(default = "default_timeout")]
    timeout_secs: u64,
    #[serde(default = "default_concurrent")]
    max_concurrent: u64,
    #[serde(default = "default_pending")]
    max_pending: u64,
}

fn standard() -> WebhookKind {
    WebhookKind::Standard
}

fn default_timeout() -> u64 {
    15
}

fn default_concurrent() -> u64 {
    4
}

fn default_pending() -> u64 {
    10_000
}

impl WebhookSection {
    /// The webhook; `known` are the names so far.
    pub(super) fn check(
        self,
        known: &[Webhook],
        environment: &[(String, String)],
    ) -> Result<Webhook, String> {
        if !is_name(&self.name) {
            let allowed = "1 to 64 of A-Z a-z 0-9 . _ -, without a dot at the beginning";
            return Err(format!("`name`: expected {allowed}, got `{}`", self.name));
        }
        let of = |reason: String| format!("`{}`: {reason}", self.name);
        if known.iter().any(|webhook| webhook.name == self.name) {
            return Err(of("`name`: another webhook has the same name".to_owned()));
        }
        let url = Url::parse(&self.url).ok().filter(|url| {
            matches!(url.scheme(), "https" | "http")
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none()
                && url.fragment().is_none()
        });
        // Do not print the text: it may contain a secret.
        let url = url.ok_or_else(|| {
            of("`url`: expected http(s)://host[:port]/path, without credentials".to_owned())
        })?;
        for (key, value, allowed) in [
            ("timeout_secs", self.timeout_secs, 1..=MAX_TIMEOUT),
            ("max_concurrent", self.max_concurrent, 1..=MAX_CONCURRENT),
            ("max_pending", self.max_pending, MAX_PENDING),
        ] {
            if !allowed.contains(&value) {
                let (first, last) = (allowed.start(), allowed.end());
                return Err(of(format!("`{key}`: expected {first} to {last}, got {value}")));
            }
        }
        let secrets = self.secrets(environment).map_err(of)?;
        let events = self.events().map_err(of)?;
        let authorities = match &self.ca_file {
            None => Vec::new(),
            Some(_) if url.scheme() != "https" => {
                return Err(of("`ca_file` requires an https URL".to_owned()));
            }
            Some(path) => {
                authorities::read(path).map_err(|reason| of(format!("`ca_file`: {reason}")))?.1
            }
        };
        let whole = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        Ok(Webhook {
            kind: self.kind,
            url,
            secrets,
            events,
            authorities,
            timeout: Duration::from_secs(self.timeout_secs),
            max_concurrent: whole(self.max_concurrent),
            max_pending: whole(self.max_pending),
            name: self.name,
        })
    }

    fn secrets(&self, environment: &[(String, String)]) -> Result<Vec<SecretString>, String> {
        let (key, text) = match (&self.secret_file, &self.secret_env) {
            (Some(_), Some(_)) => {
                return Err("expected secret_file or secret_env, not both".to_owned());
            }
            (None, None) => return Err("expected secret_file or secret_env".to_owned()),
            (Some(path), None) => {
                let shown = path.display();
                let text = std::fs::read_to_string(path)
                    .map_err(|error| format!("`secret_file`: cannot read `{shown}`: {error}"))?;
                (format!("`secret_file`: `{shown}`"), text)
            }
            (None, Some(name)) => {
                let value = environment.iter().find(|(known, _)| known == name);
                let value = value.ok_or_else(|| format!("`secret_env`: {name} is not set"))?;
                (format!("`secret_env`: {name}"), value.1.clone())
            }
        };
        let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        match self.kind {
            WebhookKind::Standard => {
                let usable = |line: &&str| secret_bytes(line).is_some();
                if lines.is_empty() || lines.len() > MAX_SECRETS || !lines.iter().all(usable) {
                    return Err(format!(
                        "{key}: expected 1 to {MAX_SECRETS} lines of `whsec_` and 24 to 64 bytes in \
                         base64, such as: echo whsec_$(openssl rand -base64 32)"
                    ));
                }
            }
            WebhookKind::DependencyTrack => {
                let visible = |line: &&str| line.bytes().all(|byte| byte.is_ascii_graphic());
                if lines.len() != 1 || !lines.iter().all(visible) {
                    return Err(format!("{key}: expected one line, the API key"));
                }
            }
        }
        Ok(lines.into_iter().map(SecretString::from).collect())
    }

    fn events(&self) -> Result<BTreeSet<EventKind>, String> {
        if self.kind == WebhookKind::DependencyTrack {
            return match &self.events {
                None => Ok(BTreeSet::from([EventKind::RepositoryFinished])),
                Some(_) => {
                    Err("`events`: not for kind `dependency-track`, which receives the bill of \
                         materials of each scanned repository"
                        .to_owned())
                }
            };
        }
        let names = self.events.as_deref().unwrap_or_default();
        let known = EventKind::ALL.map(EventKind::as_str).join(", ");
        if names.is_empty() {
            return Err(format!("`events`: expected some of {known}"));
        }
        names
            .iter()
            .map(|name| {
                let event = EventKind::parse(name);
                event.ok_or_else(|| format!("`events`: expected some of {known}, got `{name}`"))
            })
            .collect()
    }
}
