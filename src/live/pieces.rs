//! Documents as lists of shared pieces, and their readers.
//!
//! Input: pieces of JSON. Output: the same bytes in the same order, a bounded piece at a time, as
//! they are asked for.
//! Invariants: a piece that two documents share exists once; a reader has a position, and no copy
//! of its document; what it is handed is never longer than [`PIECE`]; a reader that was cut off
//! says so with its next piece, so that its answer breaks off and does not look complete.

use super::ledger::{Counted, Ledger};
use bytes::Bytes;
use futures_util::Stream;
use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Instant,
};

/// The most bytes that a reader is handed at once.
pub const PIECE: usize = 16 << 10;

/// A document as a list of pieces; cloning shares it.
#[derive(Debug, Clone)]
pub(super) struct Document(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    ledger: Ledger,
    pieces: Box<[Bytes]>,
    length: usize,
    /// The place, among the pieces, of one that each reader has of its own.
    splice: Option<usize>,
    superseded: AtomicBool,
    /// The list itself.
    _alive: Counted,
}

/// The reader was cut off: it kept an old document for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the reader has kept an old document for too long")]
pub struct CutOff;

/// One reader of one document.
#[derive(Debug)]
pub struct Reader {
    slot: Arc<Slot>,
    ledger: Ledger,
    number: u64,
    length: usize,
}

/// Where a reader stands.
#[derive(Debug)]
pub(super) struct Slot(Mutex<State>);

#[derive(Debug)]
struct State {
    /// None when everything has been handed over, or when the reader was cut off.
    document: Option<Document>,
    /// The reader's own piece, until it has been handed over.
    own: Option<Bytes>,
    /// The piece that comes next, and how much of it has been handed over.
    next: usize,
    offset: usize,
    taken_at: Instant,
    cut_off: bool,
}

impl Document {
    pub(super) fn new(ledger: &Ledger, pieces: Vec<Bytes>, splice: Option<usize>) -> Self {
        let length = pieces.iter().map(Bytes::len).sum();
        let list = pieces.len() * size_of::<Bytes>();
        Self(Arc::new(Inner {
            ledger: ledger.clone(),
            length,
            pieces: pieces.into_boxed_slice(),
            splice,
            superseded: AtomicBool::new(false),
            _alive: ledger.alive(list),
        }))
    }

    /// Bytes of the list and of the pieces, also of those that are shared with other documents.
    pub(super) fn footprint(&self) -> usize {
        self.0.length + self.list_bytes()
    }

    /// Bytes of the list alone.
    pub(super) fn list_bytes(&self) -> usize {
        self.0.pieces.len() * size_of::<Bytes>()
    }

    /// The pieces themselves.
    #[cfg(test)]
    pub(super) fn pieces(&self) -> &[Bytes] {
        &self.0.pieces
    }

    /// The bytes, with `own` in the place that the document leaves for it.
    pub(super) fn joined(&self, own: &[u8]) -> Vec<u8> {
        let Inner { pieces, length, splice, .. } = &*self.0;
        let at = splice.unwrap_or(pieces.len());
        let mut whole = Vec::with_capacity(length + own.len());
        pieces[..at].iter().for_each(|it| whole.extend_from_slice(it));
        if splice.is_some() {
            whole.extend_from_slice(own);
        }
        pieces[at..].iter().for_each(|it| whole.extend_from_slice(it));
        whole
    }

    /// Bytes of the pieces, without that which each reader has of its own.
    pub(super) fn length(&self) -> usize {
        self.0.length
    }

    /// The one piece of a document that is handed over at once.
    pub(super) fn single(&self) -> Option<Bytes> {
        match &*self.0.pieces {
            [piece] if self.0.splice.is_none() && piece.len() <= PIECE => Some(piece.clone()),
            _ => None,
        }
    }

    /// The account that its bytes are in.
    pub(super) fn ledger(&self) -> &Ledger {
        &self.0.ledger
    }

    pub(super) fn mark_superseded(&self) {
        self.0.superseded.store(true, Relaxed);
    }

    /// A new reader, with a piece of its own for the place that the document leaves for one.
    pub(super) fn reader(&self, own: Option<Bytes>) -> Reader {
        let own = own.filter(|_| self.0.splice.is_some());
        let length = self.0.length + own.as_ref().map_or(0, Bytes::len);
        let slot = Arc::new(Slot(Mutex::new(State {
            document: Some(self.clone()),
            own,
            next: 0,
            offset: 0,
            taken_at: Instant::now(),
            cut_off: false,
        })));
        let ledger = self.0.ledger.clone();
        let number = ledger.register(Arc::clone(&slot));
        Reader { slot, ledger, number, length }
    }
}

impl Reader {
    /// Bytes of the whole document.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The next piece; `None` after the last.
    pub fn next_piece(&mut self) -> Option<Result<Bytes, CutOff>> {
        self.slot.state().take()
    }

