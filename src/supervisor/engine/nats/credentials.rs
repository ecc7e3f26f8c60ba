//! Answers agents that request the credentials of a repository whose attempt they have taken.
//!
//! Input: requests of agents, the settings. Output: credentials, sealed to the key with which the agent was enrolled.
//!
//! Invariants: an agent that is not enrolled, or whose attempt no longer counts, gets nothing; credentials leave this
//! process sealed only.

use super::hub::Hub;
use crate::{
    model::address::Origin,
    wire::{
        self,
        names::AgentName,
        requests::{CredentialsAnswer, CredentialsRequest, Refusal, SealedCredentials},
        seal::PublicKey,
    },
};

/// The answer to a request.
pub(super) fn answer(hub: &Hub, agent: &AgentName, request: &[u8]) -> Vec<u8> {
    let answer = sealed(hub, agent, request).unwrap_or_else(|(reason, message)| {
        tracing::warn!(%agent, ?reason, message, "an agent gets no credentials");
        CredentialsAnswer::Refused { reason, message }
    });
    wire::write(&answer).unwrap_or_default()
}

fn sealed(
    hub: &Hub,
    agent: &AgentName,
    request: &[u8],
) -> Result<CredentialsAnswer, (Refusal, String)> {
    let not_now = |error: &dyn std::fmt::Display| (Refusal::NotNow, error.to_string());
    let request: CredentialsRequest = wire::read(request).map_err(|error| not_now(&error))?;
    let enrolled = {
        let roster = hub.roster();
        let is_accepted = roster.is_accepted(agent);
        roster.enrolled().get(agent).filter(|_| is_accepted).cloned()
    };
    let enrolled = enrolled.ok_or_else(|| {
        let text = "the agent is not enrolled, or with another key; `scanwatch agents` on the server shows why";
        (Refusal::NotEnrolled, text.to_owned())
    })?;
    let key = PublicKey::try_from(enrolled.public_key).map_err(|error| not_now(&error))?;
    let git_url = hub.may_act(&request.key, agent, request.attempt).ok_or_else(|| {
        let text = format!("attempt {} of {} no longer counts", request.attempt, request.key);
        (Refusal::Outdated, text)
    })?;
    let origin = url::Url::parse(&git_url).ok().as_ref().and_then(Origin::of);
    let config = hub.setup.config.get();
    let plain = SealedCredentials {
        credentials: origin.and_then(|origin| config.credentials_for(&origin)),
        key: request.key,
        attempt: request.attempt,
    };
    let sealed = key.seal(&plain).map_err(|error| not_now(&error))?;
    Ok(CredentialsAnswer::Sealed(sealed))
}
