//! One attempt: a request to the target of a webhook, and what came back.
//!
//! Input: a delivery, the settings of its webhook. Output: an [`Attempt`], and the pause that the target asks for.
//!
//! Invariants: the target is the one of the settings: no redirect is followed, certificates are verified, the proxy of the
//! settings is respected; an answer is read up to [`ANSWER_CAP`] within the timeout, whatever the target sends; no error
//! and no stored answer contains a secret or the path of the URL, which may be one.

use super::{backoff, delivery::Attempt, signature, upload};
use crate::{
    config::{Config, Webhook},
    http,
    model::{
        origin::Origin,
        redact::Redactor,
        webhook::{Data, EventKind, Payload, RepositoryData, TestData, WebhookKind, secret_bytes},
    },
    store::chain,
};
use chrono::Utc;
use reqwest::{
    Certificate, Proxy, RequestBuilder, Response,
    header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER},
};
use secrecy::{ExposeSecret, SecretString};
use std::{
    fmt,
    time::{Duration, Instant},
};
use url::Url;
use uuid::Uuid;

/// How much of an answer is read.
const ANSWER_CAP: usize = 4 << 10;
/// How much of an answer is stored, in bytes.
const STORED: usize = 512;
/// The longest time for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A shorter path of a URL is no secret.
const SECRET_PATH: usize = 16;

/// The client of one webhook.
pub(super) struct Client {
    http: reqwest::Client,
    kind: WebhookKind,
    url: Url,
    secrets: Vec<SecretString>,
    redactor: Redactor,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({:?})", self.kind)
    }
}

impl Client {
    /// A client of this webhook.
    ///
    /// # Errors
    /// A message, if the proxy or a certificate cannot be used.
    pub(super) fn new(webhook: &Webhook, config: &Config) -> Result<Self, String> {
        let failed = |error: reqwest::Error| chain(&error.without_url());
        let mut builder = http::client()
            .connect_timeout(CONNECT_TIMEOUT.min(webhook.timeout))
            .timeout(webhook.timeout);
        let origin = Origin::of(&webhook.url);
        if let Some(proxy) = origin.as_ref().and_then(|origin| config.network.proxy_for(origin)) {
            let mut through = Proxy::all(proxy.url.as_str()).map_err(failed)?;
            if let Some(login) = &proxy.credentials {
                through = through.basic_auth(&login.username, &login.password);
            }
            builder = builder.proxy(through);
        }
        for authority in &webhook.authorities {
            let certificate = Certificate::from_der(authority).map_err(failed)?;
            builder = builder.tls_certs_merge([certificate]);
        }
        let password = config.network.proxy.as_ref().and_then(|proxy| proxy.credentials.as_ref());
        let path = Some(webhook.url.path()).filter(|path| path.len() >= SECRET_PATH);
        let secrets = webhook.secrets.iter().map(ExposeSecret::expose_secret);
        let bare = secrets.clone().filter_map(|secret| secret.strip_prefix("whsec_"));
        let others = password.map(|login| login.password.as_str());
        let others = others.into_iter().chain(path).chain(webhook.url.query());
        Ok(Self {
            http: builder.build().map_err(failed)?,
            kind: webhook.kind,
            url: webhook.url.clone(),
            redactor: Redactor::new(secrets.chain(bare).chain(others)),
            secrets: webhook.secrets.clone(),
        })
    }

    /// Sends a payload, signed.
    pub(super) async fn send(&self, id: &str, payload: &Payload) -> (Attempt, Option<Duration>) {
        // Cannot fail: all keys are texts.
        let body = serde_json::to_vec(payload).unwrap_or_default();
        let now = Utc::now().timestamp();
        let keys: Vec<_> =
            self.secrets.iter().filter_map(|text| secret_bytes(text.expose_secret())).collect();
        let signed = signature::sign(keys.iter().map(Vec::as_slice), id, now, &body);
        let request = self
            .http
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(signature::ID, id)
            .header(signature::TIMESTAMP, now)
            .header(signature::SIGNATURE, signed)
            .body(body);
        self.exchange(request).await
    }

    /// Uploads the bill of materials of a repository, as the compressed document.
    pub(super) async fn upload(
        &self,
        repository: &RepositoryData,
        document: Vec<u8>,
    ) -> (Attempt, Option<Duration>) {
        let form = upload::form(repository, document);
        let request = self
            .http
            .post(upload::address(&self.url, upload::BOM))
            .header(CONTENT_TYPE, form.media_type)
            .header(reqwest::header::CONTENT_LENGTH, form.length)
            .header(upload::API_KEY, self.api_key())
            .body(form.body);
        self.exchange(request).await
    }

    /// Tries the webhook: an event that means nothing, or a question that needs the API key.
    pub(super) async fn test(&self, name: &str) -> Attempt {
        if self.kind == WebhookKind::DependencyTrack {
            let address = upload::address(&self.url, upload::TEAM);
            let request = self.http.get(address).header(upload::API_KEY, self.api_key());
            return self.exchange(request).await.0;
        }
        let payload = Payload {
            event: EventKind::Test,
            timestamp: Utc::now(),
            data: Data::Test(TestData { webhook: name.to_owned() }),
        };
        self.send(&Uuid::now_v7().to_string(), &payload).await.0
    }

    fn api_key(&self) -> HeaderValue {
        let key = self.secrets.first().map(ExposeSecret::expose_secret).unwrap_or_default();
        // The settings contain only visible characters.
        let mut value = HeaderValue::from_str(key).unwrap_or_else(|_| HeaderValue::from_static(""));
        value.set_sensitive(true);
        value
    }

    async fn exchange(&self, request: RequestBuilder) -> (Attempt, Option<Duration>) {
        let (at, began) = (Utc::now(), Instant::now());
        let mut attempt = Attempt { at, duration_ms: 0, status: None, error: None, answer: None };
        let mut asked = None;
        match request.send().await {
            Err(error) => {
                let text = chain(&error.without_url());
                attempt.error = Some(self.redactor.redact(&text).into_owned());
            }
            Ok(response) => {
                let status = response.status().as_u16();
                attempt.status = Some(status);
                let header = response.headers().get(RETRY_AFTER);
                asked = header
                    .and_then(|value| value.to_str().ok())
                    .and_then(|text| backoff::retry_after(text, at));
                // The status counts, even if the rest of the answer does not arrive.
                let body = beginning(response).await;
                if backoff::verdict(status) != backoff::Verdict::Delivered {
                    attempt.error = Some(refusal(status));
                    attempt.answer = Some(self.shown(&body)).filter(|text| !text.is_empty());
                }
            }
        }
        attempt.duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        (attempt, asked)
    }

    /// What of an answer is stored.
    fn shown(&self, body: &[u8]) -> String {
        let text = String::from_utf8_lossy(body);
        let text = self.redactor.redact(&text);
        let mut shown = String::new();
        for c in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
            if shown.len() + c.len_utf8() > STORED {
                break;
            }
            shown.push(c);
        }
        shown.trim().to_owned()
    }
}

/// Reads the beginning of an answer. The timeout of the client ends the reading.
async fn beginning(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(piece)) = response.chunk().await {
        let room = ANSWER_CAP - body.len();
        body.extend_from_slice(&piece[..piece.len().min(room)]);
        if body.len() == ANSWER_CAP {
            break;
        }
    }
    body
}

fn refusal(status: u16) -> String {
    match status {
        300..=399 => format!(
            "the target answered {status}, a redirect, which is not followed: set `url` to the final address"
        ),
        401 | 403 => format!("the target answered {status}: check the secret on both sides"),
        _ => format!("the target answered {status}"),
    }
}
