//! Sessions of browsers: a cookie stands for credentials that were checked once.
//!
//! Input: an identity when somebody signs in; the cookies of a request. Output: a random id; the identity that it stands
//! for.
//!
//! Invariants: only a fingerprint of an id is kept; a session ends with its identity, after [`LASTS`], when it is
//! signed out, and with the server; the number of sessions is bounded.

use super::{
    AuthError,
    identity::{Identity, SessionEnd},
    secret::{Fingerprint, Fingerprints},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::rand::{SecureRandom, SystemRandom};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;
use warp::http::{HeaderMap, header::COOKIE};

/// How long a session lasts: a working day.
const LASTS: Duration = Duration::from_hours(12);
/// How many sessions there are at most; the oldest ends.
const MOST: usize = 10_000;
/// The longest `Cookie` header that is read, in bytes. Browsers send at most 4 KiB for each cookie.
const LONGEST: usize = 16 << 10;

/// The sessions of a server.
#[derive(Debug)]
pub(super) struct Sessions {
    fingerprints: Fingerprints,
    open: Mutex<HashMap<Fingerprint, Session>>,
}

#[derive(Debug)]
struct Session {
    identity: Arc<Identity>,
    end: SessionEnd,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.end.early.cancel();
    }
}

impl Sessions {
    pub(super) fn new() -> Result<Self, AuthError> {
        Ok(Self { fingerprints: Fingerprints::new()?, open: Mutex::default() })
    }

    /// Begins a session; the id is for the cookie alone.
    pub(super) fn begin(&self, identity: Arc<Identity>, now: Instant) -> Result<String, AuthError> {
        let mut bytes = [0; 32];
        SystemRandom::new().fill(&mut bytes).map_err(|_| AuthError::NoRandomness)?;
        let id = URL_SAFE_NO_PAD.encode(bytes);
        let mut open = self.open();
        if open.len() >= MOST {
            open.retain(|_, session| session.is_valid(now));
        }
        if open.len() >= MOST
            && let Some(oldest) = open.iter().min_by_key(|(_, one)| one.end.at).map(|(key, _)| *key)
        {
            open.remove(&oldest);
        }
        let end = SessionEnd { at: now + LASTS, early: CancellationToken::new() };
        open.insert(self.key(&id), Session { identity, end });
        Ok(id)
    }

    /// The identity of the session with this id, and when the session ends.
    pub(super) fn identity(&self, id: &str, now: Instant) -> Option<(Arc<Identity>, SessionEnd)> {
        let key = self.key(id);
        let mut open = self.open();
        let session = open.get(&key)?;
        if session.is_valid(now) {
            return Some((Arc::clone(&session.identity), session.end.clone()));
        }
        open.remove(&key);
        None
    }

    /// Ends the session with this id, and its streams.
    pub(super) fn end(&self, id: &str) {
        let key = self.key(id);
        self.open().remove(&key);
    }

    fn key(&self, id: &str) -> Fingerprint {
        self.fingerprints.of(&[id.as_bytes()])
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Fingerprint, Session>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn is_valid(&self, now: Instant) -> bool {
        now < self.end.at && self.identity.is_valid()
    }
}

/// The name of the cookie. Browsers send a cookie to all ports of a host, so the port is part of the name: that of
/// the address which the browser sees.
pub(in crate::api) fn cookie_name(port: Option<u16>) -> String {
    format!("scanwatch_{}", port.unwrap_or(0))
}

/// The value of a cookie (RFC 6265, section 5.4).
pub(super) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all(COOKIE).iter().filter(|line| line.len() <= LONGEST);
    let pairs = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(';'));
    let mut named = pairs.filter_map(|pair| pair.trim().split_once('='));
    named.find(|(key, _)| *key == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::scope::Scope;
    use warp::http::HeaderValue;

    fn identity() -> Arc<Identity> {
        Identity::new("somebody", Scope::Read, None)
    }

    #[test]
    fn a_session_ends_with_its_identity_its_time_and_its_user() {
        let (sessions, now) = (Sessions::new().unwrap(), Instant::now());
        let [first, second, third] = [identity(), identity(), identity()];
        let begin = |identity: &Arc<Identity>| sessions.begin(Arc::clone(identity), now).unwrap();
        let ids = [&first, &second, &third].map(begin);
        assert!(ids.iter().all(|id| sessions.identity(id, now).is_some()));
        assert!(sessions.identity("x", now).is_none() && sessions.identity("", now).is_none());
        let (_, end) = sessions.identity(&ids[1], now).unwrap();
        first.revoke();
        sessions.end(&ids[1]);
        assert!(end.early.is_cancelled(), "its streams end");
        assert!(sessions.identity(&ids[0], now).is_none());
        assert!(sessions.identity(&ids[1], now).is_none());
        let last = now + LASTS;
        assert!(
            sessions.identity(&ids[2], last.checked_sub(Duration::from_secs(1)).unwrap()).is_some()
        );
        assert!(sessions.identity(&ids[2], last).is_none());
        assert!(sessions.open().is_empty());
    }

    #[test]
    fn the_number_of_sessions_is_bounded() {
        let (sessions, now, user) = (Sessions::new().unwrap(), Instant::now(), identity());
        let first = sessions.begin(Arc::clone(&user), now).unwrap();
        for number in 1..=MOST as u64 {
            let later = now + Duration::from_millis(number);
            sessions.begin(Arc::clone(&user), later).unwrap();
        }
        assert_eq!(sessions.open().len(), MOST);
        assert!(sessions.identity(&first, now).is_none(), "the oldest ended");
    }

    #[test]
    fn the_own_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        for line in ["a=1; scanwatch_80=other", "scanwatch_8000=id ; b=2"] {
            headers.append(COOKIE, HeaderValue::from_static(line));
        }
        assert_eq!(cookie(&headers, &cookie_name(Some(8000))), Some("id"));
        assert_eq!(cookie(&headers, &cookie_name(None)), None);
        let long =
            HeaderValue::try_from(format!("scanwatch_0=x; {}", "y".repeat(LONGEST))).unwrap();
        headers.insert(COOKIE, long);
        assert_eq!(cookie(&headers, &cookie_name(None)), None);
    }
}
