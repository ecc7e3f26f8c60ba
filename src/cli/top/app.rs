//! What the terminal shows: the list, one job, one repository, and what lies above them.
//!
//! Input: what the server sends ([`Input`]). Output: the state to draw, and requests to the server
//! ([`Effect`]). Invariants: pure; an answer for something that is no longer shown changes nothing;
//! a failed request never ends the program, unless the server refuses the credentials (`run`).

use super::{
    facts,
    job::JobDetails,
    jobs::Jobs,
    log::LogText,
    messages::{ALL_JOBS, Effect, Feed, Input, Verb},
    screens::{Following, Health, JobScreen, Mode, Outage, RepositoryScreen, Scope},
};
use crate::model::{
    JobId,
    repository::RepositoryStatus,
    state::Summary,
    time::{self, Timestamp},
};
use chrono::TimeDelta;
use serde_json::Value;
use std::time::Duration;

/// The pause before the list is requested again because of changes.
const REFRESH_PAUSE: Duration = Duration::from_secs(1);

/// Everything.
#[derive(Debug)]
pub(super) struct App {
    pub(super) server: String,
    pub(super) user: Option<String>,
    pub(super) scope: Scope,
    pub(super) jobs: Jobs,
    pub(super) job: Option<JobScreen>,
    pub(super) mode: Mode,
    pub(super) health: Health,
    pub(super) notice: Option<String>,
    /// The outages of the stream of all jobs, and of the shown job.
    outages: [Option<Outage>; 2],
    last_feed: Feed,
    /// How far the server's clock is ahead of ours.
    skew: TimeDelta,
}

impl App {
    /// Nothing is known yet, except who the user is.
    pub(super) fn new(server: String, session: &Value) -> Self {
        let mut app = Self {
            server,
            user: None,
            scope: Scope::Read,
            jobs: Jobs::new(),
            job: None,
            mode: Mode::View,
            health: Health::default(),
            notice: None,
            outages: [None, None],
            last_feed: ALL_JOBS,
            skew: TimeDelta::zero(),
        };
        app.learn_session(session);
        app
    }

    /// The time of the server.
    pub(super) fn server_time(&self, now: Timestamp) -> Timestamp {
        now + self.skew
    }

    /// Whether the user may do something that needs this scope.
    pub(super) fn may(&self, verb: Verb) -> bool {
        self.scope >= if verb == Verb::Delete { Scope::Admin } else { Scope::Write }
    }

    /// The outage of what is shown.
    pub(super) fn outage(&self) -> Option<&Outage> {
        self.outages.iter().flatten().min_by_key(|outage| outage.since)
    }

    /// Whether what is shown changes with the time alone.
    pub(super) fn is_ticking(&self) -> bool {
        self.outage().is_some()
            || match &self.job {
                Some(screen) => !screen.details.is_finished(),
                None => self.jobs.has_unfinished(),
            }
    }

    /// A number for something new to follow.
    pub(super) fn next_feed(&mut self) -> Feed {
        self.last_feed += 1;
        self.last_feed
    }

