//! Repositories created for a test, by git itself, with a clean environment.

use super::program;
use std::{
    fmt::Write as _,
    io::Write as _,
    path::{Path, PathBuf},
    process::Stdio,
};

/// The content of a commit. Paths are bytes, as in git.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Entry<'a> {
    File(&'a [u8], &'a [u8]),
    Link(&'a [u8], &'a str),
    /// Another repository at some commit.
    Submodule(&'a [u8]),
}

/// The content of a bomb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaf {
    File,
    /// Listing these shows nothing, and never ends.
    EmptyFolder,
}

/// A bare repository.
#[derive(Debug)]
pub(crate) struct Repository {
    path: PathBuf,
}

impl Repository {
    /// Creates an empty one.
    pub(crate) fn create(path: PathBuf, object_format: &str) -> Self {
        let made = program("git")
            .args(["init", "--quiet", "--bare", "--initial-branch=main", "--template="])
            .arg(format!("--object-format={object_format}"))
            .arg(&path)
            .status()
            .expect("git runs");
        assert!(made.success(), "git init {}", path.display());
        Self { path }
    }

    /// An existing one.
    pub(super) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts a commit with exactly these entries on a branch. Returns its id.
    pub(crate) fn commit(&self, branch: &str, entries: &[Entry<'_>]) -> String {
        let mut stream = format!(
            "commit refs/heads/{branch}\ncommitter A <a@example.com> 1700000000 +0000\ndata 0\n\
             deleteall\n"
        )
        .into_bytes();
        for entry in entries {
            let (mode, path, bytes) = match entry {
                Entry::File(path, bytes) => ("100644 inline", path, *bytes),
                Entry::Link(path, target) => ("120000 inline", path, target.as_bytes()),
                Entry::Submodule(path) => {
                    let id = "1234567890".repeat(4);
                    let line = format!("M 160000 {id} {}\n", quoted(path));
                    stream.extend_from_slice(line.as_bytes());
                    continue;
                }
            };
            let line = format!("M {mode} {}\ndata {}\n", quoted(path), bytes.len());
            stream.extend_from_slice(line.as_bytes());
            stream.extend_from_slice(bytes);
            stream.push(b'\n');
        }
        self.git(&["fast-import", "--quiet", "--force"], &stream);
        self.git(&["rev-parse", &format!("refs/heads/{branch}")], b"")
    }

    /// Names a branch's commit by an annotated tag.
    /// Lets a client leave blobs out, as the great forges do.
    pub(crate) fn allow_filters(&self) {
        self.git(&["config", "uploadpack.allowFilter", "true"], b"");
    }

    pub(crate) fn tag(&self, name: &str, branch: &str) {
        let stream = format!(
            "tag {name}\nfrom refs/heads/{branch}\ntagger A <a@example.com> 1700000000 +0000\n\
             data 0\n"
        );
        self.git(&["fast-import", "--quiet"], stream.as_bytes());
    }

    /// A commit of 10^`depth` leaves that needs `depth` + 1 objects.
    pub(crate) fn commit_bomb(&self, depth: usize, leaf: Leaf) {
        let (mut id, mut kind) = match leaf {
            Leaf::File => (self.git(&["hash-object", "-w", "--stdin"], b"boom\n"), "100644 blob"),
            Leaf::EmptyFolder => (self.git(&["mktree"], b""), "040000 tree"),
        };
        for _ in 0..depth {
            let mut tree = String::new();
            for name in 0..10 {
                let _ = writeln!(tree, "{kind} {id}\tf{name}");
            }
            id = self.git(&["mktree"], tree.as_bytes());
            kind = "040000 tree";
        }
        let commit = format!(
            "tree {id}\nauthor A <a@example.com> 0 +0000\ncommitter A <a@example.com> 0 +0000\n\n"
        );
        let id = self.git(&["hash-object", "-w", "-t", "commit", "--stdin"], commit.as_bytes());
        self.git(&["update-ref", "refs/heads/main", &id], b"");
    }

    /// Runs git on this repository; returns its output.
    pub(crate) fn git(&self, args: &[&str], input: &[u8]) -> String {
        let mut child = program("git")
            .arg("--git-dir")
            .arg(&self.path)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("git runs");
        child.stdin.take().expect("a pipe").write_all(input).expect("git reads");
        let output = child.wait_with_output().expect("git ends");
        assert!(output.status.success(), "git {args:?}");
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    }
}

/// A path for fast-import: every byte as three octal digits.
fn quoted(path: &[u8]) -> String {
    let mut text = String::from("\"");
    for byte in path {
        let _ = write!(text, "\\{byte:03o}");
    }
    text.push('"');
    text
}
