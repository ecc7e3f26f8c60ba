//! The HTTP client of the commands.
//!
//! Input: the server's address, credentials from the environment, trusted certificate authorities.
//! Output: documents, event streams, or an error. Invariants: credentials are sent only to the
//! named server (no redirects, no proxies, no untrusted certificates); the size of an answer is
//! limited, or it is passed on piece by piece; a request other than a stream or a followed log ends
//! after a read timeout.

use super::{AddressArgs, error::ClientError};
use crate::{config::authorities, http, model::JobId};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use reqwest::{
    Certificate, Method, Response,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION},
};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{env::VarError, io, time::Duration};
use url::Url;

/// The default address of the server.
const DEFAULT_SERVER: &str = "http://127.0.0.1:8000";
/// How long a server may send nothing of an answer that is not a stream.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a stream may be silent; the server sends a comment every 15 s.
pub(super) const STREAM_TIMEOUT: Duration = Duration::from_mins(1);
/// The maximum size of an answer, in bytes.
const MAX_ANSWER_BYTES: usize = 256 << 20;

/// A client of one server.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Client {
    /// Scheme, host, port and base path of the server, without a trailing slash.
    server: String,
    requests: reqwest::Client,
    streams: reqwest::Client,
    followed: reqwest::Client,
}

/// A document that arrives piece by piece.
#[derive(Debug)]
pub(in crate::cli) struct Pieces<'a> {
    client: &'a Client,
    response: Response,
}

/// A JSON document of the server.
#[derive(Debug)]
pub(in crate::cli) struct Document {
    server: String,
    bytes: Vec<u8>,
    pub(in crate::cli) value: Value,
}

impl Client {
    /// Creates a client of the server that the arguments or the environment name.
    pub(super) fn from_args(
        args: &AddressArgs,
        stream_timeout: Duration,
    ) -> Result<Self, ClientError> {
        let server = match args.server.as_ref().or(super::SERVER.get()) {
            Some(server) => server.clone(),
            None => variable("SCANNER_SERVER_URL")?.unwrap_or_else(|| DEFAULT_SERVER.to_owned()),
        };
        let authorities = authorities_of(args)?;
        Self::new(&server, authorization()?.as_ref(), authorities.as_deref(), stream_timeout)
    }

    /// Creates a client with the value of its `Authorization` header, and with certificate
    /// authorities that replace those of the system.
    pub(super) fn new(
        server: &str,
        authorization: Option<&HeaderValue>,
        authorities: Option<&[Certificate]>,
        stream_timeout: Duration,
    ) -> Result<Self, ClientError> {
        let headers =
            || HeaderMap::from_iter(authorization.map(|value| (AUTHORIZATION, value.clone())));
        let build = |timeout: Option<Duration>| {
            let mut client = http::client().default_headers(headers());
            if let Some(timeout) = timeout {
                client = client.read_timeout(timeout);
            }
            if let Some(authorities) = authorities {
                client = client.tls_certs_only(authorities.iter().cloned());
            }
            client
                .build()
                .map_err(|error| ClientError::Settings(format!("cannot initialize TLS: {error}")))
        };
        Ok(Self {
            server: address(server)?,
            requests: build(Some(READ_TIMEOUT))?,
            streams: build(Some(stream_timeout))?,
            followed: build(None)?,
        })
    }

    /// The server's address, for messages.
    pub(in crate::cli) fn server(&self) -> &str {
        &self.server
    }

    /// Gets a document.
    pub(in crate::cli) async fn get(&self, path: &str) -> Result<Document, ClientError> {
        self.send_for_document(self.requests.request(Method::GET, self.url(path))).await
    }

