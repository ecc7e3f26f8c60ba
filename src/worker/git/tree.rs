//! The tree of one commit in a bare repository.
//!
//! Input: a small tree, or the output of `git ls-tree`. Output: its entries, one by one. Invariants: a record never
//! grows beyond the length limit of a path, entries are counted while they stream, and time is
//! limited from outside, so that a tree of ten billion entries costs no more than one at the limit.

use super::{
    Git, GitError,
    command::{SHORT_CALL, deadline},
    diagnosis::diagnose_local,
    fetch::{FetchSource, Fetched, KEPT_AS},
    objects::{Object, Objects},
    process::{drain_beside, joined, said},
    reference::Reference,
    small_tree,
};
use crate::worker::{
    limits::{Caps, LimitError},
    text,
    tree::{Content, Entry, Kind, Tree, TreeError},
};
use std::{
    collections::BTreeSet,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    process::Stdio,
};

const STEP: &str = "ls-tree";
/// The longest part of a record before the path: mode, type, id.
const LONGEST_HEAD: usize = 160;

/// A commit in a bare repository.
#[derive(Debug)]
pub(crate) struct GitTree<'a> {
    git: &'a Git,
    repository: PathBuf,
    commit: String,
    /// The origin of blobs that the fetch omitted.
    source: Option<FetchSource<'a>>,
    objects: Objects,
}

impl<'a> GitTree<'a> {
    /// The tree of a commit that was fetched.
    pub(crate) fn of_fetched(git: &'a Git, fetched: Fetched<'a>) -> Result<Self, GitError> {
        Self::open(git, fetched.repository, KEPT_AS, Some(fetched.source))
    }

    /// The tree of a commit in a local repository; `None` if the repository has no commit at all.
    pub(crate) fn of_local(
        git: &'a Git,
        repository: &Path,
        reference: &Reference,
    ) -> Result<Option<Self>, GitError> {
        let tree = Self::open(git, repository.to_owned(), reference.name(), None);
        if tree.is_err() && reference.is_default() && has_no_refs(git, repository)? {
            return Ok(None);
        }
        tree.map(Some)
    }

    fn open(
        git: &'a Git,
        repository: PathBuf,
        name: &str,
        source: Option<FetchSource<'a>>,
    ) -> Result<Self, GitError> {
        let mut objects = Objects::open(git, &repository)?;
        let Some(commit) = objects.commit(name)? else {
            let said = format!("`{name}` does not refer to a commit");
            return Err(GitError::Failed { step: "rev-parse", said });
        };
        Ok(Self { git, repository, commit, source, objects })
    }

    /// The full id of the commit.
    pub(crate) fn commit(&self) -> &str {
        &self.commit
    }
}

impl Tree for GitTree<'_> {
    type Handle = String;
    type Error = GitError;

    fn list(
        &mut self,
        caps: &mut Caps,
        visit: &mut dyn FnMut(Entry<String>),
    ) -> Result<(), TreeError<GitError>> {
        let longest = caps.longest_path();
        if let Some(entries) = small_tree::entries(&mut self.objects, &self.commit, longest)? {
            for entry in entries {
                caps.admit(&entry.path)?;
                visit(entry);
            }
            return Ok(());
        }
        let mut running = self
            .git
            .on(STEP, &self.repository)
            .args(["ls-tree", "-r", "-z", "--full-tree", &self.commit])
            .start(Stdio::null(), deadline(STEP, caps.time()))?;
        let stderr = running.stderr().map(drain_beside).transpose()?;
        let mut records = BufReader::new(
            running.stdout().ok_or_else(|| broken(io::ErrorKind::BrokenPipe.into()))?,
        );
        let longest = LONGEST_HEAD + longest;
        let mut record = Vec::new();
        let mut invalid = None;
        while read_record(&mut records, &mut record, longest).map_err(broken)? {
            if record.len() > longest {
                return Err(caps.path_too_long().into());
            }
            let Some(entry) = parse(&record) else {
                let said = text::cut(&text::shown_path(&record), 200);
                invalid = Some(GitError::Answer { step: STEP, said });
                break;
            };
            caps.admit(&entry.path)?;
            visit(entry);
        }
        drop(records);
        // An incomplete record is the result of a killed git: the reason for the kill is the cause.
        match (running.finish(), invalid) {
            (Err(GitError::TooSlow { seconds, .. }), _) => {
                Err(LimitError::ListTooSlow { seconds }.into())
            }
            (Err(error), _) | (Ok(_), Some(error)) => Err(error.into()),
            (Ok(status), None) if status.success() => Ok(()),
            (Ok(_), None) => {
                let said = said(&stderr.map(joined).unwrap_or_default());
                Err(diagnose_local(STEP, said).into())
            }
        }
    }

    fn content_id(id: &String) -> Option<&str> {
        Some(id)
    }

    fn prepare(&mut self, ids: &[&String]) -> Result<Vec<Option<u64>>, TreeError<GitError>> {
        let sizes = self.objects.sizes(ids)?;
        let Some(source) = &self.source else { return Ok(sizes) };
        let is_missing =
            |(id, size): (&&'_ String, &Option<u64>)| size.is_none().then(|| (*id).clone());
        let missing: BTreeSet<String> = ids.iter().zip(&sizes).filter_map(is_missing).collect();
        if missing.is_empty() {
            return Ok(sizes);
        }
        source.bring(&self.repository, &missing)?;
        self.objects = Objects::open(self.git, &self.repository)?;
        Ok(self.objects.sizes(ids)?)
    }

    fn read(&mut self, id: &String, most: u64) -> Result<Content, TreeError<GitError>> {
        Ok(match self.objects.read(id, most)? {
            Object::Bytes(bytes) => Content::Bytes(bytes),
            Object::TooLarge(size) => Content::TooLarge(Some(size)),
            Object::Missing => Content::Unreadable("its object is missing".to_owned()),
        })
    }
}

