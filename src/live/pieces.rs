//! Documents as lists of shared pieces, and their readers.
//!
//! Input: pieces of JSON. Output: the same bytes in the same order, a bounded piece at a time, on
//! demand.
//!
//! Invariants: a piece that two documents share exists once; a reader has a position and no copy of
//! its document; a reader never gets more than [`PIECE`] bytes at once; the next piece of a reader
//! that was cut off is an error, so that its answer breaks off and does not look complete.

use super::ledger::{Counted, Ledger, Reader};
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

/// The most bytes that a reader gets at once.
pub const PIECE: usize = 16 << 10;

/// A document as a list of pieces; cloning shares it.
#[derive(Debug, Clone)]
pub(super) struct SharedDocument(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    ledger: Ledger,
    pieces: Box<[Bytes]>,
    length: usize,
    /// The position, among the pieces, of a piece that each reader provides.
    splice: Option<usize>,
    superseded: AtomicBool,
    /// Accounts for the list itself.
    _alive: Counted,
}

/// A document that the cache uses. It counts as superseded after this handle is dropped.
#[derive(Debug)]
pub(super) struct Kept {
    document: SharedDocument,
    _current: Counted,
}

/// The reader was cut off because it held an old document for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the client did not read for too long, and its document is outdated")]
pub struct CutOff;

/// One reader of one document.
#[derive(Debug)]
pub struct PieceReader {
    position: Arc<SharedPosition>,
    ledger: Ledger,
    number: u64,
    length: usize,
}

/// The position of a reader, which the ledger can clear.
#[derive(Debug)]
struct SharedPosition(Mutex<Position>);

#[derive(Debug)]
struct Position {
    /// `None` when everything has been read, or when the reader was cut off.
    document: Option<SharedDocument>,
    /// The piece of the reader itself, until it has been read.
    own: Option<Bytes>,
    /// The next piece, and how much of it has been read.
    next: usize,
    offset: usize,
    taken_at: Instant,
    cut_off: bool,
}

impl SharedDocument {
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

    /// Accounts for a document that the cache uses. `bytes`: those that no other document of the
    /// cache shares.
    pub(super) fn keep(self, bytes: usize) -> Kept {
        let current = self.0.ledger.current(bytes);
        Kept { document: self, _current: current }
    }

    /// The bytes of the list and of the pieces, including those shared with other documents.
    pub(super) fn footprint(&self) -> usize {
        self.0.length + self.list_bytes()
    }

    /// The bytes of the list alone.
    pub(super) fn list_bytes(&self) -> usize {
        self.0.pieces.len() * size_of::<Bytes>()
    }

    /// The pieces.
    #[cfg(test)]
    pub(super) fn pieces(&self) -> &[Bytes] {
        &self.0.pieces
    }

    /// The bytes, with `own` at the position that the document reserves for it.
    pub(super) fn joined(&self, own: &[u8]) -> Vec<u8> {
        let Inner { pieces, length, splice, .. } = &*self.0;
        let at = splice.unwrap_or(pieces.len());
        let mut whole = Vec::with_capacity(length + own.len());
        pieces[..at].iter().for_each(|piece| whole.extend_from_slice(piece));
        if splice.is_some() {
            whole.extend_from_slice(own);
        }
        pieces[at..].iter().for_each(|piece| whole.extend_from_slice(piece));
        whole
    }

    /// The bytes of the pieces, without the piece of the reader.
    pub(super) fn length(&self) -> usize {
        self.0.length
    }

    /// The only piece of a document that a reader gets at once.
    pub(super) fn single(&self) -> Option<Bytes> {
        match &*self.0.pieces {
            [piece] if self.0.splice.is_none() && piece.len() <= PIECE => Some(piece.clone()),
            _ => None,
        }
    }

    /// The ledger that accounts for its bytes.
    pub(super) fn ledger(&self) -> &Ledger {
        &self.0.ledger
    }

