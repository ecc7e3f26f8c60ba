//! The sandbox of the built-in scanner: the paths and ports that one scan needs, and nothing else.
//!
//! Input: the task. Output: the sandbox level that is in effect.
//!
//! Invariants: the sandbox is entered before anything of the repository is read, while the process
//! has a single thread; everything that git needs for a fetch stays accessible, and written files
//! are never executable; files of other scans, of other jobs and of the server's user are
//! inaccessible.

use super::{
    git::program_in,
    local::{self, Local},
};
use crate::{
    model::{
        address::Origin,
        git_url::GitUrl,
        proxy::Proxy,
        task::{SandboxMode, ScanTask},
    },
    sys::sandbox::{self, Level, Quota, Rules},
};
use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// The locations of programs and their libraries on any distribution.
const PROGRAMS: [&str; 9] =
    ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store", "/gnu/store", "/snap"];

/// Configuration of loaders, the resolver and TLS libraries: no users, no secrets.
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

/// Devices that programs need to start.
const READ_DEVICES: [&str; 3] = ["/dev/random", "/dev/urandom", "/dev/zero"];
const WRITTEN_DEVICES: [&str; 1] = ["/dev/null"];

/// DNS over TCP (RFC 7766), for answers that are too long for a datagram.
const DNS: u16 = 53;

/// A few files, pipes and sockets are open at a time.
const DESCRIPTORS: u64 = 256;
/// Seconds of processor time beyond the limit until the kernel kills the process: between two files
/// the scan notices by itself that it has exceeded the limit, and reports it in more detail.
const CPU_GRACE_SECS: u64 = 5;
/// The minimum of the file size limit; smaller limits are checked by the scanner.
const SMALLEST_FILE_LIMIT: u64 = 64 << 20;

/// The isolation that is in effect.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Isolation {
    pub(super) mode: SandboxMode,
    pub(super) level: Level,
}

impl Isolation {
    /// Whether the scan must not start, because the settings require more.
    pub(super) fn is_too_low(&self) -> bool {
        self.mode == SandboxMode::Require && !self.level.is_full()
    }

    /// One line for the log.
    pub(super) fn describe(&self) -> String {
        if self.mode == SandboxMode::Off {
            return "no sandbox ([scanner] sandbox = \"off\")".to_owned();
        }
        let Level { landlock_abi, seccomp, no_new_privs, missing } = &self.level;
        let yes = |is: &bool| if *is { "yes" } else { "no" };
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

/// Sets the limits of this process and enters the sandbox, as the task says.
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
    // Symbolic links are followed, as for `/snap/bin/git`.
    run.extend(
        env::split_paths(&path).filter(|path| path.is_absolute() && path.parent().is_some()),
    );
    run.extend(prefix_of_git(&path));
    run.extend(task.sandbox.paths.iter().cloned());
    let mut read = owned(&CONFIGURATION);
    read.extend(owned(&READ_DEVICES));
    // This program, for the function names in a backtrace.
    read.push("/proc/self/exe".into());
    read.extend(task.network.authorities.iter().map(|authority| authority.ca_file.clone()));
    read.extend(local_root(task));
    read.extend(task.module_caches.iter().cloned());
    let parents = [&task.status_file, &task.result_file];
    Rules {
        run,
        read,
        write: owned(&WRITTEN_DEVICES),
        own: vec![task.work_dir.clone()],
        replace: parents.into_iter().filter_map(|path| path.parent().map(Path::to_owned)).collect(),
        ports: ports(task),
    }
}

/// The prefix of the git in this `PATH`, which contains its helpers and libraries: `/opt/git` for
/// `/opt/git/bin/git`.
fn prefix_of_git(path: &std::ffi::OsStr) -> Option<PathBuf> {
    let prefix = fs::canonicalize(program_in(path)?).ok()?.parent()?.parent()?.to_owned();
    // For `/bin/git` the prefix would be everything.
    prefix.parent().is_some().then_some(prefix)
}

/// The local path that the user named. A bare repository may borrow objects from any other
/// (gitrepository-layout(5), `alternates`), and the repository of a work tree may be anywhere: then
/// everything is readable.
fn local_root(task: &ScanTask) -> Option<PathBuf> {
    let path = Path::new(&task.git_url);
    if !task.network.local_paths || !path.is_absolute() {
        return None;
    }
    match local::open(path).ok()? {
        Local::Bare(_) => Some("/".into()),
        // Git reads what is ignored from the top on.
        Local::WorkTree(place) if place.reaches_outside() => Some("/".into()),
        Local::WorkTree(place) => Some(place.top),
        Local::Folder(folder) => Some(folder),
    }
}

/// The ports of the URL, or of the proxy in its place, and of DNS; none if no host is contacted.
fn ports(task: &ScanTask) -> Vec<u16> {
    let url = GitUrl::parse(&task.git_url, &task.network).ok();
    let origin = url.and_then(|url| Origin::of(url.url()));
    let port =
        origin.map(|origin| task.network.proxy_for(&origin).map_or(origin.port, Proxy::port));
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
        assert!(ports(&other).is_empty(), "a URL that the gate refuses is not contacted");
    }

    /// Fails if a sandboxed scanner can read or write the store of results, or the records of attempts.
    #[test]
    fn the_store_of_results_is_inaccessible() {
        let root = tempfile::tempdir().unwrap();
        let jobs = crate::store::layout::JobsDir::new(root.path()).unwrap();
        let mut task = sample::task(&jobs.staging().join("scratch"), "https://h.example/a.git");
        let job = jobs.job(&task.job_id);
        (task.status_file, task.result_file) = (job.status(0), job.result(0));
        let Rules { run, read, write, own, replace, .. } = rules(&task);
        let opened = [run, read, write, own, replace].concat();
        let covers = |path: &Path| opened.iter().any(|open| path.starts_with(open));
        // The temporary folder of the test itself may be open.
        assert!(covers(&job.result(0)) && !covers(root.path()), "{opened:?}");
        assert!(!covers(&jobs.result_store()) && !covers(&jobs.attempts()), "{opened:?}");
    }

    #[test]
    fn a_local_folder_is_readable_and_no_port_is_open() {
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
