//! The sandbox of the built-in scanner.

use super::{log, server_with_forge, skip, submit};
use crate::support::{
    files,
    forge::{Behaviour, Forge, program},
    processes,
    server::Setup,
    wait::{PATIENCE, eventually, until},
};
use scanwatch::sys::sandbox::{self, Rules};
use serde_json::Value;
use std::{
    path::Path,
    process::{Output, Stdio},
};

const SCANWATCH: &str = env!("CARGO_BIN_EXE_scanwatch");

fn self_test(settings: &[&str]) -> (Option<i32>, Value) {
    let mut command = program(SCANWATCH);
    command.args(["worker", "--self-test-escape", "--json"]);
    for setting in settings {
        command.args(["--set", setting]);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let words = String::from_utf8_lossy(&output.stderr);
    let found =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{words}"));
    (output.status.code(), found)
}

fn count(found: &Value, outcome: &str) -> usize {
    let attempts = found["attempts"].as_array().unwrap();
    attempts.iter().filter(|attempt| attempt["outcome"] == outcome).count()
}

/// Breaks if anything that a compromised scanner might try succeeds, or if the test of that tries
/// what would not succeed anyway.
#[test]
fn nothing_a_scanner_might_try_succeeds_though_it_would_without_the_sandbox() {
    let (code, found) = self_test(&[]);
    if found["landlock_abi"].as_u64() < Some(6) || found["seccomp"] != true {
        return skip(&format!("this kernel cannot do all of it: {:#}", found["missing"]));
    }
    assert_eq!((code, count(&found, "refused")), (Some(0), 18), "{found:#}");
    assert_eq!(found["no_new_privs"], true);
    let (code, found) = self_test(&["scanner.sandbox=off"]);
    assert_eq!(code, Some(1), "{found:#}");
    if rustix::process::geteuid().is_root() {
        assert_eq!(count(&found, "possible"), 18, "{found:#}");
    } else {
        assert!(count(&found, "possible") >= 8, "{found:#}");
    }
}

/// Breaks if a call on the list gets through, from whatever program the scanner starts. Each is
/// made with harmless arguments: without the filter they fail in other ways, or succeed.
#[test]
fn calls_that_reach_beyond_a_scan_are_refused() {
    const CALLS: &str = r"
import ctypes, errno, os, platform, threading
kernel = ctypes.CDLL(None, use_errno=True)
arm = platform.machine() == 'aarch64'
def call(number, *arguments):
    ctypes.set_errno(0)
    done = kernel.syscall(number, *arguments)
    return 'done' if done >= 0 else errno.errorcode.get(ctypes.get_errno(), '?')
none = -1
calls = dict(
    ptrace=(117 if arm else 101, 99, 0, 0, 0), keyctl=(219 if arm else 250, 0, -3, 0),
    add_key=(217 if arm else 248, 0, 0, 0, 0, 0), bpf=(280 if arm else 321, 99, 0, 0),
    perf_event_open=(241 if arm else 298, 0, none, none, none, 0),
    userfaultfd=(282 if arm else 323, none), io_uring_setup=(425, 0, 0),
    process_vm_readv=(270 if arm else 310, os.getpid(), 0, 0, 0, 0, 0),
    unshare=(97 if arm else 272, 0), setns=(268 if arm else 308, none, 0),
    umount2=(39 if arm else 166, 0, 0), pivot_root=(41 if arm else 155, 0, 0),
    open_tree=(428, none, 0, 0), fsopen=(430, 0, 0), kexec_load=(104 if arm else 246, 0, none, 0, none),
    init_module=(105 if arm else 175, 0, 0, 0), reboot=(142 if arm else 169, 0, 0, 0, 0),
    swapon=(224 if arm else 167, 0, 0), settimeofday=(170, 0, 0) if arm else (164, 0, 0),
    sethostname=(161 if arm else 170, 0, none), personality=(92 if arm else 135, 0xffffffff),
    clone_newuser=(220 if arm else 56, 0x10000000 | 0x100, 0, 0, 0, 0),
    packet_socket=(198 if arm else 41, 17, 3, 0), vsock_socket=(198 if arm else 41, 40, 1, 0),
    raw_socket=(198 if arm else 41, 2, 3, 1), tiocsti=(29 if arm else 16, 0, 0x5412, 0),
)
print('\n'.join(f'{name} {call(*arguments)}' for name, arguments in calls.items()))
print('clone3', call(435, 0, 0))
fine = call(198 if arm else 41, 2, 1, 0), call(198 if arm else 41, 16, 3, 0), call(172 if arm else 39)
print('let through', *fine)
thread = threading.Thread(target=lambda: print('a thread runs'))
thread.start(); thread.join()
";
    // It applies to this thread, and to what it starts.
    let tried = std::thread::spawn(|| {
        let level = sandbox::enter(&Rules {
            run: vec!["/".into()],
            write: vec!["/dev/null".into()],
            ..Rules::default()
        });
        let python = program("python3").args(["-c", CALLS]).output();
        (level, python)
    });
    let (level, python) = tried.join().unwrap();
    if !level.seccomp {
        return skip(&format!("{:?}", level.missing));
    }
    let Output { stdout, stderr, .. } = python.unwrap();
    let said = String::from_utf8_lossy(&stdout).into_owned();
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines.len() > 25, "{said}{}", String::from_utf8_lossy(&stderr));
    for line in &lines[..lines.len() - 3] {
        assert!(line.ends_with(" EPERM"), "{line} in {said}");
    }
    let rest = ["clone3 ENOSYS", "let through done done done", "a thread runs"];
    assert_eq!(lines[lines.len() - 3..], rest);
}

