//! The signature of a payload, by the specification of Standard Webhooks. Pure.
//!
//! Input: secrets, the id and the time of a delivery, the payload. Output: the value of `webhook-signature`. Invariants:
//! what is signed is what is sent, to the byte; each secret signs, so that a receiver may verify with any of them while
//! a secret is being replaced.

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::hmac;

/// The header with the id, which stays the same whenever a delivery is sent again.
pub(super) const ID: &str = "webhook-id";
/// The header with the time of the attempt, in Unix seconds.
pub(super) const TIMESTAMP: &str = "webhook-timestamp";
/// The header with the signatures.
pub(super) const SIGNATURE: &str = "webhook-signature";

/// Signs with each secret: `v1,` and the HMAC-SHA256 of `id.timestamp.payload` in base64, separated by blanks.
pub(super) fn sign<'a>(
    secrets: impl IntoIterator<Item = &'a [u8]>,
    id: &str,
    timestamp: i64,
    payload: &[u8],
) -> String {
    let mut text = String::new();
    for secret in secrets {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let mut context = hmac::Context::with_key(&key);
        context.update(format!("{id}.{timestamp}.").as_bytes());
        context.update(payload);
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str("v1,");
        text.push_str(&STANDARD.encode(context.sign()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::webhook::secret_bytes;

    /// Breaks if the signature differs from the example of the specification's reference libraries.
    #[test]
    fn the_signature_is_that_of_the_reference() {
        let secret = secret_bytes("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let (id, at) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330);
        let payload = b"{\"test\": 2432232314}";
        let one = sign([secret.as_slice()], id, at, payload);
        assert_eq!(one, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let two = sign([secret.as_slice(), &[1; 24]], id, at, payload);
        assert!(two.starts_with(&format!("{one} v1,")), "{two}");
    }
}
