//! A sandbox that a process puts around itself and everything that it starts, for good.
//!
//! Input: [`Rules`], the paths and ports that stay open. Output: a [`Level`], what
//! of it the kernel could do, and what not.
//!
//! Invariants: it is entered by the one thread that there is, before anything foreign is
//! read, for Landlock and seccomp bind threads; nothing can be opened again afterwards; what cannot be had is
//! named, never passed over in silence.
//!
//! Order: limits, no new privileges, files and ports (Landlock, landlock(7)), system calls
//! (seccomp(2)). Each holds without the others.

mod calls;
mod files;
mod limits;

pub use limits::{Quota, limit};

use std::path::PathBuf;

/// What stays open inside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// Read, listed, and run as programs.
    pub run: Vec<PathBuf>,
    /// Read and listed.
    pub read: Vec<PathBuf>,
    /// Read and written, as devices are.
    pub write: Vec<PathBuf>,
    /// Folders of the process's own: everything but running what lies there.
    pub own: Vec<PathBuf>,
    /// Folders in which files are replaced by rename.
    pub replace: Vec<PathBuf>,
    /// TCP ports that may be connected to, on any address.
    pub ports: Vec<u16>,
}

/// What of a sandbox holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Level {
    /// The version of Landlock's interface that is used; 0 without it. Files need 1, the truncation
    /// of files 3, ports 4, devices 5, signals and abstract sockets 6.
    pub landlock_abi: u8,
    /// Whether system calls are filtered.
    pub seccomp: bool,
    pub no_new_privs: bool,
    /// What does not hold, and why.
    pub missing: Vec<String>,
}

impl Level {
    /// Whether nothing that was asked for is missing.
    pub fn is_full(&self) -> bool {
        self.missing.is_empty()
    }
}

/// Enters the sandbox. There is no way back.
pub fn enter(rules: &Rules) -> Level {
    let mut level = Level::default();
    match rustix::thread::set_no_new_privs(true) {
        Ok(()) => level.no_new_privs = true,
        Err(error) => level.missing.push(format!("no_new_privs: {error}")),
    }
    match files::restrict(rules) {
        Ok(abi) => {
            level.landlock_abi = abi;
            level.missing.extend(files::missing_of(abi));
        }
        Err(error) => level.missing.push(format!("Landlock: {error}")),
    }
    // Last: it would not let the steps before through on a kernel that has others than these.
    match calls::filter() {
        Ok(()) => level.seccomp = true,
        Err(error) => level.missing.push(format!("seccomp: {error}")),
    }
    level
}
