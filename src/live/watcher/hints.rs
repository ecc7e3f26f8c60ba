//! Notifications become hints: which job, which file, or anything.
//!
//! Pure: what is in a file is not known here.

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

/// Turns a notification into hints. Our own reads raise events too, and a temporary file in a
/// watched folder raises six: only what can mean new content passes.
pub(super) fn translate(root: &Path, event: notify::Result<notify::Event>) -> Vec<Message> {
    let Ok(event) = event else { return vec![Message::Everything] };
    if event.need_rescan() {
        return vec![Message::Overflow];
    }
    let relevant = match event.kind {
        EventKind::Create(CreateKind::Folder | CreateKind::Any)
        | EventKind::Modify(ModifyKind::Name(_))
        | EventKind::Remove(_)
        // Writers that do not rename; at the close, most of them are whole.
        | EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        _ => false,
    };
    if !relevant {
        return Vec::new();
    }
    event.paths.iter().filter_map(|path| locate(root, path)).collect()
}

/// Which job, and which file of it, a path means.
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
        let told: Vec<String> = hints.iter().map(|it| format!("{it:?}")).collect();
        assert_eq!(told.join(" "), expected, "{shown}");
    }

    #[test]
    fn only_what_can_mean_new_content_passes() {
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
        // Our own reads raise these.
        let close = |mode| EventKind::Access(AccessKind::Close(mode));
        check(at(close(AccessMode::Read), "/jobs/a/repo_7.json"), "");
        check(at(close(AccessMode::Write), "/jobs/a/repo_7.json"), "File(a, Repository(7))");
        let data = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        check(at(data, "/jobs/a/repo_7.json"), "");
    }

    #[test]
    fn lost_events_and_errors_mean_that_anything_may_have_changed() {
        check(Ok(Event::new(EventKind::Other).set_flag(Flag::Rescan)), "Overflow");
        check(Err(notify::Error::generic("of whatever kind")), "Everything");
        check(Ok(Event::new(EventKind::Other)), "");
    }
}
