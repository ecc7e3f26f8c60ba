//! What is in NATS without an attempt that is under way here: left by attempts that have ended, or by a server that
//! used this namespace before.
//!
//! Input: statuses, messages and orders that no attempt takes. Output: what an attempt of a job may still need stays;
//! everything else is removed, and agents that still work on it are ordered to end.
//!
//! Invariants: nothing is removed whose job could not be read yet; an order stays long enough to be seen.

use super::{
    error::NatsError,
    hub::{Hub, Leftover, read_status},
    session::{Session, StoredMessage},
};
use crate::{
    config::EngineKind,
    store::{attempt, layout::JobsDir},
    supervisor::status_files,
    wire::{
        names::{AgentName, RepositoryKey},
        order::{Reason, RemoteOrder},
        status::{Kind, StatusHeader},
    },
};
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a session waits before it removes what no attempt takes: jobs are being recovered.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long an order stays.
const ORDERS_STAY: Duration = Duration::from_mins(15);
/// How many statuses are checked in one pass.
const AT_ONCE: usize = 256;

/// What no attempt takes.
#[derive(Debug, Default)]
pub(super) struct Unclaimed {
    /// With their revisions.
    statuses: HashMap<(RepositoryKey, AgentName), (StatusHeader, u64)>,
    messages: HashMap<RepositoryKey, StoredMessage>,
    /// The orders, and since when they are known.
    orders: HashMap<String, Instant>,
}

impl Unclaimed {
    /// What is there at the start of a session.
    pub(super) async fn of(session: &Session) -> Result<Self, NatsError> {
        let now = Instant::now();
        let orders = session.orders().await?.into_iter().map(|key| (key, now)).collect();
        let messages = (*session.messages).clone();
        Ok(Self { statuses: HashMap::new(), messages, orders })
    }

    /// Notes a status that no attempt takes.
    pub(super) fn note(&mut self, key: RepositoryKey, status: (StatusHeader, u64)) {
        self.statuses.insert((key, status.0.agent.clone()), status);
    }

    /// Notes that an order was given.
    pub(super) fn note_order(&mut self, key: &RepositoryKey) {
        self.orders.insert(key.token(), Instant::now());
    }

    /// Removes what nobody needs. Returns what is still to be removed.
    pub(super) async fn clean(
        &mut self,
        hub: &Arc<Hub>,
        session: &Session,
    ) -> Result<Vec<Leftover>, NatsError> {
        self.return_claimed(hub, session).await?;
        if hub.setup.config.get().engine.kind == EngineKind::Nats
            && session.since.elapsed() < PATIENCE
        {
            return Ok(Vec::new());
        }
        self.clean_messages(hub, session).await?;
        self.clean_orders(session).await?;
        self.clean_statuses(hub, session).await
    }

    /// Statuses of attempts that are under way by now reach them.
    async fn return_claimed(&mut self, hub: &Hub, session: &Session) -> Result<(), NatsError> {
        self.messages.retain(|key, _| !hub.is_under_way(key));
        let claimed: Vec<_> =
            self.statuses.keys().filter(|(key, _)| hub.is_under_way(key)).cloned().collect();
        for (key, agent) in claimed {
            let name = key.status_key(&agent);
            if let Some((value, revision)) = session.read_status(&name).await?
                && let Ok((key, header, bytes)) = read_status(&name, &value)
            {
                let _ = hub.route(&key, (header, revision), bytes);
            }
            self.statuses.remove(&(key, agent));
        }
        Ok(())
    }

    async fn clean_messages(&mut self, hub: &Hub, session: &Session) -> Result<(), NatsError> {
        let all = self.messages.iter().map(|(key, message)| (key.clone(), message.first_attempt));
        for key in not_needed(hub, all.collect()).await {
            if let Some(message) = self.messages.get(&key) {
                session.remove_message(&key, message).await?;
                tracing::info!(repository = %key, "the message of an attempt that no longer counts is removed from NATS");
            }
            self.messages.remove(&key);
        }
        Ok(())
    }

    async fn clean_statuses(
        &mut self,
        hub: &Hub,
        session: &Session,
    ) -> Result<Vec<Leftover>, NatsError> {
        let mut leftovers = Vec::new();
        let some = self.statuses.iter().take(AT_ONCE);
        let some = some.map(|((key, _), (header, _))| (key.clone(), header.attempt)).collect();
        for key in not_needed(hub, some).await {
            let of_key: Vec<_> =
                self.statuses.keys().filter(|(known, _)| *known == key).cloned().collect();
            for at in of_key {
                let Some(status) = self.statuses.get(&at).cloned() else { continue };
                if status.0.kind != Kind::Final
                    && let Err(error) = self.end(session, &key, &status.0).await
                {
                    // Room may come from what is removed here.
                    hub.note_refusal(&error.to_string());
                    continue;
                }
                self.statuses.remove(&at);
                let (key, statuses) = (key.clone(), vec![status]);
                leftovers.push(Leftover { key, statuses, message: None, has_order: false });
            }
        }
        Ok(leftovers)
    }

