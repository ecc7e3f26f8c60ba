//! The streams, buckets and consumers that a server creates.
//!
//! Input: names and settings. Output: their configurations. Invariants: everything is stored in files; a stream that is
//! full refuses new messages instead of dropping old ones.

use super::{
    MAX_MESSAGE_BYTES,
    names::{AgentName, Label, Names},
};
use async_nats::jetstream::{
    consumer::{AckPolicy, pull},
    kv, object_store,
    stream::{self, DiscardPolicy, RetentionPolicy, StorageType},
};
use std::time::Duration;

/// How long NATS recognizes a message that was published before.
const DUPLICATE_WINDOW: Duration = Duration::from_mins(2);

/// After how many waits for a sign of life the heartbeat of an agent that is gone is removed.
const HEARTBEATS_EXPIRE_AFTER: u32 = 4;

/// The minimum of that time.
const LEAST_HEARTBEAT_AGE: Duration = Duration::from_mins(1);

/// How many requests for an attempt may wait with a label: one for each free slot of all its agents. NATS refuses the 513th
/// by default.
const MOST_WAITING: i64 = 1_000_000;

/// The stream of attempts.
pub fn attempts(names: &Names, replicas: usize) -> stream::Config {
    stream::Config {
        name: names.attempts_stream(),
        description: Some("Repositories that wait for an agent of scanwatch".to_owned()),
        subjects: vec![names.all_attempts()],
        retention: RetentionPolicy::WorkQueue,
        storage: StorageType::File,
        discard: DiscardPolicy::New,
        max_message_size: i32::try_from(MAX_MESSAGE_BYTES).unwrap_or(i32::MAX),
        duplicate_window: DUPLICATE_WINDOW,
        num_replicas: replicas,
        allow_direct: true,
        ..stream::Config::default()
    }
}

/// The consumer of the attempts with a label.
pub fn consumer(
    names: &Names,
    label: &Label,
    ack_wait: Duration,
    max_deliver: u64,
) -> pull::Config {
    pull::Config {
        durable_name: Some(names.consumer(label)),
        filter_subject: names.attempts(label),
        ack_policy: AckPolicy::Explicit,
        ack_wait,
        max_deliver: i64::try_from(max_deliver).unwrap_or(i64::MAX),
        // As many attempts run as the agents have slots.
        max_ack_pending: -1,
        max_waiting: MOST_WAITING,
        ..pull::Config::default()
    }
}

/// The bucket of statuses.
pub fn status(names: &Names, replicas: usize) -> kv::Config {
    bucket(names.status_bucket(), "Statuses of attempts, by agent and repository", replicas)
}

/// The bucket of heartbeats.
pub fn agents(names: &Names, replicas: usize, ack_wait: Duration) -> kv::Config {
    kv::Config {
        max_age: LEAST_HEARTBEAT_AGE.max(ack_wait * HEARTBEATS_EXPIRE_AFTER),
        ..bucket(names.agents_bucket(), "Heartbeats of agents", replicas)
    }
}

/// The bucket of orders.
pub fn orders(names: &Names, replicas: usize) -> kv::Config {
    bucket(names.orders_bucket(), "Orders for attempts, by repository", replicas)
}

/// The bucket of the results and logs of an agent.
pub fn results(names: &Names, agent: &AgentName, replicas: usize) -> object_store::Config {
    object_store::Config {
        bucket: names.results_bucket(agent),
        description: Some(format!("Results and logs of the agent {agent}")),
        storage: StorageType::File,
        num_replicas: replicas,
        ..object_store::Config::default()
    }
}

fn bucket(name: String, description: &str, replicas: usize) -> kv::Config {
    kv::Config {
        bucket: name,
        description: description.to_owned(),
        history: 1,
        storage: StorageType::File,
        num_replicas: replicas,
        ..kv::Config::default()
    }
}
