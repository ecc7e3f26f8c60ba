//! Authenticates a request by its `Authorization` header.
//!
//! ```text
//! header ─► token ─────────────────────────────────────► accounts ─► identity
//!       └► password ─► verified within the last minute? ────────────► identity
//!               └► single flight ─► throttle ─► hashing ─► accounts ─► identity
//! ```
//!
//! Input: the bytes of the header, and the connection with the peer's address. Output: an
//! identity, or a 401, 429 or 503.
//!
//! Invariants: a client with too many failures is refused before a hash is computed; credentials
//! that were verified within the last minute are accepted, whatever other clients try meanwhile
//! from the same address or under the same name; a change of the account files does not interrupt
//! users whom it does not concern.

use super::{
    AuthError,
    accounts::{Accounts, EnvironmentUser},
    connection_context::{ConnectionContext, VerifiedCredentials},
    hashing::{Busy, Claim, Hashing},
    header::Presented,
    htpasswd,
    identity::Identity,
    list_file::ListFile,
    secret::Fingerprints,
    sessions::Sessions,
    single_flight::SingleFlight,
    throttle::{Network, Throttle},
    tokens,
};
use crate::{
    api::{answers::error::ApiError, log_limit::LineLimit, reloaded_files::FileError},
    config::AuthConfig,
};
use secrecy::{ExposeSecret, SecretSlice};
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::{Duration, Instant},
};

/// The user name under which a token may be sent as a password, for tools that support only Basic
/// authentication.
const TOKEN_USER: &[u8] = b"token";
/// `Retry-After`, in seconds, when the queue of passwords is full.
const BUSY_RETRY_SECS: u64 = 2;
/// Limits of the log lines about each kind of failure.
static FAILED_LOGINS: LineLimit = LineLimit::new(20);
static WRONG_TOKENS: LineLimit = LineLimit::new(20);
/// How long a password may wait until it is checked.
const PATIENCE: Duration = Duration::from_secs(5);

/// The authenticator of a server that requires credentials.
#[derive(Debug)]
pub(super) struct Authenticator {
    account: Option<Arc<EnvironmentUser>>,
    accounts: RwLock<Arc<Accounts>>,
    files: Mutex<Files>,
    takes_tokens: bool,
    fingerprints: Fingerprints,
    /// Requests with the same credentials wait for the verdict of the first.
    turns: SingleFlight<Option<Verdict>>,
    throttle: Mutex<Throttle>,
    hashing: Hashing,
    sessions: Sessions,
}

/// The outcome of a check that other requests with the same credentials wait for. Only failures are
/// stored here: a success is remembered by the identity.
#[derive(Debug, Clone, Copy)]
struct Verdict {
    outcome: Outcome,
    /// Requests that joined before this moment share the verdict. For later requests, the files
    /// may have changed.
    began: Instant,
}

#[derive(Debug, Clone, Copy)]
enum Outcome {
    Wrong,
    Busy,
}

#[derive(Debug)]
struct Files {
    htpasswd: Option<ListFile<htpasswd::Entry>>,
    tokens: Option<ListFile<tokens::Entry>>,
}

impl Files {
    fn open(config: &AuthConfig, account: Option<&str>) -> Result<Self, FileError> {
        let taken = account.map(str::to_owned);
        let htpasswd = config.htpasswd_file.as_deref().map(|path| {
            let parser = move |text: &str| htpasswd::parse(text, taken.as_deref());
            ListFile::open("auth.htpasswd_file", path, Box::new(parser))
        });
        let tokens = config
            .tokens_file
            .as_deref()
            .map(|path| ListFile::open("auth.tokens_file", path, Box::new(tokens::parse)));
        Ok(Self { htpasswd: htpasswd.transpose()?, tokens: tokens.transpose()? })
    }

    fn accounts(&self, account: Option<Arc<EnvironmentUser>>, before: &Accounts) -> Accounts {
        let users = self.htpasswd.as_ref().map_or(&[][..], ListFile::entries);
        let tokens = self.tokens.as_ref().map_or(&[][..], ListFile::entries);
        Accounts::new(account, users, tokens, before)
    }

    fn refresh(&mut self, anyway: bool) -> bool {
        let htpasswd = self.htpasswd.as_mut().is_some_and(|file| file.refresh(anyway));
        let tokens = self.tokens.as_mut().is_some_and(|file| file.refresh(anyway));
        htpasswd || tokens
    }
}

