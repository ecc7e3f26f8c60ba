//! How the built-in scanner shuts itself in: which paths and ports one scan needs, and nothing else.
//!
//! Input: the task. Output: the level that was reached, or that it is too low.
//!
//! Invariants: it is entered before anything of the repository is read, while the
//! process has one thread; what git needs to fetch stays open, what is written is never run; the
//! files of other scans, of other jobs and of the server's user are closed.

use super::{
    git::program_in,
    local::{self, Local},
};
use crate::{
    model::{
        address::Origin,
        git_url::GitUrl,
        task::{SandboxMode, ScanTask},
    },
    sys::sandbox::{self, Level, Quota, Rules},
};
use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// Where programs and their libraries lie, on any distribution.
const PROGRAMS: [&str; 9] =
    ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store", "/gnu/store", "/snap"];

/// What loaders, the resolver and TLS libraries read: no users, no secrets.
const CONFIGURATION: [&str; 24] = [
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/ca-certificates.conf",
    "/etc/crypto-policies",
    "/etc/gai.conf",
    "/etc/gnutls",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ld.so.preload",
    "/etc/ld-musl-x86_64.path",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/pki/ca-trust",
    "/etc/pki/tls",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/proc/sys/crypto",
    "/sys/devices/system/cpu",
];

/// Devices without which programs do not start.
const READ_DEVICES: [&str; 3] = ["/dev/random", "/dev/urandom", "/dev/zero"];
const WRITTEN_DEVICES: [&str; 1] = ["/dev/null"];

/// DNS over TCP (RFC 7766), for answers that are too long for a datagram.
const DNS: u16 = 53;

/// Descriptors: a few files, pipes and sockets are open at a time.
const DESCRIPTORS: u64 = 256;
/// Seconds of processor time that a process has beyond the limit, until the kernel ends it: between two
/// files the scan sees by itself that it has passed the limit, and says more of it.
const CPU_GRACE_SECS: u64 = 5;
/// A file may grow to this in any case; smaller limits are kept by looking.
const SMALLEST_FILE_LIMIT: u64 = 64 << 20;

/// What was reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Isolation {
    pub(super) mode: SandboxMode,
    pub(super) level: Level,
}

impl Isolation {
    /// Whether a scan must not begin: less was reached than the settings want.
    pub(super) fn is_too_low(&self) -> bool {
        self.mode == SandboxMode::Require && !self.level.is_full()
    }

    /// One line for the log.
    pub(super) fn describe(&self) -> String {
        if self.mode == SandboxMode::Off {
            return "no sandbox, by [scanner] sandbox = \"off\"".to_owned();
        }
        let Level { landlock_abi, seccomp, no_new_privs, missing } = &self.level;
        let yes = |it: &bool| if *it { "yes" } else { "no" };
        let mut line = format!(
            "sandbox: Landlock {landlock_abi}, seccomp {}, no new privileges {}",
            yes(seccomp),
            yes(no_new_privs)
        );
        if !missing.is_empty() {
            line.push_str("; missing: ");
            line.push_str(&missing.join("; "));
        }
        line
    }
}

/// Limits this process and shuts it in, as the task says.
pub(super) fn enter(task: &ScanTask) -> Isolation {
    let mode = task.sandbox.mode;
    let limits = &task.limits;
    let quota = Quota {
        memory_bytes: limits.max_memory_bytes,
        data_bytes: limits.max_data_bytes,
        file_bytes: limits.max_fetch_bytes.max(limits.max_result_bytes).max(SMALLEST_FILE_LIMIT),
        cpu_secs: limits.max_cpu_secs.saturating_add(CPU_GRACE_SECS),
        descriptors: DESCRIPTORS,
    };
    let unlimited = sandbox::limit(&quota);
    let mut level = match mode {
        SandboxMode::Off => Level::default(),
        SandboxMode::Auto | SandboxMode::Require => sandbox::enter(&rules(task)),
    };
    level.missing.extend(unlimited);
    Isolation { mode, level }
}

