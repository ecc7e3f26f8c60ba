//! The list of jobs.
//!
//! Input: the events of the stream of all jobs, and answers of `GET /jobs`. Output: the rows in their
//! order, the counts of states, and what to ask the server for. Invariants: pure; at most
//! [`MAX_ROWS`] jobs are kept; a missing or invalid member affects only itself.

use super::{cursor::Cursor, facts, keys::Motion};
use crate::model::{
    JobId,
    state::{COARSE_STATES, Summary},
    time::{self, Timestamp},
};
use serde_json::Value;
use std::{cmp::Reverse, collections::HashMap};
use url::form_urlencoded;

/// The maximum number of jobs in memory.
const MAX_ROWS: usize = 1_000;
/// The number of jobs on a page of the server: the most that it allows.
const PER_PAGE: usize = 100;
/// The tabs: all jobs, or those in one state.
pub(super) const TABS: [&str; 5] = ["", "running", "pending", "failed", "completed"];

/// A job.
#[derive(Debug, Clone, Default)]
pub(super) struct Job {
    pub(super) url: String,
    /// The state as in lists.
    pub(super) state: &'static str,
    pub(super) created_at: Option<Timestamp>,
    pub(super) completed_at: Option<Timestamp>,
    pub(super) percentage: u8,
    pub(super) summary: Summary,
    pub(super) error: Option<String>,
}

/// The order of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Newest,
    State,
    Progress,
    Failed,
    Url,
}

/// A part of all jobs, as the server listed it.
#[derive(Debug)]
struct Listing {
    ids: Vec<JobId>,
    total: u64,
    pages: u64,
}

/// All that is known of the list.
#[derive(Debug)]
pub(super) struct Jobs {
    rows: HashMap<JobId, Job>,
    total: u64,
    counts: HashMap<&'static str, u64>,
    /// The first snapshot has arrived.
    pub(super) is_known: bool,
    pub(super) tab: usize,
    pub(super) filter: String,
    page: u64,
    listing: Option<Listing>,
    /// Why the server refused the filter.
    pub(super) refusal: Option<String>,
    pub(super) sort: Order,
    order: Vec<JobId>,
    pub(super) cursor: Cursor<JobId>,
}

impl Order {
    /// The next order.
    fn next(self) -> Self {
        match self {
            Self::Newest => Self::State,
            Self::State => Self::Progress,
            Self::Progress => Self::Failed,
            Self::Failed => Self::Url,
            Self::Url => Self::Newest,
        }
    }

    /// The order, for people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Newest => "newest",
            Self::State => "state",
            Self::Progress => "progress",
            Self::Failed => "failed",
            Self::Url => "URL",
        }
    }
}

impl Jobs {
    /// A list of which nothing is known.
    pub(super) fn new() -> Self {
        Self {
            rows: HashMap::new(),
            total: 0,
            counts: HashMap::new(),
            is_known: false,
            tab: 0,
            filter: String::new(),
            page: 1,
            listing: None,
            refusal: None,
            sort: Order::Newest,
            order: Vec::new(),
            cursor: Cursor::new(),
        }
    }

    /// Applies an event of the stream of all jobs. Returns whether the server has to be asked for
    /// what the event does not contain.
    pub(super) fn apply(&mut self, event: &str, data: &Value) -> bool {
        let is_complete = match event {
            "snapshot" => {
                self.is_known = true;
                let listed = self.listing.as_ref().map(|listing| listing.ids.as_slice());
                self.rows.retain(|id, _| listed.is_some_and(|ids| ids.contains(id)));
                self.add(&data["jobs"]);
                self.total = data["total"].as_u64().unwrap_or(0);
                let count = |state| (state, data["counts"][state].as_u64().unwrap_or(0));
                self.counts = COARSE_STATES.map(count).into();
                true
            }
            "job" | "end" => self.change(data),
            // An event of a newer server.
            _ => return false,
        };
        self.arrange();
        !is_complete || self.is_partial()
    }

    /// Applies the change of one job; returns whether its row is complete.
    fn change(&mut self, data: &Value) -> bool {
        let Some(id) = id_of(data) else { return true };
        let state = data["status"].as_str().map_or("pending", facts::coarse);
        let is_new = !self.rows.contains_key(&id);
        let before = (!is_new).then(|| self.rows[&id].state);
        let row = self.rows.entry(id).or_default();
        row.state = state;
        if let Ok(summary) = serde_json::from_value::<Summary>(data["summary"].clone()) {
            row.summary = summary;
            let finished = (summary.completed + summary.failed).saturating_mul(100);
            if let Some(percentage) = finished.checked_div(summary.total_repositories) {
                row.percentage = u8::try_from(percentage.min(100)).unwrap_or(100);
            }
        }
        row.completed_at = time::parse(&data["completed_at"]).or(row.completed_at);
        if facts::is_finished(state) {
            row.percentage = 100;
        } else {
            row.completed_at = None;
        }
        if let Some(count) = before.and_then(|before| self.counts.get_mut(before)) {
            *count = count.saturating_sub(1);
        }
        *self.counts.entry(state).or_default() += 1;
        self.total += u64::from(is_new);
        !is_new
    }

    /// Applies the answer to the request of [`Self::path`].
    pub(super) fn listed(&mut self, answer: Result<&Value, String>) {
        match answer {
            Ok(page) => {
                let ids = self.add(&page["jobs"]);
                let total = page["total"].as_u64().unwrap_or(0);
                let pages = page["total_pages"].as_u64().unwrap_or(1).max(1);
                self.listing = self.is_partial().then_some(Listing { ids, total, pages });
                self.refusal = None;
            }
            Err(reason) => {
                self.refusal = Some(reason);
                self.listing =
                    self.is_partial().then_some(Listing { ids: Vec::new(), total: 0, pages: 1 });
            }
        }
        self.arrange();
    }

