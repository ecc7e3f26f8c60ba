//! One server, and how it is asked.
//!
//! What flows in: the server's address, credentials of the environment, who vouches for the server. What flows out: documents,
//! streams, or why there is none. What must stay true: credentials go to the server that was named
//! and nowhere else (no redirects, no proxies, no certificate that is not trusted); an answer is read up to a bound; an ordinary
//! request ends, at the latest some time after the server has stopped moving.

use super::{ServerArgs, error::ClientError};
use crate::{config::authorities, http, model::JobId};
use base64::{Engine, prelude::BASE64_STANDARD};
use reqwest::{
    Certificate, Method, Response,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION},
};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{env::VarError, time::Duration};
use url::Url;

/// Where a server is, unless somebody says otherwise.
const DEFAULT_SERVER: &str = "http://127.0.0.1:8000";
/// For how long a server may send nothing of an ordinary answer.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// For how long a stream may be silent: the server says something every 15 s.
const STREAM_TIMEOUT: Duration = Duration::from_mins(1);
/// The most bytes of an answer that are read.
const MOST_BYTES: usize = 256 << 20;

/// A server that can be asked.
#[derive(Debug)]
pub(in crate::cli) struct Client {
    /// Scheme, host, port, and the path below which the server lies; no slash at the end.
    server: String,
    requests: reqwest::Client,
    streams: reqwest::Client,
}

/// A document of the server.
#[derive(Debug)]
pub(in crate::cli) struct Document {
    server: String,
    bytes: Vec<u8>,
    pub(in crate::cli) value: Value,
}

impl Client {
    /// The server that the arguments or the environment name.
    pub(super) fn of(args: &ServerArgs) -> Result<Self, ClientError> {
        let server = match &args.server {
            Some(server) => server.clone(),
            None => variable("SCANNER_SERVER_URL")?.unwrap_or_else(|| DEFAULT_SERVER.to_owned()),
        };
        let authorities = authorities_of(args)?;
        Self::new(&server, authorization()?.as_ref(), authorities.as_deref(), STREAM_TIMEOUT)
    }

    /// A server, the credentials that it is shown, and who vouches for it, if not the authorities of
    /// the system.
    pub(super) fn new(
        server: &str,
        authorization: Option<&HeaderValue>,
        authorities: Option<&[Certificate]>,
        stream_timeout: Duration,
    ) -> Result<Self, ClientError> {
        let headers = || HeaderMap::from_iter(authorization.map(|it| (AUTHORIZATION, it.clone())));
        let build = |timeout| {
            let mut client = http::client().default_headers(headers()).read_timeout(timeout);
            if let Some(authorities) = authorities {
                client = client.tls_certs_only(authorities.iter().cloned());
            }
            client
                .build()
                .map_err(|error| ClientError::Settings(format!("cannot use TLS: {error}")))
        };
        Ok(Self {
            server: address(server)?,
            requests: build(READ_TIMEOUT)?,
            streams: build(stream_timeout)?,
        })
    }

    /// The server's address, for people.
    pub(in crate::cli) fn server(&self) -> &str {
        &self.server
    }

    /// GET of a document.
    pub(in crate::cli) async fn get(&self, path: &str) -> Result<Document, ClientError> {
        self.ask(self.requests.request(Method::GET, self.url(path))).await
    }

