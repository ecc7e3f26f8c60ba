//! The self-test of the sandbox: tries what a compromised scanner might try.
//!
//! ```text
//! run ─► a child in the sandbox of a scanner ─► attempts ─► SelfTest
//!  └─ outside: its folder, its sockets, this process ─────┘
//! ```
//!
//! Input: the settings of the sandbox. Output: for each attempt, whether it was refused.
//!
//! Invariants: every attempt succeeds without the sandbox, for this user or for root; otherwise it
//! would prove nothing. A successful attempt does no harm: it only affects the self-test's own
//! folder, sockets and processes.

use super::isolation;
use crate::model::{
    address::{NetworkPolicy, Origin},
    self_test::{Attempt, Outcome, SelfTest},
    task::{Limits, Sandbox, ScanTask},
};
use anyhow::{Context, ensure};
use rustix::{
    fs::{CWD, FileType, Mode, makedev, mknodat},
    mount::{MountFlags, UnmountFlags, mount, unmount},
    net::{AddressFamily, SocketType, socket},
    process::{
        Pid, PidfdFlags, PidfdGetfdFlags, chroot, getppid, pidfd_getfd, pidfd_open,
        test_kill_process,
    },
    thread::{ThreadNameSpaceType, move_into_thread_name_spaces},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::{
        fd::AsFd,
        linux::net::SocketAddrExt,
        unix::{
            fs::PermissionsExt,
            net::{SocketAddr, UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The size limit of a child's answer, in bytes.
const LONGEST_ANSWER: u64 = 1 << 20;
/// The port that the simulated scan may connect to; nobody is contacted there.
const PORT: u16 = 443;

/// The input of the child: the task that defines its sandbox, and the resources outside.
#[derive(Debug, Serialize, Deserialize)]
struct Outside {
    task: ScanTask,
    /// The folder of another job.
    folder: PathBuf,
    /// The folder with the second records of the job's attempts.
    attempts: PathBuf,
    /// A port of this machine where a server listens.
    port: u16,
    /// The abstract name of a socket where a server listens (unix(7)).
    name: String,
}

/// Tries to escape from the sandbox that a scanner with these settings has.
///
/// # Errors
/// If the test itself cannot run; not if an attempt succeeds.
pub fn run(sandbox: &Sandbox, limits: &Limits) -> anyhow::Result<SelfTest> {
    let root = tempfile::Builder::new()
        .prefix(crate::store::trash::SELF_TEST)
        .tempdir()
        .context("creating a folder for the self-test")?;
    for name in ["work", "job", "other", "attempts"] {
        fs::create_dir(root.path().join(name)).context("creating a folder for the self-test")?;
    }
    let folder = root.path().join("other");
    File::create(folder.join("status")).context("creating a file for the self-test")?;
    let attempts = root.path().join("attempts");
    File::create(attempts.join("kept")).context("creating a file for the self-test")?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listening")?;
    let name = format!("scanwatch-self-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).context("naming a socket")?;
    let _socket = UnixListener::bind_addr(&address).context("listening at an abstract name")?;
    let outside = Outside {
        task: task(root.path(), sandbox, limits)?,
        folder,
        attempts,
        port: listener.local_addr().context("listening")?.port(),
        name,
    };
    ask_child(&outside)
}

#[expect(clippy::disallowed_methods, reason = "runs this program's self-test; always awaited")]
fn ask_child(outside: &Outside) -> anyhow::Result<SelfTest> {
    let mut child = Command::new("/proc/self/exe")
        .args(["worker", "--self-test-escape", "--inside"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting the self-test")?;
    if let Some(mut stdin) = child.stdin.take() {
        // A child that has exited already is reported below.
        let _ = stdin.write_all(&serde_json::to_vec(outside)?);
    }
    let mut answer = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(LONGEST_ANSWER).read_to_end(&mut answer).context("reading its answer")?;
    }
    let status = child.wait().context("waiting for the self-test")?;
    ensure!(status.success(), "the self-test ended early: {status}");
    serde_json::from_slice(&answer).context("parsing the self-test's answer")
}

/// The task of a scan that is sandboxed but never run.
fn task(root: &Path, sandbox: &Sandbox, limits: &Limits) -> anyhow::Result<ScanTask> {
    let origin = Origin { scheme: "https".into(), host: "localhost".into(), port: PORT };
    Ok(ScanTask {
        job_id: "self-test".parse().context("naming the job")?,
        repo_index: 0,
        repo_name: "self-test".into(),
        git_url: "https://localhost/self-test.git".into(),
        reference: None,
        attempt: 1,
        status_file: root.join("job/repo_0.json"),
        result_file: root.join("job/result.json"),
        work_dir: root.join("work"),
        update_interval_secs: 30,
        progress_interval_ms: 500,
        deep: false,
        archives: false,
        exclude_paths: Vec::new(),
        no_ignore: false,
        module_caches: Vec::new(),
        limits: *limits,
        network: NetworkPolicy { trusted: vec![origin], ..NetworkPolicy::default() },
        categories: BTreeMap::new(),
        sandbox: sandbox.clone(),
        credentials: None,
        known: None,
        check_only: false,
    })
}

/// The child's part: enters the sandbox for the input on `stdin`, runs all attempts, and writes the
/// outcomes as JSON.
///
/// # Errors
/// If the input is invalid or the output cannot be written.
pub fn run_inside(stdin: impl Read, mut stdout: impl Write) -> anyhow::Result<()> {
    let outside: Outside = serde_json::from_reader(stdin.take(LONGEST_ANSWER))
        .context("reading the self-test's input")?;
    let isolation = isolation::enter(&outside.task);
    let attempts = attempts(&outside);
    let level = isolation.level;
    let found = SelfTest {
        sandbox: isolation.mode.as_str().to_owned(),
        landlock_abi: level.landlock_abi,
        seccomp: level.seccomp,
        no_new_privs: level.no_new_privs,
        missing: level.missing,
        attempts,
    };
    serde_json::to_writer(&mut stdout, &found)?;
    stdout.flush().context("writing the self-test's result")
}

/// Runs all attempts in order; those that change this process come last.
fn attempts(outside: &Outside) -> Vec<Attempt> {
    let Outside { task, folder, attempts, port, name } = outside;
    let own = &task.work_dir;
    let parent = getppid();
    let of_parent = |file: &str| {
        let pid = parent.map_or(0, Pid::as_raw_pid);
        read(&PathBuf::from(format!("/proc/{pid}/{file}")))
    };
    vec![
        attempt("read the users of this machine", || read(Path::new("/etc/passwd"))),
        attempt("read a file of another job", || read(&folder.join("status"))),
        attempt("change a file of another job", || {
            OpenOptions::new().append(true).open(folder.join("status")).map(drop)
        }),
        attempt("change what is kept of its own attempts", || {
            OpenOptions::new().append(true).open(attempts.join("kept")).map(drop)
        }),
        attempt("make a file in another job's folder", || {
            File::create(folder.join("new")).map(drop)
        }),
        attempt("read what another process was started with", || of_parent("environ")),
        attempt("read the memory of another process", || of_parent("mem")),
        attempt("signal another process", || Ok(test_kill_process(known(parent)?)?)),
        attempt("take a descriptor of another process", || {
            let process = pidfd_open(known(parent)?, PidfdFlags::empty())?;
            Ok(pidfd_getfd(process, 0, PidfdGetfdFlags::empty()).map(drop)?)
        }),
        attempt("run a program that it wrote", || run_what_was_written(own)),
        attempt("connect to another port of this machine", || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).map(drop)
        }),
        attempt("listen on a port", || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map(drop)),
        attempt("connect to an abstract socket of another process", || {
            UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?).map(drop)
        }),
        attempt("open a raw socket", || {
            Ok(socket(AddressFamily::INET, SocketType::RAW, Some(rustix::net::ipproto::ICMP))
                .map(drop)?)
        }),
        attempt("make a device", || {
            let (device, mode) = (own.join("device"), Mode::RUSR | Mode::WUSR);
            // The numbers of /dev/null.
            Ok(mknodat(CWD, &device, FileType::CharacterDevice, mode, makedev(1, 3))?)
        }),
        attempt("mount a file system", || {
            mount("none", own, "tmpfs", MountFlags::empty(), None)?;
            Ok(unmount(own, UnmountFlags::DETACH)?)
        }),
        attempt("enter a namespace", || {
            let process = pidfd_open(known(parent)?, PidfdFlags::empty())?;
            Ok(move_into_thread_name_spaces(
                process.as_fd(),
                ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME,
            )?)
        }),
        attempt("change the root", || Ok(chroot("/")?)),
    ]
}

fn attempt(what: &str, attempt: impl FnOnce() -> io::Result<()>) -> Attempt {
    let (outcome, said) = match attempt() {
        Ok(()) => (Outcome::Possible, String::new()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            (Outcome::Refused, error.to_string())
        }
        Err(error) => (Outcome::Failed, error.to_string()),
    };
    Attempt { what: what.to_owned(), outcome, said }
}

fn known(process: Option<Pid>) -> io::Result<Pid> {
    process.ok_or_else(|| io::Error::other("the parent process has exited"))
}

/// Opens a file, which the sandbox refuses.
fn read(path: &Path) -> io::Result<()> {
    File::open(path).map(drop)
}

#[expect(clippy::disallowed_methods, reason = "the self-test's own program, always awaited")]
fn run_what_was_written(own: &Path) -> io::Result<()> {
    let path = own.join("program");
    let mut file = File::create(&path)?;
    file.write_all(b"#!/bin/sh\nexit 0\n")?;
    file.set_permissions(Permissions::from_mode(0o700))?;
    drop(file);
    Command::new(path).stdin(Stdio::null()).status().map(drop)
}