/// Breaks if the scanner of a running service is not isolated before its first contact, or not
/// within its limits; or if its log does not say so.
#[tokio::test]
async fn a_running_scanner_is_sandboxed_and_logs_it() {
    let forge = Forge::start();
    forge.add_repository("project", &[("requirements.txt", b"a==1\n")]);
    forge.behave(Behaviour::Silent);
    let server = server_with_forge(&forge).start().await;
    let job = submit(&server, &forge.url("project")).await;
    let git = until(PATIENCE, "git asks the forge", async || {
        (forge.contacts() > 0).then_some(())?;
        let named = |name: &str| {
            server.processes().into_iter().find(|pid| processes::describe(*pid).contains(name))
        };
        Some((named("scanwatch worker")?, named("git-remote-http")?))
    });
    let (worker, helper) = git.await;
    for pid in [worker, helper] {
        let status = files::text(Path::new(&format!("/proc/{pid}/status")));
        let has = |line: &str| status.lines().any(|found| found == line);
        assert!(has("NoNewPrivs:\t1") && has("Seccomp:\t2"), "{status}");
        let limits = files::text(Path::new(&format!("/proc/{pid}/limits")));
        let limit = |name: &str| -> Vec<String> {
            let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.split_whitespace().take(2).map(str::to_owned).collect()
        };
        assert_eq!(limit("Max core file size"), ["0", "0"]);
        assert_eq!(limit("Max open files"), ["256", "256"]);
        assert_eq!(limit("Max address space"), ["2147483648", "2147483648"]);
        assert_eq!(limit("Max file size"), ["2147483648", "2147483648"]);
        // The configured limit, and what the scanner needs to report that it has exceeded it.
        assert_eq!(limit("Max cpu time")[0], "605");
        let chosen = files::text(Path::new(&format!("/proc/{pid}/oom_score_adj")));
        assert_eq!(chosen.trim(), "500");
    }
    let said = log(&server, &job);
    assert!(said.contains("sandbox: Landlock "), "{said}");
    server.post_nothing(&format!("/scan/{job}/cancel")).await.expect(200);
    server.finished(&job).await;
}

/// Breaks if operators cannot read the achieved level where they look for it.
#[tokio::test]
async fn the_level_is_in_the_log_in_health_and_in_the_metrics() {
    let (_, found) = self_test(&[]);
    let server = Setup::new().start().await;
    let health = until(PATIENCE, "the self-test is made", async || {
        let health = server.get("/health").await.expect(200).json();
        (!health["sandbox"]["refused"].is_null()).then_some(health)
    })
    .await;
    let sandbox = &health["sandbox"];
    assert_eq!(sandbox["mode"], "auto");
    for member in ["landlock_abi", "seccomp", "no_new_privs", "missing"] {
        assert_eq!(sandbox[member], found[member], "{health:#}");
    }
    assert_eq!(sandbox["refused"], count(&found, "refused"));
    let metrics = server.get("/metrics").await.expect(200).text;
    let abi = format!("scanwatch_sandbox_landlock_abi {}\n", found["landlock_abi"]);
    assert!(metrics.contains(&abi), "{metrics}");
    assert!(metrics.contains("scanwatch_sandbox_attempts{outcome=\"possible\"} "), "{metrics}");
    eventually("it is in the log", async || {
        server.setup().log().contains("scanners are sandboxed")
    })
    .await;
    eventually("nothing of it is left", async || server.processes().is_empty()).await;

    let server = Setup::new().shell("say completed\n").start().await;
    let sandbox = server.get("/health").await.expect(200).json()["sandbox"].clone();
    assert_eq!((&sandbox["mode"], &sandbox["refused"]), (&"custom".into(), &Value::Null));
}

