//! Who asks: an `Authorization` header comes in, a user or a refusal goes out.
//!
//! Three kinds of credentials: the one user of the environment and the users of an htpasswd file,
//! who may do everything, and tokens with a scope. Without any of them the server is open.
//!
//! | file | concern |
//! |---|---|
//! | `header` | what was sent |
//! | `door` | the way from there to an identity |
//! | `throttle`, `turns`, `hashing` | what keeps guessing slow, and cheap for us |
//! | `roster`, `identity` | who is known, and until when |
//! | `list_file`, `htpasswd`, `tokens` | the files they come from |
//! | `secret` | comparing and marking secrets |
//!
//! What must stay true: credentials are judged before a body is read; no time that a client can
//! measure tells whether a user exists, or how near a guess was; nothing that an identity was
//! given outlives it.

mod door;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod hashing;
mod header;
mod htpasswd;
mod identity;
mod list_file;
mod roster;
mod secret;
mod throttle;
mod tokens;
mod turns;

pub use identity::{Identity, NoScope, Scope, User};
pub use tokens::{Expiry, NewToken, NoExpiry};

use super::{
    connection::ConnectionContext,
    error::ApiError,
    named_file::{FileError, Look, NamedFiles},
};
use crate::config::AuthConfig;
use door::Door;
use roster::Account;
use secrecy::SecretString;
use secret::Padded;
use std::sync::Arc;
use warp::http::HeaderValue;

/// Who may use the server.
#[derive(Debug)]
pub struct Auth {
    /// None: everybody.
    door: Option<Door>,
}

/// Why credentials cannot be used, of those that the operator gave.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// A name that cannot be sent in Basic authentication.
    #[error(
        "API_USERNAME: the user's name must not be empty, and have neither a colon nor control \
         characters"
    )]
    UnusableName,
    /// A name that a line of the tokens file cannot hold.
    #[error("the token's name must not be empty, begin with #, or have blanks or colons")]
    UnusableTokenName,
    /// A file that makes no sense.
    #[error(transparent)]
    File(#[from] FileError),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    NoRandomness,
}

/// Credentials that were right, kept with their connection: the bytes of the header, and whose.
#[derive(Debug)]
pub struct VerifiedCredentials {
    header: Padded,
    identity: Arc<Identity>,
}

impl VerifiedCredentials {
    fn new(header: &[u8], identity: Arc<Identity>) -> Self {
        Self { header: Padded::new(header), identity }
    }

    /// Whose these are, if they are the same and still hold.
    fn identity_for(&self, header: &[u8]) -> Option<Arc<Identity>> {
        let same = bool::from(self.header.equals(header));
        (same && self.identity.is_valid()).then(|| Arc::clone(&self.identity))
    }
}

impl Auth {
    /// Asks nobody.
    pub fn open() -> Self {
        Self { door: None }
    }

    /// Knows one user.
    pub fn single(name: &str, password: &SecretString) -> Result<Self, AuthError> {
        Self::new(Some((name, password)), &AuthConfig::default())
    }

    /// Knows the one user of the environment and those of the files; if there are neither, the
    /// server is open. A file that names nobody lets nobody in.
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
        let account = account.map(|(name, password)| Account::new(name, password));
        Ok(Self { door: Some(Door::new(account, config)?) })
    }

    /// Whether everybody may do everything.
    pub fn is_open(&self) -> bool {
        self.door.is_none()
    }

    /// Who sends this `Authorization` header, if that may do what needs this scope.
    pub async fn grant(
        &self,
        authorization: Option<&HeaderValue>,
        connection: Option<&ConnectionContext>,
        needed: Scope,
    ) -> Result<User, ApiError> {
        let Some(door) = &self.door else {
            return Ok(User::anybody());
        };
        let header = authorization.ok_or(ApiError::NotAuthenticated)?.as_bytes();
        allowed(door.identify(header, connection).await?, needed)
    }

    /// The same, as far as nothing has to be judged for it: where nobody is asked, where there are no
    /// credentials, and where they are those that the connection has verified last.
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
        let identity = door::remembered(connection?, header.as_bytes())?;
        Some(allowed(identity, needed))
    }

    /// What is wrong with the files as they are now, for `/health`.
    pub(super) fn problems(&self) -> Vec<String> {
        self.door.as_ref().map(Door::problems).unwrap_or_default()
    }
}

impl NamedFiles for Auth {
    fn refresh(&self, anyway: bool) -> Look {
        if let Some(door) = &self.door {
            door.refresh(anyway);
        }
        // Such a file stands alone: as soon as it makes sense, it is meant.
        Look::Settled
    }
}

/// The user of this identity, if it may do what needs this scope.
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
    async fn right_wrong_and_unusable_credentials_are_told_apart() {
        check(Some(&basic("scän:s3cret:with colon")), "user scän").await;
        for wrong in ["scän:s3cret", "scän:", ":", "scan:s3cret:with colon", ":s3cret:with colon"]
        {
            check(Some(&basic(wrong)), "Invalid credentials").await;
        }
        check(Some(&basic("scän:s3cret:with colon\0")), "Invalid credentials").await;
        check(Some(&basic(&format!("scän:{}", "x".repeat(5000)))), "Invalid credentials").await;
        check(None, "Not authenticated").await;
        // Bearer too: there are no tokens here.
        for unusable in ["", "Basic", "Basic !!!", "Bearer abc", "Basic YQ=="] {
            check(Some(&HeaderValue::from_static(unusable)), "Not authenticated").await;
        }
    }

    #[tokio::test]
    async fn an_open_server_asks_nobody() {
        for header in [None, Some(&basic("a:b"))] {
            let user = Auth::open().grant(header, None, Scope::Admin).await.unwrap();
            assert_eq!(user.name(), None);
        }
    }

    #[test]
    fn a_name_that_cannot_be_sent_is_refused_at_the_start() {
        for name in ["", "a:b", "a\n"] {
            assert!(Auth::single(name, &SecretString::from("x")).is_err(), "{name:?}");
        }
    }
}
