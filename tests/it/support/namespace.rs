//! Private mounts, networks, processes and limits: a test runs itself again in namespaces of its
//! own, and whatever it does there disappears with it.

use super::forge::program;
use std::{
    env,
    process::{Command, Stdio},
};

/// Set in a test that runs in its own namespaces.
const INSIDE: &str = "SCANWATCH_TEST_INSIDE";

/// A private mount namespace: what is mounted there is invisible elsewhere.
pub(crate) const MOUNTS: &[&str] = &["--map-root-user", "--mount"];
/// Private limits, and the right to set them.
pub(crate) const LIMITS: &[&str] = &["--map-root-user"];
/// A private network, without any connection to another.
pub(crate) const NETWORK: &[&str] = &["--map-root-user", "--net", "--mount"];
/// Private process ids; all processes end with the first.
pub(crate) const PROCESSES: &[&str] =
    &["--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc"];

/// Whether this test runs in namespaces of its own, created by unshare(1) with these flags. If it
/// does not yet, it is run in them, to its end, and there is nothing left to do for the caller.
///
/// Where they are not available, that is printed, and nothing is tested.
pub(crate) fn entered(test: &str, flags: &[&str]) -> bool {
    if env::var_os(INSIDE).is_some() {
        return true;
    }
    if !can("unshare", &[flags, &["true"]].concat()) {
        return false;
    }
    let this = env::current_exe().expect("a test is a program");
    let mut inside = program("unshare");
    inside
        .args(flags)
        // A parent of its own, which adopts orphans where it is the first process of all.
        .args(["sh", "-c", "\"$0\" \"$@\"; exit $?"])
        .arg(this)
        .args(["--exact", test, "--nocapture"])
        .envs(env::vars_os())
        .env(INSIDE, "1");
    let ended = inside.status().expect("unshare was tried just now");
    assert!(ended.success(), "{test}, in namespaces of its own: {ended}");
    false
}

/// Whether a program does what a test needs here; if not, prints why.
pub(crate) fn can(name: &str, arguments: &[&str]) -> bool {
    let tried = program(name).args(arguments).stdout(Stdio::null()).output();
    let can = tried.as_ref().is_ok_and(|output| output.status.success());
    if !can {
        #[expect(clippy::print_stderr, reason = "why a test has tested nothing")]
        {
            eprintln!("skipped: {name} {arguments:?} cannot be had here: {tried:?}");
        }
    }
    can
}

/// Runs a program that must succeed.
#[track_caller]
pub(crate) fn run(name: &str, arguments: &[&str]) -> String {
    run_command(program(name).args(arguments))
}

/// As [`run`], for a command that the caller has built.
#[track_caller]
pub(crate) fn run_command(command: &mut Command) -> String {
    let ended = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{command:?}: {}: {said}", ended.status);
    String::from_utf8_lossy(&ended.stdout).into_owned()
}
