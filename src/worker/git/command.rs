//! How git is called: the one place that builds its command line and environment.
//!
//! Invariants: the environment is cleared, so that neither proxies nor traces nor
//! anybody's settings take part; a call that needs no host cannot contact one; secrets stand in
//! the environment of the one call that needs them, never in its arguments.

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

/// What it is called.
const PROGRAM: &str = "git";
/// Where programs are looked for, should the scanner have no `PATH` itself.
const USUAL_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// What every call is told, whatever it does.
const ALWAYS: [&str; 18] = [
    // No program of anybody's choice runs.
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.askPass=",
    "credential.helper=",
    "init.templateDir=",
    // Nothing is checked out; should it ever be, then no links and no submodules.
    "core.symlinks=false",
    "submodule.recurse=false",
    // No process stays behind that tidies up.
    "gc.auto=0",
    "maintenance.auto=false",
    // The folder lives for one scan: nothing in it has to survive a power cut.
    "core.fsync=none",
    // Scans run beside each other; each takes one processor.
    "pack.threads=1",
    // A blob of a gigabyte is streamed to the disk, not held in memory.
    "core.bigFileThreshold=16m",
    // What a pack holds passes through its memory in small parts, however large it is.
    "core.deltaBaseCacheLimit=32m",
    "core.packedGitWindowSize=16m",
    "core.packedGitLimit=64m",
    // Packs stay packs: few files, whatever the repository.
    "fetch.unpackLimit=1",
    // It is for whoever reads a pack many times.
    "pack.writeReverseIndex=false",
    "protocol.version=2",
];

/// How git is called within one scan.
#[derive(Debug)]
pub(crate) struct Git {
    /// Where it lies, or its bare name where it was not found.
    program: PathBuf,
    path: OsString,
    /// An empty folder.
    home: PathBuf,
    work_dir: PathBuf,
    tracking: Option<OsString>,
    stop: Stop,
}

/// One call of git, before it starts.
#[derive(Debug)]
pub(super) struct Call {
    step: &'static str,
    command: Command,
    stop: Stop,
}

impl Git {
    /// Git for a scan whose own folder is `work_dir`.
    pub(crate) fn new(work_dir: &Path, stop: &Stop) -> Result<Self, GitError> {
        let home = work_dir.join("home");
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&home)
            .map_err(|source| GitError::Folder { source })?;
        let path = env::var_os("PATH").unwrap_or_else(|| USUAL_PATH.into());
        Ok(Self {
            // A program that is named by its path is started without a copy of this process.
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

    /// A call that can contact nobody.
    pub(super) fn local(&self, step: &'static str) -> Call {
        let mut command = self.command();
        // No protocol is in an empty list.
        command.env("GIT_ALLOW_PROTOCOL", "");
        Call { step, command, stop: self.stop.clone() }
    }

    /// A call on a bare repository that can contact nobody.
    pub(super) fn on(&self, step: &'static str, repository: &Path) -> Call {
        let mut safe = OsString::from("safe.directory=");
        safe.push(repository);
        let mut folder = OsString::from("--git-dir=");
        folder.push(repository);
        // A folder that is named is not looked for; this says the same to a git that asks.
        self.local(step).arg("-c").arg(safe).arg(folder)
    }

    /// A call on a bare repository of ours that may contact this remote, and nobody else.
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
        reason = "the one way to run git: environment cleared, a group of its own, always reaped"
    )]
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", &self.home)
            .env("TMPDIR", &self.work_dir)
            // The folder may lie within somebody's work tree, whose settings are not ours.
            .env("GIT_CEILING_DIRECTORIES", self.work_dir.parent().unwrap_or(&self.work_dir))
            // Messages are read: they must be the ones we know.
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

    /// Adds a setting, which has to stand before the name of what git is to do.
    pub(super) fn before(self, setting: &str) -> Self {
        self.args(["-c", setting])
    }

    /// Has git write down the packets that it exchanges.
    pub(super) fn traced_to(mut self, file: &Path) -> Self {
        self.command.env("GIT_TRACE_PACKET", file);
        self
    }

    /// Starts it, with standard input from a pipe or from nowhere; `watch` is asked twenty
    /// times a second whether it has to end.
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

    /// Runs it to its end, within a time, and takes what it says: for short answers.
    pub(super) fn output(self, within: Duration) -> Result<Output, GitError> {
        let step = self.step;
        let running = self.start(Stdio::null(), deadline(step, within))?;
        running.output()
    }
}

/// The git of this `PATH`, found as execvp(3) finds it.
pub(crate) fn program_in(path: &OsStr) -> Option<PathBuf> {
    let is_program = |it: &PathBuf| {
        it.metadata().is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
    };
    let folders = env::split_paths(path).filter(|it| it.is_absolute());
    folders.map(|it| it.join(PROGRAM)).find(is_program)
}

/// Ends a call that takes longer.
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
