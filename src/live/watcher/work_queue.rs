//! What there is to read, and in which order.
//!
//! Input: hints, nudges, words of the flusher. Output: whose turn it is, and for what.
//! Invariants: what came more than once is read once; a job whose folder is large has a turn among
//! others and no more, so that others' news are read in between; who is waited for comes first.

use super::Message;
use crate::{
    model::JobId,
    store::{layout::JobFile, read::Signature},
};
use std::collections::{BTreeSet, HashMap, VecDeque};
use tokio::sync::oneshot;

/// What there is to read.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    jobs: HashMap<JobId, Todo>,
    /// Jobs with files that may have changed.
    news: VecDeque<JobId>,
    /// Jobs whose folder is to be compared as a whole, for somebody who waits.
    urgent: VecDeque<JobId>,
    /// The same, for nobody in particular.
    scans: VecDeque<JobId>,
    /// Anything may have changed.
    pub(super) everything: bool,
    /// How often the kernel has lost events since this was looked at.
    pub(super) overflows: u64,
    waiting: HashMap<JobId, Vec<Waiting>>,
}

/// Somebody who waits until a job has been read.
#[derive(Debug)]
struct Waiting {
    done: oneshot::Sender<()>,
    since: Since,
}

/// How far the reading is that somebody waits for. What was under way when he came does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Since {
    Asked,
    Begun,
    Read,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Queue {
    Urgent,
    Scans,
}

#[derive(Debug, Default)]
struct Todo {
    files: BTreeSet<JobFile>,
    /// In the order in which they were flushed: the end of a job follows those of its repositories.
    flushed: VecDeque<(JobFile, Signature)>,
    in_news: bool,
    /// The folder is to be compared from its beginning.
    anew: bool,
    queue: Option<Queue>,
}

/// A file of a job to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// It may have changed.
    Changed(JobFile),
    /// This content of it is on the disk.
    Flushed(JobFile, Signature),
}

impl Agenda {
    pub(super) fn add(&mut self, message: Message) {
        match message {
            Message::Job(id) => self.scan(&id),
            Message::File(id, file) => self.look(&id, file),
            Message::Overflow => {
                self.overflows += 1;
                self.everything = true;
            }
            Message::Everything => self.everything = true,
            Message::Nudge(id, done) => {
                let waiting = self.waiting.entry(id.clone()).or_default();
                waiting.retain(|it| !it.done.is_closed());
                waiting.push(Waiting { done, since: Since::Asked });
                self.scan(&id);
            }
            Message::Flushed(id, file, signature) => {
                self.news_of(&id).flushed.push_back((file, signature));
            }
            // Not for the agenda.
            Message::Loaded(_) | Message::LoaderEnded | Message::Stop => {}
        }
    }

    /// Has a file looked at.
    pub(super) fn look(&mut self, id: &JobId, file: JobFile) {
        self.news_of(id).files.insert(file);
    }

    /// Has a folder compared from its beginning.
    pub(super) fn scan(&mut self, id: &JobId) {
        self.jobs.entry(id.clone()).or_default().anew = true;
        self.go_on(id);
    }

    /// Gives a job another turn, after the others.
    pub(super) fn go_on(&mut self, id: &JobId) {
        let urgent = self.waiting.contains_key(id);
        let todo = self.jobs.entry(id.clone()).or_default();
        let (wanted, queue) = if urgent {
            (Queue::Urgent, &mut self.urgent)
        } else {
            (Queue::Scans, &mut self.scans)
        };
        if todo.queue.is_none() || (urgent && todo.queue != Some(wanted)) {
            todo.queue = Some(wanted);
            queue.push_back(id.clone());
        }
    }

    /// The job that has the next turn to have its folder compared. Says whether it is to be compared
    /// from its beginning.
    pub(super) fn next_scan(&mut self) -> Option<(JobId, bool)> {
        loop {
            let (id, queue) = match self.urgent.pop_front() {
                Some(id) => (id, Queue::Urgent),
                None => (self.scans.pop_front()?, Queue::Scans),
            };
            // One that became urgent stands in both.
            let Some(todo) = self.jobs.get_mut(&id).filter(|it| it.queue == Some(queue)) else {
                continue;
            };
            todo.queue = None;
            let anew = std::mem::take(&mut todo.anew);
            self.tidy(&id);
            return Some((id, anew));
        }
    }

    /// Whether the folder is to be compared from its beginning, once what is under way is done.
    pub(super) fn wants_scan(&self, id: &JobId) -> bool {
        self.jobs.get(id).is_some_and(|it| it.anew)
    }

    /// The job that has the next turn for its news.
    pub(super) fn next_news(&mut self) -> Option<JobId> {
        let id = self.news.pop_front()?;
        if let Some(todo) = self.jobs.get_mut(&id) {
            todo.in_news = false;
        }
        Some(id)
    }

