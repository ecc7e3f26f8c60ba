//! Asks a forge what a URL names, and which repositories a group has.
//!
//! What flows in: a target that passed the gate, the options, the settings. What flows out: a
//! complete plan, in which every repository that the forge lists has its line, or an error that
//! names what was asked. What must stay true: one origin is contacted, by the policy of the
//! gate; the token goes there and nowhere else; everything that a forge can make long has a
//! limit; what one repository's entry says wrongly costs that repository alone.

#[cfg(any(test, fuzzing))]
pub(crate) mod check;
mod client;
mod conversation;
mod entries;
mod error;
mod github;
mod gitlab;
mod interface;
mod link;
mod resolver;
mod retry;
mod selection;

pub use error::DiscoveryError;
pub use interface::Interface;

use super::target::Target;
use crate::{
    config::Config,
    model::{git_url::GitUrl, master::Options, plan::Plan},
    pool::Pool,
};
use conversation::Conversation;
use selection::Selection;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// How many groups are matched with patterns at once.
const SELECTIONS: usize = 2;

/// Asks forges. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Discovery {
    config: Arc<Config>,
    /// Matches groups with patterns, which is work for the processor.
    selections: Pool,
}

/// What a target has.
#[derive(Debug, Clone, PartialEq)]
pub enum Listing {
    /// It is one repository.
    Repository(Plan),
    /// It is a group, an organisation or a user.
    Group(Plan),
}

/// One entry of a forge's answer, as far as it is understood.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Project {
    /// From the forge's root on, without `.git`.
    path: Option<String>,
    url: Option<String>,
    /// Why there is nothing to scan, as the forge says.
    skipped: Option<&'static str>,
    /// Why the entry cannot be read, if it cannot.
    unreadable: Option<String>,
    /// What it is called if it has no path.
    label: String,
}

/// What a forge says that a URL names.
enum Found {
    Project(Project),
    Projects(Vec<Project>),
}

/// Is told how many repositories are known so far.
type Count<'a> = &'a mut (dyn FnMut(u64) + Send);

impl Discovery {
    /// For the forges, limits and policy of these settings.
    pub fn new(config: Arc<Config>) -> Self {
        Self { config, selections: Pool::new("selections", SELECTIONS) }
    }

    /// Lists what the target has; `found` is told how many repositories are known so far, after
    /// each page. Nothing is asked about a target that is known to be a repository. Once `stop` is
    /// cancelled, nothing of it goes on.
    ///
    /// # Errors
    /// What stood in the way, with the way out.
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
        // The gate once more, here, where the contact is made.
        let url = GitUrl::parse(url.as_str(), &self.config.network)
            .map_err(|refusal| DiscoveryError::Refused { refusal })?;
        let selection = Selection::new(&url, &self.config.network, options)?;
        let limit = self.config.discovery.timeout;
        let answer = self.ask(target, &url, options, &mut found);
        let answer = tokio::time::timeout(limit, answer)
            .await
            .map_err(|_| DiscoveryError::TooSlow { seconds: limit.as_secs() })??;
        match answer {
            Found::Project(project) => Ok(Listing::Repository(selection.single(&project))),
            Found::Projects(projects) => {
                let select = move || selection.group(&projects, &|| stop.is_cancelled());
                let plan = self.selections.run(select).await.ok().flatten();
                plan.map(Listing::Group).ok_or(DiscoveryError::Stopped)
            }
        }
    }

    async fn ask(
        &self,
        target: &Target,
        url: &GitUrl,
        options: &Options,
        found: Count<'_>,
    ) -> Result<Found, DiscoveryError> {
        let interface = Interface::of(url, &self.config)
            .ok_or_else(|| DiscoveryError::NoInterface { url: url.to_string() })?;
        let forge = Conversation::new(url, interface, &self.config)?;
        let answer = match interface {
            Interface::Gitlab => {
                gitlab::ask(&forge, target, options.include_subgroups, found).await
            }
            Interface::Github => github::ask(&forge, url, found).await,
        };
        let answer = answer.map_err(|error| forge.shown(error))?;
        answer.ok_or_else(|| DiscoveryError::NotFound {
            url: url.to_string(),
            token: if forge.has_token() { "the token may not see it" } else { "there is no token" },
        })
    }
}