    /// Posts a body, or an empty request.
    pub(in crate::cli) async fn post(
        &self,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Document, ClientError> {
        let request = self.requests.request(Method::POST, self.url(path));
        self.send_for_document(match body {
            Some(body) => request.json(body),
            None => request,
        })
        .await
    }

    /// Puts a body.
    pub(in crate::cli) async fn put(
        &self,
        path: &str,
        body: &Value,
    ) -> Result<Document, ClientError> {
        let request = self.requests.request(Method::PUT, self.url(path)).json(body);
        self.send_for_document(request).await
    }

    /// Posts a body, and waits for as long as the server works.
    pub(in crate::cli) async fn post_patiently(
        &self,
        path: &str,
        body: &Value,
    ) -> Result<Document, ClientError> {
        let request = self.followed.request(Method::POST, self.url(path));
        self.send_for_document(request.json(body)).await
    }

    /// Sends a DELETE request, whose answer has no body.
    pub(in crate::cli) async fn delete(&self, path: &str) -> Result<(), ClientError> {
        self.send(self.requests.request(Method::DELETE, self.url(path))).await.map(drop)
    }

    /// Gets a document of any size, and passes it to `sink` piece by piece. A followed document may
    /// be silent for as long as nothing is written to it.
    pub(in crate::cli) async fn download(
        &self,
        path: &str,
        accept: &str,
        followed: bool,
        mut sink: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), ClientError> {
        let mut pieces = self.open(path, accept, followed).await?;
        while let Some(piece) = pieces.next().await? {
            sink(&piece)?;
        }
        Ok(())
    }

    /// Opens a document of any size.
    pub(in crate::cli) async fn open(
        &self,
        path: &str,
        accept: &str,
        followed: bool,
    ) -> Result<Pieces<'_>, ClientError> {
        let client = if followed { &self.followed } else { &self.requests };
        let response = self.send(client.get(self.url(path)).header(ACCEPT, accept)).await?;
        Ok(Pieces { client: self, response })
    }

    /// Opens the event stream of a job, or of all jobs, after the event with this id; `None` if that
    /// was the last one.
    pub(super) async fn events(
        &self,
        job: Option<&JobId>,
        last_id: &str,
    ) -> Result<Option<Response>, ClientError> {
        let url = match job {
            Some(job) => self.url(&format!("/scan/{job}/events")),
            None => self.url("/events"),
        };
        let mut request = self.streams.get(url).header(ACCEPT, "text/event-stream");
        if !last_id.is_empty() {
            request = request.header("Last-Event-ID", last_id);
        }
        let response = self.send(request).await?;
        if response.status() == 204 {
            return Ok(None);
        }
        let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if !kind.is_some_and(|kind| kind.starts_with("text/event-stream")) {
            return Err(self.unexpected("not an event stream"));
        }
        Ok(Some(response))
    }

