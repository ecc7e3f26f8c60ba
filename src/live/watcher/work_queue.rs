//! The queue of the watcher: what has to be read, and in which order.
//!
//! Input: events, nudges, and reports of the flusher. Output: the next job, and what to read of it.
//!
//! Invariants: work that is requested more than once is done once; a job with a large folder has
//! one turn among the others, so that file events of others are read in between; jobs with waiting
//! requests come first.

use super::Message;
use crate::{
    model::JobId,
    store::{layout::JobFile, read::Signature},
};
use std::collections::{BTreeSet, HashMap, VecDeque};
use tokio::sync::oneshot;

/// The work of the watcher.
#[derive(Debug, Default)]
pub(super) struct WorkQueue {
    jobs: HashMap<JobId, JobWork>,
    /// Jobs with file events.
    file_queue: VecDeque<JobId>,
    /// Jobs whose whole folder has to be scanned, and for which a request waits.
    urgent: VecDeque<JobId>,
    /// The other jobs whose whole folder has to be scanned.
    scans: VecDeque<JobId>,
    /// A resync is requested.
    pub(super) everything: bool,
    /// How often the kernel has lost events since this was last read.
    pub(super) overflows: u64,
    waiting: HashMap<JobId, Vec<Waiting>>,
}

/// A request that waits until a job has been read.
#[derive(Debug)]
struct Waiting {
    done: oneshot::Sender<()>,
    stage: WaitStage,
}

/// The state of the scan that a request waits for. A scan that was running when the request came
/// does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WaitStage {
    Requested,
    Started,
    Read,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Queue {
    Urgent,
    Scans,
}

#[derive(Debug, Default)]
struct JobWork {
    files: BTreeSet<JobFile>,
    /// In the order of their fsyncs: the final state of a job follows those of its repositories.
    flushed: VecDeque<(JobFile, Signature)>,
    in_file_queue: bool,
    /// The folder has to be scanned from the start.
    from_start: bool,
    queue: Option<Queue>,
}

/// An event of a file of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileEvent {
    /// The file may have changed.
    Changed(JobFile),
    /// This content of the file is durable.
    Flushed(JobFile, Signature),
}

impl WorkQueue {
    pub(super) fn add(&mut self, message: Message) {
        match message {
            Message::Job(id) => self.queue_scan(&id),
            Message::File(id, file) => self.queue_file(&id, file),
            Message::Overflow => {
                self.overflows += 1;
                self.everything = true;
            }
            Message::Everything => self.everything = true,
            Message::Nudge(id, done) => {
                let waiting = self.waiting.entry(id.clone()).or_default();
                waiting.retain(|waiter| !waiter.done.is_closed());
                waiting.push(Waiting { done, stage: WaitStage::Requested });
                self.queue_scan(&id);
            }
            Message::Flushed(id, file, signature) => {
                self.work_with_file_events(&id).flushed.push_back((file, signature));
            }
            // Handled by the reader itself.
            Message::Loaded(_) | Message::LoaderEnded | Message::Stop => {}
        }
    }

    /// Queues a file to be read.
    pub(super) fn queue_file(&mut self, id: &JobId, file: JobFile) {
        self.work_with_file_events(id).files.insert(file);
    }

    /// Queues a scan of a folder from the start.
    pub(super) fn queue_scan(&mut self, id: &JobId) {
        self.jobs.entry(id.clone()).or_default().from_start = true;
        self.requeue(id);
    }

    /// Gives a job another turn, after the others.
    pub(super) fn requeue(&mut self, id: &JobId) {
        let urgent = self.waiting.contains_key(id);
        let work = self.jobs.entry(id.clone()).or_default();
        let (wanted, queue) = if urgent {
            (Queue::Urgent, &mut self.urgent)
        } else {
            (Queue::Scans, &mut self.scans)
        };
        if work.queue.is_none() || (urgent && work.queue != Some(wanted)) {
            work.queue = Some(wanted);
            queue.push_back(id.clone());
        }
    }

    /// The next job to scan, and whether to scan its folder from the start.
    pub(super) fn next_scan(&mut self) -> Option<(JobId, bool)> {
        loop {
            let (id, queue) = match self.urgent.pop_front() {
                Some(id) => (id, Queue::Urgent),
                None => (self.scans.pop_front()?, Queue::Scans),
            };
            // A job that became urgent is in both queues.
            let Some(work) = self.jobs.get_mut(&id).filter(|work| work.queue == Some(queue)) else {
                continue;
            };
            work.queue = None;
            let from_start = std::mem::take(&mut work.from_start);
            self.remove_if_done(&id);
            return Some((id, from_start));
        }
    }

    /// Whether the folder has to be scanned from the start, after the running scan.
    pub(super) fn wants_scan(&self, id: &JobId) -> bool {
        self.jobs.get(id).is_some_and(|work| work.from_start)
    }

    /// The next job with file events.
    pub(super) fn next_with_file_events(&mut self) -> Option<JobId> {
        let id = self.file_queue.pop_front()?;
        if let Some(work) = self.jobs.get_mut(&id) {
            work.in_file_queue = false;
        }
        Some(id)
    }