    /// A new reader. `own` is its own piece, for the position that the document reserves for one.
    pub(super) fn reader(&self, own: Option<Bytes>) -> PieceReader {
        let own = own.filter(|_| self.0.splice.is_some());
        let length = self.0.length + own.as_ref().map_or(0, Bytes::len);
        let position = Arc::new(SharedPosition(Mutex::new(Position {
            document: Some(self.clone()),
            own,
            next: 0,
            offset: 0,
            taken_at: Instant::now(),
            cut_off: false,
        })));
        let ledger = self.0.ledger.clone();
        let number = ledger.register(Arc::<SharedPosition>::clone(&position));
        PieceReader { position, ledger, number, length }
    }
}

impl Kept {
    /// A document of one piece, which the cache uses.
    pub(super) fn of_bytes(ledger: &Ledger, data: Vec<u8>) -> Self {
        let document = SharedDocument::new(ledger, vec![ledger.bytes(data)], None);
        let bytes = document.footprint();
        document.keep(bytes)
    }

    pub(super) fn document(&self) -> &SharedDocument {
        &self.document
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.document.0.superseded.store(true, Relaxed);
    }
}

impl PieceReader {
    /// The bytes of the whole document.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The next piece; `None` after the last.
    pub fn next_piece(&mut self) -> Option<Result<Bytes, CutOff>> {
        self.position.lock().take()
    }

    /// All remaining pieces, joined.
    pub fn gather(mut self) -> Result<Bytes, CutOff> {
        let mut whole = Vec::with_capacity(self.length);
        while let Some(piece) = self.next_piece() {
            whole.extend_from_slice(&piece?);
        }
        Ok(whole.into())
    }
}

impl Stream for PieceReader {
    type Item = Result<Bytes, CutOff>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.next_piece())
    }
}

impl Drop for PieceReader {
    fn drop(&mut self) {
        self.ledger.deregister(self.number);
    }
}

impl Reader for SharedPosition {
    fn superseded_since(&self) -> Option<Instant> {
        let state = self.lock();
        let document = state.document.as_ref()?;
        document.0.superseded.load(Relaxed).then_some(state.taken_at)
    }

    fn cut_off(&self) {
        let document = {
            let mut state = self.lock();
            state.cut_off = state.document.is_some();
            state.document.take()
        };
        drop(document);
    }
}

impl SharedPosition {
    fn lock(&self) -> MutexGuard<'_, Position> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Position {
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

    fn document(ledger: &Ledger, lengths: &[usize], splice: Option<usize>) -> SharedDocument {
        let piece = |(at, length): (usize, &usize)| {
            ledger.bytes(vec![b'a' + u8::try_from(at).unwrap(); *length])
        };
        SharedDocument::new(ledger, lengths.iter().enumerate().map(piece).collect(), splice)
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

    /// Fails if readers of old documents can keep more than the limit alive, if others than those
    /// that have not read for the longest time are cut off, or if a cut-off looks like an end.
    #[test]
    fn above_the_limit_the_readers_that_are_idle_longest_are_cut_off() {
        let ledger = Ledger::new(2500);
        let keep = |bytes| {
            let document = document(&ledger, &[bytes], None);
            let footprint = document.footprint();
            document.keep(footprint)
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
        // The first reader reads something, so it is no longer the idlest one.
        let first = readers.remove(0);
        first.position.lock().taken_at = Instant::now();
        assert!(ledger.superseded() > 4000);
        ledger.enforce_limit();
        assert!(ledger.superseded() <= 2500, "{}", ledger.superseded());
        let mut outcomes: Vec<_> =
            readers.into_iter().map(|reader| reader.gather().is_ok()).collect();
        outcomes.push(first.gather().is_ok());
        // The other reader of the first document, then the pairs of the second and the third
        // document.
        assert_eq!(outcomes, [false, false, false, false, false, true, true, true, true]);
        drop(current);
        assert_eq!(ledger.superseded(), 0);
    }
}
