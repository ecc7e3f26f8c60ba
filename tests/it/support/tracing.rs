//! System calls that fail or take their time, by strace(1), in a running process.

use super::{forge::program, namespace, wait::eventually};
use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

/// A process whose calls are tampered with, and whatever it starts in the meantime. On drop they
/// are released.
#[derive(Debug)]
pub(crate) struct Interference(Child);

/// Whether strace is available here.
pub(crate) fn can_interfere() -> bool {
    namespace::can("strace", &["-qq", "-f", "-e", "inject=fsync:error=EIO", "true"])
}

impl Interference {
    /// Starts to tamper with a process, in each of its threads, as strace's arguments say.
    pub(crate) async fn with(pid: u32, arguments: &[&str]) -> Self {
        let mut strace = program("strace");
        strace.args(["-qq", "-f", "-o", "/dev/null", "-p", &pid.to_string()]).args(arguments);
        let tracer = Self(spawn(&mut strace));
        eventually("every thread is traced", async || is_traced(pid)).await;
        tracer
    }
}

impl Drop for Interference {
    fn drop(&mut self) {
        // At SIGINT it detaches from everything it traces.
        if let Some(pid) = rustix::process::Pid::from_raw(self.0.id().cast_signed()) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        }
        for _ in 0..500 {
            if matches!(self.0.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn spawn(command: &mut Command) -> Child {
    command.stdout(Stdio::null()).spawn().expect("strace was tried before")
}

fn is_traced(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let mut threads = threads.map(|entry| super::files::text(&entry.path().join("status")));
    threads.all(|status| !status.contains("TracerPid:\t0\n"))
}
