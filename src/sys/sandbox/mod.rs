//! A permanent sandbox that a process puts around itself and everything that it starts.
//!
//! Input: [`Rules`], the paths and ports that stay open. Output: a [`Level`], which parts the
//! kernel supports and which it does not.
//!
//! Invariants: the sandbox is entered while the process has a single thread, and before foreign
//! data is read, because Landlock and seccomp bind threads; nothing can be opened again afterwards;
//! a missing part is always reported.
//!
//! Order: limits, no new privileges, files and ports (Landlock, landlock(7)), system calls
//! (seccomp(2)). Each works without the others.

mod landlock;
mod limits;
mod seccomp;

pub use limits::{Quota, limit};

use std::path::PathBuf;

/// What stays accessible inside the sandbox.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// Paths to read, list and execute.
    pub run: Vec<PathBuf>,
    /// Paths to read and list.
    pub read: Vec<PathBuf>,
    /// Paths to read and write, such as devices.
    pub write: Vec<PathBuf>,
    /// The process's own folders: everything except executing their files.
    pub own: Vec<PathBuf>,
    /// Folders in which files are replaced by rename.
    pub replace: Vec<PathBuf>,
    /// TCP ports that may be connected to, at any address.
    pub ports: Vec<u16>,
}

/// The sandbox level: which parts are in effect.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Level {
    /// The Landlock interface version in use; 0 without Landlock. Files need 1, truncation 3, ports
    /// 4, devices 5, signals and abstract sockets 6.
    pub landlock_abi: u8,
    /// Whether system calls are filtered.
    pub seccomp: bool,
    pub no_new_privs: bool,
    /// What is not in effect, and why.
    pub missing: Vec<String>,
}

impl Level {
    /// Whether all requested parts are in effect.
    pub fn is_full(&self) -> bool {
        self.missing.is_empty()
    }
}

/// Enters the sandbox, irrevocably.
pub fn enter(rules: &Rules) -> Level {
    let mut level = Level::default();
    match rustix::thread::set_no_new_privs(true) {
        Ok(()) => level.no_new_privs = true,
        Err(error) => level.missing.push(format!("no_new_privs: {error}")),
    }
    match landlock::restrict(rules) {
        Ok(abi) => {
            level.landlock_abi = abi;
            level.missing.extend(landlock::missing_of(abi));
        }
        Err(error) => level.missing.push(format!("Landlock: {error}")),
    }
    // Last, because the filter might refuse calls of the steps before on an unknown kernel.
    match seccomp::filter() {
        Ok(()) => level.seccomp = true,
        Err(error) => level.missing.push(format!("seccomp: {error}")),
    }
    level
}
