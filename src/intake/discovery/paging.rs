//! Requests to one forge: retries, and limits.
//!
//! Input: the URL of a request. Output: JSON and the URL of the next page, or that the object does
//! not exist. Invariants: only the origin of [`ForgeClient::base`] is contacted, with the token of
//! its forge; answers are returned with the token masked; certificates are always verified; the
//! size of an answer is checked while it is read; a page is requested at most four times.

use super::{
    DiscoveryError, Project,
    entries::{self, Body, Entry},
    http_client::{self, chain},
    resolver::NoAllowedAddress,
    retry,
};
use crate::{
    config::{Config, DiscoveryConfig},
    http,
    intake::forge_api::{Api, PageEnd, next_page::OtherOrigin},
    model::{address::Origin, git_url::GitUrl, redact::Redactor},
};
use chrono::Utc;
use reqwest::{Client, Response};
use serde_json::Value;
use std::{
    borrow::Cow,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;
use url::Url;

/// A client of one forge.
#[derive(Debug)]
pub(super) struct ForgeClient {
    client: Client,
    api: Api,
    base: Url,
    has_token: bool,
    /// Masks the token, which the forge knows and may include in its answers.
    redactor: Redactor,
    limits: DiscoveryConfig,
    /// Until when the forge asks for no further request.
    resume_at: Mutex<Option<Instant>>,
}

/// A complete answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) body: Body,
    /// The URL of the next page, or why it must not be requested.
    pub(super) next: Result<Option<Url>, DiscoveryError>,
}

impl Answer {
    /// The single object that was requested; `Null` if the answer is a list.
    pub(super) fn one(&self) -> &Value {
        match &self.body {
            Body::One(value) => value,
            Body::List(_) => &Value::Null,
        }
    }
}

/// The outcome of one attempt.
enum Outcome {
    Answer(Answer),
    /// The object does not exist.
    NotFound,
    /// A temporary failure, with the pause that the forge requests.
    Temporary(DiscoveryError, Option<Duration>),
}

impl ForgeClient {
    /// Creates a client of the forge of a validated URL.
    pub(super) fn new(url: &GitUrl, api: Api, config: &Config) -> Result<Self, DiscoveryError> {
        let unusable = || DiscoveryError::UnknownApi { url: url.to_string() };
        let base = api.base(url).ok_or_else(unusable)?;
        let forge = Origin::of(url.url()).and_then(|origin| config.forge(&origin));
        let client = http_client::client(&base, api, forge, config)?;
        let has_token = forge.is_some_and(|forge| forge.token.is_some());
        let login = forge.and_then(|forge| config.credentials_for(&forge.origin));
        let proxy = config.network.proxy.as_ref().and_then(|proxy| proxy.credentials.as_ref());
        let redactor = Redactor::of_logins(login.iter().chain(proxy));
        let (limits, resume_at) = (config.discovery, Mutex::default());
        Ok(Self { client, api, base, has_token, redactor, limits, resume_at })
    }

    /// The base URL of all requests.
    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    pub(super) fn api(&self) -> Api {
        self.api
    }

    pub(super) fn has_token(&self) -> bool {
        self.has_token
    }

    /// Masks the token in an error.
    pub(super) fn masked(&self, error: DiscoveryError) -> DiscoveryError {
        match self.redactor.redact(&error.to_string()) {
            Cow::Borrowed(_) => error,
            Cow::Owned(text) => DiscoveryError::Masked(text),
        }
    }

    /// The limits of the settings.
    pub(super) fn limits(&self) -> &DiscoveryConfig {
        &self.limits
    }

