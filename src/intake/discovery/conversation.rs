//! Questions to one forge, each answered whole, within limits, or not at all.
//!
//! What flows in: the URL of a question. What flows out: JSON and where it goes on, or that there
//! is nothing of that name. What must stay true: only the origin of [`Conversation::base`] is
//! asked, with the token of its forge; what comes back has no token in it; certificates are always
//! verified; bytes are counted while they come; nobody is asked more than four times for one page.

use super::{
    Count, DiscoveryError, Interface, Project,
    client::{self, chain},
    entries::{self, Body, Entry},
    link::{self, Foreign},
    resolver::Nowhere,
    retry, selection,
};
use crate::{
    config::{Config, DiscoveryConfig},
    http,
    model::{address::Origin, git_url::GitUrl, redact::Redactor},
};
use chrono::Utc;
use reqwest::{Client, Response};
use serde_json::Value;
use std::{borrow::Cow, collections::HashSet, time::Duration};
use url::Url;

/// One forge, and how it is asked.
#[derive(Debug)]
pub(super) struct Conversation {
    client: Client,
    base: Url,
    has_token: bool,
    /// Knows the token: the forge does, too, and may put it into what it says.
    redactor: Redactor,
    limits: DiscoveryConfig,
}

/// An answer, read whole.
#[derive(Debug)]
pub(super) struct Answer {
    body: Body,
    next: Option<Url>,
}

impl Answer {
    /// The one thing that was asked for; a list is none.
    pub(super) fn one(&self) -> &Value {
        match &self.body {
            Body::One(value) => value,
            Body::List(_) => &Value::Null,
        }
    }
}

/// What came of one try.
enum Try {
    Answer(Answer),
    /// There is nothing of that name.
    Missing,
    /// The next try may go better, after the pause that the forge wants.
    Passing(DiscoveryError, Option<Duration>),
}

impl Conversation {
    /// Prepares to ask the forge of a URL that passed the gate.
    pub(super) fn new(
        url: &GitUrl,
        interface: Interface,
        config: &Config,
    ) -> Result<Self, DiscoveryError> {
        let unusable = || DiscoveryError::NoInterface { url: url.to_string() };
        let base = interface.base(url).ok_or_else(unusable)?;
        let forge = Origin::of(url.url()).and_then(|it| config.forge(&it));
        let client = client::client(&base, forge, config)?;
        let has_token = forge.is_some_and(|it| it.token.is_some());
        let login = forge.and_then(|it| config.credentials_for(&it.origin));
        let redactor = Redactor::of_login(login.as_ref());
        Ok(Self { client, base, has_token, redactor, limits: config.discovery })
    }

    /// What questions begin with.
    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    pub(super) fn has_token(&self) -> bool {
        self.has_token
    }

    /// An error as it may be shown.
    pub(super) fn shown(&self, error: DiscoveryError) -> DiscoveryError {
        match self.redactor.redact(&error.to_string()) {
            Cow::Borrowed(_) => error,
            Cow::Owned(text) => DiscoveryError::Masked(text),
        }
    }

    /// Reads a list to its last page; `None` if there is nothing of that name.
    pub(super) async fn list(
        &self,
        first: Url,
        read: fn(&Value, usize) -> Project,
        found: Count<'_>,
    ) -> Result<Option<Vec<Project>>, DiscoveryError> {
        let mut projects = Vec::new();
        let mut seen = HashSet::new();
        let mut next = Some(first);
        for page in 1.. {
            let Some(url) = next else { break };
            if page > self.limits.max_pages {
                let most = self.limits.max_pages;
                return Err(DiscoveryError::TooManyPages { asked: named(&url, 1), most });
            }
            let answer = match self.ask(&url, page).await? {
                Some(answer) => answer,
                None if page == 1 => return Ok(None),
                None => {
                    let asked = named(&url, page);
                    return Err(DiscoveryError::Status { asked, code: 404, tries: 1 });
                }
            };
            let Body::List(items) = answer.body else {
                let reason = "it is no list".to_owned();
                return Err(DiscoveryError::Answer { asked: named(&url, page), reason });
            };
            let known = projects.len();
            let numbered = (known + 1..).zip(&items);
            projects.extend(numbered.map(|(position, item)| project(item, position, read)));
            found(projects.len() as u64);
            if answer.next.as_ref().is_some_and(|it| *it == url || seen.contains(it)) {
                return Err(DiscoveryError::Circle { asked: named(&url, page) });
            }
            seen.insert(url);
            next = answer.next;
        }
        Ok(Some(projects))
    }

