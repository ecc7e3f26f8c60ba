//! Control groups (cgroup v2): one for each attempt where this process may create one, so that the
//! kernel ends the whole process tree at once, whatever sessions it spread over.
//!
//! Input: tracking ids of attempts. Output: groups, named after the attempts so that a later server
//! finds what a dead shim left.
//!
//! Invariants: without control groups the shim ends the processes one by one (process group,
//! orphans); which of the two applies is reported at start and in /health.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

/// The prefix of our groups' names.
const PREFIX: &str = "scanwatch-";
/// An empty group younger than this may be about to be entered.
const YOUNG: Duration = Duration::from_mins(1);

/// How the processes of an attempt are ended together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confinement {
    /// By a control group of their own.
    ControlGroup,
    /// By their process group, and as orphans that the shim adopts.
    ProcessGroup,
}

impl Confinement {
    /// The name in /health and in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ControlGroup => "cgroup",
            Self::ProcessGroup => "group",
        }
    }
}

/// Determines what is available here by trying it.
pub fn probe() -> Confinement {
    let tried = own_folder().and_then(|own| {
        let path = own.join(format!("{PREFIX}probe-{}", std::process::id()));
        fs::create_dir(&path).ok()?;
        // cgroup.kill exists since Linux 5.14.
        let usable = path.join("cgroup.kill").exists()
            && fs::OpenOptions::new().write(true).open(own.join("cgroup.procs")).is_ok();
        // Only an empty group can be removed, and only by rmdir.
        let _ = fs::remove_dir(&path);
        usable.then_some(())
    });
    if tried.is_some() { Confinement::ControlGroup } else { Confinement::ProcessGroup }
}

/// Ends the processes that a dead shim left in the control group of this name, and removes the
/// group.
pub fn kill_left_behind(name: &str) {
    if let Some(home) = own_folder() {
        let path = home.join(group_name(name));
        if path.is_dir() {
            ControlGroup::at(home, path).kill();
        }
    }
}

/// Removes empty groups of killed shims whose jobs were removed before their attempts were
/// finalized. A young group may be about to be entered.
pub fn remove_empty() {
    let Some(entries) = own_folder().and_then(|home| fs::read_dir(home).ok()) else { return };
    for entry in entries.flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let age = entry.metadata().and_then(|facts| facts.modified()).map(|time| time.elapsed());
        if ours && age.is_ok_and(|age| age.is_ok_and(|age| age > YOUNG)) {
            // The kernel refuses to remove a group with members.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// The control group of one attempt; removed on drop if it is empty. Dropping kills nobody:
/// [`Self::kill`] does.
#[derive(Debug)]
pub struct ControlGroup {
    /// The group that this process belongs to.
    home: PathBuf,
    path: PathBuf,
    /// Whether this process is still a member because it could not leave.
    inside: AtomicBool,
}

impl ControlGroup {
    fn at(home: PathBuf, path: PathBuf) -> Self {
        Self { home, path, inside: AtomicBool::new(false) }
    }

    /// Creates the group of the attempt with this tracking id; `None` if that is not possible.
    pub fn create(name: &str) -> Option<Self> {
        let home = own_folder()?;
        let path = home.join(group_name(name));
        fs::create_dir(&path).ok()?;
        let group = Self::at(home, path);
        group.path.join("cgroup.kill").exists().then_some(group)
    }

    /// Runs `spawn` while this process is a member of the group, so that the new process is never
    /// outside of the group.
    pub fn with_members<T>(&self, spawn: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        if enter(&self.path).is_err() {
            return spawn();
        }
        let spawned = spawn();
        if enter(&self.home).is_err() {
            self.inside.store(true, Ordering::Relaxed);
        }
        spawned
    }

    /// Whether this process could not leave the group, which makes the group unusable.
    pub fn holds_this_process(&self) -> bool {
        self.inside.load(Ordering::Relaxed)
    }

    /// Sends SIGKILL to every member; does nothing if this process is one of them.
    pub fn kill(&self) {
        if self.holds_this_process() {
            return;
        }
        let _ = write(&self.path.join("cgroup.kill"), "1");
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        if self.holds_this_process() {
            // A later server removes the group once it is empty.
            return;
        }
        // Killed members take a moment to leave.
        for _ in 0..200 {
            match fs::remove_dir(&self.path) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                    std::thread::sleep(std::time::Duration::from_millis(5));
                }
                _ => return,
            }
        }
    }
}

fn group_name(tracking_id: &str) -> String {
    format!("{PREFIX}{}", tracking_id.replace('/', "-"))
}

fn enter(group: &Path) -> io::Result<()> {
    // "0" stands for the writer itself (cgroups(7)).
    write(&group.join("cgroup.procs"), "0")
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    fs::OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes())
}

