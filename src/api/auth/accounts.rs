//! All users and tokens that the server knows at one time.
//!
//! Input: the user of the environment and the entries of the files; then credentials. Output: the
//! identity of credentials that are right.
//!
//! Invariants: `Accounts` is immutable, and a change of the files replaces it; an entry that is
//! unchanged keeps its identity, and every other identity of the old accounts is revoked; the name
//! and the password of the user of the environment are always both compared.

use super::{
    hashing::{Busy, Claim, Hashing, PasswordHash},
    htpasswd,
    identity::Identity,
    secret::Padded,
    tokens::{self, TokenHash},
};
use crate::api::scope::Scope;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};
use subtle::ConstantTimeEq;

/// The one user of the environment.
#[derive(Debug)]
pub(super) struct EnvironmentUser {
    padded_name: Padded,
    padded_password: Padded,
    identity: Arc<Identity>,
}

impl EnvironmentUser {
    pub(super) fn new(name: &str, password: &SecretString) -> Self {
        Self {
            padded_name: Padded::new(name.as_bytes()),
            padded_password: Padded::new(password.expose_secret().as_bytes()),
            identity: Identity::new(name, Scope::Admin, None),
        }
    }

    pub(super) fn name(&self) -> &str {
        self.identity.name()
    }

    fn is(&self, name: &[u8], password: &[u8]) -> bool {
        // `&`, not `&&`: both are compared, so that the time does not depend on the name.
        bool::from(self.padded_name.equals(name) & self.padded_password.equals(password))
    }
}

#[derive(Debug)]
struct HashedUser {
    hash: PasswordHash,
    identity: Arc<Identity>,
}

#[derive(Debug)]
struct Token {
    hash: TokenHash,
    identity: Arc<Identity>,
}

/// All users and tokens.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    account: Option<Arc<EnvironmentUser>>,
    users: HashMap<String, HashedUser>,
    tokens: Vec<Token>,
    /// The highest cost of all hashes: every check takes the time of a hash of this cost.
    highest_cost: u32,
}

impl Accounts {
    /// The accounts that replace `before`.
    pub(super) fn new(
        account: Option<Arc<EnvironmentUser>>,
        users: &[htpasswd::Entry],
        tokens: &[tokens::Entry],
        before: &Self,
    ) -> Self {
        let user = |entry: &htpasswd::Entry| {
            let known = before.users.get(&entry.name).filter(|user| user.hash == entry.hash);
            let identity = known.map_or_else(
                || Identity::new(&entry.name, Scope::Admin, None),
                |user| Arc::clone(&user.identity),
            );
            (entry.name.clone(), HashedUser { hash: entry.hash.clone(), identity })
        };
        let tokens_before: HashMap<_, _> =
            before.tokens.iter().map(|token| (token.hash, token)).collect();
        let token = |entry: &tokens::Entry| {
            let known = tokens_before.get(&entry.hash).filter(|token| token.is(entry));
            let identity = known.map_or_else(
                || Identity::new(&entry.name, entry.scope, entry.expires),
                |token| Arc::clone(&token.identity),
            );
            Token { hash: entry.hash, identity }
        };
        Self {
            account,
            users: users.iter().map(user).collect(),
            tokens: tokens.iter().map(token).collect(),
            highest_cost: users.iter().map(|user| user.hash.cost()).max().unwrap_or(0),
        }
    }

    /// Revokes every identity that is not in `next`.
    pub(super) fn revoke_missing_in(&self, next: &Self) {
        let staying: HashSet<_> = next.identities().map(Arc::as_ptr).collect();
        self.identities()
            .filter(|identity| !staying.contains(&Arc::as_ptr(identity)))
            .for_each(|identity| identity.revoke());
    }

    /// Revokes expired tokens, so that their streams end too.
    pub(super) fn expire(&self) {
        self.tokens
            .iter()
            .filter(|token| !token.identity.is_valid())
            .for_each(|token| token.identity.revoke());
    }

    /// Whether there are neither users nor tokens.
    pub(super) fn is_empty(&self) -> bool {
        self.identities().next().is_none()
    }

    /// The user of this name, without a check of the password.
    pub(super) fn named(&self, name: &[u8]) -> Option<&Arc<Identity>> {
        if let Some(account) = &self.account
            && bool::from(account.padded_name.equals(name))
        {
            return Some(&account.identity);
        }
        self.user(name).map(|user| &user.identity)
    }

    /// The identity of this token.
    pub(super) fn by_token(&self, token: &[u8]) -> Option<Arc<Identity>> {
        let given = TokenHash::of(token);
        // All hashes are compared, so that the time does not depend on the position of the match.
        let mut found = None;
        for token in &self.tokens {
            if bool::from(token.hash.0.ct_eq(&given.0)) {
                found = Some(&token.identity);
            }
        }
        found.filter(|identity| identity.is_valid()).cloned()
    }

    /// The user of these credentials, if they are right.
    pub(super) async fn by_password(
        &self,
        name: &[u8],
        password: SecretSlice<u8>,
        hashing: &Hashing,
        claim: Claim,
    ) -> Result<Option<Arc<Identity>>, Busy> {
        let account =
            self.account.as_ref().filter(|account| account.is(name, password.expose_secret()));
        let account = account.map(|account| Arc::clone(&account.identity));
        if self.users.is_empty() {
            return Ok(account);
        }
        let user = self.user(name);
        let hash = user.map(|user| user.hash.clone());
        // Also for unknown names, so that the time does not reveal which names exist.
        let is_right = hashing.is_right(password, hash, self.highest_cost, claim).await?;
        let user = user.filter(|_| is_right).map(|user| Arc::clone(&user.identity));
        Ok(account.or(user).filter(|identity| identity.is_valid()))
    }

    fn user(&self, name: &[u8]) -> Option<&HashedUser> {
        self.users.get(str::from_utf8(name).ok()?)
    }

    fn identities(&self) -> impl Iterator<Item = &Arc<Identity>> {
        let account = self.account.iter().map(|account| &account.identity);
        let users = self.users.values().map(|user| &user.identity);
        account.chain(users).chain(self.tokens.iter().map(|token| &token.identity))
    }
}

impl Token {
    fn is(&self, entry: &tokens::Entry) -> bool {
        let identity = &self.identity;
        self.hash == entry.hash
            && identity.name() == entry.name
            && identity.scope() == entry.scope
            && identity.expires() == entry.expires
    }
}