    /// Whether the server has read its disk; before that it does not know its jobs.
    pub(super) async fn is_ready(&self) -> Result<bool, ClientError> {
        match self.get("/readyz").await {
            Ok(_) => Ok(true),
            Err(ClientError::Unavailable { status: 503, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The error for a failed transfer, before or during an answer.
    pub(super) fn transfer_error(&self, source: reqwest::Error) -> ClientError {
        if let Some(error) = http::find::<rustls::Error>(&source)
            && let Some(untrusted) = ClientError::from_tls(&self.server, error)
        {
            return untrusted;
        }
        let mut cause: Option<&dyn std::error::Error> = Some(&source);
        while let Some(error) = cause {
            if error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse) {
                return self.unexpected("not HTTP");
            }
            cause = error.source();
        }
        ClientError::Unreachable { server: self.server.clone(), source }
    }

    pub(super) fn unexpected(&self, what: impl Into<String>) -> ClientError {
        ClientError::UnexpectedAnswer { server: self.server.clone(), what: what.into() }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server)
    }

    async fn send_for_document(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<Document, ClientError> {
        let response = self.send(request.header(ACCEPT, "application/json")).await?;
        let bytes = self.body(response).await?;
        match serde_json::from_slice(&bytes) {
            Ok(value) => Ok(Document { server: self.server.clone(), bytes, value }),
            Err(_) => Err(self.unexpected("not JSON")),
        }
    }

    /// Sends a request; an answer with a status other than success is an error.
    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Response, ClientError> {
        let response = request.send().await.map_err(|error| self.transfer_error(error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let location = response.headers().get(LOCATION).cloned();
        let location = location.as_ref().and_then(|value| value.to_str().ok());
        let body = self.body(response).await?;
        Err(ClientError::from_answer(&self.server, status, location, &body))
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, ClientError> {
        let mut bytes = Vec::new();
        while let Some(piece) =
            response.chunk().await.map_err(|error| self.transfer_error(error))?
        {
            if bytes.len() + piece.len() > MAX_ANSWER_BYTES {
                return Err(self.unexpected(format!("longer than {MAX_ANSWER_BYTES} bytes")));
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }
}

impl Pieces<'_> {
    /// Waits for the next piece; `None` at the end.
    pub(in crate::cli) async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        self.response.chunk().await.map_err(|error| self.client.transfer_error(error))
    }
}

impl Document {
    /// Deserializes the document; a document of another shape is an error.
    pub(in crate::cli) fn read<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        serde_json::from_value(self.value.clone()).map_err(|error| ClientError::UnexpectedAnswer {
            server: self.server.clone(),
            what: format!("unknown document ({error})"),
        })
    }

    /// The document as the server sent it, with a line feed.
    pub(in crate::cli) fn line(&self) -> Vec<u8> {
        let mut line = self.bytes.trim_ascii_end().to_vec();
        line.push(b'\n');
        line
    }
}

/// Validates the address of a server and removes trailing slashes.
fn address(text: &str) -> Result<String, ClientError> {
    let refuse = |why: &str| Err(ClientError::Settings(format!("invalid server address: {why}")));
    let Ok(url) = Url::parse(text) else {
        return refuse("expected http(s)://host[:port], such as http://127.0.0.1:8000");
    };
    if !url.username().is_empty() || url.password().is_some() {
        // Do not print the text: it contains a secret.
        return refuse(
            "it must not contain credentials; set API_USERNAME and API_PASSWORD, or SCANWATCH_TOKEN",
        );
    }
    if !matches!(url.scheme(), "http" | "https")
        || !url.has_host()
        || url.query().is_some()
        || url.fragment().is_some()
    {
        return refuse(&format!("expected http(s)://host[:port], got `{text}`"));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// The certificate authorities that the arguments or the environment name.
fn authorities_of(args: &AddressArgs) -> Result<Option<Vec<Certificate>>, ClientError> {
    let (name, path) = match (&args.ca_file, variable("SCANNER_CA_FILE")?) {
        (Some(path), _) => ("--ca-file", path.clone()),
        (None, Some(path)) => ("SCANNER_CA_FILE", path.into()),
        (None, None) => return Ok(None),
    };
    let refused = |reason| ClientError::Settings(format!("{name}: {reason}"));
    let (_, certificates) = authorities::read(&path).map_err(refused)?;
    let certificates = certificates.iter().map(|der| Certificate::from_der(der));
    let certificates = certificates.collect::<Result<_, _>>();
    certificates.map(Some).map_err(|error| refused(error.to_string()))
}

/// The value of the `Authorization` header: a token, else name and password, else none.
fn authorization() -> Result<Option<HeaderValue>, ClientError> {
    if let Some(token) = variable("SCANWATCH_TOKEN")? {
        return header_of("SCANWATCH_TOKEN", &SecretString::from(format!("Bearer {token}")))
            .map(Some);
    }
    let half = |set: &str, unset: &str| {
        Err(ClientError::Settings(format!("{set} is set, {unset} is not")))
    };
    match (variable("API_USERNAME")?, variable("API_PASSWORD")?) {
        (Some(name), Some(_)) if name.contains(':') => {
            Err(ClientError::Settings("API_USERNAME: a name must not contain a colon".to_owned()))
        }
        (Some(name), Some(password)) => {
            let both = BASE64_STANDARD.encode(format!("{name}:{password}"));
            header_of("API_PASSWORD", &SecretString::from(format!("Basic {both}"))).map(Some)
        }
        (None, None) => Ok(None),
        (Some(_), None) => half("API_USERNAME", "API_PASSWORD"),
        (None, Some(_)) => half("API_PASSWORD", "API_USERNAME"),
    }
}

fn header_of(variable: &str, secret: &SecretString) -> Result<HeaderValue, ClientError> {
    let mut value = HeaderValue::from_str(secret.expose_secret()).map_err(|_| {
        ClientError::Settings(format!(
            "{variable} has characters that are not allowed in an HTTP header"
        ))
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// An environment variable; an empty one counts as unset.
fn variable(name: &str) -> Result<Option<String>, ClientError> {
    match std::env::var(name) {
        Ok(text) => Ok(Some(text).filter(|text| !text.is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => {
            Err(ClientError::Settings(format!("{name} is not valid UTF-8")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn an_address_is_validated() {
        for (text, expected) in [
            ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
            ("https://scan.example/", "https://scan.example"),
            ("https://proxy.example/scanwatch/", "https://proxy.example/scanwatch"),
        ] {
            assert_eq!(address(text).unwrap(), expected);
        }
        for bad in ["", "localhost:8000", "ftp://h", "http://h/?x", "http://h/#x", "127.0.0.1:80"] {
            assert!(address(bad).unwrap_err().to_string().contains("expected http(s)://"), "{bad}");
        }
        let error = address("http://u:s3cret@h").unwrap_err().to_string();
        assert!(error.contains("credentials") && !error.contains("s3cret"), "{error}");
    }
}