    /// All that is left, in one.
    pub fn gather(mut self) -> Result<Bytes, CutOff> {
        let mut whole = Vec::with_capacity(self.length);
        while let Some(piece) = self.next_piece() {
            whole.extend_from_slice(&piece?);
        }
        Ok(whole.into())
    }
}

impl Stream for Reader {
    type Item = Result<Bytes, CutOff>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.next_piece())
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.ledger.deregister(self.number);
    }
}

impl Slot {
    /// Since when the reader has taken nothing of a superseded document; `None` if it holds none.
    pub(super) fn superseded_since(&self) -> Option<Instant> {
        let state = self.state();
        let document = state.document.as_ref()?;
        document.0.superseded.load(Relaxed).then_some(state.taken_at)
    }

    /// Takes the document away from the reader.
    pub(super) fn cut_off(&self) {
        let document = {
            let mut state = self.state();
            state.cut_off = state.document.is_some();
            state.document.take()
        };
        drop(document);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self) -> Option<Result<Bytes, CutOff>> {
        if self.cut_off {
            self.cut_off = false;
            return Some(Err(CutOff));
        }
        self.taken_at = Instant::now();
        loop {
            let document = &self.document.as_ref()?.0;
            if document.splice == Some(self.next)
                && self.offset == 0
                && let Some(own) = self.own.take()
            {
                return Some(Ok(own));
            }
            let Some(piece) = document.pieces.get(self.next) else {
                self.document = None;
                return None;
            };
            let end = piece.len().min(self.offset + PIECE);
            let taken = piece.slice(self.offset..end);
            self.offset = end;
            if end == piece.len() {
                (self.next, self.offset) = (self.next + 1, 0);
            }
            if !taken.is_empty() {
                return Some(Ok(taken));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn document(ledger: &Ledger, lengths: &[usize], splice: Option<usize>) -> Document {
        let piece = |(at, length): (usize, &usize)| {
            ledger.bytes(vec![b'a' + u8::try_from(at).unwrap(); *length])
        };
        Document::new(ledger, lengths.iter().enumerate().map(piece).collect(), splice)
    }

    #[test]
    fn a_reader_gets_every_byte_once_in_bounded_pieces() {
        let ledger = Ledger::new(0);
        for (lengths, splice) in [
            (&[3, 0, PIECE, 2 * PIECE + 1][..], Some(2)),
            (&[1][..], Some(0)),
            (&[1][..], Some(1)),
            (&[][..], None),
            (&[5, 5][..], None),
        ] {
            let document = document(&ledger, lengths, splice);
            let mut expected = Vec::new();
            for (at, piece) in document.pieces().iter().enumerate() {
                if splice == Some(at) {
                    expected.extend_from_slice(b"OWN");
                }
                expected.extend_from_slice(piece);
            }
            if splice == Some(lengths.len()) {
                expected.extend_from_slice(b"OWN");
            }
            assert_eq!(document.joined(b"OWN"), expected, "{lengths:?} {splice:?}");
            let mut reader = document.reader(Some(Bytes::from_static(b"OWN")));
            assert_eq!(reader.length(), expected.len(), "{lengths:?} {splice:?}");
            let mut got = Vec::new();
            while let Some(piece) = reader.next_piece() {
                let piece = piece.unwrap();
                assert!(!piece.is_empty() && piece.len() <= PIECE);
                got.extend_from_slice(&piece);
            }
            assert_eq!(got, expected, "{lengths:?} {splice:?}");
            assert!(reader.next_piece().is_none(), "nothing follows the end");
        }
        assert_eq!(ledger.superseded(), 0, "all of it is dropped");
    }

    /// Breaks if readers of old documents can keep more than the bound alive, if others than those
    /// that have taken nothing for the longest time pay for it, or if a cut looks like an end.
    #[test]
    fn beyond_the_bound_those_who_have_been_idle_longest_are_cut_off() {
        let ledger = Ledger::new(2500);
        let keep = |bytes| {
            let document = document(&ledger, &[bytes], None);
            let footprint = document.footprint();
            ledger.keep(document, footprint)
        };
        let mut readers = Vec::new();
        for _ in 0..4 {
            let kept = keep(1000);
            readers.push(kept.document().reader(None));
            readers.push(kept.document().reader(None));
            std::thread::sleep(Duration::from_millis(2));
        }
        let current = keep(10_000);
        readers.push(current.document().reader(None));
        // The first one takes something, so that it is not the idle one any more.
        let first = readers.remove(0);
        first.slot.state().taken_at = Instant::now();
        assert!(ledger.superseded() > 4000);
        ledger.relieve();
        assert!(ledger.superseded() <= 2500, "{}", ledger.superseded());
        let mut outcomes: Vec<_> = readers.into_iter().map(|it| it.gather().is_ok()).collect();
        outcomes.push(first.gather().is_ok());
        // The other of the first document, then the second and the third document's pairs.
        assert_eq!(outcomes, [false, false, false, false, false, true, true, true, true]);
        drop(current);
        assert_eq!(ledger.superseded(), 0);
    }
}
