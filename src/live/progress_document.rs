//! The progress document of a job, made of blocks of rows. A block is reused until one of its rows
//! changes.
//!
//! Input: which repositories, warnings and names have changed. Output: the pieces of the newest
//! document.
//!
//! Invariants: the cost of recording a change does not depend on the size of the job; a new
//! document costs the blocks that changed, and a reference to each of the others; two documents
//! share all blocks that are equal. The bytes are those of `model::progress`.

use super::ledger::{KeptBytes, Ledger};
use crate::{
    model::{
        RepoState,
        master::Master,
        progress::{self, CurrentRow, FailedRow, JobFacts, Lists, RepositoryRow, WarningRow},
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

/// Repositories per block of rows. If few of many repositories change, smaller blocks share more.
const ROWS: u32 = 32;
/// Repositories per block of names.
const NAMES: u32 = 256;
/// A block of names of pending repositories ends after one of so many names. The hash of the name
/// decides, so that a removed name changes only its own block. It also ends at this size.
const NAMES_OF_PENDING: u64 = 256;
const BYTES_OF_PENDING: usize = 16 << 10;

/// The blocks of one job.
#[derive(Debug)]
pub(super) struct Blocks {
    repositories: BlockList,
    current: BlockList,
    completed: BlockList,
    failed: BlockList,
    warnings: BlockList,
    pending: Vec<KeptBytes>,
    pending_changed: bool,
    /// Changed blocks that are still a part of the newest document.
    stale: Vec<KeptBytes>,
}

/// What a document shows of a job. `E`: an entry with the status of a repository.
#[derive(Debug)]
pub(super) struct Content<'a, E> {
    pub(super) facts: &'a JobFacts,
    pub(super) master: Option<&'a Master>,
    pub(super) repositories: &'a BTreeMap<u32, E>,
    pub(super) warnings: &'a BTreeMap<JobFile, Vec<String>>,
    pub(super) version: u64,
}

/// The pieces of a document.
#[derive(Debug)]
pub(super) struct Pieces {
    pub(super) list: Vec<Bytes>,
    /// The position of the elapsed seconds among the pieces.
    pub(super) splice: usize,
    /// The number of bytes that are in no block.
    pub(super) own: usize,
}

/// A list, in blocks of `span` repositories, by block number.
#[derive(Debug)]
struct BlockList {
    span: u32,
    blocks: BTreeMap<u32, Block>,
    changed: BTreeSet<u32>,
}

#[derive(Debug)]
struct Block {
    /// The items, each with a comma before it.
    bytes: KeptBytes,
    newest: Option<Timestamp>,
}

impl Blocks {
    pub(super) fn new() -> Self {
        Self {
            repositories: BlockList::new(ROWS),
            current: BlockList::new(ROWS),
            completed: BlockList::new(NAMES),
            failed: BlockList::new(ROWS),
            warnings: BlockList::new(ROWS),
            pending: Vec::new(),
            pending_changed: true,
            stale: Vec::new(),
        }
    }

    /// Records that a repository changed, was added or was removed.
    pub(super) fn note(&mut self, old: Option<&RepositoryStatus>, new: Option<&RepositoryStatus>) {
        let Some(index) = new.or(old).map(|status| status.index) else { return };
        let either = |holds: fn(RepoState) -> bool| {
            old.is_some_and(|status| holds(status.state))
                || new.is_some_and(|status| holds(status.state))
        };
        let stale = &mut self.stale;
        self.repositories.forget(index, stale);
        for (list, touched) in [
            (&mut self.current, either(RepoState::is_working)),
            (&mut self.completed, either(|state| state == RepoState::Completed)),
            (&mut self.failed, either(RepoState::is_failure)),
        ] {
            if touched {
                list.forget(index, stale);
            }
        }
        let begun =
            |status: Option<&RepositoryStatus>| status.is_some_and(|status| !is_pending(status));
        let name =
            |status: Option<&RepositoryStatus>| status.and_then(|status| status.name.clone());
        if begun(old) != begun(new) || name(old) != name(new) {
            self.pending_changed = true;
        }
    }

    /// Records that the warnings of a file changed.
    pub(super) fn note_warnings(&mut self, file: JobFile) {
        self.warnings.forget(position_of(file), &mut self.stale);
    }

    /// Drops all bytes. The next request makes them again.
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

    /// Records that the names of pending repositories changed.
    pub(super) fn note_pending(&mut self) {
        self.pending_changed = true;
    }

    /// The pieces of the newest document.
    pub(super) fn pieces<E: AsRef<RepositoryStatus>>(
        &mut self,
        content: &Content<'_, E>,
        ledger: &Ledger,
        lists: Lists,
        elapsed: u64,
    ) -> Pieces {
        if lists == Lists::Whole {
            // The newest document, which they were a part of, is about to be replaced.
            self.stale.clear();
            self.fill_lists(content, ledger);
        }
        self.fill_warnings(content.warnings, ledger);
        let Content { facts, master, version, .. } = *content;
        let mut made = DocumentWriter { ledger, pieces: Vec::new(), text: Vec::new(), own: 0 };
        let none = std::iter::empty();
        made.value(&progress::head(facts, master, &none, Lists::Omitted));
        made.text.pop();
        if lists == Lists::Whole {
            for (name, list) in [
                ("repositories", &self.repositories),
                ("current_repositories", &self.current),
                ("completed_repositories", &self.completed),
                ("failed_repositories", &self.failed),
            ] {
                made.member(name);
                made.list(list.bytes());
            }
            made.member("pending_repositories");
            made.list(self.pending.iter().map(KeptBytes::bytes));
        }
        made.member("elapsed_time_seconds");
        made.flush();
        let splice = made.pieces.len();
        let newest = self.repositories.blocks.values().filter_map(|block| block.newest).max();
        let tail = progress::tail(facts, (master, lists), newest, Vec::new(), version, elapsed);
        let end = format!("[],\"version\":{version}}}");
        made.value(&tail);
        made.text[0] = b',';
        made.text.truncate(made.text.len() - end.len());
        made.list(self.warnings.bytes());
        made.text.extend_from_slice(&end.as_bytes()[2..]);
        made.flush();
        Pieces { list: made.pieces, splice, own: made.own }
    }

    /// Makes the blocks of warnings that changed.
    fn fill_warnings(&mut self, warnings: &BTreeMap<JobFile, Vec<String>>, ledger: &Ledger) {
        self.warnings.fill(ledger, |range, to| {
            for (file, texts) in warnings.range(file_at(*range.start())..=file_at(*range.end())) {
                let file = file.name();
                for message in texts {
                    item(to, &WarningRow { file: &file, message });
                }
            }
            None
        });
    }

    /// Makes the blocks of all other lists that changed.
    fn fill_lists<E: AsRef<RepositoryStatus>>(
        &mut self,
        content: &Content<'_, E>,
        ledger: &Ledger,
    ) {
        let Content { repositories, master, facts, .. } = *content;
        let statuses =
            |range: RangeInclusive<u32>| repositories.range(range).map(|(_, entry)| entry.as_ref());
        self.repositories.fill(ledger, |range, to| {
            statuses(range.clone()).for_each(|status| item(to, &RepositoryRow::of(status)));
            statuses(range).filter_map(|status| status.last_update).max()
        });
        self.current.fill(ledger, |range, to| {
            statuses(range).filter_map(CurrentRow::of).for_each(|row| item(to, &row));
            None
        });
        self.completed.fill(ledger, |range, to| {
            statuses(range).filter_map(progress::completed_name).for_each(|name| item(to, &name));
            None
        });
        self.failed.fill(ledger, |range, to| {
            statuses(range).filter_map(FailedRow::of).for_each(|row| item(to, &row));
            None
        });
        if std::mem::take(&mut self.pending_changed) {
            let begun = repositories.values().map(AsRef::as_ref);
            let names = progress::pending_names(master, begun, facts.summary.pending);
            self.pending = pending(&names, std::mem::take(&mut self.pending), ledger);
        }
    }
}

/// The blocks of these names. Equal blocks of the previous list are reused.
fn pending(names: &[String], before: Vec<KeptBytes>, ledger: &Ledger) -> Vec<KeptBytes> {
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let mut before: HashMap<u64, KeptBytes> =
        before.into_iter().map(|block| (hasher.hash_one(&block.bytes()[..]), block)).collect();
    let mut blocks = Vec::new();
    let mut text = Vec::new();
    for (at, name) in names.iter().enumerate() {
        item(&mut text, name);
        let ends = hasher.hash_one(name) % NAMES_OF_PENDING == 0 || text.len() >= BYTES_OF_PENDING;
        if ends || at + 1 == names.len() {
            let text = std::mem::take(&mut text);
            let same = before.remove(&hasher.hash_one(&text[..]));
            let same = same.filter(|block| block.bytes()[..] == text[..]);
            blocks.push(same.unwrap_or_else(|| ledger.keep_piece(text)));
        }
    }
    blocks
}

/// Appends an item of a list, with a comma before it.
fn item(to: &mut Vec<u8>, value: &impl Serialize) {
    to.push(b',');
    // Serializing cannot fail: keys are strings, and numbers are finite.
    let _ = serde_json::to_writer(to, value);
}

fn is_pending(status: &RepositoryStatus) -> bool {
    status.state == RepoState::Pending
}

/// The position of a file among the warnings.
fn position_of(file: JobFile) -> u32 {
    match file {
        JobFile::Master => 0,
        // The two highest numbers share a position.
        JobFile::Repository(index) => index.saturating_add(1),
    }
}

fn file_at(position: u32) -> JobFile {
    match position {
        0 => JobFile::Master,
        u32::MAX => JobFile::Repository(u32::MAX),
        position => JobFile::Repository(position - 1),
    }
}

impl BlockList {
    fn new(span: u32) -> Self {
        Self { span, blocks: BTreeMap::new(), changed: BTreeSet::new() }
    }

    /// Removes the block of this position, because something in it changed.
    fn forget(&mut self, position: u32, stale: &mut Vec<KeptBytes>) {
        let block = position / self.span;
        stale.extend(self.blocks.remove(&block).map(|block| block.bytes));
        self.changed.insert(block);
    }

    /// Makes the changed blocks. `make` writes the items of a range, and returns their newest time.
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
        self.blocks.values().map(|block| block.bytes.bytes())
    }
}

/// Assembles a document.
struct DocumentWriter<'a> {
    ledger: &'a Ledger,
    pieces: Vec<Bytes>,
    /// The bytes between the last block and the next one.
    text: Vec<u8>,
    own: usize,
}

impl DocumentWriter<'_> {
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
            // The first item of the list has no comma before it.
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
