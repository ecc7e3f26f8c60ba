//! Process ids that are reused by processes unrelated to any scan.

use super::{WAITING, go, runs_now};
use crate::support::{
    files,
    forge::program,
    namespace::{PROCESSES, entered},
    processes,
    rounds::rounds,
    server::Setup,
    wait::eventually,
};
use rustix::process::Signal;
use std::{path::Path, process::Child};

/// A process that must survive: it has the number that another one had.
struct Bystander(Child);

impl Bystander {
    /// Starts one with this number; in a private namespace, the next number can be set.
    fn with_number(pid: u32) -> Self {
        for _ in 0..100 {
            files::write(Path::new("/proc/sys/kernel/ns_last_pid"), (pid - 1).to_string());
            let child = program("sleep").arg("999").spawn().expect("a process can be started");
            let mut bystander = Self(child);
            if bystander.0.id() == pid {
                return bystander;
            }
            let _ = bystander.0.kill();
        }
        panic!("nobody gets the number {pid}");
    }

    fn lives(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Breaks if a number is ever mistaken for the process that once had it: a shim's, a scanner's, or
/// one that is recorded in a file.
#[tokio::test]
async fn a_process_that_reuses_a_dead_ones_pid_survives() {
    if !entered("faults::numbers::a_process_that_reuses_a_dead_ones_pid_survives", PROCESSES) {
        return;
    }
    let mut server = Setup::new()
        .shell(&format!("echo $$ > part; mv part \"$dir/pid-$SCANWATCH_REPO_NAME\"\n{WAITING}"))
        .set("scanner.kill_grace_secs", 1)
        .start()
        .await;
    for round in 0..rounds(2) {
        let name = format!("round-{round}");
        let job = server.submit(&name).await;
        runs_now(&server, &format!("{name} 1")).await;
        server.working(&job).await;
        let shim = server.shim(&job, 0).unwrap().pid;
        let scanner: u32 = server.note(&format!("pid-{name}")).await.parse().unwrap();
        // A server keeps the number of a child until it reaps it, so the next server must run: one
        // started afterwards, or one that has adopted the shim and sleeps.
        server.kill9().await;
        let adopts = round % 2 == 1;
        if adopts {
            server.restart().await;
            server.working(&job).await;
            server.signal(server.pid(), Signal::STOP);
        }
        for pid in [shim, scanner] {
            processes::kill_any(pid);
        }
        eventually("both are gone", async || {
            ![shim, scanner].iter().any(|pid| Path::new(&format!("/proc/{pid}")).exists())
        })
        .await;
        let mut bystanders = [shim, scanner].map(Bystander::with_number);
        let mut file = server.status_file(&job, 0);
        file["pid"] = shim.into();
        files::replace(&server.job_folder(&job).join("repo_0.json"), file.to_string());
        if adopts {
            server.signal(server.pid(), Signal::CONT);
        } else {
            server.restart().await;
        }
        runs_now(&server, &format!("{name} 2")).await;
        server.post_nothing(&format!("/scan/{job}/cancel")).await.expect(200);
        assert_eq!(server.finished(&job).await["status"], "cancelled");
        for bystander in &mut bystanders {
            assert!(bystander.lives(), "round {round}: {} was killed", bystander.0.id());
        }
    }
    go(&server);
}