fn has_no_refs(git: &Git, repository: &Path) -> Result<bool, GitError> {
    let refs = git
        .on("for-each-ref", repository)
        .args(["for-each-ref", "--count=1"])
        .output(SHORT_CALL)?
        .successful("for-each-ref")?;
    Ok(refs.text().is_empty())
}

/// Reads up to the next NUL, which is not included, but hardly more than `longest` bytes. `false`
/// at the end.
pub(super) fn read_record(
    from: &mut impl BufRead,
    record: &mut Vec<u8>,
    longest: usize,
) -> io::Result<bool> {
    record.clear();
    loop {
        let piece = match from.fill_buf() {
            Ok(piece) => piece,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if piece.is_empty() {
            return Ok(!record.is_empty());
        }
        let end = piece.iter().position(|byte| *byte == 0);
        record.extend_from_slice(&piece[..end.unwrap_or(piece.len())]);
        let taken = end.map_or(piece.len(), |end| end + 1);
        from.consume(taken);
        if end.is_some() || record.len() > longest {
            return Ok(true);
        }
    }
}

/// Parses `100644 blob <id>\t<path>`.
pub(super) fn parse(record: &[u8]) -> Option<Entry<String>> {
    let tab = record.iter().position(|byte| *byte == b'\t')?;
    let head = std::str::from_utf8(&record[..tab]).ok()?;
    let mut words = head.split_ascii_whitespace();
    let (mode, _type, id) = (words.next()?, words.next()?, words.next()?);
    if !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let kind = match mode {
        // Old repositories also have regular files with the third mode.
        "100644" | "100755" | "100664" => Kind::File { handle: id.to_owned(), size: None },
        "120000" => Kind::Link,
        "160000" => Kind::Submodule { commit: Some(id.to_owned()) },
        _ => Kind::Other(format!("of the unknown mode {}", text::cut(mode, 20))),
    };
    Some(Entry { path: record[tab + 1..].to_vec(), kind })
}

fn broken(source: io::Error) -> GitError {
    GitError::Pipe { step: STEP, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_bytes() {
        let id = "32f95c0d1244a78b2be1bab8de17906fabb2c4a8";
        let file = format!("100644 blob {id}\ta\n");
        let mut file = file.into_bytes();
        file.extend_from_slice(b"\xff\tb");
        let entry = parse(&file).unwrap();
        assert_eq!(entry.path, b"a\n\xff\tb");
        assert_eq!(entry.kind, Kind::File { handle: id.to_owned(), size: None });
        let link = format!("120000 blob {id}\tl");
        assert_eq!(parse(link.as_bytes()).unwrap().kind, Kind::Link);
        let module = format!("160000 commit {id}\ts");
        let expected = Kind::Submodule { commit: Some(id.to_owned()) };
        assert_eq!(parse(module.as_bytes()).unwrap().kind, expected);
        for odd in ["", "100644 blob", "100644 blob --x\ta"] {
            assert!(parse(odd.as_bytes()).is_none(), "{odd}");
        }
    }

    #[test]
    fn a_record_without_an_end_stops_at_the_cap() {
        let endless = vec![b'x'; 1 << 20];
        let mut from = BufReader::with_capacity(1024, endless.as_slice());
        let mut record = Vec::new();
        assert!(read_record(&mut from, &mut record, 4096).unwrap());
        assert!(record.len() > 4096 && record.len() <= 4096 + 1024);
    }
}
