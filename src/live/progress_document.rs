//! The progress document of a job, made of blocks of rows that stay as they are until one of their
//! rows changes.
//!
//! Input: which repositories, warnings and names have changed. Output: the pieces of the newest
//! document.
//! Invariants: to note a change costs the same however large the job is; a document costs the blocks
//! that have changed, and a reference to each of the others; two documents share all blocks in
//! which nothing differs. The bytes are those of `model::progress`.

use super::{
    ledger::{KeptBytes, Ledger},
    state::{Data, Entry},
};
use crate::{
    model::{
        RepoState,
        progress::{self, CurrentRow, FailedRow, Lists, RepositoryRow, WarningRow},
        repository::RepositoryStatus,
        time::Timestamp,
    },
    store::layout::JobFile,
};
use bytes::Bytes;
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    ops::RangeInclusive,
};

/// Repositories of a block of rows. Fewer share more where few of many move.
const ROWS: u32 = 32;
/// Repositories of a block of names.
const NAMES: u32 = 256;
/// A block of names that have not begun ends after one of so many names, chosen by the name itself,
/// so that one that is gone changes its own block alone; and at this size in any case.
const NAMES_OF_PENDING: u64 = 256;
const BYTES_OF_PENDING: usize = 16 << 10;

/// The blocks of one job.
#[derive(Debug)]
pub(super) struct Blocks {
    repositories: Parted,
    current: Parted,
    completed: Parted,
    failed: Parted,
    warnings: Parted,
    pending: Vec<KeptBytes>,
    pending_changed: bool,
    /// Blocks that have changed, but are still a part of the newest document that was made.
    stale: Vec<KeptBytes>,
}

/// The pieces of a document.
#[derive(Debug)]
pub(super) struct Pieces {
    pub(super) list: Vec<Bytes>,
    /// The place of the elapsed seconds among them.
    pub(super) splice: usize,
    /// Bytes that no block has.
    pub(super) own: usize,
}

/// A list in blocks of so many repositories, by the number of the block.
#[derive(Debug)]
struct Parted {
    span: u32,
    blocks: BTreeMap<u32, Block>,
    changed: BTreeSet<u32>,
}

#[derive(Debug)]
struct Block {
    /// Each item with a comma before it.
    bytes: KeptBytes,
    newest: Option<Timestamp>,
}

impl Blocks {
    pub(super) fn new() -> Self {
        Self {
            repositories: Parted::new(ROWS),
            current: Parted::new(ROWS),
            completed: Parted::new(NAMES),
            failed: Parted::new(ROWS),
            warnings: Parted::new(ROWS),
            pending: Vec::new(),
            pending_changed: true,
            stale: Vec::new(),
        }
    }

    /// A repository has another state than before, or has come or gone.
    pub(super) fn note(&mut self, old: Option<&RepositoryStatus>, new: Option<&RepositoryStatus>) {
        let Some(index) = new.or(old).map(|it| it.index) else { return };
        let either = |holds: fn(RepoState) -> bool| {
            old.is_some_and(|it| holds(it.state)) || new.is_some_and(|it| holds(it.state))
        };
        let stale = &mut self.stale;
        self.repositories.forget(index, stale);
        for (list, touched) in [
            (&mut self.current, either(RepoState::is_working)),
            (&mut self.completed, either(|it| it == RepoState::Completed)),
            (&mut self.failed, either(RepoState::is_failure)),
        ] {
            if touched {
                list.forget(index, stale);
            }
        }
        let begun = |it: Option<&RepositoryStatus>| it.is_some_and(|it| !is_pending(it));
        let name = |it: Option<&RepositoryStatus>| it.and_then(|it| it.name.clone());
        if begun(old) != begun(new) || name(old) != name(new) {
            self.pending_changed = true;
        }
    }

    /// The warnings of a file are others than before.
    pub(super) fn note_warnings(&mut self, file: JobFile) {
        self.warnings.forget(place_of(file), &mut self.stale);
    }

