//! A real Slurm cluster of two nodes on this machine: munged, slurmctld and two slurmd, with their configuration in a folder of
//! their own and ports of their own.

use super::{files, forge::program, patience::eventually, processes};
use rustix::process::Signal;
use std::{
    fs::{self, File},
    io::Read,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Output, Stdio},
};
use tempfile::TempDir;

/// The nodes.
pub(crate) const NODES: [&str; 2] = ["n1", "n2"];

/// A cluster. Dropping it ends all its processes.
#[derive(Debug)]
pub(crate) struct Cluster {
    folder: TempDir,
    munged: Option<Child>,
    controller: Option<Child>,
    nodes: [Option<Child>; 2],
}

impl Cluster {
    /// Starts a cluster, and waits until both nodes take jobs.
    pub(crate) fn start() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("scanwatch-slurm-")
            .tempdir()
            .expect("there is room for a cluster's folder");
        let mut cluster = Self { folder, munged: None, controller: None, nodes: [None, None] };
        cluster.configure();
        cluster.start_munged();
        cluster.start_controller();
        for index in 0..NODES.len() {
            cluster.start_node(index);
        }
        eventually("both nodes take jobs", || {
            let states = cluster.ask("sinfo", &["--noheader", "--Node", "--format=%T"]);
            states.lines().filter(|state| *state == "idle").count() == NODES.len()
        });
        cluster
    }

    fn configure(&self) {
        let free: Vec<_> =
            (0..3).map(|_| TcpListener::bind(("127.0.0.1", 0)).expect("a free port")).collect();
        let ports: Vec<_> = free.iter().map(|socket| socket.local_addr().unwrap().port()).collect();
        drop(free);
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let host = text("/proc/sys/kernel/hostname");
        let user = program("id").arg("-un").output().expect("there is a user");
        let user = String::from_utf8_lossy(&user.stdout).trim().to_owned();
        let at = self.folder.path().display().to_string();
        for folder in ["state", "spool"] {
            fs::create_dir(self.path(folder)).expect("a folder in the cluster's folder");
        }
        files::write(
            &self.conf(),
            format!(
                "ClusterName=test\nSlurmctldHost={host}(127.0.0.1)\nSlurmctldPort={}\n\
                 AuthType=auth/munge\nAuthInfo=socket={at}/munge.sock\nCredType=cred/munge\n\
                 SlurmUser={user}\nSlurmdUser={user}\nSlurmdParameters=config_overrides\n\
                 StateSaveLocation={at}/state\nSlurmdSpoolDir={at}/spool/%n\n\
                 SlurmctldPidFile={at}/ctld.pid\nSlurmdPidFile={at}/%n.pid\n\
                 SlurmctldLogFile={at}/ctld.log\nSlurmdLogFile={at}/%n.log\n\
                 ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nSwitchType=switch/none\n\
                 SelectType=select/cons_tres\nSelectTypeParameters=CR_Core\nSchedulerType=sched/backfill\n\
                 SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0\n\
                 AccountingStorageType=accounting_storage/none\nJobAcctGatherType=jobacct_gather/none\n\
                 MpiDefault=none\nReturnToService=2\nKillWait=2\nMailProg=/bin/true\n\
                 NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={} CPUs=4 RealMemory=1000\n\
                 NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={} CPUs=4 RealMemory=1000\n\
                 PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP\n",
                ports[0], ports[1], ports[2],
            ),
        );
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Its folder, with configuration, state and logs.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its slurm.conf.
    pub(crate) fn conf(&self) -> PathBuf {
        self.path("slurm.conf")
    }

    fn daemon(&self, name: &str, arguments: &[&str]) -> Child {
        let log = File::options().create(true).append(true).open(self.path("out"));
        let log = log.expect("a log can be made");
        program(name)
            .env("PATH", with_sbin())
            .args(arguments)
            .env("SLURM_CONF", self.conf())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a descriptor"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("cannot run {name} ({error}): tests/run.sh installs what the tests need")
            })
    }

    fn start_munged(&mut self) {
        let mut key = [0; 1024];
        let mut random = File::open("/dev/urandom").expect("there is randomness");
        random.read_exact(&mut key).expect("there is randomness");
        files::write(&self.path("munge.key"), key);
        let mode = fs::Permissions::from_mode(0o600);
        fs::set_permissions(self.path("munge.key"), mode).expect("an own file");
        let at = |name: &str| self.path(name).display().to_string();
        let arguments = [
            "--foreground".to_owned(),
            "--force".to_owned(),
            format!("--key-file={}", at("munge.key")),
            format!("--socket={}", at("munge.sock")),
            format!("--pid-file={}", at("munged.pid")),
            format!("--log-file={}", at("munged.log")),
            format!("--seed-file={}", at("munge.seed")),
        ];
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        self.munged = Some(self.daemon("munged", &arguments));
        eventually("munged listens", || self.path("munge.sock").exists());
    }

    /// Starts slurmctld, with the state of before if there is one, and waits until it answers.
    pub(crate) fn start_controller(&mut self) {
        assert!(self.controller.is_none(), "slurmctld runs");
        let conf = self.conf().display().to_string();
        self.controller = Some(self.daemon("slurmctld", &["-D", "-f", &conf]));
        eventually("slurmctld answers", || self.call("squeue", &["--noheader"]).status.success());
    }

    /// Kills slurmctld.
    pub(crate) fn kill_controller(&mut self) {
        end(&mut self.controller);
    }

    /// Has slurmctld, which must not run, forget all jobs.
    pub(crate) fn forget(&self) {
        for path in files::below(&self.path("state")) {
            fs::remove_file(path).expect("an own file");
        }
    }

    fn start_node(&mut self, index: usize) {
        let conf = self.conf().display().to_string();
        self.nodes[index] = Some(self.daemon("slurmd", &["-D", "-N", NODES[index], "-f", &conf]));
    }

    /// Kills the slurmd of a node, but not what runs there, and has Slurm notice at once.
    pub(crate) fn fail_node(&mut self, node: &str) {
        let index = NODES.iter().position(|known| *known == node).expect("a node of the cluster");
        end(&mut self.nodes[index]);
        self.ask("scontrol", &["update", &format!("nodename={node}"), "state=down", "reason=test"]);
    }

    /// Whether nodes take jobs that wait.
    pub(crate) fn set_up(&self, is_up: bool) {
        let state = if is_up { "state=up" } else { "state=down" };
        self.ask("scontrol", &["update", "partitionname=main", state]);
    }

    /// Calls a program of Slurm.
    pub(crate) fn call(&self, name: &str, arguments: &[&str]) -> Output {
        let mut command = program(name);
        command.env("SLURM_CONF", self.conf()).args(arguments);
        command.output().unwrap_or_else(|error| panic!("cannot run {name}: {error}"))
    }

    /// Calls a program of Slurm, which must succeed; returns what it prints.
    #[track_caller]
    pub(crate) fn ask(&self, name: &str, arguments: &[&str]) -> String {
        let output = self.call(name, arguments);
        assert!(output.status.success(), "{name} {arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The jobs that Slurm lists, of the words that this format names.
    pub(crate) fn jobs(&self, format: &str) -> Vec<String> {
        let format = format!("--format={format}");
        let text = self.ask("squeue", &["--noheader", "--array", "--states=all", &format]);
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for child in &mut self.nodes {
            end(child);
        }
        end(&mut self.controller);
        end(&mut self.munged);
        // The daemons of the jobs.
        let marks = [self.folder.path().display().to_string()];
        for pid in processes::carrying(&marks) {
            processes::signal(pid, &marks, Signal::KILL);
        }
    }
}

/// The search path, with the folders of daemons, which are not in the path of every user.
fn with_sbin() -> String {
    format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}

fn end(child: &mut Option<Child>) {
    if let Some(mut child) = child.take() {
        let _ = child.kill();
        let _ = child.wait();
    }
}
