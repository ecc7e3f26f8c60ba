//! Authentication and authorization of requests.
//!
//! There are three kinds of credentials: the one user of the environment and the users of an
//! htpasswd file, who may do everything, and tokens with a scope. Without any of them the server
//! is open.
//!
//! Input: an `Authorization` header, and the scope that the route needs. Output: a user, or a
//! refusal.
//!
//! | file | concern |
//! |---|---|
//! | `header` | parsing the credentials of the header |
//! | `authenticator` | the steps from there to an identity |
//! | `throttle`, `single_flight`, `hashing` | limiting guesses, and their cost for the server |
//! | `accounts`, `identity` | known users and tokens, and their validity |
//! | `connection_context` | credentials that a connection has verified |
//! | `list_file`, `htpasswd`, `tokens` | the files that define them |
//! | `sessions` | cookies of browsers that stand for verified credentials |
//! | `secret` | constant-time comparison, and fingerprints of secrets |
//!
//! Invariants: credentials are checked before a body is read; response times reveal neither
//! whether a user exists nor how close a guess was; nothing that was granted to an identity
//! outlives it.

mod accounts;
mod authenticator;
mod connection_context;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod hashing;
mod header;
mod htpasswd;
mod identity;
mod list_file;
mod secret;
mod sessions;
mod single_flight;
mod throttle;
mod tokens;

pub use connection_context::ConnectionContext;
pub(super) use header::Presented;
pub use identity::{Identity, User};
pub(super) use sessions::cookie_name;
pub use tokens::{Expiry, NewToken, NoExpiry};

use super::{
    answers::error::ApiError,
    reloaded_files::{FileError, Reload, ReloadedFiles},
    scope::Scope,
};
use crate::config::AuthConfig;
use accounts::EnvironmentUser;
use authenticator::Authenticator;
use secrecy::SecretString;
use std::{sync::Arc, time::Instant};
use warp::http::{
    HeaderMap, HeaderValue, Method, Request,
    header::{AUTHORIZATION, COOKIE, ORIGIN},
};

/// The authentication of the server.
#[derive(Debug)]
pub struct Auth {
    /// `None` on an open server.
    authenticator: Option<Authenticator>,
}

/// Why the credentials that the operator configured cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// A name that cannot be sent in Basic authentication.
    #[error(
        "API_USERNAME: the user name must not be empty and must contain neither a colon nor \
         control characters"
    )]
    UnusableName,
    /// A name that a line of the tokens file cannot hold.
    #[error("the token's name must not be empty, start with `#`, or contain blanks or colons")]
    UnusableTokenName,
    /// A file that cannot be parsed.
    #[error(transparent)]
    File(#[from] FileError),
    /// The system provides no random numbers.
    #[error("the system provides no random numbers")]
    NoRandomness,
}

impl Auth {
    /// An open server: no credentials are required.
    pub fn open() -> Self {
        Self { authenticator: None }
    }

    /// A server with one user.
    pub fn single(name: &str, password: &SecretString) -> Result<Self, AuthError> {
        Self::new(Some((name, password)), &AuthConfig::default())
    }

    /// A server with the one user of the environment and the users and tokens of the files. Without
    /// any of these settings the server is open; an empty file closes it to everybody.
    pub fn new(
        account: Option<(&str, &SecretString)>,
        config: &AuthConfig,
    ) -> Result<Self, AuthError> {
        if account.is_none() && !config.has_files() {
            return Ok(Self::open());
        }
        if account.is_some_and(|(name, _)| !is_usable_name(name)) {
            return Err(AuthError::UnusableName);
        }
        let account = account.map(|(name, password)| EnvironmentUser::new(name, password));
        Ok(Self { authenticator: Some(Authenticator::new(account, config)?) })
    }

    /// Whether no credentials are required.
    pub fn is_open(&self) -> bool {
        self.authenticator.is_none()
    }

    /// Returns the user of this `Authorization` header, if it has the needed scope.
    pub async fn grant(
        &self,
        authorization: Option<&HeaderValue>,
        connection: Option<&ConnectionContext>,
        needed: Scope,
    ) -> Result<User, ApiError> {
        let Some(authenticator) = &self.authenticator else {
            return Ok(User::anybody());
        };
        let header = authorization.ok_or(ApiError::NotAuthenticated)?.as_bytes();
        allowed(authenticator.identify(header, connection).await?, needed)
    }

    /// Returns the user of the session whose cookie a request has, if it has the needed scope; none without a valid
    /// session. A write has to name its origin, which only a browser sends, and which is compared elsewhere.
    pub(super) fn signed_in<B>(
        &self,
        request: &Request<B>,
        port: Option<u16>,
        needed: Scope,
    ) -> Option<Result<User, ApiError>> {
        let authenticator = self.authenticator.as_ref()?;
        let headers = request.headers();
        if !headers.contains_key(COOKIE) || headers.contains_key(AUTHORIZATION) {
            return None;
        }
        let id = sessions::cookie(headers, &cookie_name(port))?;
        let (identity, end) = authenticator.sessions().identity(id, Instant::now())?;
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        if !is_read && !headers.contains_key(ORIGIN) {
            return Some(Err(ApiError::CrossSite("it has a cookie, but no Origin".into())));
        }
        Some(allowed(identity, needed).map(|user| user.in_session(end)))
    }

