//! Attempts of an earlier run of the agent that was killed: its shims go on by themselves.
//!
//! Input: tickets, and who holds the locks of repositories. Output: attempts that continue; the rest is ended.
//!
//! Invariants: what does not continue has no processes left before its message is handed back.

use super::{
    attempt,
    shared::{Shared, Ticket, blocking, repo_key},
};
use crate::{
    model::attempt::OrderReason,
    store::{StoreError, chain, tickets},
    supervisor::{LocalAttempt, LocalEnding, RepoKey},
    sys,
    wire::names::RepositoryKey,
};
use async_nats::jetstream::AckKind;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::Semaphore,
    task::{JoinSet, spawn_blocking},
};

/// What was found of an attempt.
enum Found {
    /// Its lease may still be held.
    Held { ticket: Box<Ticket>, confirmed: Duration, living: Option<(LocalAttempt, LocalEnding)> },
    /// It never began here, so other agents can have its message; what lives is of an earlier one.
    NotBegun { ticket: Box<Ticket>, living: Option<(LocalAttempt, LocalEnding)> },
    /// Its lease has ended.
    Over { living: Option<(LocalAttempt, LocalEnding)> },
}

/// Continues what an earlier run of the agent still holds, and ends the rest. Those that continue take slots.
pub(super) async fn adopt(
    shared: &Arc<Shared>,
    slots: &Arc<Semaphore>,
) -> Result<(JoinSet<()>, JoinSet<()>), StoreError> {
    let jobs = shared.jobs.clone();
    let found = blocking(move || {
        let found = tickets::all::<Ticket>(&jobs)?;
        tickets::remove_others(&jobs)?;
        Ok(found)
    });
    let (mut running, mut ending) = (JoinSet::new(), JoinSet::new());
    for (job, index, ticket) in found.await? {
        let key = RepositoryKey { job, index };
        let (of, repo) = (Arc::clone(shared), repo_key(&key));
        let examined = blocking(move || examine(&of, &repo, ticket)).await;
        match examined {
            Ok(Found::Held { ticket, confirmed, living }) => {
                let shared = Arc::clone(shared);
                if let Some(attempt) = attempt::resume(shared, *ticket, confirmed, living) {
                    let slot = Arc::clone(slots).try_acquire_owned().ok();
                    running.spawn(async move {
                        attempt.await;
                        drop(slot);
                    });
                }
            }
            Ok(Found::NotBegun { ticket, living }) => {
                ending.spawn(end(Arc::clone(shared), key, living, Some(ticket.reply)));
            }
            Ok(Found::Over { living }) => {
                ending.spawn(end(Arc::clone(shared), key, living, None));
            }
            Err(error) => {
                tracing::error!(repository = %key, error = chain(&error), "cannot examine an attempt of the agent's earlier run; it stays until the next start");
            }
        }
    }
    Ok((running, ending))
}

/// Determines what is left of an attempt. Blocks.
fn examine(shared: &Shared, key: &RepoKey, ticket: Option<Ticket>) -> Result<Found, StoreError> {
    let living = shared.attempts.adopt(key)?;
    let record = shared.attempts.record(key)?;
    let now = sys::since_boot();
    let held = ticket.filter(|ticket| repo_key(&ticket.message.key) == *key).and_then(|ticket| {
        let confirmed = ticket.confirmed(&shared.boot)?;
        let ack_wait = Duration::from_secs(ticket.message.ack_wait_secs);
        (now.saturating_sub(confirmed) < ack_wait).then_some((Box::new(ticket), confirmed))
    });
    let Some((ticket, confirmed)) = held else {
        return Ok(Found::Over { living });
    };
    Ok(match living {
        Some(living) if living.0.number() == ticket.attempt => {
            Found::Held { ticket, confirmed, living: Some(living) }
        }
        None if record.as_ref().is_some_and(|record| record.attempt == ticket.attempt) => {
            if let Some(record) = &record {
                shared.attempts.sweep(key, record);
            }
            Found::Held { ticket, confirmed, living: None }
        }
        living => Found::NotBegun { ticket, living },
    })
}

/// Ends an attempt, waits until none of its processes is left, and hands its message back if it is known.
async fn end(
    shared: Arc<Shared>,
    key: RepositoryKey,
    living: Option<(LocalAttempt, LocalEnding)>,
    reply: Option<String>,
) {
    if let Some((local, ending)) = living {
        let (attempts, ordered) = (shared.attempts.clone(), local.clone());
        let order = blocking(move || ordered.order(&attempts, OrderReason::Cancel));
        if let Err(error) = order.await {
            tracing::warn!(repository = %key, error = chain(&error), "cannot order a scan to end");
        }
        let ended = ending.await;
        let attempts = shared.attempts.clone();
        let _ = spawn_blocking(move || local.settle(&attempts, &ended)).await;
    }
    let (attempts, repo) = (shared.attempts.clone(), repo_key(&key));
    let swept = blocking(move || {
        if let Some(record) = attempts.record(&repo)? {
            attempts.sweep(&repo, &record);
        }
        Ok(())
    });
    if let Err(error) = swept.await {
        tracing::warn!(repository = %key, error = chain(&error), "cannot end what a scan left");
    }
    if let Some(reply) = reply {
        let _ = shared.bus.acknowledge(&reply, AckKind::Nak(None)).await;
    }
    shared.give_back(&key).await;
    tracing::info!(repository = %key, "ended an attempt of the agent's earlier run, which no longer holds it");
}
