//! The scanner as the process it is: this test binary starts itself again, with a poisoned
//! environment, and is asked to stop.

use super::{CANARY, Place, canary, parser_for};
use crate::support::{
    forge::{Behaviour, Forge, program},
    patience::eventually,
};
use scanwatch::{
    model::task::{ScanTask, TRACKING_VARIABLE},
    worker::{self, ScanEnd, Stop},
};
use std::{
    fs::{self, File},
    io::{Read, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Stdio},
};

/// Set in a process that must act as a scanner.
const BE_A_SCANNER: &str = "SCANWATCH_TEST_BE_A_SCANNER";

/// Not a test by itself: what a process of [`scanner`] runs.
#[test]
fn as_a_process() {
    if std::env::var_os(BE_A_SCANNER).is_none() {
        return;
    }
    let task = worker::read_task(std::io::stdin()).unwrap();
    let stop = Stop::on_signals().unwrap();
    let code = match worker::scan(&task, parser_for, &stop) {
        ScanEnd::Completed | ScanEnd::Unchanged => 0,
        ScanEnd::Failed => 1,
        ScanEnd::Unwritten(_) => 74,
        ScanEnd::Stopped(signal) => 128 + signal,
    };
    std::process::exit(code);
}

fn scanner() -> Command {
    let mut command = program(std::env::current_exe().unwrap());
    command
        .args(["--exact", "worker::process::as_a_process", "--nocapture", "--test-threads=1"])
        .env(BE_A_SCANNER, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

fn start(mut command: Command, task: &ScanTask) -> Child {
    let mut child = command.spawn().unwrap();
    let line = serde_json::to_string(task).unwrap() + "\n";
    child.stdin.take().unwrap().write_all(line.as_bytes()).unwrap();
    child
}

/// Waits for its end; returns its exit code and its log.
fn finish(mut child: Child) -> (Option<i32>, String) {
    let mut log = String::new();
    child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    (child.wait().unwrap().code(), log)
}

#[test]
fn user_settings_have_no_effect() {
    let (forge, trap) = (Forge::start(), Forge::start());
    forge.require_login("oauth2", CANARY);
    forge.add_repository("project", &[("requirements.txt", b"a==1\n")]);
    let place = Place::new();
    let ran = place.file("ran");
    let home = place.file("home");
    let hooks = place.file("template/hooks");
    fs::create_dir_all(home.join(".config/git")).unwrap();
    fs::create_dir_all(&hooks).unwrap();
    let script = format!("#!/bin/sh\ntouch {}\n", ran.display());
    for hook in ["reference-transaction", "post-checkout", "post-update"] {
        let mut file = File::create(hooks.join(hook)).unwrap();
        file.write_all(script.as_bytes()).unwrap();
        file.set_permissions(fs::Permissions::from_mode(0o755)).unwrap();
    }
    let settings = format!(
        "[url \"http://127.0.0.1:{}/\"]\n\tinsteadOf = http://127.0.0.1:{}/\n\
         [core]\n\thooksPath = {}\n[http]\n\tproxy = http://127.0.0.1:{}\n",
        trap.port(),
        forge.port(),
        hooks.display(),
        trap.port()
    );
    for file in [".gitconfig", ".config/git/config"] {
        File::create(home.join(file)).unwrap().write_all(settings.as_bytes()).unwrap();
    }
    let trace = place.file("trace");
    let proxy = format!("http://127.0.0.1:{}", trap.port());
    let mut command = scanner();
    command
        .env("HOME", &home)
        .env("XDG_CONFIG_HOME", home.join(".config"))
        .env_remove("GIT_CONFIG_NOSYSTEM")
        .env("GIT_CONFIG_GLOBAL", home.join(".gitconfig"))
        .env("GIT_CONFIG_SYSTEM", home.join(".gitconfig"))
        .env("GIT_TEMPLATE_DIR", place.file("template"))
        .env("GIT_TRACE", &trace)
        .env("GIT_TRACE_CURL", &trace)
        .env("GIT_TRACE_REDACT", "0")
        .env("GIT_TRACE2_EVENT", &trace)
        .env("GIT_DIR", "/nonexistent")
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", format!("url.{proxy}/.insteadOf"))
        .env("GIT_CONFIG_VALUE_0", format!("http://127.0.0.1:{}/", forge.port()));
    for variable in ["http_proxy", "https_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY"] {
        command.env(variable, &proxy);
    }
    let mut task = place.task_at(&forge, "project");
    task.credentials = Some(canary());
    let (code, log) = finish(start(command, &task));
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(place.packages(), ["a 1 @ requirements.txt"]);
    assert_eq!(trap.contacts(), 0);
    assert!(!ran.exists(), "a hook ran");
    assert!(!trace.exists(), "git kept a trace");
    assert!(!log.contains(CANARY) && log.contains("fetched commit"), "{log}");
}

#[test]
fn a_stop_kills_git_and_leaves_the_final_state_to_its_sender() {
    let forge = Forge::start();
    forge.add_repository("project", &[("requirements.txt", b"a==1\n")]);
    forge.behave(Behaviour::Silent);
    let place = Place::new();
    let task = place.task_at(&forge, "project");
    let mark = format!("test-{}", place.path().display());
    let mut command = scanner();
    command.env(TRACKING_VARIABLE, &mark);
    let child = start(command, &task);
    let pid = child.id();
    // The test harness, git and git-remote-http at least.
    eventually("git is at work", || !forge.seen().is_empty() && marked(&mark).len() >= 3);
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(pid.cast_signed()).unwrap(),
        rustix::process::Signal::TERM,
    )
    .unwrap();
    let (code, log) = finish(child);
    assert_eq!(code, Some(128 + 15), "{log}");
    eventually("nothing is left", || marked(&mark).is_empty());
    assert_eq!(place.status()["status"], "cloning");
}

#[test]
fn a_killed_git_fails_its_fetch() {
    let forge = Forge::start();
    forge.add_repository("project", &[("requirements.txt", b"a==1\n")]);
    forge.behave(Behaviour::Silent);
    let place = Place::new();
    let mark = format!("test-{}", place.path().display());
    let mut command = scanner();
    command.env(TRACKING_VARIABLE, &mark);
    let child = start(command, &place.task_at(&forge, "project"));
    eventually("git is at work", || !forge.seen().is_empty());
    for pid in marked(&mark).into_iter().filter(|other| *other != child.id()) {
        let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
        // Some exit while others are killed.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
    let (code, log) = finish(child);
    assert_eq!(code, Some(1), "{log}");
    assert_eq!(place.status()["failure"]["kind"], "clone");
}

#[test]
fn without_git_the_scanner_says_so() {
    let forge = Forge::start();
    let place = Place::new();
    let mut command = scanner();
    command.env("PATH", place.path());
    let (code, log) = finish(start(command, &place.task_at(&forge, "project")));
    assert_eq!(code, Some(1), "{log}");
    assert_eq!(place.status()["failure"]["kind"], "spawn");
    assert!(log.contains("git is not installed"), "{log}");
}

/// Breaks if a git process is started for what another one can answer, or for what needs none.
#[test]
fn a_small_repository_takes_two_calls_of_git() {
    let forge = Forge::start();
    forge.add_repository("project", &[("requirements.txt", b"a==1\n")]).allow_filters();
    let place = Place::new();
    let calls = place.file("calls");
    let path = std::env::var_os("PATH").unwrap();
    let git =
        std::env::split_paths(&path).map(|folder| folder.join("git")).find(|file| file.is_file());
    fs::create_dir(place.file("bin")).unwrap();
    let mut wrapper = File::create(place.file("bin/git")).unwrap();
    let script = format!(
        "#!/bin/sh\necho \"$*\" >> {}\nexec {} \"$@\"\n",
        calls.display(),
        git.unwrap().display()
    );
    wrapper.write_all(script.as_bytes()).unwrap();
    wrapper.set_permissions(fs::Permissions::from_mode(0o755)).unwrap();
    drop(wrapper);
    let mut command = scanner();
    command.env("PATH", format!("{}:{}", place.file("bin").display(), path.display()));
    let (code, log) = finish(start(command, &place.task_at(&forge, "project")));
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(place.packages(), ["a 1 @ requirements.txt"]);
    let calls = fs::read_to_string(calls).unwrap();
    let named = |line: &str| {
        let steps = ["fetch", "cat-file", "ls-tree"];
        line.split(' ').find_map(|word| steps.into_iter().find(|step| *step == word)).unwrap_or("?")
    };
    assert_eq!(calls.lines().map(named).collect::<Vec<_>>(), ["fetch", "cat-file"]);
}

#[test]
fn a_last_status_that_cannot_be_written_has_an_exit_code_of_its_own() {
    let place = Place::new();
    let mut task = place.task("https://evil.example/a.git");
    task.status_file = place.file("no/such/folder/repo_3.json");
    let (code, log) = finish(start(scanner(), &task));
    assert_eq!(code, Some(74), "{log}");
    assert!(log.contains("cannot write"), "{log}");
}

/// The live processes that carry the tracking id.
fn marked(mark: &str) -> Vec<u32> {
    let wanted = format!("{TRACKING_VARIABLE}={mark}\0");
    let carries = |path: &Path| {
        let environment = fs::read(path.join("environ")).unwrap_or_default();
        environment.windows(wanted.len()).any(|window| window == wanted.as_bytes())
    };
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|entry| carries(&entry.path()))
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}