    /// Orders an agent to end an attempt that no longer counts.
    pub(super) async fn end(
        &mut self,
        session: &Session,
        key: &RepositoryKey,
        header: &StatusHeader,
    ) -> Result<(), NatsError> {
        tracing::info!(repository = %key, agent = %header.agent, attempt = header.attempt, "an agent reports an attempt that no longer counts; it is ordered to end it");
        self.note_order(key);
        // Another agent may hold an attempt with a number that this one only claims.
        let order = RemoteOrder::new(header.attempt, Reason::End).only_for(header.agent.clone());
        session.order(key, order).await
    }

    async fn clean_orders(&mut self, session: &Session) -> Result<(), NatsError> {
        let is_old = |(_, since): &(&String, &Instant)| since.elapsed() > ORDERS_STAY;
        let old: Vec<_> = self.orders.iter().filter(is_old).map(|(key, _)| key.clone()).collect();
        for key in old {
            session.remove_order(&key).await?;
            self.orders.remove(&key);
        }
        Ok(())
    }

    /// Notes that what an attempt has left is removed.
    pub(super) fn note_removal(&mut self, leftover: &Leftover) {
        for (header, revision) in &leftover.statuses {
            let at = (leftover.key.clone(), header.agent.clone());
            if self.statuses.get(&at).is_some_and(|(_, known)| known <= revision) {
                self.statuses.remove(&at);
            }
        }
        if leftover.has_order {
            self.note_order(&leftover.key);
        }
    }
}

/// Removes what an attempt has left that has ended.
pub(super) async fn remove_leftover(
    session: &Session,
    leftover: &Leftover,
) -> Result<(), NatsError> {
    for (header, revision) in &leftover.statuses {
        session.remove_status(&leftover.key, (header, *revision)).await?;
    }
    match &leftover.message {
        Some(message) => session.remove_message(&leftover.key, message).await,
        None => Ok(()),
    }
}

/// Those repositories of which no attempt from this number on is to be continued.
pub(super) async fn not_needed(hub: &Hub, keys: Vec<(RepositoryKey, u64)>) -> Vec<RepositoryKey> {
    if keys.is_empty() {
        return Vec::new();
    }
    let jobs = hub.jobs().clone();
    let is_nats = hub.setup.config.get().engine.kind == EngineKind::Nats;
    let select = move || {
        let needed = |key: &RepositoryKey, attempt| is_nats && is_needed(&jobs, key, attempt);
        keys.into_iter()
            .filter(|(key, attempt)| !needed(key, *attempt))
            .map(|(key, _)| key)
            .collect()
    };
    hub.pool.run(select).await.unwrap_or_default()
}

/// Whether the attempt is what the record of its repository awaits. If the disk does not answer, it is.
fn is_needed(jobs: &JobsDir, key: &RepositoryKey, reported: u64) -> bool {
    let folder = jobs.job(&key.job);
    let record = match attempt::read(&folder, key.index) {
        Ok(Some(record)) => record,
        Ok(None) => return false,
        Err(_) => return true,
    };
    if record.remote.is_none() || record.attempt > reported {
        return false;
    }
    match status_files::read_status(&folder, key.index) {
        Ok(Some((status, _))) => !status.state.is_final() || status.attempt < Some(record.attempt),
        Ok(None) => folder.path().exists(),
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{
            attempt::{AttemptRecord, RemoteAttempt},
            master::Master,
            plan::Plan,
            time::Timestamp,
        },
        store::atomic::Durability,
    };
    use serde_json::json;

    /// Breaks if the result of a job is removed that could not be read at the start, or if what no job needs stays for
    /// ever.
    #[test]
    fn only_what_a_record_awaits_is_needed() {
        let root = tempfile::tempdir().unwrap();
        let jobs = JobsDir::new(root.path()).unwrap();
        jobs.create(0o750).unwrap();
        let key = RepositoryKey { job: "job".parse().unwrap(), index: 0 };
        assert!(!is_needed(&jobs, &key, 1), "no such job");
        let folder = jobs.create_job(&key.job, 0o750, &Master::default(), &Plan::of([])).unwrap();
        assert!(!is_needed(&jobs, &key, 1), "nothing was given to an agent");
        let remote =
            RemoteAttempt { engine: "nats".to_owned(), agent: None, delivery: 0, element: None };
        let mut record = AttemptRecord {
            schema: 1,
            attempt: 2,
            interruptions: 0,
            retries: 0,
            alone: false,
            started_at: Timestamp::default(),
            remote: Some(remote),
        };
        attempt::keep(&folder, 0, &record).unwrap();
        assert!(
            is_needed(&jobs, &key, 2) && is_needed(&jobs, &key, 3) && !is_needed(&jobs, &key, 1)
        );
        let write = |status: &str, attempt: u64| {
            let status = json!({ "status": status, "attempt": attempt });
            folder.write_status(0, &status, Durability::Eventual).unwrap();
        };
        write("scanning", 2);
        assert!(is_needed(&jobs, &key, 2));
        write("failed", 1);
        assert!(is_needed(&jobs, &key, 2), "the final state of an earlier attempt");
        write("completed", 2);
        assert!(!is_needed(&jobs, &key, 2));
        record.remote = None;
        attempt::keep(&folder, 0, &record).unwrap();
        write("scanning", 2);
        assert!(!is_needed(&jobs, &key, 2), "a scan of this machine");
    }
}