    /// Adds rows of the server and returns their ids.
    fn add(&mut self, rows: &Value) -> Vec<JobId> {
        let mut ids = Vec::new();
        for row in rows.as_array().into_iter().flatten() {
            let Some(id) = id_of(row) else { continue };
            let count = |name: &str| row[name].as_u64().unwrap_or(0);
            let before = self.rows.get(&id).map(|job| job.summary).unwrap_or_default();
            let job = Job {
                url: row["git_url"].as_str().unwrap_or_default().to_owned(),
                state: row["status"].as_str().map_or("pending", facts::coarse),
                created_at: time::parse(&row["created_at"]),
                completed_at: time::parse(&row["completed_at"]),
                percentage: u8::try_from(count("progress").min(100)).unwrap_or(100),
                summary: Summary {
                    total_repositories: count("total_repositories"),
                    completed: count("completed_repositories"),
                    failed: count("failed_repositories"),
                    reused: count("reused_repositories"),
                    ..before
                },
                error: row["error_message"].as_str().map(str::to_owned),
            };
            self.rows.insert(id.clone(), job);
            ids.push(id);
        }
        ids
    }

    /// Whether the server has to say which jobs are shown: the stream has only the newest.
    fn is_partial(&self) -> bool {
        self.tab > 0 || !self.filter.is_empty() || self.page > 1
    }

    /// The request for the jobs to show.
    pub(super) fn path(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("page", &self.page.to_string());
        query.append_pair("per_page", &PER_PAGE.to_string());
        if self.tab > 0 {
            query.append_pair("status", TABS[self.tab]);
        }
        if !self.filter.is_empty() {
            query.append_pair("q", &self.filter);
        }
        format!("/jobs?{}", query.finish())
    }

    /// Shows the jobs of a tab, those that fit a filter, or another page. Returns whether the server
    /// has to be asked.
    pub(super) fn select(&mut self, tab: usize, filter: &str, page: u64) -> bool {
        let pages = self.pages().max(1);
        (self.tab, self.page) = (tab % TABS.len(), page.clamp(1, pages));
        filter.trim().clone_into(&mut self.filter);
        self.refusal = None;
        self.cursor = Cursor::new();
        if !self.is_partial() {
            self.listing = None;
        }
        self.arrange();
        self.is_partial()
    }

    /// Changes the order of the rows.
    pub(super) fn sort_differently(&mut self) {
        self.sort = self.sort.next();
        self.arrange();
    }

    /// The page, and the number of pages.
    pub(super) fn page(&self) -> (u64, u64) {
        (self.page, self.pages())
    }

    fn pages(&self) -> u64 {
        match &self.listing {
            Some(listing) => listing.pages,
            None => self.total.div_ceil(PER_PAGE as u64).max(1),
        }
    }

    /// The number of jobs of a tab.
    pub(super) fn count(&self, tab: usize) -> u64 {
        if tab == 0 { self.total } else { self.counts.get(TABS[tab]).copied().unwrap_or(0) }
    }

    /// How many jobs fit the filter, on all pages.
    pub(super) fn found(&self) -> u64 {
        self.listing.as_ref().map_or(self.total, |listing| listing.total)
    }

    /// The ids in the order of the rows.
    pub(super) fn order(&self) -> &[JobId] {
        &self.order
    }

    /// A job.
    pub(super) fn get(&self, id: &JobId) -> Option<&Job> {
        self.rows.get(id)
    }

    /// The selected job.
    pub(super) fn selected(&self) -> Option<(&JobId, &Job)> {
        let id = self.order.get(self.cursor.position())?;
        Some((id, self.rows.get(id)?))
    }

    /// Moves the selection.
    pub(super) fn go(&mut self, motion: Motion) {
        self.cursor.go(motion, &self.order);
    }

    /// Whether a job that is shown is not finished.
    pub(super) fn has_unfinished(&self) -> bool {
        self.order
            .iter()
            .any(|id| !self.rows.get(id).is_none_or(|job| facts::is_finished(job.state)))
    }

    fn arrange(&mut self) {
        self.forget_oldest();
        let rows = &self.rows;
        let mut order: Vec<&JobId> = match &self.listing {
            Some(listing) => listing.ids.iter().filter(|id| rows.contains_key(id)).collect(),
            None => rows.keys().collect(),
        };
        // Ids of the same time are sortable.
        order.sort_by_key(|id| Reverse((rows[*id].created_at, *id)));
        match self.sort {
            Order::Newest => {}
            Order::State => order.sort_by_key(|id| facts::of_job(rows[*id].state).1),
            Order::Progress => order.sort_by_key(|id| rows[*id].percentage),
            Order::Failed => order.sort_by_key(|id| Reverse(rows[*id].summary.failed)),
            Order::Url => order.sort_by(|a, b| rows[*a].url.cmp(&rows[*b].url)),
        }
        if self.listing.is_none() && !self.is_partial() {
            order.truncate(PER_PAGE);
        }
        self.order = order.into_iter().cloned().collect();
        self.cursor.follow(&self.order);
    }

    fn forget_oldest(&mut self) {
        while self.rows.len() > MAX_ROWS {
            let oldest = self.rows.iter().min_by_key(|(id, row)| (row.created_at, *id));
            let Some(oldest) = oldest.map(|(id, _)| id.clone()) else { break };
            self.rows.remove(&oldest);
        }
    }
}

/// The id of a row of the server.
fn id_of(row: &Value) -> Option<JobId> {
    row["job_id"].as_str()?.parse().ok()
}

#[cfg(test)]
mod tests;