    /// Applies what the server sent. `now` is the time of this machine.
    pub(super) fn apply(&mut self, input: Input, now: Timestamp) -> Vec<Effect> {
        match input {
            Input::Event { feed: ALL_JOBS, event, data } => {
                self.outages[0] = None;
                return self.apply_to_list(&event, &data);
            }
            Input::Event { feed, event, data } => {
                return self.apply_to_job(feed, &event, &data, now);
            }
            Input::Lost { feed, cause, since } => {
                if let Some(outage) = self.outage_of(feed) {
                    let since = outage.as_ref().map_or(since, |outage| outage.since);
                    *outage = Some(Outage { cause, since });
                }
            }
            Input::Reconnected { feed } => {
                if let Some(outage) = self.outage_of(feed) {
                    *outage = None;
                }
                return self.catch_up(feed);
            }
            Input::Ended { feed } => {
                if let Some(screen) = self.job.as_mut().filter(|screen| screen.feed == feed) {
                    screen.has_ended = true;
                    self.outages[1] = None;
                }
            }
            Input::Removed { feed } => {
                if self.job.as_ref().is_some_and(|screen| screen.feed == feed) {
                    self.notice = Some("the job was removed, or has expired".to_owned());
                    return self.leave_job();
                }
            }
            Input::Listed { path, answer } => {
                if path == self.jobs.path() {
                    self.jobs.listed(answer.as_ref().map_err(Clone::clone));
                }
            }
            Input::Health(document) => self.learn_health(&document, now),
            Input::Session(session) => self.learn_session(&session),
            Input::Repository { feed, document } => {
                if let Some(screen) = self.repository_of(feed) {
                    screen.git_url = document["git_url"].as_str().map(str::to_owned);
                }
            }
            Input::Log { feed, piece } => {
                if let Some(screen) = self.repository_of(feed) {
                    screen.log.add(&piece);
                }
            }
            Input::LogEnded { feed, error } => {
                if let Some(screen) = self.repository_of(feed) {
                    screen.log.end();
                    screen.following = error.map_or(Following::Complete, Following::Failed);
                }
            }
            Input::Answered { verb, job, result } => return self.answered(verb, &job, &result),
        }
        Vec::new()
    }

