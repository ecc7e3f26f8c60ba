//! What a server needs before it listens: its accounts and its certificate. `serve` and `config
//! check` refuse the same settings, because both use these checks.
//!
//! Input: settings, `API_USERNAME` and `API_PASSWORD`. Output: accounts, a certificate, warnings, or
//! the reason why a server with these settings does not start. Invariants: nothing is changed.

use crate::{
    api::{auth::Auth, tls::Tls},
    app::StartError,
    archive::ObjectArchive,
    config::Config,
    store::layout::JobsDir,
};
use secrecy::SecretString;
use std::env::VarError;

/// The archive of the settings, if there is one. `config check` contacts no archive.
pub(super) async fn archive(config: &Config) -> Result<Option<ObjectArchive>, StartError> {
    let Some(settings) = &config.archive else { return Ok(None) };
    let jobs = JobsDir::new(&config.jobs.dir)?;
    let opened = ObjectArchive::open(settings, &jobs).await;
    let place = settings.place.to_string();
    opened.map(Some).map_err(|source| StartError::Archive { place, source })
}

/// The accounts: the one of `API_USERNAME` and `API_PASSWORD`, and those of the files.
pub(super) fn accounts(config: &Config) -> Result<Auth, StartError> {
    let variable = |name| match std::env::var(name) {
        Ok(text) => Ok(Some(text).filter(|text| !text.is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        // An unusable value must not count as unset: that would turn off authentication.
        Err(VarError::NotUnicode(_)) => {
            Err(StartError::Credentials(format!("{name} is not valid UTF-8")))
        }
    };
    let auth = |account: Option<(&str, &SecretString)>| {
        Auth::new(account, &config.auth).map_err(|error| StartError::Credentials(error.to_string()))
    };
    match (variable("API_USERNAME")?, variable("API_PASSWORD")?) {
        (Some(name), Some(password)) => auth(Some((&name, &SecretString::from(password)))),
        (None, None) if config.auth.has_files() || config.server.listen.ip().is_loopback() => {
            auth(None)
        }
        (None, None) => Err(StartError::Credentials(format!(
            "refusing to serve {} without credentials: set API_USERNAME and API_PASSWORD, \
             or [auth] htpasswd_file or tokens_file, or listen on 127.0.0.1",
            config.server.listen
        ))),
        (Some(_), None) => {
            Err(StartError::Credentials("API_USERNAME is set, API_PASSWORD is not".to_owned()))
        }
        (None, Some(_)) => {
            Err(StartError::Credentials("API_PASSWORD is set, API_USERNAME is not".to_owned()))
        }
    }
}

/// The certificate and the key that the settings name.
pub(super) fn certificate(config: &Config) -> Result<Option<Tls>, StartError> {
    let opened = config.server.tls().as_ref().map(Tls::open).transpose();
    opened.map_err(|error| StartError::Tls(error.to_string()))
}

/// Warnings about settings that work but are unsafe.
pub(super) fn warnings(config: &Config, auth: &Auth, tls: Option<&Tls>) -> Vec<String> {
    let mut warnings = tls.map(Tls::warnings).unwrap_or_default();
    if auth.is_open() {
        warnings.push(
            "no credentials are configured: every user of this machine has full access; set \
             API_USERNAME and API_PASSWORD to require authentication"
                .to_owned(),
        );
    }
    let server = &config.server;
    if tls.is_none() && !server.behind_proxy && !server.listen.ip().is_loopback() {
        warnings.push(
            "no TLS: credentials and results are sent unencrypted; set [server] \
             tls_certificate_file and tls_key_file, or use a proxy with TLS and set [server] \
             behind_proxy = true"
                .to_owned(),
        );
    }
    warnings
}