    /// Keeps no bytes: all of it is made anew when somebody asks.
    pub(super) fn release(&mut self) {
        for list in [
            &mut self.repositories,
            &mut self.current,
            &mut self.completed,
            &mut self.failed,
            &mut self.warnings,
        ] {
            list.changed.extend(std::mem::take(&mut list.blocks).into_keys());
        }
        self.pending = Vec::new();
        self.pending_changed = true;
        self.stale = Vec::new();
    }

    /// The names of those that have not begun are others than before.
    pub(super) fn note_pending(&mut self) {
        self.pending_changed = true;
    }
}

/// The pieces of the newest document.
pub(super) fn pieces(data: &mut Data, ledger: &Ledger, lists: Lists, elapsed: u64) -> Pieces {
    if lists == Lists::Whole {
        // The document that they were a part of is about to be replaced.
        data.blocks.stale.clear();
        fill_lists(data, ledger);
    }
    fill_warnings(data, ledger);
    let Data { blocks, facts, master, version, .. } = data;
    let mut made = Assembly { ledger, pieces: Vec::new(), text: Vec::new(), own: 0 };
    let none = std::iter::empty();
    made.value(&progress::head(facts, master.as_ref(), &none, Lists::Omitted));
    made.text.pop();
    if lists == Lists::Whole {
        for (name, list) in [
            ("repositories", &blocks.repositories),
            ("current_repositories", &blocks.current),
            ("completed_repositories", &blocks.completed),
            ("failed_repositories", &blocks.failed),
        ] {
            made.member(name);
            made.list(list.bytes());
        }
        made.member("pending_repositories");
        made.list(blocks.pending.iter().map(KeptBytes::bytes));
    }
    made.member("elapsed_time_seconds");
    made.flush();
    let splice = made.pieces.len();
    let newest = blocks.repositories.blocks.values().filter_map(|it| it.newest).max();
    let tail = progress::tail(facts, master.as_ref(), newest, Vec::new(), *version, elapsed);
    let end = format!("[],\"version\":{version}}}");
    made.value(&tail);
    made.text[0] = b',';
    made.text.truncate(made.text.len() - end.len());
    made.list(blocks.warnings.bytes());
    made.text.extend_from_slice(&end.as_bytes()[2..]);
    made.flush();
    Pieces { list: made.pieces, splice, own: made.own }
}

/// Makes the blocks of warnings that have changed.
fn fill_warnings(data: &mut Data, ledger: &Ledger) {
    let Data { blocks, warnings, .. } = data;
    blocks.warnings.fill(ledger, |range, to| {
        for (file, texts) in warnings.range(file_at(*range.start())..=file_at(*range.end())) {
            let file = file.name();
            for message in texts {
                item(to, &WarningRow { file: &file, message });
            }
        }
        None
    });
}

/// Makes the blocks of all other lists that have changed.
fn fill_lists(data: &mut Data, ledger: &Ledger) {
    let Data { blocks, repositories, master, facts, .. } = data;
    let statuses = |range: RangeInclusive<u32>| repositories.range(range).map(|(_, it)| &it.status);
    blocks.repositories.fill(ledger, |range, to| {
        statuses(range.clone()).for_each(|it| item(to, &RepositoryRow::of(it)));
        statuses(range).filter_map(|it| it.last_update).max()
    });
    blocks.current.fill(ledger, |range, to| {
        statuses(range).filter_map(CurrentRow::of).for_each(|it| item(to, &it));
        None
    });
    blocks.completed.fill(ledger, |range, to| {
        statuses(range).filter_map(progress::completed_name).for_each(|it| item(to, &it));
        None
    });
    blocks.failed.fill(ledger, |range, to| {
        statuses(range).filter_map(FailedRow::of).for_each(|it| item(to, &it));
        None
    });
    if std::mem::take(&mut blocks.pending_changed) {
        let begun = repositories.values().map(|it: &Entry| &it.status);
        let names = progress::pending_names(master.as_ref(), begun, facts.summary.pending);
        blocks.pending = pending(&names, std::mem::take(&mut blocks.pending), ledger);
    }
}

