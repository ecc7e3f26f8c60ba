//! The way in: the bytes of a header and an address come in, an identity or a refusal goes out.
//!
//! ```text
//! header ─► token ────────────────────────► roster ─► identity
//!       └► password ─► proven a moment ago? ────────► identity
//!               └► turn ─► throttle ─► hashing ─► roster ─► identity
//! ```
//!
//! What must stay true: who has failed too often is told so before a hash is computed; who was
//! let in a moment ago is let in, whatever strangers do meanwhile at the same address or in the
//! same name; a change of the files takes effect without a pause for those it does not concern.

use super::{
    AuthError, VerifiedCredentials,
    hashing::{Busy, Claim, Hashing},
    header::Presented,
    htpasswd,
    identity::Identity,
    list_file::ListFile,
    roster::{Account, Roster},
    secret::Fingerprints,
    throttle::{Network, Throttle},
    tokens,
    turns::Turns,
};
use crate::{
    api::{
        connection::ConnectionContext, error::ApiError, log_limit::LineLimit, named_file::FileError,
    },
    config::AuthConfig,
};
use secrecy::{ExposeSecret, SecretSlice};
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::{Duration, Instant},
};

/// The user name under which a token may be sent as a password, by tools that know nothing else.
const TOKEN_USER: &[u8] = b"token";
/// Seconds after which somebody who met a full queue of passwords may ask again.
const BUSY_RETRY_SECS: u64 = 2;
/// Lines of the log about each.
static FAILED_LOGINS: LineLimit = LineLimit::new(20);
static WRONG_TOKENS: LineLimit = LineLimit::new(20);
/// How long a password waits to be judged.
const PATIENCE: Duration = Duration::from_secs(5);

/// The door of a server that asks.
#[derive(Debug)]
pub(super) struct Door {
    account: Option<Arc<Account>>,
    roster: RwLock<Arc<Roster>>,
    files: Mutex<Files>,
    takes_tokens: bool,
    fingerprints: Fingerprints,
    /// Those with the same credentials wait for each other's verdict.
    turns: Turns<Option<Verdict>>,
    throttle: Mutex<Throttle>,
    hashing: Hashing,
}

/// What became of credentials that others wait with. Right ones are found by their proof.
#[derive(Debug, Clone, Copy)]
struct Verdict {
    outcome: Outcome,
    /// Those who were there before hold it for theirs. For who comes later, the files may have
    /// changed.
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

    fn roster(&self, account: Option<Arc<Account>>, before: &Roster) -> Roster {
        let users = self.htpasswd.as_ref().map_or(&[][..], ListFile::entries);
        let tokens = self.tokens.as_ref().map_or(&[][..], ListFile::entries);
        Roster::new(account, users, tokens, before)
    }

    fn refresh(&mut self, anyway: bool) -> bool {
        let htpasswd = self.htpasswd.as_mut().is_some_and(|file| file.refresh(anyway));
        let tokens = self.tokens.as_mut().is_some_and(|file| file.refresh(anyway));
        htpasswd || tokens
    }
}

impl Door {
    pub(super) fn new(account: Option<Account>, config: &AuthConfig) -> Result<Self, AuthError> {
        let files = Files::open(config, account.as_ref().map(Account::name))?;
        let account = account.map(Arc::new);
        let roster = files.roster(account.clone(), &Roster::default());
        if roster.is_empty() {
            tracing::warn!("the files of [auth] name nobody: nobody can use the server");
        }
        Ok(Self {
            account,
            roster: RwLock::new(Arc::new(roster)),
            takes_tokens: files.tokens.is_some(),
            files: Mutex::new(files),
            fingerprints: Fingerprints::new()?,
            turns: Turns::default(),
            throttle: Mutex::new(Throttle::new()),
            hashing: Hashing::new(),
        })
    }

