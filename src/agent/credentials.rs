//! The credentials of a repository, which the server seals to the key of this agent.
//!
//! Input: an attempt that has begun. Output: its credentials, in memory only.
//!
//! Invariants: an answer for another attempt is not used; while the server is away, the attempt waits.

use super::{registry::Entry, shared::Shared};
use crate::{
    model::credentials::Credentials,
    wire::requests::{CredentialsAnswer, CredentialsRequest, Refusal, SealedCredentials},
};
use std::time::Duration;
use tokio::time::sleep;

/// The pause before the next request.
const PAUSE: Duration = Duration::from_secs(1);

/// Why there are no credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    /// The server does not give them to this agent.
    NotEnrolled,
    /// The attempt no longer counts.
    Outdated,
}

/// Requests credentials until the server answers.
///
/// # Errors
/// If the server refuses them.
pub(super) async fn request(shared: &Shared, entry: &Entry) -> Result<Option<Credentials>, Denied> {
    let bus = &shared.bus;
    let request = CredentialsRequest { schema: 1, key: entry.key.clone(), attempt: entry.attempt };
    let bytes = crate::wire::write(&request).unwrap_or_default();
    let mut is_noted = false;
    loop {
        let subject = bus.names.credentials(&bus.agent);
        let cause = match bus.connection.client.request(subject, bytes.clone().into()).await {
            Err(error) => error.to_string(),
            Ok(answer) => match crate::wire::read::<CredentialsAnswer>(&answer.payload) {
                Err(error) => error.to_string(),
                Ok(CredentialsAnswer::Sealed(sealed)) => {
                    match shared.key.open::<SealedCredentials>(&sealed) {
                        Ok(opened)
                            if opened.key == entry.key && opened.attempt == entry.attempt =>
                        {
                            return Ok(opened.credentials);
                        }
                        Ok(_) => "the answer is for another attempt".to_owned(),
                        Err(error) => {
                            tracing::error!(repository = %entry.key, %error, "cannot open the credentials of a repository; enroll this agent again: scanwatch agent enroll");
                            return Err(Denied::NotEnrolled);
                        }
                    }
                }
                Ok(CredentialsAnswer::Refused { reason, message }) => match reason {
                    Refusal::NotEnrolled => {
                        tracing::error!(repository = %entry.key, message, "the server gives no credentials to this agent; enroll it: scanwatch agent enroll");
                        return Err(Denied::NotEnrolled);
                    }
                    Refusal::Outdated => return Err(Denied::Outdated),
                    Refusal::NotNow => message,
                },
            },
        };
        if !std::mem::replace(&mut is_noted, true) {
            tracing::warn!(repository = %entry.key, cause, "the server does not answer a request for credentials; the repository waits");
        }
        sleep(PAUSE).await;
    }
}
