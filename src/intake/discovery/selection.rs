//! Turns a forge's entries into rows of a plan: which repositories are scanned, skipped or refused.
//! Pure.
//!
//! Input: the forge's entries, the options, the policy. Output: a row for each entry; `numbering`
//! numbers them. Invariants: every entry has a row; a URL that the policy
//! refuses, or that leads to another forge, is shown only without its secrets, and its row says why
//! it must not be contacted.

use super::filter::Filter;
use crate::intake::forge_api::Project;
use crate::model::{
    address::{NetworkPolicy, Origin},
    control_chars::is_unprintable,
    git_url::GitUrl,
    master::Options,
    pattern::{Pattern, PatternError},
    plan::{Plan, PlannedRepository, SkipKind},
    time::Timestamp,
};
use percent_encoding::percent_decode_str;
use url::Url;

/// The maximum length of a name, in characters.
const MAX_NAME_CHARS: usize = 1024;
/// The maximum number of patterns that a reason names.
const MAX_NAMED_PATTERNS: usize = 3;

/// The rules for the entries of one list.
#[derive(Debug)]
pub(super) struct Selection {
    /// The URL of the group or repository.
    place: GitUrl,
    /// The path of the group, as the paths of its repositories begin with it.
    group: String,
    policy: NetworkPolicy,
    include: Vec<Pattern>,
    exclude: Vec<Pattern>,
    filter: Filter,
}

impl Selection {
    /// Parses the patterns of the options; activity is compared with this time.
    pub(super) fn new(
        place: &GitUrl,
        policy: &NetworkPolicy,
        options: &Options,
        now: Timestamp,
    ) -> Result<Self, PatternError> {
        let path = place.url().path().trim_matches('/');
        Ok(Self {
            place: place.clone(),
            group: percent_decode_str(path).decode_utf8_lossy().into_owned(),
            policy: policy.clone(),
            include: Pattern::list(&options.include)?,
            exclude: Pattern::list(&options.exclude)?,
            filter: Filter::new(&options.filters, now),
        })
    }

    /// The same for a group whose path is not that of its URL.
    pub(super) fn in_group(self, group: String) -> Self {
        Self { group, ..self }
    }

    /// The plan of one repository. It is scanned even if it is empty or excluded, because it was
    /// named.
    pub(super) fn single(&self, project: &Project) -> Plan {
        let row = self.wanted_row(&self.place.name(), project);
        Plan { schema: 1, complete: true, repositories: vec![scanned(row, 0)] }
    }

    /// The rows of a group's entries, without numbers; `None` if `stopped` returns true meanwhile.
    pub(super) fn rows(
        &self,
        projects: &[Project],
        stopped: &dyn Fn() -> bool,
    ) -> Option<Vec<PlannedRepository>> {
        projects.iter().map(|project| (!stopped()).then(|| self.row(project))).collect()
    }

    fn row(&self, project: &Project) -> PlannedRepository {
        let name = match &project.path {
            Some(path) => self.name_below(path),
            None => project.label.clone(),
        };
        match self.skip_reason(&name, project) {
            Some((kind, reason)) => PlannedRepository {
                git_url: self.displayable_url(project),
                repo_name: sanitized(&name),
                skipped: Some(reason),
                skipped_kind: Some(kind),
                ..PlannedRepository::default()
            },
            None => self.wanted_row(&name, project),
        }
    }

    /// The row of a wanted repository, with the reason if it must not be contacted.
    fn wanted_row(&self, name: &str, project: &Project) -> PlannedRepository {
        let repo_name = sanitized(name);
        let (git_url, refused) = match self.allowed_url(project) {
            Ok(_) if repo_name != name => (
                self.displayable_url(project),
                Some("its name is too long or contains control characters".to_owned()),
            ),
            Ok(url) => (url, None),
            Err(reason) => (self.displayable_url(project), Some(reason)),
        };
        PlannedRepository { repo_name, git_url, refused, ..PlannedRepository::default() }
    }

