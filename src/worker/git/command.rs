//! Builds git's command line and environment; the only place that does.
//!
//! Input: the task's folder, a step, a remote. Output: a git call.
//!
//! Invariants: the environment is cleared, so that no proxies, traces or user settings apply; a
//! call that needs no host cannot contact one; secrets are only in the environment of the one call
//! that needs them, never in its arguments.

use super::{
    GitError,
    process::{Kill, Output, Running},
    remote::Remote,
};
use crate::{model::task::TRACKING_VARIABLE, worker::stop::Stop};
use std::{
    env,
    ffi::{OsStr, OsString},
    fs::DirBuilder,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

/// The program's name.
const PROGRAM: &str = "git";
/// The search path of programs if the scanner itself has no `PATH`.
const USUAL_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The timeout of calls that only use our own folder.
pub(super) const SHORT_CALL: Duration = Duration::from_mins(1);

/// Settings for every call.
const ALWAYS: [&str; 18] = [
    // No configured program is run.
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.askPass=",
    "credential.helper=",
    "init.templateDir=",
    // Nothing is checked out; if anything ever were, then without links and submodules.
    "core.symlinks=false",
    "submodule.recurse=false",
    // No background maintenance.
    "gc.auto=0",
    "maintenance.auto=false",
    // The folder lives for one scan: nothing in it has to be durable.
    "core.fsync=none",
    // Scans run concurrently; each uses one processor.
    "pack.threads=1",
    // Large blobs are streamed to the disk, not held in memory.
    "core.bigFileThreshold=16m",
    // Limits the memory for reading packs, however large they are.
    "core.deltaBaseCacheLimit=32m",
    "core.packedGitWindowSize=16m",
    "core.packedGitLimit=64m",
    // Packs are not unpacked: few files, whatever the repository.
    "fetch.unpackLimit=1",
    // Only useful if a pack is read many times.
    "pack.writeReverseIndex=false",
    "protocol.version=2",
];

/// The git program within one scan.
#[derive(Debug)]
pub(crate) struct Git {
    /// The program's path, or its bare name if it was not found.
    program: PathBuf,
    path: OsString,
    /// An empty folder.
    home: PathBuf,
    work_dir: PathBuf,
    tracking: Option<OsString>,
    stop: Stop,
}

/// One git call before it starts.
#[derive(Debug)]
pub(super) struct Call {
    step: &'static str,
    command: Command,
    stop: Stop,
}

impl Git {
    /// Git for a scan with the folder `work_dir`.
    pub(crate) fn new(work_dir: &Path, stop: &Stop) -> Result<Self, GitError> {
        let home = work_dir.join("home");
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&home)
            .map_err(|source| GitError::Folder { source })?;
        let path = env::var_os("PATH").unwrap_or_else(|| USUAL_PATH.into());
        Ok(Self {
            // A program that is named by its path starts without a copy of this process.
            program: program_in(&path).unwrap_or_else(|| PROGRAM.into()),
            path,
            home,
            work_dir: work_dir.to_owned(),
            tracking: env::var_os(TRACKING_VARIABLE),
            stop: stop.clone(),
        })
    }

    /// The scan's own folder.
    pub(super) fn work_dir(&self) -> &Path {
        &self.work_dir
    }

    /// A call that cannot contact any host.
    pub(super) fn local(&self, step: &'static str) -> Call {
        let mut command = self.command();
        // An empty list allows no protocol.
        command.env("GIT_ALLOW_PROTOCOL", "");
        Call { step, command, stop: self.stop.clone() }
    }

    /// A call on a bare repository that cannot contact any host.
    pub(super) fn on(&self, step: &'static str, repository: &Path) -> Call {
        let mut safe = OsString::from("safe.directory=");
        safe.push(repository);
        let mut folder = OsString::from("--git-dir=");
        folder.push(repository);
        // `--git-dir` needs no discovery; `safe.directory` satisfies git's ownership check.
        self.local(step).arg("-c").arg(safe).arg(folder)
    }

    /// A call on our bare repository that may contact only this remote.
    pub(super) fn with_remote(
        &self,
        step: &'static str,
        repository: &Path,
        remote: &Remote,
    ) -> Call {
        let mut call = self.on(step, repository);
        call.command.env("GIT_ALLOW_PROTOCOL", remote.scheme());
        for setting in remote.settings() {
            call.command.arg("-c").arg(setting);
        }
        for (name, value) in remote.secret_environment() {
            call.command.env(name, value);
        }
        call
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the only place that runs git: cleared environment, own process group, always reaped"
    )]
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", &self.home)
            .env("TMPDIR", &self.work_dir)
            // The folder may be inside a user's work tree, whose settings must not apply.
            .env("GIT_CEILING_DIRECTORIES", self.work_dir.parent().unwrap_or(&self.work_dir))
            // Messages are parsed, so they must be untranslated.
            .env("LC_ALL", "C")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_LFS_SKIP_SMUDGE", "1")
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .current_dir(&self.work_dir);
        if let Some(tracking) = &self.tracking {
            command.env(TRACKING_VARIABLE, tracking);
        }
        for setting in ALWAYS {
            command.arg("-c").arg(setting);
        }
        command
    }
}

