//! Asks git's credential helper (gitcredentials(7)) for the credentials of an origin.
//!
//! Input: an origin that the user typed. Output: a login, if a helper has one. Invariants: nobody is prompted; a
//! helper learns scheme, host and port, and nothing else; the configuration is the user's own, never that
//! of a folder; a helper that hangs is ended.

use crate::model::{address::Origin, task::Credentials};
use rustix::process::{Pid, Signal, kill_process_group};
use std::{
    env,
    io::{Read, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

/// The variables of the environment with tokens for `scan`, which are nothing to a helper.
pub(super) const TOKEN_VARIABLES: [&str; 2] = ["GITHUB_TOKEN", "GITLAB_TOKEN"];
/// How long the helpers may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The size limit of an answer, in bytes.
const LONGEST_ANSWER: u64 = 64 << 10;
/// Variables that let git or a helper prompt, or use another repository's configuration.
const REMOVED: [&str; 12] = [
    "GIT_ASKPASS",
    "SSH_ASKPASS",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_COMMON_DIR",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_TRACE",
    "GIT_TRACE_CURL",
    "GIT_TRACE2_EVENT",
];

/// Asks for the credentials of an origin; `None` if there are none.
pub(super) fn ask(origin: &Origin) -> Option<Credentials> {
    // An empty folder: no repository whose configuration could name a helper.
    let folder = tempfile::Builder::new().prefix("scanwatch-").tempdir().ok()?;
    let mut child = command(folder.path()).spawn().ok()?;
    let port = match (origin.scheme.as_str(), origin.port) {
        ("https", 443) | ("http", 80) => String::new(),
        (_, port) => format!(":{port}"),
    };
    let question = format!("protocol={}\nhost={}{port}\n\n", origin.scheme, origin.host);
    // A broken pipe means that git has ended.
    let _ = child.stdin.take()?.write_all(question.as_bytes());
    let login = parse(&answer(&mut child)?);
    // Without a time limit this would be `wait_with_output`.
    child.wait().ok().filter(ExitStatus::success).and(login)
}

#[expect(
    clippy::disallowed_methods,
    reason = "git with the configuration of the user, who is asked for nothing; always reaped"
)]
fn command(folder: &Path) -> Command {
    // A session of its own has no terminal on which a helper could prompt.
    let path = env::var_os("PATH").unwrap_or_default();
    let setsid =
        env::split_paths(&path).map(|folder| folder.join("setsid")).find(|file| file.is_file());
    let mut command = Command::new(setsid.as_deref().unwrap_or(Path::new("git")));
    if setsid.is_some() {
        command.arg("git");
    } else {
        command.process_group(0);
    }
    command.args(["-c", "core.askPass=", "-c", "credential.interactive=false"]);
    command.args(["-c", "credential.useHttpPath=false", "credential", "fill"]);
    for variable in REMOVED.into_iter().chain(TOKEN_VARIABLES) {
        command.env_remove(variable);
    }
    command
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GCM_INTERACTIVE", "never")
        .env("GIT_CEILING_DIRECTORIES", folder.parent().map_or_else(PathBuf::new, PathBuf::from))
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

/// Reads the answer; kills git and its helpers if they take too long.
fn answer(child: &mut Child) -> Option<String> {
    let stdout = child.stdout.take()?;
    let (answer, answered) = mpsc::channel();
    let reader = thread::Builder::new().name("credentials".to_owned()).spawn(move || {
        let mut text = String::new();
        let read = stdout.take(LONGEST_ANSWER).read_to_string(&mut text);
        // The receiver may have given up.
        let _ = answer.send(read.ok().map(|_| text));
    });
    let text = reader.ok().and_then(|_| answered.recv_timeout(PATIENCE).ok()).flatten();
    if text.is_none() {
        // The leader of its own session or group, not reaped yet. A group that is gone has ended.
        let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
        let _ = child.wait();
    }
    text
}

fn parse(text: &str) -> Option<Credentials> {
    let value = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once('='));
        lines.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
    };
    let password = value("password").filter(|password| !password.is_empty())?;
    Some(Credentials { username: value("username")?, password, on_request: true })
}