impl Authenticator {
    pub(super) fn new(
        account: Option<EnvironmentUser>,
        config: &AuthConfig,
    ) -> Result<Self, AuthError> {
        let files = Files::open(config, account.as_ref().map(EnvironmentUser::name))?;
        let account = account.map(Arc::new);
        let accounts = files.accounts(account.clone(), &Accounts::default());
        if accounts.is_empty() {
            tracing::warn!(
                "the files of [auth] contain no users and no tokens: every request is refused; \
                 add a user or a token"
            );
        }
        Ok(Self {
            account,
            accounts: RwLock::new(Arc::new(accounts)),
            takes_tokens: files.tokens.is_some(),
            files: Mutex::new(files),
            fingerprints: Fingerprints::new()?,
            turns: SingleFlight::default(),
            throttle: Mutex::new(Throttle::new()),
            hashing: Hashing::new(),
            sessions: Sessions::new()?,
        })
    }

    pub(super) fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Re-reads the files if they have changed or if `anyway` is set, and revokes removed
    /// identities.
    pub(super) fn refresh(&self, anyway: bool) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.accounts();
        if files.refresh(anyway) {
            let next = Arc::new(files.accounts(self.account.clone(), &before));
            // Publish the new accounts before revoking: otherwise a request could take an identity
            // from the old accounts after their revocation.
            *self.accounts.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&next);
            before.revoke_missing_in(&next);
        }
        self.accounts().expire();
    }

    /// The problems of the files in their current state.
    pub(super) fn problems(&self) -> Vec<String> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let htpasswd = files.htpasswd.as_ref().and_then(ListFile::problem);
        let tokens = files.tokens.as_ref().and_then(ListFile::problem);
        htpasswd.into_iter().chain(tokens).collect()
    }

    /// Returns the identity of this header. The connection remembers its last valid header, so that
    /// the next request with the same header needs no check.
    pub(super) async fn identify(
        &self,
        header: &[u8],
        connection: Option<&ConnectionContext>,
    ) -> Result<Arc<Identity>, ApiError> {
        if let Some(identity) = connection.and_then(|connection| remembered(connection, header)) {
            return Ok(identity);
        }
        let presented = Presented::parse(header).ok_or(ApiError::NotAuthenticated)?;
        let identity = self.identity_of(presented, connection).await?;
        if let Some(connection) = connection {
            let verified = VerifiedCredentials::new(header, Arc::clone(&identity));
            *connection.verified.lock().unwrap_or_else(PoisonError::into_inner) = Some(verified);
        }
        Ok(identity)
    }

    /// Returns the identity of these credentials.
    pub(super) async fn identity_of(
        &self,
        presented: Presented,
        connection: Option<&ConnectionContext>,
    ) -> Result<Arc<Identity>, ApiError> {
        let peer =
            connection.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |connection| connection.peer.ip());
        match presented {
            Presented::Token(token) if self.takes_tokens => self.by_token(&token, peer),
            Presented::Token(_) => Err(ApiError::NotAuthenticated),
            Presented::Password { name, password }
                if self.takes_tokens
                    && name == TOKEN_USER
                    && self.accounts().named(TOKEN_USER).is_none() =>
            {
                self.by_token(&password, peer)
            }
            Presented::Password { name, password } => self.by_password(&name, password, peer).await,
        }
    }

    /// Checks a token. A valid token is accepted even when the address is throttled: tokens cannot
    /// be guessed.
    fn by_token(&self, token: &SecretSlice<u8>, peer: IpAddr) -> Result<Arc<Identity>, ApiError> {
        if let Some(identity) = self.accounts().by_token(token.expose_secret()) {
            return Ok(identity);
        }
        let tokens = self.fingerprints.of(&[]);
        self.throttle()
            .charge_token(Network::from(peer), tokens, Instant::now())
            .map_err(too_many)?;
        if let Some(suppressed) = WRONG_TOKENS.pass() {
            tracing::warn!(%peer, suppressed, "token refused: unknown or expired");
        }
        Err(ApiError::InvalidCredentials)
    }

    async fn by_password(
        &self,
        name: &[u8],
        password: SecretSlice<u8>,
        peer: IpAddr,
    ) -> Result<Arc<Identity>, ApiError> {
        let credentials = self.fingerprints.of(&[name, password.expose_secret()]);
        let proven = || {
            let accounts = self.accounts();
            let identity = accounts.named(name)?;
            identity.was_proven_by(credentials, Instant::now()).then(|| Arc::clone(identity))
        };
        if let Some(identity) = proven() {
            return Ok(identity);
        }
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let ticket = self.turns.queue(credentials, usize::MAX).ok_or_else(busy)?;
        let turn = tokio::time::timeout_at(deadline, ticket.turn()).await;
        let mut verdict = turn.map_err(|_| busy())?;
        // A request that was checked before this one may have verified the credentials.
        if let Some(identity) = proven() {
            return Ok(identity);
        }
        let (from, print) = (Network::from(peer), self.fingerprints.of(&[name]));
        self.throttle().charge(from, print, Instant::now()).map_err(too_many)?;
        let known = verdict.filter(|verdict| ticket.joined() <= verdict.began);
        let outcome = if let Some(known) = known {
            known.outcome
        } else {
            let began = Instant::now();
            let claimant = self.fingerprints.of(&[from.text().as_bytes(), name]);
            let claim = Claim { claimant, deadline };
            let accounts = self.accounts();
            let outcome = match accounts.by_password(name, password, &self.hashing, claim).await {
                Ok(Some(identity)) => {
                    self.throttle().refund(from, print);
                    identity.prove(credentials, Instant::now());
                    return Ok(identity);
                }
                Ok(None) => Outcome::Wrong,
                Err(Busy) => Outcome::Busy,
            };
            *verdict = Some(Verdict { outcome, began });
            outcome
        };
        match outcome {
            Outcome::Wrong => {
                // The log omits the name: people type passwords there by mistake.
                if let Some(suppressed) = FAILED_LOGINS.pass() {
                    tracing::warn!(%peer, suppressed, "login failed: wrong user name or password");
                }
                Err(ApiError::InvalidCredentials)
            }
            Outcome::Busy => {
                self.throttle().refund(from, print);
                Err(busy())
            }
        }
    }

    fn accounts(&self) -> Arc<Accounts> {
        Arc::clone(&self.accounts.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The identity of this header, if the connection has verified it and the identity is still valid.
pub(super) fn remembered(connection: &ConnectionContext, header: &[u8]) -> Option<Arc<Identity>> {
    let verified = connection.verified.lock().unwrap_or_else(PoisonError::into_inner);
    verified.as_ref()?.identity_for(header)
}

fn busy() -> ApiError {
    ApiError::Unavailable {
        detail: "Too many logins are being checked".into(),
        retry_after: Some(BUSY_RETRY_SECS),
    }
}

fn too_many(wait: Duration) -> ApiError {
    ApiError::TooManyRequests {
        detail: "Too many failed logins".into(),
        // Rounded up to whole seconds, at least one.
        retry_after: wait.as_secs() + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::{Engine, engine::general_purpose::STANDARD};
    use secrecy::SecretString;

    fn authenticator() -> Authenticator {
        let account = EnvironmentUser::new("owner", &SecretString::from("right"));
        Authenticator::new(Some(account), &AuthConfig::default()).unwrap()
    }

    fn basic(credentials: &str) -> Vec<u8> {
        format!("Basic {}", STANDARD.encode(credentials)).into_bytes()
    }

    fn connection(peer: &str) -> ConnectionContext {
        ConnectionContext::new(peer.parse().unwrap())
    }

    async fn outcome(
        authenticator: &Authenticator,
        credentials: &str,
        connection: &ConnectionContext,
    ) -> String {
        match authenticator.identify(&basic(credentials), Some(connection)).await {
            Ok(identity) => identity.name().to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[tokio::test]
    async fn a_connection_remembers_valid_credentials_only() {
        let (authenticator, here) = (authenticator(), connection("127.0.0.1:9"));
        let remembers = |text: &str| remembered(&here, &basic(text)).is_some();
        assert_eq!(outcome(&authenticator, "owner:wrong", &here).await, "Invalid credentials");
        assert!(!remembers("owner:wrong"));
        assert_eq!(outcome(&authenticator, "owner:right", &here).await, "owner");
        assert!(remembers("owner:right") && !remembers("owner:wrong"));
        assert_eq!(outcome(&authenticator, "owner:wrong", &here).await, "Invalid credentials");
        assert_eq!(outcome(&authenticator, "owner:right", &here).await, "owner");
        authenticator.accounts().named(b"owner").unwrap().revoke();
        assert!(!remembers("owner:right"));
    }

    #[tokio::test]
    async fn a_verified_user_is_accepted_while_others_guess_from_the_same_address() {
        let authenticator = authenticator();
        let new = || connection("127.0.0.1:9");
        assert_eq!(outcome(&authenticator, "owner:right", &new()).await, "owner");
        for _ in 0..20 {
            outcome(&authenticator, "owner:wrong", &new()).await;
        }
        assert_eq!(outcome(&authenticator, "owner:wrong", &new()).await, "Too many failed logins");
        assert_eq!(outcome(&authenticator, "owner:right", &new()).await, "owner");
    }

    #[tokio::test]
    async fn a_right_password_is_refused_like_a_wrong_one_while_throttled() {
        let (authenticator, here) = (authenticator(), connection("127.0.0.1:9"));
        for _ in 0..10 {
            assert_eq!(outcome(&authenticator, "owner:wrong", &here).await, "Invalid credentials");
        }
        assert_eq!(outcome(&authenticator, "owner:right", &here).await, "Too many failed logins");
        assert_eq!(
            outcome(&authenticator, "owner:right", &connection("127.0.0.2:9")).await,
            "owner"
        );
    }
}