    /// Reads the files again if they have changed, or anyway, and revokes who is gone.
    pub(super) fn refresh(&self, anyway: bool) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.roster();
        if files.refresh(anyway) {
            let next = Arc::new(files.roster(self.account.clone(), &before));
            // First the new one: an identity that was taken from the old one after it was
            // replaced would miss its end.
            *self.roster.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&next);
            before.give_way_to(&next);
        }
        self.roster().expire();
    }

    /// What is wrong with the files as they are now.
    pub(super) fn problems(&self) -> Vec<String> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let htpasswd = files.htpasswd.as_ref().and_then(ListFile::problem);
        let tokens = files.tokens.as_ref().and_then(ListFile::problem);
        htpasswd.into_iter().chain(tokens).collect()
    }

    /// Who sends this header. On a connection the last right one is remembered, so that the next
    /// request with the very same is settled at once.
    pub(super) async fn identify(
        &self,
        header: &[u8],
        connection: Option<&ConnectionContext>,
    ) -> Result<Arc<Identity>, ApiError> {
        if let Some(identity) = connection.and_then(|connection| remembered(connection, header)) {
            return Ok(identity);
        }
        let peer =
            connection.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |connection| connection.peer.ip());
        let presented = Presented::parse(header).ok_or(ApiError::NotAuthenticated)?;
        let identity = match presented {
            Presented::Token(token) if self.takes_tokens => self.by_token(&token, peer)?,
            Presented::Token(_) => return Err(ApiError::NotAuthenticated),
            Presented::Password { name, password }
                if self.takes_tokens
                    && name == TOKEN_USER
                    && self.roster().named(TOKEN_USER).is_none() =>
            {
                self.by_token(&password, peer)?
            }
            Presented::Password { name, password } => {
                self.by_password(&name, password, peer).await?
            }
        };
        if let Some(connection) = connection {
            let verified = VerifiedCredentials::new(header, Arc::clone(&identity));
            *connection.verified.lock().unwrap_or_else(PoisonError::into_inner) = Some(verified);
        }
        Ok(identity)
    }

    /// A token is let in also where many have failed: nobody guesses it.
    fn by_token(&self, token: &SecretSlice<u8>, peer: IpAddr) -> Result<Arc<Identity>, ApiError> {
        if let Some(identity) = self.roster().by_token(token.expose_secret()) {
            return Ok(identity);
        }
        let tokens = self.fingerprints.of(&[]);
        self.throttle()
            .charge_token(Network::from(peer), tokens, Instant::now())
            .map_err(too_many)?;
        if let Some(suppressed) = WRONG_TOKENS.pass() {
            tracing::warn!(%peer, suppressed, "a token was wrong or is over");
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
            let roster = self.roster();
            let identity = roster.named(name)?;
            identity.was_proven_by(credentials, Instant::now()).then(|| Arc::clone(identity))
        };
        if let Some(identity) = proven() {
            return Ok(identity);
        }
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let place = self.turns.queue(credentials, usize::MAX).ok_or_else(busy)?;
        let turn = tokio::time::timeout_at(deadline, place.turn()).await;
        let mut verdict = turn.map_err(|_| busy())?;
        // Perhaps by a request that had its turn before.
        if let Some(identity) = proven() {
            return Ok(identity);
        }
        let (from, print) = (Network::from(peer), self.fingerprints.of(&[name]));
        self.throttle().charge(from, print, Instant::now()).map_err(too_many)?;
        let known = verdict.filter(|verdict| place.joined() <= verdict.began);
        let outcome = if let Some(known) = known {
            known.outcome
        } else {
            let began = Instant::now();
            let claimant = self.fingerprints.of(&[from.text().as_bytes(), name]);
            let claim = Claim { claimant, deadline };
            let roster = self.roster();
            let outcome = match roster.by_password(name, password, &self.hashing, claim).await {
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
                // The name is left out: people type passwords there.
                if let Some(suppressed) = FAILED_LOGINS.pass() {
                    tracing::warn!(%peer, suppressed, "a login has failed");
                }
                Err(ApiError::InvalidCredentials)
            }
            Outcome::Busy => {
                self.throttle().refund(from, print);
                Err(busy())
            }
        }
    }

    fn roster(&self) -> Arc<Roster> {
        Arc::clone(&self.roster.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whose credentials these are, if the connection has seen them and they still hold.
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
        // Whole seconds, and never none.
        retry_after: wait.as_secs() + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::{Engine, engine::general_purpose::STANDARD};
    use secrecy::SecretString;

    fn door() -> Door {
        let account = Account::new("owner", &SecretString::from("right"));
        Door::new(Some(account), &AuthConfig::default()).unwrap()
    }

    fn basic(credentials: &str) -> Vec<u8> {
        format!("Basic {}", STANDARD.encode(credentials)).into_bytes()
    }

    fn connection(peer: &str) -> ConnectionContext {
        ConnectionContext::new(peer.parse().unwrap())
    }

    async fn told(door: &Door, credentials: &str, connection: &ConnectionContext) -> String {
        match door.identify(&basic(credentials), Some(connection)).await {
            Ok(identity) => identity.name().to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[tokio::test]
    async fn a_connection_remembers_what_was_right_and_nothing_else() {
        let (door, here) = (door(), connection("127.0.0.1:9"));
        let remembers = |text: &str| remembered(&here, &basic(text)).is_some();
        assert_eq!(told(&door, "owner:wrong", &here).await, "Invalid credentials");
        assert!(!remembers("owner:wrong"));
        assert_eq!(told(&door, "owner:right", &here).await, "owner");
        assert!(remembers("owner:right") && !remembers("owner:wrong"));
        assert_eq!(told(&door, "owner:wrong", &here).await, "Invalid credentials");
        assert_eq!(told(&door, "owner:right", &here).await, "owner");
        door.roster().named(b"owner").unwrap().revoke();
        assert!(!remembers("owner:right"));
    }

    #[tokio::test]
    async fn who_was_let_in_stays_so_while_strangers_guess_at_the_same_address() {
        let door = door();
        let new = || connection("127.0.0.1:9");
        assert_eq!(told(&door, "owner:right", &new()).await, "owner");
        for _ in 0..20 {
            told(&door, "owner:wrong", &new()).await;
        }
        assert_eq!(told(&door, "owner:wrong", &new()).await, "Too many failed logins");
        assert_eq!(told(&door, "owner:right", &new()).await, "owner");
    }

    #[tokio::test]
    async fn a_right_password_that_comes_too_late_is_not_told_from_a_wrong_one() {
        let (door, here) = (door(), connection("127.0.0.1:9"));
        for _ in 0..10 {
            assert_eq!(told(&door, "owner:wrong", &here).await, "Invalid credentials");
        }
        assert_eq!(told(&door, "owner:right", &here).await, "Too many failed logins");
        assert_eq!(told(&door, "owner:right", &connection("127.0.0.2:9")).await, "owner");
    }
}