    fn apply_to_list(&mut self, event: &str, data: &Value) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.jobs.apply(event, data) {
            effects.push(self.list(REFRESH_PAUSE));
        }
        // Somebody scans the failed repositories of the shown job again, after its stream has ended.
        let is_unfinished = data["status"].as_str().is_some_and(|state| !facts::is_finished(state));
        let is_shown = |screen: &&JobScreen| data["job_id"] == *screen.details.id.as_str();
        if is_unfinished
            && self.job.as_ref().filter(is_shown).is_some_and(|screen| screen.has_ended)
        {
            effects.extend(self.follow_job_again());
        }
        effects
    }

    fn apply_to_job(
        &mut self,
        feed: Feed,
        event: &str,
        data: &Value,
        now: Timestamp,
    ) -> Vec<Effect> {
        let server_time = self.server_time(now);
        let Some(screen) = self.job.as_mut().filter(|screen| screen.feed == feed) else {
            return Vec::new();
        };
        self.outages[1] = None;
        screen.is_known = true;
        screen.details.apply(event, data, server_time);
        // Another attempt has a log of its own, and after an outage the log continues.
        let row = screen.repository.as_ref().and_then(|open| {
            (open.following != Following::Live).then(|| screen.details.numbered(open.index))?
        });
        if row.is_some_and(|row| row.state.is_working()) {
            self.follow_log_again()
        } else {
            Vec::new()
        }
    }

    /// Requests what no stream repeats after an outage.
    fn catch_up(&mut self, feed: Feed) -> Vec<Effect> {
        if feed == ALL_JOBS {
            return vec![Effect::LearnSession, self.list(Duration::ZERO)];
        }
        match self.open_row() {
            Some(row) if !row.state.is_final() => self.follow_log_again(),
            _ => Vec::new(),
        }
    }

    fn answered(&mut self, verb: Verb, job: &JobId, result: &Result<(), String>) -> Vec<Effect> {
        self.notice = Some(match result {
            Ok(()) => format!("{job}: {}", verb.done()),
            Err(reason) => format!("{job}: {reason}"),
        });
        let is_shown = self.job.as_ref().is_some_and(|screen| screen.details.id == *job);
        match verb {
            Verb::Retry if result.is_ok() && is_shown => self.follow_job_again(),
            Verb::Delete if result.is_ok() && is_shown => self.leave_job(),
            _ => Vec::new(),
        }
    }

    fn outage_of(&mut self, feed: Feed) -> Option<&mut Option<Outage>> {
        let is_job = self.job.as_ref().is_some_and(|screen| screen.feed == feed);
        match feed {
            ALL_JOBS => Some(&mut self.outages[0]),
            _ => is_job.then_some(&mut self.outages[1]),
        }
    }

    fn repository_of(&mut self, feed: Feed) -> Option<&mut RepositoryScreen> {
        self.job.as_mut()?.repository.as_mut().filter(|screen| screen.feed == feed)
    }

    fn learn_health(&mut self, document: &Value, now: Timestamp) {
        let problems = document["problems"].as_array().into_iter().flatten();
        self.health = Health {
            is_known: true,
            problems: problems.filter_map(|text| text.as_str().map(str::to_owned)).collect(),
            running: document["scanners"]["running"].as_u64().unwrap_or(0),
            queued: document["scanners"]["queued"].as_u64().unwrap_or(0),
        };
        if let Some(server_time) = time::parse(&document["timestamp"]) {
            let skew = server_time - now;
            // Less is the time that the answer took.
            self.skew = if skew.abs() < TimeDelta::seconds(2) { TimeDelta::zero() } else { skew };
        }
    }

    fn learn_session(&mut self, session: &Value) {
        self.user = session["user"].as_str().map(str::to_owned);
        self.scope = match session["scope"].as_str() {
            Some("admin") => Scope::Admin,
            Some("write") => Scope::Write,
            _ => Scope::Read,
        };
    }

    /// The request for the list.
    pub(super) fn list(&self, pause: Duration) -> Effect {
        Effect::List { path: self.jobs.path(), pause }
    }

    /// Shows a job.
    pub(super) fn open_job(&mut self, id: JobId, url: String, summary: Summary) -> Vec<Effect> {
        let feed = self.next_feed();
        self.job = Some(JobScreen {
            feed,
            has_ended: false,
            is_known: false,
            details: JobDetails::new(id.clone(), url, summary),
            repository: None,
        });
        self.outages[1] = None;
        vec![Effect::FollowJob { feed, job: id }]
    }

    fn follow_job_again(&mut self) -> Vec<Effect> {
        let feed = self.next_feed();
        let Some(screen) = &mut self.job else { return Vec::new() };
        (screen.feed, screen.has_ended) = (feed, false);
        vec![Effect::FollowJob { feed, job: screen.details.id.clone() }]
    }

    /// Shows the list again.
    pub(super) fn leave_job(&mut self) -> Vec<Effect> {
        self.job = None;
        self.outages[1] = None;
        vec![Effect::LeaveLog, Effect::LeaveJob]
    }

    /// Shows a repository of the shown job.
    pub(super) fn open_repository(&mut self, index: u32) -> Vec<Effect> {
        let Some(screen) = &mut self.job else { return Vec::new() };
        screen.repository = Some(RepositoryScreen {
            index,
            feed: ALL_JOBS,
            git_url: None,
            log: LogText::default(),
            following: Following::Live,
            left: 0,
        });
        self.follow_log_again()
    }

    fn follow_log_again(&mut self) -> Vec<Effect> {
        let feed = self.next_feed();
        let Some(screen) = &mut self.job else { return Vec::new() };
        let Some(open) = &mut screen.repository else { return Vec::new() };
        (open.feed, open.log, open.following) = (feed, LogText::default(), Following::Live);
        vec![Effect::FollowLog { feed, job: screen.details.id.clone(), index: open.index }]
    }

    /// Shows the job of the shown repository again.
    pub(super) fn leave_repository(&mut self) -> Vec<Effect> {
        if let Some(screen) = &mut self.job {
            screen.repository = None;
        }
        vec![Effect::LeaveLog]
    }

    /// The job that commands are for: the shown or the selected one; its URL, state and counts.
    pub(super) fn target(&self) -> Option<(JobId, String, String, Summary)> {
        if let Some(JobScreen { details, .. }) = &self.job {
            let (id, url) = (details.id.clone(), details.url.clone());
            return Some((id, url, details.state.clone(), details.summary));
        }
        let (id, job) = self.jobs.selected()?;
        Some((id.clone(), job.url.clone(), job.state.to_owned(), job.summary))
    }

    /// The repository that is shown.
    pub(super) fn open_row(&self) -> Option<&RepositoryStatus> {
        let screen = self.job.as_ref()?;
        screen.details.numbered(screen.repository.as_ref()?.index)
    }
}

#[cfg(test)]
mod tests;
