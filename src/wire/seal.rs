//! Keys of agents, and what is sealed to them.
//!
//! Input: a key, secrets. Output: sealed bytes that only the agent with the key can open.
//!
//! Invariants: a seed is never printed; each message is sealed with a key of its own, so the server keeps none. A seal
//! protects the secret from readers; who may send it is decided by the permissions of NATS.

use super::WireError;
use base64::{Engine, engine::general_purpose::STANDARD};
use nkeys::XKey;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::fmt;

/// The key of an agent, with which it opens what is sealed to it.
pub struct AgentKey(XKey);

/// The public part of an agent's key: text that begins with `X`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey(String);

/// A sealed message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// The public key of the sender, made for this message.
    sender: PublicKey,
    /// In base64.
    sealed: String,
}

/// A text that is not a key, or a message that is not sealed to the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error("not a private key of an agent: expected a seed that begins with `SX`")]
    NotASeed,
    #[error("not a public key of an agent: expected 56 characters that begin with `X`")]
    NotAPublicKey,
    #[error("cannot be opened with the key of this agent: was it enrolled with another key?")]
    NotOpened,
    #[error("cannot be sealed")]
    NotSealed,
}

impl AgentKey {
    /// A new key.
    pub fn generate() -> Self {
        Self(XKey::new())
    }

    /// Reads the seed of a key.
    ///
    /// # Errors
    /// If the text is not one.
    pub fn of_seed(seed: &str) -> Result<Self, SealError> {
        XKey::from_seed(seed.trim()).map(Self).map_err(|_| SealError::NotASeed)
    }

    /// The text to store, which is a secret.
    ///
    /// # Errors
    /// Never for a key that was made here.
    pub fn seed(&self) -> Result<String, SealError> {
        self.0.seed().map_err(|_| SealError::NotASeed)
    }

    /// The public part.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.public_key())
    }

    /// Opens a message that is sealed to this key.
    ///
    /// # Errors
    /// If it is sealed to another key, was changed, or is not such a message.
    pub fn open<T: DeserializeOwned>(&self, message: &Sealed) -> Result<T, WireError> {
        let refused = |error: SealError| WireError::Invalid(error.to_string());
        let sender = message.sender.key().map_err(refused)?;
        let sealed = STANDARD.decode(&message.sealed);
        let sealed = sealed.map_err(|error| WireError::Invalid(error.to_string()))?;
        let plain = self.0.open(&sealed, &sender).map_err(|_| refused(SealError::NotOpened))?;
        super::read(&plain)
    }
}

impl fmt::Debug for AgentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AgentKey({})", self.public().0)
    }
}

impl PublicKey {
    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn key(&self) -> Result<XKey, SealError> {
        XKey::from_public_key(&self.0).map_err(|_| SealError::NotAPublicKey)
    }

    /// Seals a message to this key.
    ///
    /// # Errors
    /// If the message cannot be written.
    pub fn seal<T: Serialize>(&self, message: &T) -> Result<Sealed, WireError> {
        let refused = |error: SealError| WireError::Invalid(error.to_string());
        let recipient = self.key().map_err(refused)?;
        let sender = XKey::new();
        let plain = super::write(message)?;
        let sealed = sender.seal(&plain, &recipient).map_err(|_| refused(SealError::NotSealed))?;
        Ok(Sealed { sender: Self(sender.public_key()), sealed: STANDARD.encode(sealed) })
    }
}

impl TryFrom<String> for PublicKey {
    type Error = SealError;

    fn try_from(text: String) -> Result<Self, SealError> {
        let key = Self(text);
        key.key()?;
        Ok(key)
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.0
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.0)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_opens_what_is_sealed_to_it() {
        let key = AgentKey::of_seed(&AgentKey::generate().seed().unwrap()).unwrap();
        let sealed = key.public().seal(&"canary-secret").unwrap();
        let text = serde_json::to_string(&sealed).unwrap();
        assert!(!text.contains("canary"));
        let sealed: Sealed = serde_json::from_str(&text).unwrap();
        assert_eq!(key.open::<String>(&sealed).unwrap(), "canary-secret");
        assert!(AgentKey::generate().open::<String>(&sealed).is_err());
        let mut changed = sealed.clone();
        let last = changed.sealed.pop().unwrap();
        changed.sealed.push(if last == 'A' { 'B' } else { 'A' });
        changed.sealed.insert(9, 'A');
        assert!(key.open::<String>(&changed).is_err());
        // Sealed twice, it is not the same: nobody sees that a password was not changed.
        assert_ne!(key.public().seal(&"x").unwrap(), key.public().seal(&"x").unwrap());
    }

    #[test]
    fn keys_are_checked_and_seeds_are_not_printed() {
        let key = AgentKey::generate();
        let seed = key.seed().unwrap();
        assert!(!format!("{key:?}").contains(&seed));
        let public = key.public().as_str().to_owned();
        assert!(public.starts_with('X') && PublicKey::try_from(public.clone()).is_ok());
        for text in ["", "X", &seed, &public[1..], "UABC"] {
            assert!(PublicKey::try_from(text.to_owned()).is_err(), "{text}");
        }
        for text in ["", "SX", &public] {
            assert!(AgentKey::of_seed(text).is_err(), "{text}");
        }
    }
}
