//! What git knows about a work tree: its commit, its tracked, untracked and ignored files, and whether
//! something was changed.
//!
//! Input: a work tree, its repository. Output: paths below the top of the work tree.
//!
//! Invariants: the repository's own configuration is not read by any call that looks at the work tree, so
//! that no file system monitor, filter or hook of it is run: such a call uses a repository of our own, with
//! the index and the objects of the real one. Nothing is written to either.

use super::{
    Git, GitError,
    command::{Call, SHORT_CALL, deadline},
    diagnosis::diagnose_local,
    process::{drain_beside, joined, said},
    repository,
    tree::read_record,
};
use crate::{
    model::task::Limits,
    store::read,
    worker::{limits::Caps, text},
};
use std::{
    fs::{self, File},
    io::{self, BufReader, Read, Write},
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, symlink},
    },
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

/// The folder of our own repository, below the scan's folder.
const STAND_IN: &str = "work-tree.git";
/// The maximum size of the repository's own list of ignored files, in bytes.
const LONGEST_EXCLUDE: u64 = 1 << 20;
/// The maximum number of parts of a split index.
const MOST_SHARED: usize = 16;
/// The longest part of a record before the path: a tag, a mode, an id, a stage.
const LONGEST_HEAD: usize = 160;

/// A work tree, as git sees it.
#[derive(Debug)]
pub(crate) struct Checkout<'a> {
    git: &'a Git,
    top: PathBuf,
    /// The part of the work tree that is scanned, below the top; empty for all of it.
    part: PathBuf,
    stand_in: PathBuf,
    objects: PathBuf,
    index: PathBuf,
    commit: Option<String>,
}

/// A tracked file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tracked {
    /// Below the top of the work tree.
    pub(crate) path: Vec<u8>,
    pub(crate) mode: Mode,
    /// Whether a sparse checkout may have left it out.
    pub(crate) is_sparse: bool,
    /// The commit of a submodule.
    pub(crate) commit: Option<String>,
}

/// The type of a tracked file, in the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    File,
    Link,
    Submodule,
}

impl<'a> Checkout<'a> {
    /// Reads what the repository at `git_dir` says about its work tree at `top`, of which the folder
    /// `part` (below the top) is scanned.
    pub(crate) fn open(
        git: &'a Git,
        top: &Path,
        git_dir: &Path,
        part: &Path,
    ) -> Result<Self, GitError> {
        let step = "rev-parse";
        let asked = git
            .on(step, git_dir)
            .args([step, "--show-object-format"])
            .args(["--git-path", "objects", "--git-path", "index", "--git-path", "info/exclude"])
            .output(SHORT_CALL)?
            .successful(step)?;
        let lines: Vec<&[u8]> =
            asked.stdout.trim_ascii_end().split(|byte| *byte == b'\n').collect();
        let [format, objects, index, exclude] = lines[..] else {
            let said = "the path of the repository contains a line break".to_owned();
            return Err(GitError::Answer { step, said });
        };
        let path = |bytes: &[u8]| PathBuf::from(std::ffi::OsStr::from_bytes(bytes));
        let head = git
            .on(step, git_dir)
            .args([step, "--verify", "--quiet", "HEAD^{commit}"])
            .output(SHORT_CALL)?;
        let commit = Some(head.text()).filter(|id| head.status.success() && is_id(id));
        let stand_in = git.work_dir().join(STAND_IN);
        let this = Self {
            git,
            top: top.to_owned(),
            part: part.to_owned(),
            stand_in,
            objects: path(objects),
            index: path(index),
            commit,
        };
        this.create(&String::from_utf8_lossy(format), &path(exclude))
            .map_err(|source| GitError::Folder { source })?;
        Ok(this)
    }

