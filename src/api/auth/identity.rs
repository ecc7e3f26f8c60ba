//! An authenticated identity: a name, its scope, and until when it is valid.
//!
//! Input: an entry of the accounts. Output: an [`Identity`], and the [`User`] that handlers get.
//!
//! Invariants: a revoked identity is never valid again; everything that remembers verified
//! credentials (a connection, or the identity itself) points to the identity and checks its
//! validity, so that nothing outlives a removed user.

use super::secret::Fingerprint;
use crate::api::scope::Scope;
use chrono::{DateTime, Utc};
use std::{
    future::pending,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{
            AtomicBool,
            Ordering::{Acquire, Release},
        },
    },
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// How long after their last use verified credentials are accepted without another check.
const PROOF_LASTS: Duration = Duration::from_mins(1);

/// A user or a token. An entry with another password or scope is another identity.
#[derive(Debug)]
pub struct Identity {
    name: String,
    scope: Scope,
    expires: Option<DateTime<Utc>>,
    /// Checked with each request; unlike the cancellation token, this takes no lock.
    is_revoked: AtomicBool,
    /// Ends the streams of this identity.
    revoked: CancellationToken,
    /// The verified credentials, and when they were used last. One pair is enough: clients send the
    /// same credentials again and again.
    proof: Mutex<Option<(Fingerprint, Instant)>>,
}

impl Identity {
    pub(super) fn new(name: &str, scope: Scope, expires: Option<DateTime<Utc>>) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            scope,
            expires,
            is_revoked: AtomicBool::new(false),
            revoked: CancellationToken::new(),
            proof: Mutex::new(None),
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn scope(&self) -> Scope {
        self.scope
    }

    pub(super) fn expires(&self) -> Option<DateTime<Utc>> {
        self.expires
    }

    /// Whether the identity is neither revoked nor expired.
    pub(super) fn is_valid(&self) -> bool {
        !self.is_revoked.load(Acquire) && self.expires.is_none_or(|expires| Utc::now() < expires)
    }

    /// Revokes the identity and ends its streams.
    pub(super) fn revoke(&self) {
        self.is_revoked.store(true, Release);
        self.revoked.cancel();
    }

    /// Whether these credentials were verified or used within the last minute; the call counts as a
    /// use.
    pub(super) fn was_proven_by(&self, fingerprint: Fingerprint, now: Instant) -> bool {
        let mut proof = self.proof.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *proof {
            Some((known, used)) if *known == fingerprint => {
                let is_fresh = now.saturating_duration_since(*used) < PROOF_LASTS;
                if is_fresh {
                    *used = now;
                }
                is_fresh && self.is_valid()
            }
            _ => false,
        }
    }

    /// Remembers that these credentials were verified.
    pub(super) fn prove(&self, fingerprint: Fingerprint, now: Instant) {
        let mut proof = self.proof.lock().unwrap_or_else(PoisonError::into_inner);
        *proof = Some((fingerprint, now));
    }
}

/// The user of a request, for handlers; without a name on an open server.
#[derive(Debug, Clone)]
pub struct User {
    identity: Option<Arc<Identity>>,
    /// The end of the session that stood for the credentials.
    session: Option<SessionEnd>,
}

/// When a session ends.
#[derive(Debug, Clone)]
pub(super) struct SessionEnd {
    pub(super) at: Instant,
    /// Cancelled when it is signed out.
    pub(super) early: CancellationToken,
}

impl User {
    /// An unauthenticated user: the server is open, or the route needs no credentials.
    pub fn anybody() -> Self {
        Self { identity: None, session: None }
    }

    pub(super) fn of(identity: Arc<Identity>) -> Self {
        Self { identity: Some(identity), session: None }
    }

    /// The same for a request with the cookie of a session.
    pub(super) fn in_session(self, end: SessionEnd) -> Self {
        Self { session: Some(end), ..self }
    }

    /// The name of the user or the token.
    pub fn name(&self) -> Option<&str> {
        self.identity.as_ref().map(|identity| identity.name())
    }

    /// What the user may do; everything on an open server.
    pub fn scope(&self) -> Scope {
        self.identity.as_ref().map_or(Scope::Admin, |identity| identity.scope())
    }

    /// Completes when the user is removed, changed or expired, or when the session ends. A stream has to end at that
    /// moment.
    pub fn revoked(&self) -> impl Future<Output = ()> + Send + Sync + 'static {
        let token = self.identity.as_ref().map(|identity| identity.revoked.clone());
        let session = self.session.clone();
        async move {
            let revoked = async {
                match token {
                    Some(token) => token.cancelled().await,
                    None => pending().await,
                }
            };
            let ended = async {
                let Some(SessionEnd { at, early }) = session else { return pending().await };
                tokio::select! {
                    () = early.cancelled() => {}
                    () = tokio::time::sleep_until(at.into()) => {}
                }
            };
            tokio::select! {
                () = revoked => {}
                () = ended => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::secret::Fingerprints, *};

    #[test]
    fn verified_credentials_expire_unless_used_and_end_with_their_identity() {
        let prints = Fingerprints::new().unwrap();
        let (right, wrong) = (prints.of(&[b"right"]), prints.of(&[b"wrong"]));
        let identity = Identity::new("u", Scope::Admin, None);
        let start = Instant::now();
        assert!(!identity.was_proven_by(right, start));
        identity.prove(right, start);
        assert!(!identity.was_proven_by(wrong, start));
        for minute_and_a_half in [45, 90] {
            let later = start + Duration::from_secs(minute_and_a_half);
            assert!(identity.was_proven_by(right, later), "the last use was 45 s before");
        }
        assert!(!identity.was_proven_by(right, start + Duration::from_secs(150)));
        identity.prove(right, start);
        identity.revoke();
        assert!(!identity.was_proven_by(right, start) && !identity.is_valid());
    }

    #[test]
    fn an_identity_expires_at_its_date() {
        let ends = |seconds| Some(Utc::now() + chrono::TimeDelta::seconds(seconds));
        assert!(Identity::new("t", Scope::Read, ends(60)).is_valid());
        assert!(!Identity::new("t", Scope::Read, ends(-1)).is_valid());
    }
}
