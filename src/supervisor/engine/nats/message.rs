//! The message with which an attempt is given to an agent.
//!
//! Input: the task of an attempt, as a shim of this machine would get it. Output: the message.
//!
//! Invariant: the message contains no credentials.

use crate::{
    config::EngineConfig,
    model::{
        attempt::AttemptRecord,
        task::{Reuse, ShimTask},
    },
    wire::{
        PROTOCOL,
        attempt::{AttemptMessage, NetworkBounds},
        names::RepositoryKey,
    },
};

/// The message of a task.
pub(super) fn message_of(task: ShimTask, engine: &EngineConfig) -> AttemptMessage {
    let ShimTask { scan, timeout_secs, stall_timeout_secs, interruptions, retries, reuse, .. } =
        task;
    let network = scan.network;
    AttemptMessage {
        schema: 1,
        protocol: PROTOCOL,
        server: env!("CARGO_PKG_VERSION").to_owned(),
        key: RepositoryKey { job: scan.job_id, index: scan.repo_index },
        first_attempt: scan.attempt,
        repo_name: scan.repo_name,
        git_url: scan.git_url,
        reference: scan.reference,
        deep: scan.deep,
        archives: scan.archives,
        exclude_paths: scan.exclude_paths,
        no_ignore: scan.no_ignore,
        force: reuse != Reuse::Reuse,
        categories: scan.categories,
        needs_credentials: scan.credentials.is_some(),
        interruptions,
        retries,
        timeout_secs,
        stall_timeout_secs,
        limits: AttemptMessage::limits_of(&scan.limits),
        network: NetworkBounds {
            allow_hosts: network.allow_hosts,
            allow_nets: network.allow_nets,
            allow_ports: network.allow_ports,
            trusted: network.trusted,
        },
        ack_wait_secs: engine.ack_wait.as_secs(),
        max_deliver: engine.max_deliver,
    }
}

/// How often shims of the repository had died when this delivery began: each earlier delivery is a death.
pub(super) fn interruptions_before(record: &AttemptRecord, delivery: u64) -> u64 {
    let counted = record.remote.as_ref().map_or(0, |remote| remote.delivery.saturating_sub(1));
    let before = record.interruptions.saturating_sub(counted);
    before.saturating_add(delivery.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{attempt::RemoteAttempt, time::Timestamp};

    #[test]
    fn each_delivery_after_the_first_follows_a_death() {
        let mut record = AttemptRecord {
            schema: 1,
            attempt: 4,
            interruptions: 1,
            retries: 0,
            alone: false,
            started_at: Timestamp::default(),
            remote: Some(RemoteAttempt {
                engine: "nats".to_owned(),
                agent: None,
                delivery: 0,
                element: None,
            }),
        };
        for (delivery, expected) in [(1, 1), (2, 2), (4, 4)] {
            assert_eq!(interruptions_before(&record, delivery), expected);
            record.interruptions = expected;
            record.remote.as_mut().unwrap().delivery = delivery;
            assert_eq!(interruptions_before(&record, delivery), expected, "the same delivery");
        }
    }
}