    /// The next file event of a job.
    pub(super) fn take_file_event(&mut self, id: &JobId) -> Option<FileEvent> {
        let work = self.jobs.get_mut(id)?;
        let changed = work.files.pop_first().map(FileEvent::Changed);
        let event = changed.or_else(|| {
            let (file, signature) = work.flushed.pop_front()?;
            Some(FileEvent::Flushed(file, signature))
        });
        if event.is_none() {
            self.remove_if_done(id);
        }
        event
    }

    /// Requeues a job that has more file events than one turn allows.
    pub(super) fn requeue_file_events(&mut self, id: &JobId) {
        if self.jobs.get(id).is_some_and(|work| !work.files.is_empty() || !work.flushed.is_empty())
        {
            self.work_with_file_events(id);
        } else {
            self.remove_if_done(id);
        }
    }

    /// Whether there is no work.
    pub(super) fn is_empty(&self) -> bool {
        self.file_queue.is_empty()
            && self.urgent.is_empty()
            && self.scans.is_empty()
            && !self.everything
    }

    /// Records that a scan from the start has begun.
    pub(super) fn note_started(&mut self, id: &JobId) {
        self.mark(id, WaitStage::Requested, WaitStage::Started);
    }

    /// Records that the scan is complete.
    pub(super) fn note_read(&mut self, id: &JobId) {
        self.mark(id, WaitStage::Started, WaitStage::Read);
    }

    /// Answers the requests that wait for this job, after it has been read and published.
    pub(super) fn answer(&mut self, id: &JobId) {
        let Some(waiting) = self.waiting.get_mut(id) else { return };
        for waiter in waiting.extract_if(.., |waiter| waiter.stage == WaitStage::Read) {
            let _ = waiter.done.send(());
        }
        if waiting.is_empty() {
            self.waiting.remove(id);
        }
    }

    /// Removes requests that do not wait any more.
    pub(super) fn drop_closed_waiters(&mut self) {
        self.waiting.retain(|_, waiting| {
            waiting.retain(|waiter| !waiter.done.is_closed());
            !waiting.is_empty()
        });
    }

    fn mark(&mut self, id: &JobId, from: WaitStage, to: WaitStage) {
        for waiter in self.waiting.get_mut(id).into_iter().flatten() {
            if waiter.stage == from {
                waiter.stage = to;
            }
        }
    }

    fn work_with_file_events(&mut self, id: &JobId) -> &mut JobWork {
        let work = self.jobs.entry(id.clone()).or_default();
        if !work.in_file_queue {
            work.in_file_queue = true;
            self.file_queue.push_back(id.clone());
        }
        work
    }

    /// Removes a job without work.
    fn remove_if_done(&mut self, id: &JobId) {
        let done = |work: &JobWork| {
            !work.in_file_queue
                && work.queue.is_none()
                && !work.from_start
                && work.files.is_empty()
                && work.flushed.is_empty()
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
    fn jobs_take_turns_and_those_with_waiting_requests_come_first() {
        let mut queue = WorkQueue::default();
        for name in ["a", "b", "a", "c"] {
            queue.add(Message::Job(id(name)));
        }
        assert_eq!(queue.next_scan(), Some((id("a"), true)));
        queue.requeue(&id("a"));
        let (done, mut read) = oneshot::channel();
        queue.add(Message::Nudge(id("c"), done));
        assert_eq!(queue.next_scan(), Some((id("c"), true)));
        queue.note_read(&id("c"));
        queue.answer(&id("c"));
        assert!(read.try_recv().is_err(), "a scan that was running does not count");
        queue.note_started(&id("c"));
        queue.note_read(&id("c"));
        queue.answer(&id("c"));
        read.try_recv().unwrap();
        assert_eq!(queue.next_scan(), Some((id("b"), true)));
        assert_eq!(
            queue.next_scan(),
            Some((id("a"), false)),
            "the scan continues where it stopped"
        );
        assert_eq!(queue.next_scan(), None);
        assert!(queue.is_empty() && queue.jobs.is_empty());
    }

    #[test]
    fn each_file_is_read_once() {
        let mut queue = WorkQueue::default();
        for index in [7, 3, 7] {
            queue.add(Message::File(id("a"), JobFile::Repository(index)));
        }
        assert_eq!(queue.next_with_file_events(), Some(id("a")));
        assert_eq!(
            queue.take_file_event(&id("a")),
            Some(FileEvent::Changed(JobFile::Repository(3)))
        );
        queue.requeue_file_events(&id("a"));
        assert_eq!(queue.next_with_file_events(), Some(id("a")));
        assert_eq!(
            queue.take_file_event(&id("a")),
            Some(FileEvent::Changed(JobFile::Repository(7)))
        );
        assert_eq!(queue.take_file_event(&id("a")), None);
        queue.requeue_file_events(&id("a"));
        assert_eq!(queue.next_with_file_events(), None);
        assert!(queue.jobs.is_empty());
    }

    #[test]
    fn only_overflows_count_as_lost_events() {
        let mut queue = WorkQueue::default();
        queue.add(Message::Everything);
        assert!((queue.everything, queue.overflows) == (true, 0));
        queue.add(Message::Overflow);
        assert_eq!(queue.overflows, 1);
    }
}