    /// Masks the token in a text.
    pub(super) fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.redactor.redact(text)
    }

    /// Sends one request, with retries for temporary failures; `None` if the object does not exist.
    pub(super) async fn get(&self, url: &Url, page: u32) -> Result<Option<Answer>, DiscoveryError> {
        self.wait_until_resumed().await;
        let limit = self.limits.timeout;
        let answer = tokio::time::timeout(limit, self.get_with_retries(url, page)).await;
        answer.unwrap_or_else(|_| {
            Err(DiscoveryError::TooSlow { request: shown(url, page), seconds: limit.as_secs() })
        })
    }

    async fn get_with_retries(
        &self,
        url: &Url,
        page: u32,
    ) -> Result<Option<Answer>, DiscoveryError> {
        let request = shown(url, page);
        let mut retries = 0;
        loop {
            let (error, requested) = match self.get_once(url, &request, retries + 1).await? {
                Outcome::Answer(answer) => return Ok(Some(answer)),
                Outcome::NotFound => return Ok(None),
                Outcome::Temporary(error, requested) => (error, requested),
            };
            let Some(pause) = retry::pause(retries, requested) else { return Err(error) };
            let error = self.masked(error);
            tracing::info!(%error, pause_ms = pause.as_millis(), "request to a forge failed; retrying");
            tokio::time::sleep(pause).await;
            retries += 1;
        }
    }

    async fn get_once(
        &self,
        url: &Url,
        request: &str,
        attempts: u32,
    ) -> Result<Outcome, DiscoveryError> {
        let request = || request.to_owned();
        let mut response = match self.client.get(url.clone()).send().await {
            Ok(response) => response,
            Err(error) => return self.transfer_failed(&error, request(), attempts),
        };
        let headers = response.headers().clone();
        match response.status().as_u16() {
            200 => {}
            404 => return Ok(Outcome::NotFound),
            code if self.api.wants_login(code) => return Err(self.login_error(request(), code)),
            300..=399 => return Err(DiscoveryError::Redirected { request: request() }),
            code if retry::is_temporary(code, &headers) => {
                let requested = retry::requested_pause(&headers, Utc::now());
                let error = if retry::is_rate_limit(code, &headers) {
                    self.rate_limit(request(), code, requested)
                } else {
                    DiscoveryError::Status { request: request(), code, attempts }
                };
                return Ok(Outcome::Temporary(error, requested));
            }
            code @ (401 | 403) => return Err(self.login_error(request(), code)),
            code => return Err(DiscoveryError::Status { request: request(), code, attempts }),
        }
        if let Some(pause) = retry::pause_after_success(&headers, Utc::now()) {
            self.set_resume_at(Instant::now() + pause);
        }
        let bytes = match self.read(&mut response).await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => {
                let max = self.limits.max_answer_bytes;
                return Err(DiscoveryError::TooLarge { request: request(), max });
            }
            Err(error) => return self.transfer_failed(&error, request(), attempts),
        };
        let read = match self.api.list_member() {
            None => entries::read(&bytes).map(|body| (body, Value::Null)),
            Some(name) => entries::read_member(&bytes, name),
        };
        let (mut body, members) = read.map_err(|error| DiscoveryError::InvalidAnswer {
            request: request(),
            reason: format!("not JSON ({error})"),
        })?;
        match &mut body {
            Body::One(value) => mask(value, &self.redactor),
            Body::List(items) => {
                items.iter_mut().flatten().for_each(|item| mask(item, &self.redactor));
            }
        }
        let entries = if let Body::List(items) = &body { items.len() } else { 0 };
        let end = PageEnd { url, headers: &headers, members: &members, entries };
        let next = self.api.next_page(&end).map_err(|OtherOrigin(origin)| {
            DiscoveryError::OtherOrigin { request: request(), origin }
        });
        Ok(Outcome::Answer(Answer { body, next }))
    }

    /// Waits while the forge asks for no further request.
    async fn wait_until_resumed(&self) {
        let until = *self.resume_at.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(until) = until {
            tokio::time::sleep_until(until).await;
        }
    }

    fn set_resume_at(&self, until: Instant) {
        *self.resume_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
    }

    /// The error for a request that is refused without a valid token.
    fn login_error(&self, request: String, code: u16) -> DiscoveryError {
        if self.has_token {
            DiscoveryError::TokenRefused { request, code }
        } else {
            DiscoveryError::TokenNeeded { request, code }
        }
    }

    /// Reads a body; `None` if it is too large.
    async fn read(&self, response: &mut Response) -> Result<Option<Vec<u8>>, reqwest::Error> {
        let mut bytes = Vec::new();
        while let Some(piece) = response.chunk().await? {
            if (bytes.len() + piece.len()) as u64 > self.limits.max_answer_bytes {
                return Ok(None);
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(Some(bytes))
    }

    /// Classifies an error of a request without a complete answer.
    fn transfer_failed(
        &self,
        error: &reqwest::Error,
        request: String,
        attempts: u32,
    ) -> Result<Outcome, DiscoveryError> {
        if let Some(refused) = http::find::<NoAllowedAddress>(error) {
            return Err(DiscoveryError::Address(refused.to_string()));
        }
        if let Some(tls) = http::find::<rustls::Error>(error) {
            return Err(DiscoveryError::Tls { request, reason: tls.to_string() });
        }
        if error.is_timeout() && !error.is_connect() {
            let seconds = self.limits.answer_timeout.as_secs();
            return Err(DiscoveryError::AnswerTimeout { request, seconds });
        }
        let reason = chain(error);
        Ok(Outcome::Temporary(DiscoveryError::Unreachable { request, attempts, reason }, None))
    }

    fn rate_limit(&self, request: String, code: u16, pause: Option<Duration>) -> DiscoveryError {
        let pause = pause.map(|pause| format!(", it requests a pause of {} s", pause.as_secs()));
        let token = if self.has_token {
            ""
        } else {
            ", or add a token under [[forges]] in the server's settings to raise the rate limit"
        };
        DiscoveryError::RateLimit { request, code, pause: pause.unwrap_or_default(), token }
    }
}

/// Converts an entry of a list; an unreadable entry keeps the reason.
pub(super) fn project(entry: &Entry, position: usize, api: Api) -> Project {
    match entry {
        Ok(item) => api.project(item, position),
        Err(reason) => Project::unreadable(reason.clone(), position),
    }
}

/// Masks secrets in all strings of an answer.
fn mask(value: &mut Value, redactor: &Redactor) {
    match value {
        Value::String(text) => {
            if let Cow::Owned(masked) = redactor.redact(text) {
                *text = masked;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| mask(item, redactor)),
        Value::Object(members) => members.values_mut().for_each(|value| mask(value, redactor)),
        _ => {}
    }
}

/// A request as shown in errors: without its query, which may come from the forge.
pub(super) fn shown(url: &Url, page: u32) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    if page > 1 { format!("{url} (page {page})") } else { url.to_string() }
}
