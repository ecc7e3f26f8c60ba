//! Queries a forge: what a URL names, and which repositories a group has.
//!
//! Input: a validated target, the options, the settings, and what an earlier listing found. Output:
//! pages with one row for every repository that the forge lists and that is not known, what could
//! not be listed, or an error that names the request. Invariants: only one
//! origin is contacted, according to the URL policy; the token is sent only there; everything that
//! a forge can make long is limited; an invalid entry affects only its own repository.

mod entries;
mod error;
mod filter;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod http_client;
mod numbering;
mod pages;
mod paging;
mod resolver;
mod retry;
mod selection;

pub use error::DiscoveryError;

use super::{
    forge_api::{self, Project, Question},
    target::Target,
};
use crate::{
    config::Config,
    model::{
        git_url::GitUrl,
        listing::{Cursor, ListingError, ListingErrors, PlanPage, StoredPlan},
        master::{MOST_REPOSITORIES, Options},
        plan::Plan,
    },
    pool::Pool,
};
use chrono::Utc;
use numbering::{Full, Numbering};
use pages::{Delivery, Ended, FoundPage, Pages};
use paging::ForgeClient;
use selection::Selection;
use std::{ops::ControlFlow, sync::Arc};
use tokio_util::sync::CancellationToken;

/// The number of threads that match groups with patterns.
const SELECTIONS: usize = 2;

/// Queries forges. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Discovery {
    config: Arc<Config>,
    /// Matches groups with patterns, which is CPU-bound.
    selections: Pool,
}

/// The repositories of a target.
#[derive(Debug, Clone, PartialEq)]
pub enum Listing {
    /// The target is one repository.
    Repository(Plan),
    /// The target is a group, an organisation or a user.
    Group {
        plan: Plan,
        /// What could not be listed.
        errors: ListingErrors,
    },
}

/// How a listing ended whose pages were delivered.
#[derive(Debug, Clone, PartialEq)]
pub enum Streamed {
    /// The target is one repository; there were no pages.
    Repository(Plan),
    /// The target is a group, an organisation or a user. If the listing ended before its last page:
    /// why.
    Group(Option<ListingError>),
}

/// Takes the pages of a listing.
pub trait PageReceiver: Send {
    /// Takes a page. The next page is requested once this returns.
    fn take(&mut self, page: PlanPage) -> impl Future<Output = ()> + Send;
}

/// What a URL names, according to its forge.
enum ForgeAnswer {
    Project(Project),
    /// The projects were delivered.
    Projects(Ended),
}

impl Discovery {
    /// Creates a discovery with the forges, limits and policy of the settings.
    pub fn new(config: Arc<Config>) -> Self {
        Self { config, selections: Pool::new("selections", SELECTIONS) }
    }

    /// The same with other settings, and the same threads.
    #[must_use]
    pub fn with_settings(&self, config: Arc<Config>) -> Self {
        Self { config, selections: self.selections.clone() }
    }

    /// Lists the repositories of the target as a whole: the same pages with the same limits as
    /// [`Self::stream`]. A target that is known to be a repository causes no request. Cancelling
    /// `stop` ends the listing.
    ///
    /// # Errors
    /// If nothing can be listed: the cause, with the remedy.
    pub async fn list(
        &self,
        target: &Target,
        options: &Options,
        stop: CancellationToken,
    ) -> Result<Listing, DiscoveryError> {
        let mut whole = WholeList(StoredPlan::of(Plan::unknown()));
        let known = whole.0.clone();
        let ended_by = match self.stream(target, options, known, &mut whole, stop).await? {
            Streamed::Repository(plan) => return Ok(Listing::Repository(plan)),
            Streamed::Group(ended_by) => ended_by,
        };
        let StoredPlan { plan, listing } = whole.0;
        let mut errors = listing.errors;
        if let Some(error) = ended_by {
            errors.add(error);
        }
        let plan = Plan { complete: errors.total == 0, ..plan };
        Ok(Listing::Group { plan, errors })
    }

