//! Objects and pieces in the buckets of agents that no report will name: an upload was cut off, or its attempt was lost.
//!
//! Input: the contents of a bucket, at intervals. Output: what is left over is removed.
//!
//! Invariants: an object that a scan may still report stays; so does everything that has changed within the wait, because
//! an upload may go on. Time is this server's own.

use super::{cleaning::not_needed, error::NatsError, hub::Hub, session::Session};
use crate::wire::names::{AgentName, RepositoryKey};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Instant,
};

/// What seems to be left over, with the number of its last message, and since when.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    /// By agent and subject.
    known: HashMap<AgentName, HashMap<String, (u64, Instant)>>,
}

impl Orphans {
    /// Removes what is left over in the bucket of an agent.
    pub(super) async fn remove(
        &mut self,
        hub: &Arc<Hub>,
        session: &Session,
        agent: &AgentName,
    ) -> Result<(), NatsError> {
        let objects = session.objects(agent).await?;
        let named: Vec<_> = objects
            .iter()
            .filter_map(|object| RepositoryKey::of_object(object.name.as_deref()?))
            .filter(|(key, _)| !hub.is_under_way(key))
            .collect();
        let unneeded: HashSet<_> = not_needed(hub, named).await.into_iter().collect();
        let before = self.known.remove(agent).unwrap_or_default();
        let mut now = HashMap::new();
        for object in objects {
            let key = object.name.as_deref().and_then(RepositoryKey::of_object);
            let is_left = match (&object.name, key) {
                (None, _) => true,
                (Some(_), Some((key, _))) => unneeded.contains(&key) && !hub.is_under_way(&key),
                // Not one of an agent of this version.
                (Some(_), None) => false,
            };
            if !is_left {
                continue;
            }
            let known = before.get(&object.subject).filter(|known| known.0 == object.sequence);
            let (_, since) = known.copied().unwrap_or((object.sequence, Instant::now()));
            if since.elapsed() > hub.silence_of_the_dead() {
                session.remove_stored_object(agent, &object).await?;
                tracing::info!(%agent, object = object.name, "an object that no report names is removed from NATS");
            } else {
                now.insert(object.subject, (object.sequence, since));
            }
        }
        if !now.is_empty() {
            self.known.insert(agent.clone(), now);
        }
        Ok(())
    }
}