fn rules(task: &ScanTask) -> Rules {
    let owned = |paths: &[&str]| paths.iter().map(PathBuf::from).collect::<Vec<_>>();
    let path = env::var_os("PATH").unwrap_or_default();
    let mut run = owned(&PROGRAMS);
    // A link in their place is followed: `/snap/bin/git` is one.
    run.extend(env::split_paths(&path).filter(|it| it.is_absolute() && it.parent().is_some()));
    run.extend(prefix_of_git(&path));
    run.extend(task.sandbox.paths.iter().cloned());
    let mut read = owned(&CONFIGURATION);
    read.extend(owned(&READ_DEVICES));
    // This program, for the names in a backtrace.
    read.push("/proc/self/exe".into());
    read.extend(task.network.authorities.iter().map(|it| it.ca_file.clone()));
    read.extend(local_root(task));
    let parents = [&task.status_file, &task.result_file];
    Rules {
        run,
        read,
        write: owned(&WRITTEN_DEVICES),
        own: vec![task.work_dir.clone()],
        replace: parents.into_iter().filter_map(|it| it.parent().map(Path::to_owned)).collect(),
        ports: ports(task),
    }
}

/// Where the git of this `PATH` lies, with its helpers and libraries: `/opt/git` of
/// `/opt/git/bin/git`.
fn prefix_of_git(path: &std::ffi::OsStr) -> Option<PathBuf> {
    let prefix = fs::canonicalize(program_in(path)?).ok()?.parent()?.parent()?.to_owned();
    // Of `/bin/git` that would be everything.
    prefix.parent().is_some().then_some(prefix)
}

/// What a user named to be read. A bare repository may borrow objects from any other
/// (gitrepository-layout(5), `alternates`): then all may be read, by git alone.
fn local_root(task: &ScanTask) -> Option<PathBuf> {
    let path = Path::new(&task.git_url);
    if !task.network.local_paths || !path.is_absolute() {
        return None;
    }
    match local::open(path).ok()? {
        Local::Bare(_) => Some("/".into()),
        Local::Folder(folder) => Some(folder),
    }
}

/// The port of the URL, and that of DNS; none where nobody is contacted.
fn ports(task: &ScanTask) -> Vec<u16> {
    let url = GitUrl::parse(&task.git_url, &task.network).ok();
    let port = url.and_then(|it| Origin::of(it.url())).map(|it| it.port);
    port.into_iter().flat_map(|port| [port, DNS]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::sample;

    #[test]
    fn a_scan_needs_its_own_folders_and_the_port_of_its_url() {
        let root = tempfile::tempdir().unwrap();
        let task = sample::task(root.path(), "https://h.example/a.git");
        let rules = rules(&task);
        assert_eq!(rules.ports, [443, 53]);
        assert_eq!(rules.own, [root.path()]);
        assert_eq!(rules.replace, [root.path(), root.path()]);
        assert!(!rules.read.contains(&"/".into()) && !rules.run.contains(&"/".into()));
        let other = sample::task(root.path(), "https://other.example/a.git");
        assert!(ports(&other).is_empty(), "what the gate refuses is not contacted");
    }

    #[test]
    fn a_folder_of_this_machine_opens_itself_and_nobody_is_contacted() {
        let root = tempfile::tempdir().unwrap();
        let folder = fs::canonicalize(root.path()).unwrap();
        let mut task = sample::task(&folder, folder.to_str().unwrap());
        assert_eq!(local_root(&task), None);
        task.network.local_paths = true;
        assert_eq!(local_root(&task), Some(folder));
        assert!(ports(&task).is_empty());
    }

    #[test]
    fn less_than_required_is_too_low() {
        let missing = vec!["seccomp: none".to_owned()];
        let level = Level { missing, ..Level::default() };
        for (mode, too_low) in
            [(SandboxMode::Auto, false), (SandboxMode::Require, true), (SandboxMode::Off, false)]
        {
            assert_eq!(Isolation { mode, level: level.clone() }.is_too_low(), too_low);
        }
    }
}