    /// POST of a body, or of none.
    pub(in crate::cli) async fn post(
        &self,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Document, ClientError> {
        let request = self.requests.request(Method::POST, self.url(path));
        self.ask(match body {
            Some(body) => request.json(body),
            None => request,
        })
        .await
    }

    /// A job's events after the one with this id; `None` where the last one has been seen.
    pub(super) async fn events(
        &self,
        job: &JobId,
        last_id: &str,
    ) -> Result<Option<Response>, ClientError> {
        let url = self.url(&format!("/scan/{job}/events"));
        let mut request = self.streams.get(url).header(ACCEPT, "text/event-stream");
        if !last_id.is_empty() {
            request = request.header("Last-Event-ID", last_id);
        }
        let response = self.send(request).await?;
        if response.status() == 204 {
            return Ok(None);
        }
        let kind = response.headers().get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
        if !kind.is_some_and(|it| it.starts_with("text/event-stream")) {
            return Err(self.foreign("where its events should be, there is something else"));
        }
        Ok(Some(response))
    }

    /// Whether the server has read its disk: before that, it does not know its jobs.
    pub(super) async fn is_ready(&self) -> Result<bool, ClientError> {
        match self.get("/readyz").await {
            Ok(_) => Ok(true),
            Err(ClientError::Unavailable { status: 503, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What went wrong below an answer that had begun, or instead of one.
    pub(super) fn broken(&self, source: reqwest::Error) -> ClientError {
        if let Some(error) = http::find::<rustls::Error>(&source)
            && let Some(untrusted) = ClientError::of_tls(&self.server, error)
        {
            return untrusted;
        }
        let mut cause: Option<&dyn std::error::Error> = Some(&source);
        while let Some(error) = cause {
            if error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse) {
                return self.foreign("what it says is not HTTP");
            }
            cause = error.source();
        }
        ClientError::Unreachable { server: self.server.clone(), source }
    }

    pub(super) fn foreign(&self, what: impl Into<String>) -> ClientError {
        ClientError::Foreign { server: self.server.clone(), what: what.into() }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server)
    }

    async fn ask(&self, request: reqwest::RequestBuilder) -> Result<Document, ClientError> {
        let response = self.send(request.header(ACCEPT, "application/json")).await?;
        let bytes = self.body(response).await?;
        match serde_json::from_slice(&bytes) {
            Ok(value) => Ok(Document { server: self.server.clone(), bytes, value }),
            Err(_) => Err(self.foreign("its answer is no JSON")),
        }
    }

    /// Sends a request; an answer that says no is an error.
    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Response, ClientError> {
        let response = request.send().await.map_err(|error| self.broken(error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let location = response.headers().get(LOCATION).cloned();
        let location = location.as_ref().and_then(|it| it.to_str().ok());
        let body = self.body(response).await?;
        Err(ClientError::of_answer(&self.server, status, location, &body))
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, ClientError> {
        let mut bytes = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| self.broken(error))? {
            if bytes.len() + piece.len() > MOST_BYTES {
                return Err(self.foreign(format!("its answer is longer than {MOST_BYTES} bytes")));
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }
}

impl Document {
    /// What the document says, where it says what is expected.
    pub(in crate::cli) fn read<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        serde_json::from_value(self.value.clone()).map_err(|error| ClientError::Foreign {
            server: self.server.clone(),
            what: format!("its document is another one ({error})"),
        })
    }

    /// The document as the server sent it, on a line of its own.
    pub(in crate::cli) fn line(&self) -> Vec<u8> {
        let mut line = self.bytes.trim_ascii_end().to_vec();
        line.push(b'\n');
        line
    }
}

/// The address of a server in the form that paths are added to.
fn address(text: &str) -> Result<String, ClientError> {
    let refuse = |why: &str| Err(ClientError::Settings(format!("the server's address: {why}")));
    let Ok(url) = Url::parse(text) else {
        return refuse("want http(s)://host[:port], such as http://127.0.0.1:8000");
    };
    if !url.username().is_empty() || url.password().is_some() {
        // The text is not repeated: it holds a secret.
        return refuse(
            "it must not hold credentials; they are taken from API_USERNAME and API_PASSWORD, \
             or SCANWATCH_TOKEN",
        );
    }
    if !matches!(url.scheme(), "http" | "https")
        || !url.has_host()
        || url.query().is_some()
        || url.fragment().is_some()
    {
        return refuse(&format!("want http(s)://host[:port], got `{text}`"));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// Who vouches for the server, by the arguments or the environment.
fn authorities_of(args: &ServerArgs) -> Result<Option<Vec<Certificate>>, ClientError> {
    let (name, path) = match (&args.ca_file, variable("SCANNER_CA_FILE")?) {
        (Some(path), _) => ("--ca-file", path.clone()),
        (None, Some(path)) => ("SCANNER_CA_FILE", path.into()),
        (None, None) => return Ok(None),
    };
    let refused = |reason| ClientError::Settings(format!("{name}: {reason}"));
    let (_, certificates) = authorities::read(&path).map_err(refused)?;
    let certificates = certificates.iter().map(|it| Certificate::from_der(it));
    let certificates = certificates.collect::<Result<_, _>>();
    certificates.map(Some).map_err(|error| refused(error.to_string()))
}

/// What is sent as `Authorization`: a token, else a name and a password, else nothing.
fn authorization() -> Result<Option<HeaderValue>, ClientError> {
    if let Some(token) = variable("SCANWATCH_TOKEN")? {
        return header_of("SCANWATCH_TOKEN", &SecretString::from(format!("Bearer {token}")))
            .map(Some);
    }
    let half =
        |is: &str, not: &str| Err(ClientError::Settings(format!("{is} is set, {not} is not")));
    match (variable("API_USERNAME")?, variable("API_PASSWORD")?) {
        (Some(name), Some(_)) if name.contains(':') => {
            Err(ClientError::Settings("API_USERNAME: a name has no colon".to_owned()))
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
        ClientError::Settings(format!("{variable} has characters that no header can carry"))
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// A variable of the environment; an empty one is none.
fn variable(name: &str) -> Result<Option<String>, ClientError> {
    match std::env::var(name) {
        Ok(text) => Ok(Some(text).filter(|it| !it.is_empty())),
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
    fn an_address_is_checked_before_anything_is_sent_there() {
        for (text, expected) in [
            ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
            ("https://scan.example/", "https://scan.example"),
            ("https://proxy.example/scanwatch/", "https://proxy.example/scanwatch"),
        ] {
            assert_eq!(address(text).unwrap(), expected);
        }
        for bad in ["", "localhost:8000", "ftp://h", "http://h/?x", "http://h/#x", "127.0.0.1:80"] {
            assert!(address(bad).unwrap_err().to_string().contains("want http(s)://"), "{bad}");
        }
        let error = address("http://u:s3cret@h").unwrap_err().to_string();
        assert!(error.contains("credentials") && !error.contains("s3cret"), "{error}");
    }
}