/// The file that counts the processes in this process's memory control group that the kernel killed
/// because memory ran out; `None` without such a group.
pub(super) fn memory_counter() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let unified = own_folder_in(&mounts, &groups).map(|folder| folder.join("memory.events"));
    let own = memory_folder_in(&mounts, &groups).map(|folder| folder.join("memory.oom_control"));
    unified.filter(|file| file.exists()).or(own)
}

/// The folder of the cgroup v2 group that this process is in.
pub(super) fn own_folder() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    own_folder_in(&mounts, &groups)
}

/// The folder of this process's group of the memory controller of cgroup v1.
pub(super) fn own_memory_folder() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    memory_folder_in(&mounts, &groups)
}

/// Finds that folder as proc(5) describes: the mount of type `cgroup2`, and our own line
/// `0::/path`.
fn own_folder_in(mounts: &str, groups: &str) -> Option<PathBuf> {
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    below_mount(mounts, own, |kind| kind.starts_with("cgroup2 "))
}

/// Finds the group of the memory controller of cgroup v1: the mount that has it among its
/// options, and the line `N:memory:/path`.
fn memory_folder_in(mounts: &str, groups: &str) -> Option<PathBuf> {
    let own = groups.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(":/")?;
        controllers.split(',').any(|name| name == "memory").then_some(path)
    })?;
    below_mount(mounts, own, |kind| {
        kind.strip_prefix("cgroup ")
            .and_then(|rest| rest.rsplit(' ').next())
            .is_some_and(|options| options.split(',').any(|name| name == "memory"))
    })
}

/// The folder of the group `own` below the first mount with matching type, source and options.
fn below_mount(mounts: &str, own: &str, fits: impl Fn(&str) -> bool) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        if !fits(after) {
            return None;
        }
        let mut fields = before.split_whitespace().skip(3);
        let (root, mount_point) = (fields.next()?, fields.next()?);
        let below = format!("/{own}");
        let below = below.strip_prefix(root.trim_end_matches('/'))?;
        Some(Path::new(mount_point).join(below.trim_start_matches('/')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hybrid_with_memory() -> &'static str {
        "40 24 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
         32 24 0:28 / /sys/fs/cgroup/memory rw shared:3 - cgroup cgroup rw,memory\n"
    }

    /// Breaks if a shim that cannot leave its scanner's group kills itself, or if dropping a group
    /// kills its members.
    #[test]
    fn a_group_is_killed_only_on_request_and_never_with_this_process_in_it() {
        let root = tempfile::tempdir().unwrap();
        let make = |path: &Path| drop(fs::File::create(path).unwrap());
        let group = |name: &str, way_back: bool| {
            let home = root.path().join(name);
            let path = home.join("group");
            fs::create_dir_all(&path).unwrap();
            make(&path.join("cgroup.procs"));
            make(&path.join("cgroup.kill"));
            if way_back {
                make(&home.join("cgroup.procs"));
            }
            (path.join("cgroup.kill"), ControlGroup::at(home, path))
        };
        let text = |path: &Path| fs::read_to_string(path).unwrap();

        let (kill, closed) = group("closed", false);
        assert_eq!(
            closed.with_members(|| Ok(7)).unwrap(),
            7,
            "the result of the closure is returned"
        );
        assert!(closed.holds_this_process());
        closed.kill();
        drop(closed);
        assert_eq!(text(&kill), "");

        let (kill, open) = group("open", true);
        assert_eq!(open.with_members(|| Ok(7)).unwrap(), 7);
        drop(open);
        assert_eq!(text(&kill), "", "nobody asked for it");
        let (kill, open) = group("asked", true);
        open.kill();
        assert_eq!(text(&kill), "1");
    }

    #[test]
    fn the_group_of_this_process_is_found_below_its_mount() {
        let mounts = "30 23 0:26 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw\n";
        let found = own_folder_in(mounts, "0::/system.slice/scanwatch.service\n");
        assert_eq!(found, Some("/sys/fs/cgroup/system.slice/scanwatch.service".into()));
        let hybrid = "31 24 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                      40 24 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let found = own_folder_in(hybrid, "4:memory:/x\n0::/\n");
        assert_eq!(found, Some("/sys/fs/cgroup/unified/".into()));
        let found = memory_folder_in(hybrid_with_memory(), "4:cpu,memory:/x\n0::/\n");
        assert_eq!(found, Some("/sys/fs/cgroup/memory/x".into()));
        assert_eq!(memory_folder_in(hybrid, "4:memory:/x\n"), None);
        assert_eq!(own_folder_in("", "0::/\n"), None);
        assert_eq!(own_folder_in(mounts, "4:memory:/x\n"), None);
    }
}