/// Runs the scanner standalone on a kernel that claims to have no Landlock.
fn without_landlock(forge: &Forge, folder: &Path, mode: &str) -> Option<(Output, Value)> {
    let status = folder.join(format!("{mode}.json"));
    let output = program("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=landlock_create_ruleset"])
        .args(["-e", "inject=landlock_create_ruleset:error=ENOSYS"])
        .arg(SCANWATCH)
        .args(["worker", "--url", &forge.url("project"), "--set", mode])
        .arg("--status-file")
        .arg(&status)
        .arg("--result-file")
        .arg(folder.join("result.json"))
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let status = files::json(&status);
    if status.is_none() {
        skip(&format!("strace does not trace: {}", String::from_utf8_lossy(&output.stderr)));
    }
    Some((output, status?))
}

/// Breaks if a partial sandbox is accepted silently, or where the full one is required.
#[test]
fn missing_kernel_features_are_named_and_if_required_nothing_is_scanned() {
    let forge = Forge::start();
    forge.add_repository("project", &[("requirements.txt", b"a==1\n")]);
    let root = tempfile::tempdir().unwrap();
    let Some((output, status)) = without_landlock(&forge, root.path(), "scanner.sandbox=auto")
    else {
        return;
    };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(status["status"], "completed", "{status:#}");
    assert!(said.contains("WARN sandbox: Landlock 0, seccomp yes"), "{said}");
    assert!(said.contains("missing: Landlock: not supported by this kernel"), "{said}");

    let contacts = forge.contacts();
    let (output, status) =
        without_landlock(&forge, root.path(), "scanner.sandbox=require").unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(status["failure"]["kind"], "spawn", "{status:#}");
    let detail = status["failure"]["detail"].as_str().unwrap();
    assert!(
        detail.contains("not supported by this kernel") && detail.contains("\"auto\""),
        "{detail}"
    );
    assert_eq!(forge.contacts(), contacts, "nobody is contacted by a scanner that is not shut in");
}

/// Breaks if anything but git is run during a scan.
#[test]
fn a_scan_runs_git_and_its_helpers_and_nothing_else() {
    let forge = Forge::start();
    let setup_py = b"import os\nos.system('touch /tmp/never')\nsetup(install_requires=['a'])\n";
    let package = br#"{"scripts": {"preinstall": "touch never"}, "dependencies": {"b": "1"}}"#;
    forge.add_repository(
        "project",
        &[("setup.py", setup_py), ("package.json", package), ("build.gradle", b"\"id\".execute()")],
    );
    let root = tempfile::tempdir().unwrap();
    let (trace, status) = (root.path().join("trace"), root.path().join("status.json"));
    let output = program("strace")
        .args(["-f", "-qq", "-e", "trace=execve,execveat", "-o"])
        .arg(&trace)
        .arg(SCANWATCH)
        .args(["worker", "--url", &forge.url("project"), "--status-file"])
        .arg(&status)
        .arg("--result-file")
        .arg(root.path().join("result.json"))
        .output();
    let Some(status) = files::json(&status) else { return skip(&format!("no strace: {output:?}")) };
    assert_eq!(status["status"], "completed", "{status:#}");
    let trace = files::text(&trace);
    let run: Vec<&str> = trace
        .lines()
        .filter(|line| line.contains("execve") && line.ends_with("= 0"))
        .filter_map(|line| line.split('"').nth(1)?.rsplit('/').next())
        .collect();
    assert!(run.len() > 3, "{trace}");
    for program in &run[1..] {
        assert!(matches!(*program, "git" | "git-remote-http" | "git-remote-https"), "{trace}");
    }
}