    /// Lists the repositories of the target page by page; `receiver` takes each page. A target that
    /// is known to be a repository causes no request. The listing continues after what is `known`.
    /// Cancelling `stop` ends it.
    ///
    /// # Errors
    /// If nothing can be listed: the cause, with the remedy.
    pub async fn stream(
        &self,
        target: &Target,
        options: &Options,
        known: StoredPlan,
        receiver: &mut impl PageReceiver,
        stop: CancellationToken,
    ) -> Result<Streamed, DiscoveryError> {
        let (Target::Group(url) | Target::Unknown(url)) = target else {
            let plan = Plan::of([(target.name(), target.location())]);
            return Ok(Streamed::Repository(plan));
        };
        if known.listing.last {
            return Ok(Streamed::Group(None));
        }
        // Validate the URL again, because this code contacts the host.
        let url = GitUrl::parse(url.as_str(), &self.config.network)
            .map_err(|refusal| DiscoveryError::Refused { refusal })?;
        let api = forge_api::of(&url, &self.config)
            .ok_or_else(|| DiscoveryError::UnknownApi { url: url.to_string() })?;
        let selection = Selection::new(&url, &self.config.network, options, Utc::now())?;
        let selection = Arc::new(selection.in_group(api.group_path(&url)));
        let (pages, mut inbox) = Pages::channel();
        let StoredPlan { plan, listing } = known;
        let max_entries = self.config.discovery.max_repositories;
        let max_entries = max_entries.min(usize::try_from(MOST_REPOSITORIES).unwrap_or(usize::MAX));
        let mut numbering = Numbering::after(&plan.repositories, max_entries);
        drop(plan);
        let mut sequence = listing.sequence;
        let answers = self.query(api, &url, options, listing.next.as_ref(), pages);
        let mut ended_by = None;
        let take = async {
            while let Some(Delivery { found, taken }) = inbox.recv().await {
                let FoundPage { projects, next, last, errors } = found;
                let (selection, stop) = (Arc::clone(&selection), stop.clone());
                let select = move || selection.rows(&projects, &|| stop.is_cancelled());
                let rows = self.selections.run(select).await.ok().flatten();
                let Some(rows) = rows else { return Err(DiscoveryError::Stopped) };
                let mut repositories = Vec::with_capacity(rows.len());
                let mut full = None;
                for row in rows {
                    match numbering.add(row) {
                        Ok(row) => repositories.extend(row),
                        Err(limit) => full = full.or(Some(limit)),
                    }
                }
                sequence += 1;
                let (next, last) = if full.is_some() { (None, false) } else { (next, last) };
                let page = PlanPage { sequence, repositories, next, last, errors, again: false };
                receiver.take(page).await;
                ended_by = full.map(|full| too_many(&url, full, max_entries));
                let more = match full {
                    Some(_) => ControlFlow::Break(()),
                    None => ControlFlow::Continue(()),
                };
                let _ = taken.send(more);
            }
            Ok(())
        };
        let (answer, taken) = tokio::join!(answers, take);
        taken?;
        match answer? {
            ForgeAnswer::Project(project) => Ok(Streamed::Repository(selection.single(&project))),
            ForgeAnswer::Projects(Ended::Early(error)) => Ok(Streamed::Group(Some(error))),
            ForgeAnswer::Projects(Ended::Whole | Ended::Stopped) => Ok(Streamed::Group(ended_by)),
        }
    }

    async fn query(
        &self,
        api: forge_api::Api,
        url: &GitUrl,
        options: &Options,
        cursor: Option<&Cursor>,
        pages: Pages,
    ) -> Result<ForgeAnswer, DiscoveryError> {
        let pages = &pages;
        let forge = ForgeClient::new(url, api, &self.config)?;
        if let Some(cursor) = cursor {
            if let Some(ended) = forge.resume(cursor, pages).await {
                return Ok(ForgeAnswer::Projects(ended));
            }
            tracing::info!(
                url = url.as_str(),
                "the forge no longer knows the page where the listing continues; listing again from the first page"
            );
        }
        let mut answer = Ok(None);
        for question in api.questions(forge.base(), url, options) {
            answer = match question {
                Question::One(url) => forge.get(&url, 1).await.map(|answer| {
                    answer.map(|answer| ForgeAnswer::Project(api.project(answer.one(), 1)))
                }),
                Question::List(url) => {
                    forge.list(url, pages).await.map(|ended| ended.map(ForgeAnswer::Projects))
                }
            };
            if !matches!(answer, Ok(None)) {
                break;
            }
        }
        let answer = answer.map_err(|error| forge.masked(error))?;
        answer.ok_or_else(|| DiscoveryError::NotFound {
            url: url.to_string(),
            token: if forge.has_token() {
                "the token has no access to it"
            } else {
                "there is no token"
            },
        })
    }
}

/// The plan has no room for all entries of the list.
fn too_many(url: &GitUrl, full: Full, max: usize) -> ListingError {
    let request = url.to_string();
    let error = match full {
        Full::Entries => DiscoveryError::TooManyRepositories { request, max },
        Full::Bytes(max) => DiscoveryError::TooLargeList { request, max },
    };
    ListingError::new(url.as_str(), &error.to_string(), Utc::now())
}

/// Collects a whole list.
struct WholeList(StoredPlan);

impl PageReceiver for WholeList {
    async fn take(&mut self, page: PlanPage) {
        self.0.add(page);
    }
}