    /// The URL to fetch from, validated like a submitted URL.
    fn allowed_url(&self, project: &Project) -> Result<String, String> {
        if let Some(reason) = &project.unreadable {
            return Err(format!("the forge's entry cannot be read: {reason}"));
        }
        if project.path.is_none() {
            return Err("the forge's entry has no path".to_owned());
        }
        let text = project.url.as_ref();
        let text = text.ok_or("the forge's entry has no HTTP clone URL")?;
        let url = GitUrl::parse(text, &self.policy)
            .map_err(|refusal| format!("the URL of the forge's entry is refused: {refusal}"))?;
        if Origin::of(url.url()) != Origin::of(self.place.url()) {
            return Err(format!(
                "the URL of the forge's entry has another origin, {}: only {} is contacted for this job",
                url.url().origin().ascii_serialization(),
                self.place.url().origin().ascii_serialization(),
            ));
        }
        Ok(url.to_string())
    }

    /// A URL for display in a plan, without credentials and query. If the entry has no HTTP URL,
    /// the expected URL on the forge.
    fn displayable_url(&self, project: &Project) -> String {
        let text = project.url.as_deref().filter(|text| text.len() <= 2 * MAX_NAME_CHARS);
        let url = text.and_then(|text| Url::parse(text).ok());
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https"));
        let mut url = url.unwrap_or_else(|| {
            let mut url = self.place.url().clone();
            if let Some(path) = &project.path {
                url.set_path(&format!("{}.git", sanitized(path)));
            }
            url
        });
        // Setting these fails only for URLs without a host, and this URL has one.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_query(None);
        url.set_fragment(None);
        url.to_string()
    }

    /// A repository's path below the group's path; the whole path if it is not below it.
    fn name_below(&self, path: &str) -> String {
        let mut rest = path;
        for segment in self.group.split('/').filter(|segment| !segment.is_empty()) {
            match rest.split_once('/') {
                Some((first, below)) if first.to_lowercase() == segment.to_lowercase() => {
                    rest = below;
                }
                _ => return path.to_owned(),
            }
        }
        rest.strip_suffix(".git").unwrap_or(rest).to_owned()
    }

    /// Why the options or the forge skip a repository, if they do.
    fn skip_reason(&self, name: &str, project: &Project) -> Option<(SkipKind, String)> {
        let by_name = || self.excluded(name).map(|reason| (SkipKind::Filtered, reason));
        let by_forge = || project.skipped.map(|(kind, reason)| (kind, reason.to_owned()));
        // Nothing is known about an entry that cannot be read, so it is refused by its own reason.
        let is_known = project.path.is_some();
        let by_facts = || self.filter.reason(&project.facts).filter(|_| is_known);
        by_name().or_else(by_forge).or_else(by_facts)
    }

    /// Why the patterns skip a repository, if they do.
    fn excluded(&self, name: &str) -> Option<String> {
        if !self.include.is_empty() && !self.include.iter().any(|pattern| pattern.matches(name)) {
            let first = self.include.iter().take(MAX_NAMED_PATTERNS);
            let mut shown: Vec<_> = first.map(|pattern| format!("`{pattern}`")).collect();
            if self.include.len() > MAX_NAMED_PATTERNS {
                shown.push("…".to_owned());
            }
            return Some(format!("not included by {}", shown.join(", ")));
        }
        let pattern = self.exclude.iter().find(|pattern| pattern.matches(name))?;
        Some(format!("excluded by `{pattern}`"))
    }
}

fn scanned(row: PlannedRepository, index: u32) -> PlannedRepository {
    PlannedRepository { repo_index: Some(index), ..row }
}

/// Makes a name safe to display: limits its length and replaces invisible characters.
fn sanitized(name: &str) -> String {
    let shown = |c: char| if is_unprintable(c) { char::REPLACEMENT_CHARACTER } else { c };
    name.chars().take(MAX_NAME_CHARS).map(shown).collect()
}

#[cfg(test)]
mod tests;
