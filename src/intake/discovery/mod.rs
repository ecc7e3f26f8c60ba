//! Queries a forge: what a URL names, and which repositories a group has.
//!
//! Input: a validated target, the options, the settings. Output: a complete plan with one entry for
//! every repository that the forge lists, or an error that names the request. Invariants: only one
//! origin is contacted, according to the URL policy; the token is sent only there; everything that
//! a forge can make long is limited; an invalid entry affects only its own repository.

mod entries;
mod error;
mod filter;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod http_client;
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
    model::{git_url::GitUrl, master::Options, plan::Plan},
    pool::Pool,
};
use chrono::Utc;
use paging::ForgeClient;
use selection::Selection;
use std::sync::Arc;
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
    Group(Plan),
}

/// What a URL names, according to its forge.
enum ForgeAnswer {
    Project(Project),
    Projects(Vec<Project>),
}

/// A callback that receives the number of repositories found so far.
type OnProgress<'a> = &'a mut (dyn FnMut(u64) + Send);

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

    /// Lists the repositories of the target. `found` receives the number of repositories found so
    /// far, after each page. A target that is known to be a repository causes no request.
    /// Cancelling `stop` ends the listing.
    ///
    /// # Errors
    /// The cause of the failure, with the remedy.
    pub async fn list(
        &self,
        target: &Target,
        options: &Options,
        mut found: impl FnMut(u64) + Send,
        stop: CancellationToken,
    ) -> Result<Listing, DiscoveryError> {
        let (Target::Group(url) | Target::Unknown(url)) = target else {
            return Ok(Listing::Repository(Plan::of([(target.name(), target.location())])));
        };
        // Validate the URL again, because this code contacts the host.
        let url = GitUrl::parse(url.as_str(), &self.config.network)
            .map_err(|refusal| DiscoveryError::Refused { refusal })?;
        let api = forge_api::of(&url, &self.config)
            .ok_or_else(|| DiscoveryError::UnknownApi { url: url.to_string() })?;
        let selection = Selection::new(&url, &self.config.network, options, Utc::now())?;
        let selection = selection.in_group(api.group_path(&url));
        let limit = self.config.discovery.timeout;
        let answer = self.query(api, &url, options, &mut found);
        let answer = tokio::time::timeout(limit, answer)
            .await
            .map_err(|_| DiscoveryError::TooSlow { seconds: limit.as_secs() })??;
        match answer {
            ForgeAnswer::Project(project) => Ok(Listing::Repository(selection.single(&project))),
            ForgeAnswer::Projects(projects) => {
                let select = move || selection.group(&projects, &|| stop.is_cancelled());
                let plan = self.selections.run(select).await.ok().flatten();
                plan.map(Listing::Group).ok_or(DiscoveryError::Stopped)
            }
        }
    }

    async fn query(
        &self,
        api: forge_api::Api,
        url: &GitUrl,
        options: &Options,
        found: OnProgress<'_>,
    ) -> Result<ForgeAnswer, DiscoveryError> {
        let forge = ForgeClient::new(url, api, &self.config)?;
        let mut answer = Ok(None);
        for question in api.questions(forge.base(), url, options) {
            answer = match question {
                Question::One(url) => forge.get(&url, 1).await.map(|answer| {
                    answer.map(|answer| ForgeAnswer::Project(api.project(answer.one(), 1)))
                }),
                Question::List(url) => {
                    forge.list(url, found).await.map(|list| list.map(ForgeAnswer::Projects))
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
