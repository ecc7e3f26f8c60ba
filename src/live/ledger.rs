//! The account of bytes that are shared with readers, and who is reading them.
//!
//! Input: pieces of documents as they are made, and the readers that are sent them. Output: how many
//! bytes only readers keep alive, since nothing newer uses them (superseded bytes); readers that are
//! to give up what they hold.
//! Invariants: superseded bytes stay within a bound for the whole server. Beyond it the readers of
//! superseded documents are cut off, first the one that has taken nothing for the longest time;
//! what a reader that is cut off held is free at once, whether or not its connection is ever
//! looked at again.

use super::pieces::{Document, Slot};
use bytes::Bytes;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

/// The most superseded bytes that all readers together keep alive.
pub(super) const MOST_SUPERSEDED: usize = 64 << 20;

/// The account; cloning shares it.
#[derive(Debug, Clone)]
pub(super) struct Ledger(Arc<Account>);

#[derive(Debug)]
struct Account {
    most_superseded: usize,
    /// Bytes of all pieces that exist.
    alive: AtomicUsize,
    /// Bytes of those that the cache uses.
    current: AtomicUsize,
    readers: Mutex<Readers>,
}

#[derive(Debug, Default)]
struct Readers {
    next: u64,
    open: HashMap<u64, Arc<Slot>>,
}

/// Bytes that are counted until this is dropped.
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

/// What the cache uses: it counts as superseded from the moment on at which this is dropped.
#[derive(Debug)]
pub(super) struct Kept {
    document: Document,
    _current: Counted,
}

/// A piece that the cache uses, of documents that come and go.
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
    pub(super) fn new(most_superseded: usize) -> Self {
        Self(Arc::new(Account {
            most_superseded,
            alive: AtomicUsize::new(0),
            current: AtomicUsize::new(0),
            readers: Mutex::default(),
        }))
    }

    /// Bytes that are counted as long as anybody holds them.
    pub(super) fn bytes(&self, data: Vec<u8>) -> Bytes {
        let alive = self.alive(data.len());
        Bytes::from_owner(Owner { data: data.into_boxed_slice(), _alive: alive })
    }

    /// Bytes that exist until the answer is dropped.
    pub(super) fn alive(&self, bytes: usize) -> Counted {
        self.count(Kind::Alive, bytes)
    }

    /// A document that the cache uses. `bytes`: those that it shares with no other of the cache.
    pub(super) fn keep(&self, document: Document, bytes: usize) -> Kept {
        Kept { document, _current: self.count(Kind::Current, bytes) }
    }

    /// Bytes that the cache uses.
    pub(super) fn keep_piece(&self, data: Vec<u8>) -> KeptBytes {
        let current = self.count(Kind::Current, data.len());
        KeptBytes { bytes: self.bytes(data), _current: current }
    }

    /// A document of one piece that the cache uses.
    pub(super) fn keep_bytes(&self, data: Vec<u8>) -> Kept {
        let document = Document::new(self, vec![self.bytes(data)], None);
        let bytes = document.footprint();
        self.keep(document, bytes)
    }

    /// How many bytes only readers keep alive.
    pub(super) fn superseded(&self) -> usize {
        self.0.alive.load(Relaxed).saturating_sub(self.0.current.load(Relaxed))
    }

    /// Cuts readers off until the superseded bytes are within their bound. Called when something
    /// has been superseded, with no lock held.
    pub(super) fn relieve(&self) {
        if self.superseded() <= self.0.most_superseded {
            return;
        }
        let slots: Vec<Arc<Slot>> = self.readers().open.values().map(Arc::clone).collect();
        let mut idle: Vec<_> =
            slots.iter().filter_map(|slot| Some((slot.superseded_since()?, slot))).collect();
        idle.sort_by_key(|(since, _)| *since);
        let mut cut = 0;
        for (_, slot) in idle {
            if self.superseded() <= self.0.most_superseded {
                break;
            }
            slot.cut_off();
            cut += 1;
        }
        if cut > 0 {
            tracing::warn!(readers = cut, "cut off readers that kept too many old documents");
        }
    }

    pub(super) fn register(&self, slot: Arc<Slot>) -> u64 {
        let mut readers = self.readers();
        let number = readers.next;
        readers.next += 1;
        readers.open.insert(number, slot);
        number
    }

    pub(super) fn deregister(&self, number: u64) {
        let slot = self.readers().open.remove(&number);
        // Not under the lock: it may be the last that holds a large document.
        drop(slot);
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

impl Kept {
    pub(super) fn document(&self) -> &Document {
        &self.document
    }
}

impl KeptBytes {
    pub(super) fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.document.mark_superseded();
    }
}
