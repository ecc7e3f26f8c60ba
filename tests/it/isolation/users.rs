//! What other processes of the server's user can read from it.

use super::skip;
use crate::support::{
    forge::program,
    server::Setup,
    wait::{PATIENCE, until},
};
use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::Path,
};

/// `nobody`, on every distribution.
const OTHER: u32 = 65534;

fn own(path: &Path) {
    chown(path, Some(OTHER), Some(OTHER)).unwrap();
}

/// Breaks if another process of the same user can read the password in the server's environment, or
/// the credentials in a shim's memory: a scanner is such a process.
#[tokio::test]
async fn environment_and_memory_of_server_and_shims_are_protected() {
    if !rustix::process::geteuid().is_root() {
        return skip("only root can become another user");
    }
    let setup = Setup::new()
        .user("operator", "pa55word-of-the-test")
        .shell("say scanning\nread -r nothing < \"$dir/never\"\n");
    own(setup.folder());
    fs::set_permissions(setup.folder(), fs::Permissions::from_mode(0o755)).unwrap();
    let made = program("mkfifo").arg(setup.folder().join("never")).status().unwrap();
    assert!(made.success());
    own(&setup.folder().join("never"));
    let other = OTHER.to_string();
    let become_other =
        ["setpriv", "--reuid", &other, "--regid", &other, "--clear-groups", "--no-new-privs"];
    let reads = |pid: u32, file: &str| {
        let mut command = program(become_other[0]);
        command.args(&become_other[1..]).arg("cat").arg(format!("/proc/{pid}/{file}"));
        command.output().unwrap().status.success()
    };
    // The program itself may be where other users cannot go.
    let copy = setup.folder().join("scanwatch");
    fs::copy(env!("CARGO_BIN_EXE_scanwatch"), &copy).unwrap();
    let run = format!("shift; exec {} {} \"$@\"", become_other.join(" "), copy.display());
    let server = setup.launched_by(&["sh", "-c", &run, "sh"]).start().await;
    let job = server.submit("any").await;
    server.working(&job).await;
    let shim = until(PATIENCE, "a shim holds its lock", async || server.shim(&job, 0)).await;
    let scanner = until(PATIENCE, "the scanner runs", async || {
        let is_it = |pid: &u32| crate::support::processes::describe(*pid).contains("scanner.sh");
        server.processes().into_iter().find(is_it)
    })
    .await;
    // A readable process proves that the check itself works.
    assert!(reads(scanner, "environ"), "the same user can read the scanner's environment");
    for pid in [server.pid(), shim.pid] {
        assert!(!reads(pid, "environ"), "the environment of {pid} is open");
        assert!(!reads(pid, "auxv"), "the memory of {pid} is open");
    }
    server.post_nothing(&format!("/scan/{job}/cancel")).await.expect(200);
    server.finished(&job).await;
}