    /// Asks one question, again if that may help; `None` if there is nothing of that name.
    pub(super) async fn ask(&self, url: &Url, page: u32) -> Result<Option<Answer>, DiscoveryError> {
        let asked = named(url, page);
        let mut retries = 0;
        loop {
            let (error, wanted) = match self.ask_once(url, &asked, retries + 1).await? {
                Try::Answer(answer) => return Ok(Some(answer)),
                Try::Missing => return Ok(None),
                Try::Passing(error, wanted) => (error, wanted),
            };
            let Some(pause) = retry::pause(retries, wanted) else { return Err(error) };
            let error = self.shown(error);
            tracing::info!(%error, pause_ms = pause.as_millis(), "a forge is asked again");
            tokio::time::sleep(pause).await;
            retries += 1;
        }
    }

    async fn ask_once(&self, url: &Url, asked: &str, tries: u32) -> Result<Try, DiscoveryError> {
        let asked = || asked.to_owned();
        let mut response = match self.client.get(url.clone()).send().await {
            Ok(response) => response,
            Err(error) => return self.without_answer(&error, asked(), tries),
        };
        let headers = response.headers().clone();
        match response.status().as_u16() {
            200 => {}
            404 => return Ok(Try::Missing),
            300..=399 => return Err(DiscoveryError::Redirected { asked: asked() }),
            code if retry::may_pass(code, &headers) => {
                let wanted = retry::wanted_pause(&headers, Utc::now());
                let error = if retry::is_rate_limit(code, &headers) {
                    self.rate_limit(asked(), code, wanted)
                } else {
                    DiscoveryError::Status { asked: asked(), code, tries }
                };
                return Ok(Try::Passing(error, wanted));
            }
            code @ (401 | 403) if self.has_token => {
                return Err(DiscoveryError::TokenRefused { asked: asked(), code });
            }
            code @ (401 | 403) => {
                return Err(DiscoveryError::TokenNeeded { asked: asked(), code });
            }
            code => return Err(DiscoveryError::Status { asked: asked(), code, tries }),
        }
        let bytes = match self.read(&mut response).await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => {
                let most = self.limits.max_answer_bytes;
                return Err(DiscoveryError::TooLarge { asked: asked(), most });
            }
            Err(error) => return self.without_answer(&error, asked(), tries),
        };
        let mut body = entries::read(&bytes).map_err(|error| DiscoveryError::Answer {
            asked: asked(),
            reason: format!("it is no JSON ({error})"),
        })?;
        match &mut body {
            Body::One(value) => mask(value, &self.redactor),
            Body::List(items) => items.iter_mut().flatten().for_each(|it| mask(it, &self.redactor)),
        }
        let next = link::next_page(&headers, url)
            .map_err(|Foreign(place)| DiscoveryError::ForeignPage { asked: asked(), place })?;
        Ok(Try::Answer(Answer { body, next }))
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

    /// Why there was no answer, or none that is whole.
    fn without_answer(
        &self,
        error: &reqwest::Error,
        asked: String,
        tries: u32,
    ) -> Result<Try, DiscoveryError> {
        if let Some(nowhere) = http::find::<Nowhere>(error) {
            return Err(DiscoveryError::Address(nowhere.to_string()));
        }
        if let Some(tls) = http::find::<rustls::Error>(error) {
            return Err(DiscoveryError::Tls { asked, reason: tls.to_string() });
        }
        if error.is_timeout() && !error.is_connect() {
            let seconds = self.limits.answer_timeout.as_secs();
            return Err(DiscoveryError::Silent { asked, seconds });
        }
        let reason = chain(error);
        Ok(Try::Passing(DiscoveryError::Unreachable { asked, tries, reason }, None))
    }

    fn rate_limit(&self, asked: String, code: u16, wanted: Option<Duration>) -> DiscoveryError {
        let wait = wanted.map(|it| format!(", and wants {} seconds of rest", it.as_secs()));
        let token = if self.has_token {
            ""
        } else {
            ", or give a token under [[forges]] in the server's settings, which may ask more often"
        };
        DiscoveryError::RateLimit { asked, code, wait: wait.unwrap_or_default(), token }
    }
}

/// What an entry says; of one that cannot be read, why.
pub(super) fn project(
    entry: &Entry,
    position: usize,
    read: fn(&Value, usize) -> Project,
) -> Project {
    match entry {
        Ok(item) => read(item, position),
        Err(reason) => Project {
            path: None,
            url: None,
            skipped: None,
            unreadable: Some(reason.clone()),
            label: selection::label(&Value::Null, position),
        },
    }
}

/// Masks secrets in all texts of an answer.
fn mask(value: &mut Value, redactor: &Redactor) {
    match value {
        Value::String(text) => {
            if let Cow::Owned(masked) = redactor.redact(text) {
                *text = masked;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|it| mask(it, redactor)),
        Value::Object(members) => members.values_mut().for_each(|it| mask(it, redactor)),
        _ => {}
    }
}

/// A question as errors name it: without its query, which a forge may have written.
fn named(url: &Url, page: u32) -> String {
    let mut shown = url.clone();
    shown.set_query(None);
    shown.set_fragment(None);
    if page > 1 { format!("{shown} (page {page})") } else { shown.to_string() }
}
