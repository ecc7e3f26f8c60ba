//! Resolves names, and reads the sizes and contents of blobs and trees, all through one `git cat-file
//! --batch-command`: a git process for each query would be slow.
//!
//! Input: names and ids. Output: ids, sizes, contents.
//!
//! Invariants: one object is requested at a time and its answer read completely, or so few sizes
//! that queries and answers fit into their pipes, so that neither side ever blocks the other; at
//! most the size limit is held in memory.

use super::{
    Git, GitError,
    command::deadline,
    diagnosis::diagnose_local,
    process::{Running, drain_beside, joined, said},
};
use std::{
    io::{self, BufRead, BufReader, Read, Write},
    path::Path,
    process::{ChildStdin, ChildStdout, Stdio},
    thread::JoinHandle,
    time::Duration,
};

const STEP: &str = "cat-file";
/// The longest first line of an answer: an id or the requested name, a type, a size.
const LONGEST_HEAD: u64 = 1024;
/// How many sizes are requested at once: a query has at most 70 bytes, a pipe takes 4,096.
const SIZES_AT_ONCE: usize = 32;
/// The timeout for all queries of a scan together; the scan's own deadline is shorter.
const LONGEST_LIFE: Duration = Duration::from_hours(24);

/// The result of a request for an object.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Object {
    Bytes(Vec<u8>),
    TooLarge(u64),
    Missing,
}

/// A running `git cat-file --batch-command`.
#[derive(Debug)]
pub(super) struct Objects {
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// The output on standard error.
    complaints: Option<JoinHandle<Vec<u8>>>,
    /// Last, so that the pipes are closed before git is ended.
    running: Option<Running>,
}

impl Objects {
    /// Starts the git process for this repository.
    pub(super) fn open(git: &Git, repository: &Path) -> Result<Self, GitError> {
        let mut running = git
            .on(STEP, repository)
            .args(["cat-file", "--batch-command"])
            .start(Stdio::piped(), deadline(STEP, LONGEST_LIFE))?;
        let complaints = running.stderr().map(drain_beside).transpose()?;
        let (Some(questions), Some(answers)) = (running.stdin(), running.stdout()) else {
            return Err(broken(io::ErrorKind::BrokenPipe.into()));
        };
        let answers = BufReader::new(answers);
        Ok(Self { questions, answers, complaints, running: Some(running) })
    }

    /// The full id of the commit that a name refers to; `None` if it refers to none.
    pub(super) fn commit(&mut self, name: &str) -> Result<Option<String>, GitError> {
        let asked = self.put(&format!("info {name}^{{commit}}\n")).and_then(|()| self.head());
        let head = asked.map_err(|error| self.explained(error))?;
        let mut words = head.split_ascii_whitespace();
        let is_id = |id: &&str| {
            matches!(id.len(), 40 | 64) && id.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        Ok(match (words.next().filter(is_id), words.next()) {
            (Some(id), Some("commit")) => Some(id.to_owned()),
            _ => None,
        })
    }

    /// The sizes of blobs, in order; `None` for a missing one.
    pub(super) fn sizes(&mut self, ids: &[&String]) -> Result<Vec<Option<u64>>, GitError> {
        let mut sizes = Vec::with_capacity(ids.len());
        for some in ids.chunks(SIZES_AT_ONCE) {
            self.ask_sizes(some, &mut sizes).map_err(|error| self.explained(error))?;
        }
        Ok(sizes)
    }

    /// Reads one blob of at most `most` bytes.
    pub(super) fn read(&mut self, id: &str, most: u64) -> Result<Object, GitError> {
        self.ask(id, "blob", most).map_err(|error| self.explained(error))
    }

    /// Reads one tree of at most `most` bytes; `None` if there is none.
    pub(super) fn tree(&mut self, name: &str, most: u64) -> Result<Option<Vec<u8>>, GitError> {
        match self.ask(name, "tree", most).map_err(|error| self.explained(error))? {
            Object::Bytes(bytes) => Ok(Some(bytes)),
            Object::TooLarge(_) | Object::Missing => Ok(None),
        }
    }

    /// Replaces a broken pipe by its cause, if that is known.
    fn explained(&mut self, error: GitError) -> GitError {
        match error {
            GitError::Pipe { .. } => self.last_words().unwrap_or(error),
            other => other,
        }
    }

    /// Why git has exited, if it said so.
    fn last_words(&mut self) -> Option<GitError> {
        // ScanEnd git closes its standard error.
        if let Some(why) = self.running.take()?.abandon() {
            return Some(why);
        }
        let complaints = self.complaints.take().map(joined).filter(|text| !text.is_empty())?;
        Some(diagnose_local(STEP, said(&complaints)))
    }

    /// An object of another type counts as too large.
    fn ask(&mut self, id: &str, wanted: &str, most: u64) -> Result<Object, GitError> {
        self.put(&format!("contents {id}\n"))?;
        let head = self.head()?;
        let mut words = head.split_ascii_whitespace();
        let (_, kind, size) = (words.next(), words.next(), words.next());
        match (kind, size.and_then(|size| size.parse::<u64>().ok())) {
            (Some("missing"), _) => Ok(Object::Missing),
            (Some(kind), Some(size)) if kind == wanted && size <= most => {
                let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
                self.answers.by_ref().take(size).read_to_end(&mut bytes).map_err(broken)?;
                self.skip(1)?;
                if bytes.len() as u64 == size {
                    Ok(Object::Bytes(bytes))
                } else {
                    Err(broken(io::ErrorKind::UnexpectedEof.into()))
                }
            }
            (Some(_), Some(size)) => {
                self.skip(size + 1)?;
                Ok(Object::TooLarge(size))
            }
            _ => Err(GitError::Answer { step: STEP, said: head.trim().to_owned() }),
        }
    }

    fn ask_sizes(&mut self, ids: &[&String], sizes: &mut Vec<Option<u64>>) -> Result<(), GitError> {
        let mut questions = String::new();
        for id in ids {
            questions.push_str("info ");
            questions.push_str(id);
            questions.push('\n');
        }
        self.put(&questions)?;
        for _ in ids {
            let head = self.head()?;
            let mut words = head.split_ascii_whitespace().skip(1);
            sizes.push(match (words.next(), words.next().map(str::parse)) {
                (Some("missing"), _) => None,
                (Some(_), Some(Ok(size))) => Some(size),
                _ => return Err(GitError::Answer { step: STEP, said: head.trim().to_owned() }),
            });
        }
        Ok(())
    }

    fn put(&mut self, questions: &str) -> Result<(), GitError> {
        self.questions
            .write_all(questions.as_bytes())
            .and_then(|()| self.questions.flush())
            .map_err(broken)
    }

    /// The first line of an answer.
    fn head(&mut self) -> Result<String, GitError> {
        let mut head = Vec::new();
        self.answers.by_ref().take(LONGEST_HEAD).read_until(b'\n', &mut head).map_err(broken)?;
        if head.is_empty() {
            return Err(broken(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(String::from_utf8_lossy(&head).into_owned())
    }

    fn skip(&mut self, bytes: u64) -> Result<(), GitError> {
        io::copy(&mut self.answers.by_ref().take(bytes), &mut io::sink()).map_err(broken)?;
        Ok(())
    }
}

fn broken(source: io::Error) -> GitError {
    GitError::Pipe { step: STEP, source }
}