/// The blocks of these names; those of before that are the same stay.
fn pending(names: &[String], before: Vec<KeptBytes>, ledger: &Ledger) -> Vec<KeptBytes> {
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let mut before: HashMap<u64, KeptBytes> =
        before.into_iter().map(|it| (hasher.hash_one(&it.bytes()[..]), it)).collect();
    let mut blocks = Vec::new();
    let mut text = Vec::new();
    for (at, name) in names.iter().enumerate() {
        item(&mut text, name);
        let ends = hasher.hash_one(name) % NAMES_OF_PENDING == 0 || text.len() >= BYTES_OF_PENDING;
        if ends || at + 1 == names.len() {
            let text = std::mem::take(&mut text);
            let same = before.remove(&hasher.hash_one(&text[..]));
            let same = same.filter(|it| it.bytes()[..] == text[..]);
            blocks.push(same.unwrap_or_else(|| ledger.keep_piece(text)));
        }
    }
    blocks
}

/// An item of a list, with a comma before it.
fn item(to: &mut Vec<u8>, value: &impl Serialize) {
    to.push(b',');
    // Values of ours have text keys and finite numbers: nothing that JSON cannot say.
    let _ = serde_json::to_writer(to, value);
}

fn is_pending(status: &RepositoryStatus) -> bool {
    status.state == RepoState::Pending
}

/// The place of a file among the warnings.
fn place_of(file: JobFile) -> u32 {
    match file {
        JobFile::Master => 0,
        // The last two numbers share one.
        JobFile::Repository(index) => index.saturating_add(1),
    }
}

fn file_at(place: u32) -> JobFile {
    match place {
        0 => JobFile::Master,
        u32::MAX => JobFile::Repository(u32::MAX),
        place => JobFile::Repository(place - 1),
    }
}

impl Parted {
    fn new(span: u32) -> Self {
        Self { span, blocks: BTreeMap::new(), changed: BTreeSet::new() }
    }

    /// Something at this place has changed.
    fn forget(&mut self, place: u32, stale: &mut Vec<KeptBytes>) {
        let block = place / self.span;
        stale.extend(self.blocks.remove(&block).map(|it| it.bytes));
        self.changed.insert(block);
    }

    /// Makes what has changed: `make` writes the items of a range, and says which is their newest time.
    fn fill(
        &mut self,
        ledger: &Ledger,
        make: impl Fn(RangeInclusive<u32>, &mut Vec<u8>) -> Option<Timestamp>,
    ) {
        for block in std::mem::take(&mut self.changed) {
            let first = block * self.span;
            let mut text = Vec::new();
            let newest = make(first..=first.saturating_add(self.span - 1), &mut text);
            if !text.is_empty() {
                self.blocks.insert(block, Block { bytes: ledger.keep_piece(text), newest });
            }
        }
    }

    fn bytes(&self) -> impl Iterator<Item = &Bytes> {
        self.blocks.values().map(|it| it.bytes.bytes())
    }
}

/// A document that is being put together.
struct Assembly<'a> {
    ledger: &'a Ledger,
    pieces: Vec<Bytes>,
    /// What no block has, up to the next block.
    text: Vec<u8>,
    own: usize,
}

impl Assembly<'_> {
    fn value(&mut self, value: &impl Serialize) {
        let _ = serde_json::to_writer(&mut self.text, value);
    }

    fn member(&mut self, name: &str) {
        self.text.extend_from_slice(format!(",\"{name}\":").as_bytes());
    }

    fn list<'b>(&mut self, blocks: impl Iterator<Item = &'b Bytes>) {
        self.text.push(b'[');
        for (at, block) in blocks.enumerate() {
            self.flush();
            // The first item has no comma before it.
            self.pieces.push(if at == 0 { block.slice(1..) } else { block.clone() });
        }
        self.text.push(b']');
    }

    fn flush(&mut self) {
        if !self.text.is_empty() {
            let text = std::mem::take(&mut self.text);
            self.own += text.len();
            self.pieces.push(self.ledger.bytes(text));
        }
    }
}