impl Call {
    pub(super) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub(super) fn args<'a>(mut self, args: impl IntoIterator<Item = &'a str>) -> Self {
        self.command.args(args);
        self
    }

    pub(super) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Adds a setting, which has to precede git's subcommand.
    pub(super) fn before(self, setting: &str) -> Self {
        self.args(["-c", setting])
    }

    /// Makes git trace the packets that it exchanges.
    pub(super) fn traced_to(mut self, file: &Path) -> Self {
        self.command.env("GIT_TRACE_PACKET", file);
        self
    }

    /// Makes git trace the headers of requests and answers to its standard error, without the
    /// credentials: only there it reports when a host that throttles may be contacted again.
    pub(super) fn with_traced_headers(self) -> Self {
        self.env("GIT_TRACE_CURL", "1")
            .env("GIT_TRACE_CURL_NO_DATA", "1")
            .env("GIT_TRACE_REDACT", "1")
    }

    /// Starts the call, with standard input from a pipe or empty; `watch` is called twenty times a
    /// second and decides whether to kill it.
    pub(super) fn start(
        mut self,
        input: Stdio,
        mut watch: impl FnMut() -> Option<GitError> + Send + 'static,
    ) -> Result<Running, GitError> {
        let stop = self.stop;
        let watch: Kill = Box::new(move || stop.asked().map(GitError::Stopped).or_else(&mut watch));
        self.command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        Running::start(self.step, &mut self.command, watch)
    }

    /// Runs the call to its end within a time limit and returns its output: for short outputs.
    pub(super) fn output(self, within: Duration) -> Result<Output, GitError> {
        let step = self.step;
        let running = self.start(Stdio::null(), deadline(step, within))?;
        running.output()
    }
}

/// The git program in this `PATH`, found as execvp(3) does.
pub(crate) fn program_in(path: &OsStr) -> Option<PathBuf> {
    let is_program = |path: &PathBuf| {
        path.metadata()
            .is_ok_and(|facts| facts.is_file() && facts.permissions().mode() & 0o111 != 0)
    };
    let folders = env::split_paths(path).filter(|folder| folder.is_absolute());
    folders.map(|folder| folder.join(PROGRAM)).find(is_program)
}

/// Kills a call that takes longer than this.
pub(super) fn deadline(
    step: &'static str,
    within: Duration,
) -> impl FnMut() -> Option<GitError> + Send + 'static {
    let begin = std::time::Instant::now();
    move || {
        let late = begin.elapsed() >= within;
        late.then_some(GitError::TooSlow { step, seconds: within.as_secs() })
    }
}
