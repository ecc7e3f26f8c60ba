//! A control group (cgroup v2) per attempt, where this process may make one: the kernel then
//! ends the whole tree at once, whatever sessions it spread over.
//!
//! Where it may not, the shim's own means (group, orphans) do the same, one by one; which of the
//! two holds is said at start and in /health. The name of the group is that of the attempt, so
//! that a later server finds what a dead shim left.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

/// What the names of our groups begin with.
const PREFIX: &str = "scanwatch-";
/// Up to which age an empty group may be one that is just being entered.
const YOUNG: Duration = Duration::from_mins(1);

/// By which means the processes of an attempt are ended together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confinement {
    /// A control group of their own.
    ControlGroup,
    /// Process group, and orphans that the shim adopts.
    ProcessGroup,
}

impl Confinement {
    /// The word in /health and in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ControlGroup => "cgroup",
            Self::ProcessGroup => "group",
        }
    }
}

/// What can be had here, found out by trying it.
pub fn probe() -> Confinement {
    let tried = own_folder().and_then(|own| {
        let path = own.join(format!("{PREFIX}probe-{}", std::process::id()));
        fs::create_dir(&path).ok()?;
        // cgroup.kill is there since Linux 5.14.
        let usable = path.join("cgroup.kill").exists()
            && fs::OpenOptions::new().write(true).open(own.join("cgroup.procs")).is_ok();
        // Only an empty group can be removed, and by rmdir alone.
        let _ = fs::remove_dir(&path);
        usable.then_some(())
    });
    if tried.is_some() { Confinement::ControlGroup } else { Confinement::ProcessGroup }
}

/// Ends what a dead shim left in the control group of this name, and removes the group.
pub fn end_left_behind(name: &str) {
    if let Some(home) = own_folder() {
        let path = home.join(group_name(name));
        if path.is_dir() {
            ControlGroup::at(home, path).kill();
        }
    }
}

/// Removes groups that nobody is in any more: of shims that were killed, and whose jobs were
/// removed before anybody settled them. A young one may be about to be entered.
pub fn remove_empty() {
    let Some(entries) = own_folder().and_then(|home| fs::read_dir(home).ok()) else { return };
    for entry in entries.flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let age = entry.metadata().and_then(|it| it.modified()).map(|it| it.elapsed());
        if ours && age.is_ok_and(|age| age.is_ok_and(|it| it > YOUNG)) {
            // The kernel refuses to remove one that has members.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// The control group of one attempt; removed when this is dropped, if nobody is in it then. Nobody is
/// killed by that: who is to be ended is said by [`Self::kill`].
#[derive(Debug)]
pub struct ControlGroup {
    /// The group that this process belongs to.
    home: PathBuf,
    path: PathBuf,
    /// Whether this process is a member, for the way back was closed.
    inside: AtomicBool,
}

impl ControlGroup {
    fn at(home: PathBuf, path: PathBuf) -> Self {
        Self { home, path, inside: AtomicBool::new(false) }
    }

    /// Makes the group for the attempt with this tracking id; `None` where that is not possible.
    pub fn create(name: &str) -> Option<Self> {
        let home = own_folder()?;
        let path = home.join(group_name(name));
        fs::create_dir(&path).ok()?;
        let group = Self::at(home, path);
        group.path.join("cgroup.kill").exists().then_some(group)
    }

    /// Runs `spawn` while this process is a member of the group: what it starts is born into
    /// it, with no instant outside.
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

    /// Whether this process could not leave the group again, so that it is of no use.
    pub fn holds_this_process(&self) -> bool {
        self.inside.load(Ordering::Relaxed)
    }

    /// SIGKILL to every member; to none where this process is one of them.
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
            // Removed by a later server, once it is empty.
            return;
        }
        // Members that are being killed take an instant to leave.
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

/// The file that counts the processes of this process's memory control group that the kernel
/// killed for want of memory; `None` without such a group.
pub(super) fn memory_counter() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let unified = own_folder_in(&mounts, &groups).map(|it| it.join("memory.events"));
    let own = memory_folder_in(&mounts, &groups).map(|it| it.join("memory.oom_control"));
    unified.filter(|it| it.exists()).or(own)
}

/// The folder of the cgroup v2 group that this process is in.
fn own_folder() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    own_folder_in(&mounts, &groups)
}

/// Finds it by proc(5): the mount of type `cgroup2`, and the line `0::/path` of our own.
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
        controllers.split(',').any(|it| it == "memory").then_some(path)
    })?;
    below_mount(mounts, own, |kind| {
        kind.strip_prefix("cgroup ")
            .and_then(|rest| rest.rsplit(' ').next())
            .is_some_and(|options| options.split(',').any(|it| it == "memory"))
    })
}

/// The folder of the group `own` below the first mount whose type, source and options fit.
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

    /// Breaks if a shim that cannot leave its scanner's group ends itself with it, or if a group is
    /// ended by nobody's wish.
    #[test]
    fn a_group_is_ended_by_request_alone_and_never_with_this_process_in_it() {
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
        assert_eq!(closed.with_members(|| Ok(7)).unwrap(), 7, "what was started is not forgotten");
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
    fn the_own_group_is_found_below_its_mount() {
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
