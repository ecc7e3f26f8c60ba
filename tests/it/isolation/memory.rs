//! Deaths by memory exhaustion are distinguished from other deaths, by evidence.

use super::{log, server_with_forge, skip, submit};
use crate::support::{
    forge::Forge,
    server::{Setup, TestServer},
};
use rustix::process::Signal;
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A memory control group of the test, removed when it is dropped.
struct Group(PathBuf);

impl Group {
    /// With cgroup v1 or v2, whichever this machine has; `None` where none can be created.
    fn create(name: &str, limit: u64) -> Option<Self> {
        let mine = fs::read_to_string("/proc/self/cgroup").ok()?;
        let own = |line: &str| line.rsplit_once(":/").map(|parts| parts.1.to_owned());
        let v1 = mine.lines().find(|line| line.contains(":memory:")).and_then(own);
        let v2 = mine.lines().find(|line| line.starts_with("0::/")).and_then(own);
        let v1 =
            v1.map(|path| (Path::new("/sys/fs/cgroup/memory").join(path), "memory.limit_in_bytes"));
        let v2 = v2.map(|path| (Path::new("/sys/fs/cgroup").join(path), "memory.max"));
        [v1, v2].into_iter().flatten().find_map(|(parent, limit_file)| {
            let path = parent.join(format!("scanwatch-test-{name}-{}", std::process::id()));
            fs::create_dir(&path).ok()?;
            let group = Self(path);
            put(&group.0.join(limit_file), &limit.to_string())?;
            // What exceeds the limit must not be swapped to disk instead.
            for (file, most) in [("memory.memsw.limit_in_bytes", limit), ("memory.swap.max", 0)] {
                put(&group.0.join(file), &most.to_string());
            }
            Some(group)
        })
    }

    /// Starts the server within it.
    fn around(&self, setup: Setup) -> Setup {
        let enter = format!("echo 0 > '{}/cgroup.procs' && exec \"$0\" \"$@\"", self.0.display());
        setup.launched_by(&["sh", "-c", &enter])
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Its members take an instant to leave.
        for _ in 0..500 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

fn put(path: &Path, text: &str) -> Option<()> {
    use std::io::Write;
    fs::OpenOptions::new().write(true).open(path).ok()?.write_all(text.as_bytes()).ok()
}

async fn failure(server: &TestServer, job: &str) -> Value {
    let document = server.finished(job).await;
    document["failed_repositories"][0]["failure"].clone()
}

/// Breaks if a scanner that the kernel killed because memory ran out is not distinguished from one
/// that was killed by someone, or if the server dies instead of the scanner.
#[tokio::test]
async fn running_out_of_memory_is_distinguished_from_being_killed() {
    let Some(group) = Group::create("oom", 400 << 20) else {
        return skip("no memory control group can be made here");
    };
    let setup = Setup::new().python(
        "say('scanning', total_files=9, current_file=4)\n\
         if task['repo_name'] == 'hungry':\n\
         \x20   eaten = [bytearray(1 << 20) for _ in range(4096)]\n\
         open(f'{here}/ready.part', 'w').write('ready\\n')\n\
         os.rename(f'{here}/ready.part', f'{here}/ready')\n\
         time.sleep(600)\n",
    );
    let server = group.around(setup).start().await;
    let plain = server.submit("plain").await;
    server.note("ready").await;
    let hungry = server.submit("hungry").await;
    let found = failure(&server, &hungry).await;
    assert_eq!(found["kind"], "out_of_memory", "{found:#}");
    assert_eq!(found["signal"], 9);
    assert!(found["detail"].as_str().unwrap().contains("because memory ran out"), "{found:#}");
    let file = server.status_file(&hungry, 0);
    assert_eq!((&file["repo_name"], &file["current_file"]), (&"hungry".into(), &4.into()));

    // The counter of this one's group has grown as well, while it ran.
    for pid in server.processes() {
        if crate::support::processes::describe(pid).contains("scanner.py") {
            server.signal(pid, Signal::KILL);
        }
    }
    let found = failure(&server, &plain).await;
    // The log identifies processes by the numbers they have in the first namespace.
    let first =
        fs::read_link("/proc/self/ns/pid").is_ok_and(|target| target.ends_with("pid:[4026531836]"));
    if first && fs::File::open("/dev/kmsg").is_ok() {
        assert_eq!(found["kind"], "signal", "{found:#}");
    }
    assert_eq!(found["signal"], 9);
    server.get("/readyz").await.expect(200);
}

/// Breaks if a git that the kernel killed because memory ran out is taken for a broken repository.
#[tokio::test]
async fn a_git_killed_by_the_oom_killer_is_reported() {
    let Some(group) = Group::create("git", 200 << 20) else {
        return skip("no memory control group can be made here");
    };
    let forge = Forge::start();
    swell(&forge, 260 << 20);
    // It may use more than the group has: here the kernel must refuse it, not its limit.
    let setup = server_with_forge(&forge).set("limits.max_data_bytes", 2_u64 << 30);
    let server = group.around(setup).start().await;
    let job = submit(&server, &forge.url("swollen")).await;
    let found = failure(&server, &job).await;
    assert_eq!(found["kind"], "out_of_memory", "{found:#}\n{}", log(&server, &job));
}

/// Breaks if the memory limit does not hold for git, or if exceeding it is reported as something
/// else.
#[tokio::test]
async fn a_git_that_hits_its_memory_limit_is_reported() {
    let forge = Forge::start();
    swell(&forge, 328 << 20);
    let server = server_with_forge(&forge).set("limits.max_memory_bytes", 320 << 20).start().await;
    let job = submit(&server, &forge.url("swollen")).await;
    let found = failure(&server, &job).await;
    assert_eq!(found["kind"], "out_of_memory", "{found:#}\n{}", log(&server, &job));
    let detail = found["detail"].as_str().unwrap();
    assert!(detail.contains("[limits] max_memory_bytes"), "{detail}");
}

/// A repository whose commit has a message of this size: small to transfer, and git loads a whole
/// commit into memory.
fn swell(forge: &Forge, size: usize) {
    let repository = forge.add_empty_repository("swollen");
    repository.git(&["config", "core.compression", "1"], b"");
    let tree = repository.git(&["mktree"], b"");
    let mut commit = format!(
        "tree {tree}\nauthor A <a@example.com> 0 +0000\ncommitter A <a@example.com> 0 +0000\n\n"
    )
    .into_bytes();
    commit.resize(size, b'x');
    let id = repository.git(&["hash-object", "-w", "-t", "commit", "--stdin"], &commit);
    repository.git(&["update-ref", "refs/heads/main", &id], b"");
}

/// Breaks if a third-party scanner is not preferred by the OOM killer, or does not yield to the
/// server.
#[tokio::test]
async fn scanners_are_preferred_by_the_oom_killer_and_yield() {
    let server = Setup::new()
        .shell("cat /proc/self/oom_score_adj >&2\nnice >&2\nsay completed\n")
        .start()
        .await;
    let job = server.submit("any").await;
    server.finished(&job).await;
    let said = log(&server, &job);
    assert!(said.contains("500\n10\n"), "{said}");
    let shims = fs::read_to_string(format!("/proc/{}/oom_score_adj", server.pid())).unwrap();
    assert_ne!(shims.trim(), "500", "the server itself is spared");
}