    /// Checks credentials as those of any request, and begins a session of their identity. Returns its id.
    pub(super) async fn sign_in(
        &self,
        presented: Presented,
        connection: Option<&ConnectionContext>,
    ) -> Result<String, ApiError> {
        let authenticator = self.authenticator.as_ref().ok_or(ApiError::NotAuthenticated)?;
        let identity = authenticator.identity_of(presented, connection).await?;
        authenticator.sessions().begin(identity, Instant::now()).map_err(|error| {
            ApiError::Unavailable { detail: error.to_string().into(), retry_after: None }
        })
    }

    /// Ends the session whose cookie these headers have.
    pub(super) fn sign_out(&self, headers: &HeaderMap, port: Option<u16>) {
        let id = sessions::cookie(headers, &cookie_name(port));
        if let (Some(authenticator), Some(id)) = (&self.authenticator, id) {
            authenticator.sessions().end(id);
        }
    }

    /// Returns what [`grant`](Self::grant) returns, without waiting, where no check is needed: on an open server, without
    /// credentials, and with the credentials that the connection has verified last.
    pub(super) fn known(
        &self,
        authorization: Option<&HeaderValue>,
        connection: Option<&ConnectionContext>,
        needed: Scope,
    ) -> Option<Result<User, ApiError>> {
        if self.is_open() {
            return Some(Ok(User::anybody()));
        }
        let Some(header) = authorization else { return Some(Err(ApiError::NotAuthenticated)) };
        let identity = authenticator::remembered(connection?, header.as_bytes())?;
        Some(allowed(identity, needed))
    }

    /// The problems of the files in their current state, for `/health`.
    pub(super) fn problems(&self) -> Vec<String> {
        self.authenticator.as_ref().map(Authenticator::problems).unwrap_or_default()
    }
}

impl ReloadedFiles for Auth {
    fn refresh(&self, anyway: bool) -> Reload {
        if let Some(authenticator) = &self.authenticator {
            authenticator.refresh(anyway);
        }
        // Each file is complete by itself: one that can be parsed is in its final state.
        Reload::Settled
    }
}

/// The user of this identity, if it has the needed scope.
fn allowed(identity: Arc<Identity>, needed: Scope) -> Result<User, ApiError> {
    if identity.scope() < needed {
        return Err(ApiError::MissingScope(needed));
    }
    Ok(User::of(identity))
}

/// Whether a name can be sent in Basic authentication.
fn is_usable_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c == ':' || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::{Engine, engine::general_purpose::STANDARD};

    fn auth() -> Auth {
        Auth::single("scän", &SecretString::from("s3cret:with colon")).unwrap()
    }

    fn basic(credentials: &str) -> HeaderValue {
        HeaderValue::try_from(format!("Basic {}", STANDARD.encode(credentials))).unwrap()
    }

    async fn check(header: Option<&HeaderValue>, expected: &str) {
        let outcome = match auth().grant(header, None, Scope::Admin).await {
            Ok(user) => format!("user {}", user.name().unwrap()),
            Err(error) => error.to_string(),
        };
        assert_eq!(outcome, expected, "{header:?}");
    }

    #[tokio::test]
    async fn right_wrong_and_unusable_credentials_are_distinguished() {
        check(Some(&basic("scän:s3cret:with colon")), "user scän").await;
        for wrong in ["scän:s3cret", "scän:", ":", "scan:s3cret:with colon", ":s3cret:with colon"]
        {
            check(Some(&basic(wrong)), "Invalid credentials").await;
        }
        check(Some(&basic("scän:s3cret:with colon\0")), "Invalid credentials").await;
        check(Some(&basic(&format!("scän:{}", "x".repeat(5000)))), "Invalid credentials").await;
        check(None, "Not authenticated").await;
        // Bearer too: this server has no tokens.
        for unusable in ["", "Basic", "Basic !!!", "Bearer abc", "Basic YQ=="] {
            check(Some(&HeaderValue::from_static(unusable)), "Not authenticated").await;
        }
    }

    #[tokio::test]
    async fn an_open_server_requires_no_credentials() {
        for header in [None, Some(&basic("a:b"))] {
            let user = Auth::open().grant(header, None, Scope::Admin).await.unwrap();
            assert_eq!(user.name(), None);
        }
    }

    #[test]
    fn a_name_that_cannot_be_sent_is_refused_at_startup() {
        for name in ["", "a:b", "a\n"] {
            assert!(Auth::single(name, &SecretString::from("x")).is_err(), "{name:?}");
        }
    }
}
