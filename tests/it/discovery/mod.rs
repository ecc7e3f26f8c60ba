//! Queries to forges: a real client against a real server that imitates the API of each kind of forge,
//! and misbehaves.

mod faults;
mod forges;
mod gate;
mod lists;
mod tls;

use crate::support::{files, forge::Forge};
use scanwatch::{
    config::{Config, Sources},
    intake::{
        discovery::{Discovery, DiscoveryError, Listing},
        target::Target,
    },
    model::{
        master::Options,
        plan::{Plan, PlannedRepository},
    },
};
use std::{fmt::Display, sync::Arc};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// A secret that must not appear anywhere.
const CANARY: &str = "canary-s3cr3t-0451";

/// Settings with only the values that the test sets.
pub(crate) struct Settings {
    text: String,
    flags: Vec<(String, String)>,
    folder: TempDir,
}

impl Settings {
    fn new() -> Self {
        let folder = TempDir::new().expect("making a folder");
        Self { text: String::new(), flags: Vec::new(), folder }
    }

    /// Adds this forge, of this kind.
    pub(crate) fn of(forge: &Forge, kind: &str) -> Self {
        Self::new().forge(&forge.base(), kind, "")
    }

    fn forge(mut self, url: &str, kind: &str, more: &str) -> Self {
        let table = format!("[[forges]]\nkind = \"{kind}\"\nurl = \"{url}\"\n{more}\n");
        self.text.push_str(&table);
        self
    }

    pub(crate) fn with_token(mut self) -> Self {
        self.text += "token_env = \"CANARY\"\n";
        self
    }

    fn set(mut self, key: &str, value: impl Display) -> Self {
        self.flags.push((key.to_owned(), format!("{value}")));
        self
    }

    fn load(&self) -> Arc<Config> {
        let file = self.folder.path().join("settings.toml");
        files::write(&file, &self.text);
        let environment = vec![("CANARY".to_owned(), CANARY.to_owned())];
        let sources = Sources { file: Some(file), environment, flags: self.flags.clone() };
        Arc::new(Config::load(&sources).expect("settings that are good"))
    }

    /// Lists the repositories of a URL.
    async fn list(&self, url: &str) -> Result<Listing, DiscoveryError> {
        self.list_with(url, &Options::default()).await
    }

    async fn list_with(&self, url: &str, options: &Options) -> Result<Listing, DiscoveryError> {
        let config = self.load();
        let target = Target::parse(url, &config).expect("a URL that is allowed");
        let listing = Discovery::new(config).list(&target, options, CancellationToken::new()).await;
        let said = format!(
            "{listing:?} {}",
            listing.as_ref().map_or_else(ToString::to_string, |_| String::new())
        );
        assert!(!said.contains(CANARY), "{said}");
        listing
    }

    /// The complete plan of a group; anything else fails the test.
    async fn group(&self, url: &str) -> Plan {
        match self.list(url).await {
            Ok(Listing::Group { plan, errors }) if errors.total == 0 && plan.complete => plan,
            other => panic!("{url} is no group: {other:?}"),
        }
    }

    /// The message of the expected error, of the whole list or of a part of it.
    pub(crate) async fn error(&self, url: &str) -> String {
        match self.list(url).await {
            Err(error) => error.to_string(),
            Ok(Listing::Group { plan, errors }) if errors.total > 0 => {
                assert!(!plan.complete, "{plan:?}");
                errors.first[0].error.clone()
            }
            Ok(listing) => panic!("no error: {listing:?}"),
        }
    }
}

/// `number name` of each row, with the reason if it is skipped or refused.
fn lines(plan: &Plan) -> Vec<String> {
    let line = |row: &PlannedRepository| {
        let number = row.repo_index.map_or("-".to_owned(), |index| index.to_string());
        let skipped = row.skipped.as_ref().map(|reason| format!(": {reason}"));
        let refused = row.refused.as_ref().map(|reason| format!("! {reason}"));
        format!("{number} {}{}", row.repo_name, skipped.or(refused).unwrap_or_default())
    };
    plan.repositories.iter().map(line).collect()
}