    /// Creates our own repository: the commit of the real one, its object format, its ignored files.
    fn create(&self, format: &str, exclude: &Path) -> io::Result<()> {
        repository::create(&self.stand_in, format)?;
        if let Some(commit) = &self.commit {
            File::create(self.stand_in.join("HEAD"))?.write_all(commit.as_bytes())?;
        }
        let mut ignored = Vec::new();
        // Without the file nothing is ignored by it.
        if let Ok(file) = read::open(exclude) {
            file.take(LONGEST_EXCLUDE).read_to_end(&mut ignored)?;
        }
        fs::DirBuilder::new().recursive(true).mode(0o700).create(self.stand_in.join("info"))?;
        File::create(self.stand_in.join("info/exclude"))?.write_all(&ignored)?;
        // A split index (git-update-index(1)) has further parts beside it.
        let folder = self.index.parent().map(fs::read_dir);
        let parts = folder
            .into_iter()
            .flatten()
            .flatten()
            .flatten()
            .filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"sharedindex."));
        for part in parts.take(MOST_SHARED) {
            symlink(part.path(), self.stand_in.join(part.file_name()))?;
        }
        Ok(())
    }

    /// The commit that the work tree is based on; `None` if there is none yet.
    pub(crate) fn commit(&self) -> Option<&str> {
        self.commit.as_deref()
    }

    /// The top of the work tree.
    pub(crate) fn top(&self) -> &Path {
        &self.top
    }

    /// The part of the work tree that is scanned, below the top.
    pub(crate) fn part(&self) -> &Path {
        &self.part
    }

    /// The tracked files, up to one more than the limit.
    pub(crate) fn tracked(&self, limits: &Limits) -> Result<Vec<Tracked>, GitError> {
        let most = limits.max_tree_entries;
        let within = Duration::from_secs(limits.list_timeout_secs);
        let longest = usize::try_from(limits.max_path_bytes).unwrap_or(usize::MAX / 2);
        let mut found: Vec<Tracked> = Vec::new();
        let mut invalid = None;
        let list = ["--cached", "--stage", "-t"];
        self.list(&list, longest, within, &mut |record| {
            match parse(record).filter(|file| file.path.len() <= longest) {
                // An unmerged file has up to three records.
                Some(file) if found.last().is_some_and(|last| last.path == file.path) => {}
                Some(file) => found.push(file),
                None => invalid = Some(text::cut(&text::shown_path(record), 200)),
            }
            found.len() as u64 <= most && invalid.is_none()
        })?;
        match invalid {
            Some(said) => Err(GitError::Answer { step: STEP, said }),
            None => Ok(found),
        }
    }

    /// Passes on each untracked file that is not ignored, and with a `/` at its end each folder that is a
    /// repository of its own, until `visit` returns false.
    pub(crate) fn untracked(
        &self,
        caps: &Caps,
        visit: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<(), GitError> {
        self.list(&["--others", "--exclude-standard"], caps.longest_path(), caps.time(), visit)
    }

    /// Passes on each ignored file, and with a `/` at its end each folder that is ignored as a whole, until
    /// `visit` returns false.
    pub(crate) fn ignored(
        &self,
        caps: &Caps,
        visit: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<(), GitError> {
        let list = ["--others", "--ignored", "--exclude-standard", "--directory"];
        self.list(&list, caps.longest_path(), caps.time(), visit)
    }

    /// Whether a tracked file, or with `untracked` any file that is not ignored, differs from the commit.
    pub(crate) fn is_changed(&self, untracked: bool, within: Duration) -> Result<bool, GitError> {
        let step = "status";
        let files = if untracked { "normal" } else { "no" };
        let changed = self
            .call(step)
            .args([step, "--porcelain=v1", "-z", "--ignore-submodules=all", "--no-renames"])
            .arg(format!("--untracked-files={files}"));
        let changed = self.of_part(changed).output(within)?.successful(step)?;
        Ok(!changed.stdout.is_empty())
    }

    /// Runs ls-files and passes on its records, until `visit` returns false.
    fn list(
        &self,
        options: &[&str],
        longest_path: usize,
        within: Duration,
        visit: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<(), GitError> {
        let call = self.call(STEP).args([STEP, "-z", "--full-name"]).args(options.iter().copied());
        let mut running = self.of_part(call).start(Stdio::null(), deadline(STEP, within))?;
        let stderr = running.stderr().map(drain_beside).transpose()?;
        let broken = |source| GitError::Pipe { step: STEP, source };
        let output = running.stdout().ok_or_else(|| broken(io::ErrorKind::BrokenPipe.into()))?;
        let mut records = BufReader::new(output);
        let longest = LONGEST_HEAD.saturating_add(longest_path);
        let mut record = Vec::new();
        while read_record(&mut records, &mut record, longest).map_err(broken)? {
            if !visit(&record) {
                // The caller has enough; git is ended with its owner.
                return Ok(());
            }
        }
        drop(records);
        if running.finish()?.success() {
            return Ok(());
        }
        Err(diagnose_local(STEP, said(&stderr.map(joined).unwrap_or_default())))
    }

    /// A call that sees the work tree, and nothing of the configuration of its repository.
    fn call(&self, step: &'static str) -> Call {
        let mut top = std::ffi::OsString::from("--work-tree=");
        top.push(&self.top);
        self.git
            .on(step, &self.stand_in)
            .env("GIT_INDEX_FILE", &self.index)
            .env("GIT_OBJECT_DIRECTORY", &self.objects)
            .env("GIT_LITERAL_PATHSPECS", "1")
            .arg(top)
    }

    /// Restricts a call to the part that is scanned.
    fn of_part(&self, call: Call) -> Call {
        if self.part.as_os_str().is_empty() { call } else { call.arg("--").arg(&self.part) }
    }
}

const STEP: &str = "ls-files";

fn is_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Parses `H 100644 <id> 0\t<path>`.
fn parse(record: &[u8]) -> Option<Tracked> {
    let tab = record.iter().position(|byte| *byte == b'\t')?;
    let head = std::str::from_utf8(&record[..tab]).ok()?;
    let mut words = head.split_ascii_whitespace();
    let (tag, mode, id) = (words.next()?, words.next()?, words.next()?);
    let mode = match mode {
        "120000" => Mode::Link,
        "160000" => Mode::Submodule,
        _ => Mode::File,
    };
    let commit = (mode == Mode::Submodule && is_id(id)).then(|| id.to_owned());
    Some(Tracked { path: record[tab + 1..].to_vec(), mode, is_sparse: tag == "S", commit })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_the_index_are_parsed() {
        let id = "32f95c0d1244a78b2be1bab8de17906fabb2c4a8";
        for (head, mode, is_sparse) in [
            ("H 100644", Mode::File, false),
            ("S 100755", Mode::File, true),
            ("H 120000", Mode::Link, false),
            ("H 160000", Mode::Submodule, false),
        ] {
            let mut record = format!("{head} {id} 0\ta\n").into_bytes();
            record.extend_from_slice(b"\xff\tb");
            let commit = (mode == Mode::Submodule).then(|| id.to_owned());
            let expected = Tracked { path: b"a\n\xff\tb".to_vec(), mode, is_sparse, commit };
            assert_eq!(parse(&record), Some(expected));
        }
        assert_eq!(parse(b"H 100644 without a tab"), None);
    }
}
