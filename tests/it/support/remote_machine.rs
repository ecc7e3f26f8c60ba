//! Another machine for a test in private namespaces (see [`super::namespace`]), joined to its own
//! by a virtual cable: what listens there is at addresses that are not this machine's.

use super::{
    forge::program,
    private_network::{ip, run},
};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::{
    fs::File,
    io::Read,
    os::fd::AsFd,
    path::Path,
    process::{Child, Stdio},
    thread,
};

/// Replaces one of the system's files, for this run only.
pub(crate) fn replace_file(system: &str, with: &Path) {
    run("mount", &format!("--bind {} {system}", with.display()));
}

/// Another machine, at the other end of a virtual cable.
#[derive(Debug)]
pub(crate) struct Outside {
    /// It keeps the namespace open.
    keeper: Child,
}

impl Outside {
    /// The machine of this test gets the address `here` on the cable, with its network.
    pub(crate) fn joined_to(here: &str) -> Self {
        let keeper = program("unshare")
            .args(["-n", "sh", "-c", "ip link set lo up && echo made && exec sleep 100000"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare runs");
        let mut outside = Self { keeper };
        let mut made = [0; 5];
        let said = outside.keeper.stdout.as_mut().expect("a pipe");
        said.read_exact(&mut made).expect("a second network");
        let pid = outside.keeper.id();
        ip("link add cable type veth peer name far");
        ip(&format!("link set far netns {pid}"));
        ip(&format!("addr add {here} dev cable"));
        ip("link set cable up");
        ip("route add default dev cable");
        outside.ip("link set far up");
        outside.ip("route add default dev far");
        outside
    }

    /// Gives it an address.
    pub(crate) fn address(&self, address: &str) {
        self.ip(&format!("addr add {address}/32 dev far"));
    }

    fn ip(&self, words: &str) {
        run("nsenter", &format!("-t {} -n ip {words}", self.keeper.id()));
    }

    /// Does something there: the sockets it opens belong to that machine.
    pub(crate) fn with<T: Send>(&self, action: impl FnOnce() -> T + Send) -> T {
        let place = format!("/proc/{}/ns/net", self.keeper.id());
        let namespace = File::open(place).expect("the namespace is kept");
        thread::scope(|scope| {
            let there = scope.spawn(move || {
                let network = Some(LinkNameSpaceType::Network);
                move_into_link_name_space(namespace.as_fd(), network).expect("a way there");
                action()
            });
            there.join().expect("what is done there succeeds")
        })
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}
