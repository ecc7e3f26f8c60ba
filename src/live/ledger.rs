//! Accounts for the memory that is shared with readers, and cuts off readers that hold too much of
//! it.
//!
//! Input: pieces of documents as they are made, and the readers of these documents. Output: how
//! many superseded bytes there are, that is, bytes that only readers of old documents keep alive;
//! readers that have to release what they hold.
//!
//! Invariants: superseded bytes stay within a limit for the whole server. Above the limit, readers
//! of superseded documents are cut off, first the reader that has not read for the longest time;
//! the memory of a reader that is cut off is free at once, even if its connection never makes
//! progress again.

use bytes::Bytes;
use std::{
    collections::HashMap,
    fmt::Debug,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

/// The most superseded bytes that all readers together may keep alive.
pub(super) const MAX_SUPERSEDED: usize = 64 << 20;

/// A handle of the accounting; cloning shares it.
#[derive(Debug, Clone)]
pub(super) struct Ledger(Arc<Account>);

/// A reader, as far as the accounting is concerned.
pub(super) trait Reader: Debug + Send + Sync {
    /// Since when the reader has not read any more of a superseded document; `None` if it holds
    /// none.
    fn superseded_since(&self) -> Option<Instant>;

    /// Takes the document away from the reader.
    fn cut_off(&self);
}

#[derive(Debug)]
struct Account {
    max_superseded: usize,
    /// The bytes of all existing pieces.
    alive: AtomicUsize,
    /// The bytes of the pieces that the cache uses.
    current: AtomicUsize,
    readers: Mutex<Readers>,
}

#[derive(Debug, Default)]
struct Readers {
    next: u64,
    open: HashMap<u64, Arc<dyn Reader>>,
}

/// Bytes that are counted until this value is dropped.
#[derive(Debug)]
pub(super) struct Counted {
    account: Arc<Account>,
    kind: Kind,
    bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Alive,
    Current,
}

/// A piece that the cache uses in several successive documents.
#[derive(Debug)]
pub(super) struct KeptBytes {
    bytes: Bytes,
    _current: Counted,
}

/// The owner of a piece's bytes.
struct Owner {
    data: Box<[u8]>,
    _alive: Counted,
}

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

impl Ledger {
    pub(super) fn new(max_superseded: usize) -> Self {
        Self(Arc::new(Account {
            max_superseded,
            alive: AtomicUsize::new(0),
            current: AtomicUsize::new(0),
            readers: Mutex::default(),
        }))
    }

    /// Bytes that are counted as long as a reference to them exists.
    pub(super) fn bytes(&self, data: Vec<u8>) -> Bytes {
        let alive = self.alive(data.len());
        Bytes::from_owner(Owner { data: data.into_boxed_slice(), _alive: alive })
    }

    /// Counts bytes until the returned value is dropped.
    pub(super) fn alive(&self, bytes: usize) -> Counted {
        self.count(Kind::Alive, bytes)
    }

    /// Counts bytes that the cache uses until the returned value is dropped.
    pub(super) fn current(&self, bytes: usize) -> Counted {
        self.count(Kind::Current, bytes)
    }

    /// Accounts for a piece that the cache uses.
    pub(super) fn keep_piece(&self, data: Vec<u8>) -> KeptBytes {
        let current = self.current(data.len());
        KeptBytes { bytes: self.bytes(data), _current: current }
    }

    /// How many bytes only readers of old documents keep alive.
    pub(super) fn superseded(&self) -> usize {
        self.0.alive.load(Relaxed).saturating_sub(self.0.current.load(Relaxed))
    }

    /// Cuts off readers until the superseded bytes are within the limit. Called after a document
    /// was superseded, while no lock is held.
    pub(super) fn enforce_limit(&self) {
        if self.superseded() <= self.0.max_superseded {
            return;
        }
        let readers: Vec<Arc<dyn Reader>> = self.readers().open.values().map(Arc::clone).collect();
        let mut idle: Vec<_> = readers
            .iter()
            .filter_map(|reader| Some((reader.superseded_since()?, reader)))
            .collect();
        idle.sort_by_key(|(since, _)| *since);
        let mut cut = 0;
        for (_, reader) in idle {
            if self.superseded() <= self.0.max_superseded {
                break;
            }
            reader.cut_off();
            cut += 1;
        }
        if cut > 0 {
            tracing::warn!(
                clients = cut,
                "clients that do not read their answers keep too many old versions of progress documents in memory; disconnected those that have not read for the longest time"
            );
        }
    }

    pub(super) fn register(&self, reader: Arc<dyn Reader>) -> u64 {
        let mut readers = self.readers();
        let number = readers.next;
        readers.next += 1;
        readers.open.insert(number, reader);
        number
    }

    pub(super) fn deregister(&self, number: u64) {
        let reader = self.readers().open.remove(&number);
        // Dropped outside the lock, because it may be the last reference to a large document.
        drop(reader);
    }

    fn count(&self, kind: Kind, bytes: usize) -> Counted {
        let counted = Counted { account: Arc::clone(&self.0), kind, bytes };
        counted.counter().fetch_add(bytes, Relaxed);
        counted
    }

    fn readers(&self) -> MutexGuard<'_, Readers> {
        self.0.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted {
    fn counter(&self) -> &AtomicUsize {
        match self.kind {
            Kind::Alive => &self.account.alive,
            Kind::Current => &self.account.current,
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.counter().fetch_sub(self.bytes, Relaxed);
    }
}

impl KeptBytes {
    pub(super) fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}
