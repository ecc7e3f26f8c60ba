//! Translates inotify events into hints: which job or which file may have changed, or that anything
//! may have.
//!
//! Input: a notification and the path of the jobs folder. Output: messages for the watcher's
//! thread.
//!
//! Invariants: pure; the content of files is unknown here; an event that cannot be interpreted
//! requests a resync.

use super::Message;
use crate::{model::JobId, store::layout::JobFile};
use notify::{
    EventKind,
    event::{AccessKind, AccessMode, CreateKind, ModifyKind},
};
use std::{
    ffi::OsStr,
    path::{Component, Path, PathBuf},
};

/// Translates a notification. The watcher's own reads raise events too, and a temporary file in a
/// watched folder raises six: only events that can mean new content pass.
pub(super) fn translate(root: &Path, event: notify::Result<notify::Event>) -> Vec<Message> {
    let Ok(event) = event else { return vec![Message::Everything] };
    if event.need_rescan() {
        return vec![Message::Overflow];
    }
    let relevant = match event.kind {
        EventKind::Create(CreateKind::Folder | CreateKind::Any)
        | EventKind::Modify(ModifyKind::Name(_))
        | EventKind::Remove(_)
        // For writers that do not rename: their file is usually complete when it is closed.
        | EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        _ => false,
    };
    if !relevant {
        return Vec::new();
    }
    event.paths.iter().filter_map(|path| locate(root, path)).collect()
}

/// Finds the job, and its file, that a path belongs to.
fn locate(root: &Path, path: &PathBuf) -> Option<Message> {
    if path == root {
        return Some(Message::Everything);
    }
    let mut parts = path.strip_prefix(root).ok()?.components().map(Component::as_os_str);
    let id: JobId = parts.next().and_then(OsStr::to_str)?.parse().ok()?;
    match (parts.next(), parts.next()) {
        (None, _) => Some(Message::Job(id)),
        (Some(name), None) => JobFile::parse(name).map(|file| Message::File(id, file)),
        (Some(_), Some(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify::{
        Event,
        event::{DataChange, Flag, RemoveKind, RenameMode},
    };

    #[track_caller]
    fn check(event: notify::Result<Event>, expected: &str) {
        let shown = format!("{event:?}");
        let hints = translate(Path::new("/jobs"), event);
        let shown_hints: Vec<String> = hints.iter().map(|hint| format!("{hint:?}")).collect();
        assert_eq!(shown_hints.join(" "), expected, "{shown}");
    }

    #[test]
    fn only_events_that_can_mean_new_content_pass() {
        let at = |kind, path: &str| Ok(Event::new(kind).add_path(path.into()));
        let renamed = EventKind::Modify(ModifyKind::Name(RenameMode::To));
        check(at(renamed, "/jobs/a/repo_7.json"), "File(a, Repository(7))");
        check(at(renamed, "/jobs/a/master.json"), "File(a, Master)");
        check(at(renamed, "/jobs/a"), "Job(a)");
        check(at(EventKind::Create(CreateKind::Folder), "/jobs/a"), "Job(a)");
        check(at(EventKind::Remove(RemoveKind::Folder), "/jobs/a"), "Job(a)");
        check(at(EventKind::Remove(RemoveKind::Folder), "/jobs"), "Everything");
        for path in ["/jobs/a/results/repo_7.json", "/jobs/a/notes", "/jobs/.staging", "/else"] {
            check(at(renamed, path), "");
        }
        // The watcher's own reads raise these.
        let close = |mode| EventKind::Access(AccessKind::Close(mode));
        check(at(close(AccessMode::Read), "/jobs/a/repo_7.json"), "");
        check(at(close(AccessMode::Write), "/jobs/a/repo_7.json"), "File(a, Repository(7))");
        let data = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        check(at(data, "/jobs/a/repo_7.json"), "");
    }

    #[test]
    fn lost_events_and_errors_request_a_resync() {
        check(Ok(Event::new(EventKind::Other).set_flag(Flag::Rescan)), "Overflow");
        check(Err(notify::Error::generic("any error")), "Everything");
        check(Ok(Event::new(EventKind::Other)), "");
    }
}