    /// The next of a job's news.
    pub(super) fn take_news(&mut self, id: &JobId) -> Option<News> {
        let todo = self.jobs.get_mut(id)?;
        let changed = todo.files.pop_first().map(News::Changed);
        let news = changed.or_else(|| {
            let (file, signature) = todo.flushed.pop_front()?;
            Some(News::Flushed(file, signature))
        });
        if news.is_none() {
            self.tidy(id);
        }
        news
    }

    /// Puts a job that has more news than a turn allows behind the others.
    pub(super) fn more_news(&mut self, id: &JobId) {
        if self.jobs.get(id).is_some_and(|it| !it.files.is_empty() || !it.flushed.is_empty()) {
            self.news_of(id);
        } else {
            self.tidy(id);
        }
    }

    /// Whether nothing is to be done.
    pub(super) fn is_empty(&self) -> bool {
        self.news.is_empty() && self.urgent.is_empty() && self.scans.is_empty() && !self.everything
    }

    /// The comparison of a folder from its beginning has begun.
    pub(super) fn note_begun(&mut self, id: &JobId) {
        self.mark(id, Since::Asked, Since::Begun);
    }

    /// It is done.
    pub(super) fn note_read(&mut self, id: &JobId) {
        self.mark(id, Since::Begun, Since::Read);
    }

    /// Answers the requests that wait for this job: it has been read and published.
    pub(super) fn answer(&mut self, id: &JobId) {
        let Some(waiting) = self.waiting.get_mut(id) else { return };
        for it in waiting.extract_if(.., |it| it.since == Since::Read) {
            let _ = it.done.send(());
        }
        if waiting.is_empty() {
            self.waiting.remove(id);
        }
    }

    /// Forgets those who have given up waiting.
    pub(super) fn forget_the_impatient(&mut self) {
        self.waiting.retain(|_, waiting| {
            waiting.retain(|it| !it.done.is_closed());
            !waiting.is_empty()
        });
    }

    fn mark(&mut self, id: &JobId, from: Since, to: Since) {
        for it in self.waiting.get_mut(id).into_iter().flatten() {
            if it.since == from {
                it.since = to;
            }
        }
    }

    fn news_of(&mut self, id: &JobId) -> &mut Todo {
        let todo = self.jobs.entry(id.clone()).or_default();
        if !todo.in_news {
            todo.in_news = true;
            self.news.push_back(id.clone());
        }
        todo
    }

    /// Forgets a job of which nothing is to be done.
    fn tidy(&mut self, id: &JobId) {
        let done = |it: &Todo| {
            !it.in_news
                && it.queue.is_none()
                && !it.anew
                && it.files.is_empty()
                && it.flushed.is_empty()
        };
        if self.jobs.get(id).is_some_and(done) {
            self.jobs.remove(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> JobId {
        name.parse().unwrap()
    }

    #[test]
    fn jobs_take_turns_and_who_is_waited_for_comes_first() {
        let mut agenda = Agenda::default();
        for name in ["a", "b", "a", "c"] {
            agenda.add(Message::Job(id(name)));
        }
        assert_eq!(agenda.next_scan(), Some((id("a"), true)));
        agenda.go_on(&id("a"));
        let (done, mut read) = oneshot::channel();
        agenda.add(Message::Nudge(id("c"), done));
        assert_eq!(agenda.next_scan(), Some((id("c"), true)));
        agenda.note_read(&id("c"));
        agenda.answer(&id("c"));
        assert!(read.try_recv().is_err(), "what was under way does not count");
        agenda.note_begun(&id("c"));
        agenda.note_read(&id("c"));
        agenda.answer(&id("c"));
        read.try_recv().unwrap();
        assert_eq!(agenda.next_scan(), Some((id("b"), true)));
        assert_eq!(agenda.next_scan(), Some((id("a"), false)), "it goes on where it was");
        assert_eq!(agenda.next_scan(), None);
        assert!(agenda.is_empty() && agenda.jobs.is_empty());
    }

    #[test]
    fn each_file_is_looked_at_once() {
        let mut agenda = Agenda::default();
        for index in [7, 3, 7] {
            agenda.add(Message::File(id("a"), JobFile::Repository(index)));
        }
        assert_eq!(agenda.next_news(), Some(id("a")));
        assert_eq!(agenda.take_news(&id("a")), Some(News::Changed(JobFile::Repository(3))));
        agenda.more_news(&id("a"));
        assert_eq!(agenda.next_news(), Some(id("a")));
        assert_eq!(agenda.take_news(&id("a")), Some(News::Changed(JobFile::Repository(7))));
        assert_eq!(agenda.take_news(&id("a")), None);
        agenda.more_news(&id("a"));
        assert_eq!(agenda.next_news(), None);
        assert!(agenda.jobs.is_empty());
    }

    #[test]
    fn only_lost_events_count_as_lost() {
        let mut agenda = Agenda::default();
        agenda.add(Message::Everything);
        assert!((agenda.everything, agenda.overflows) == (true, 0));
        agenda.add(Message::Overflow);
        assert_eq!(agenda.overflows, 1);
    }
}
