//! From what a forge lists to a plan: which repositories are scanned, skipped, refused. Pure.
//!
//! What flows in: the forge's entries, the options, the policy. What flows out: a complete plan,
//! sorted by name. What must stay true: every entry has its line, and an entry that comes twice
//! has one; a URL that the gate refuses, or that leads to another forge, stands in no line as it
//! came, and its line says why it must not be contacted.

use super::Project;
use crate::model::{
    address::{NetworkPolicy, Origin},
    git_url::GitUrl,
    master::Options,
    pattern::{Pattern, PatternError},
    plan::{Plan, PlannedRepository},
    unseen::is_unseen,
};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use std::collections::HashMap;
use url::Url;

/// The longest name, in characters.
const LONGEST_NAME: usize = 1024;
/// How many patterns a reason names.
const SHOWN: usize = 3;

/// What decides about the entries of one list.
#[derive(Debug)]
pub(super) struct Selection {
    /// What was asked about.
    place: GitUrl,
    policy: NetworkPolicy,
    include: Vec<Pattern>,
    exclude: Vec<Pattern>,
}

impl Selection {
    /// Reads the options' patterns.
    pub(super) fn new(
        place: &GitUrl,
        policy: &NetworkPolicy,
        options: &Options,
    ) -> Result<Self, PatternError> {
        Ok(Self {
            place: place.clone(),
            policy: policy.clone(),
            include: Pattern::list(&options.include)?,
            exclude: Pattern::list(&options.exclude)?,
        })
    }

    /// The plan of one repository. Whoever names it wants it, whatever it has in it.
    pub(super) fn single(&self, project: &Project) -> Plan {
        let row = self.judged(&self.place.name(), project);
        Plan { schema: 1, complete: true, repositories: vec![scanned(row, 0)] }
    }

    /// The plan of a group; none if `stopped` while it is made.
    pub(super) fn group(&self, projects: &[Project], stopped: &dyn Fn() -> bool) -> Option<Plan> {
        let row = |project| (!stopped()).then(|| self.row(project));
        let mut rows = projects.iter().map(row).collect::<Option<Vec<_>>>()?;
        rows.sort_by(|a, b| (&a.repo_name, &a.git_url).cmp(&(&b.repo_name, &b.git_url)));
        // A list that grows while its pages are read shows an entry twice.
        rows.dedup();
        let mut known: HashMap<String, String> = HashMap::new();
        let mut index = 0;
        let repositories = rows
            .into_iter()
            .map(|mut row| {
                if row.skipped.is_some() {
                    return row;
                }
                if row.refused.is_none()
                    && let Some(first) = known.insert(row.git_url.clone(), row.repo_name.clone())
                {
                    row.skipped = Some(format!("the same repository as `{first}`"));
                    known.insert(row.git_url.clone(), first);
                    return row;
                }
                let row = scanned(row, index);
                index += 1;
                row
            })
            .collect();
        Some(Plan { schema: 1, complete: true, repositories })
    }

    fn row(&self, project: &Project) -> PlannedRepository {
        let name = match &project.path {
            Some(path) => self.name_below(path),
            None => project.label.clone(),
        };
        match self.left_out(&name).or_else(|| project.skipped.map(str::to_owned)) {
            Some(reason) => PlannedRepository {
                git_url: self.harmless(project),
                repo_name: cleaned(&name),
                skipped: Some(reason),
                ..blank()
            },
            None => self.judged(&name, project),
        }
    }

    /// A repository that is wanted, and whether it may be contacted.
    fn judged(&self, name: &str, project: &Project) -> PlannedRepository {
        let repo_name = cleaned(name);
        let (git_url, refused) = match self.allowed_url(project) {
            Ok(_) if repo_name != name => (
                self.harmless(project),
                Some("its name is too long or has control characters in it".to_owned()),
            ),
            Ok(url) => (url, None),
            Err(reason) => (self.harmless(project), Some(reason)),
        };
        PlannedRepository { repo_name, git_url, refused, ..blank() }
    }

    /// The URL to fetch from, through the same gate as one that is submitted.
    fn allowed_url(&self, project: &Project) -> Result<String, String> {
        if let Some(reason) = &project.unreadable {
            return Err(format!("the forge's entry cannot be read: {reason}"));
        }
        if project.path.is_none() {
            return Err("the forge's answer does not say its path".to_owned());
        }
        let text = project.url.as_ref();
        let text = text.ok_or("the forge's answer names no URL to fetch it from by HTTP")?;
        let url = GitUrl::parse(text, &self.policy)
            .map_err(|it| format!("the forge names a URL that is refused: {it}"))?;
        if Origin::of(url.url()) != Origin::of(self.place.url()) {
            return Err(format!(
                "the forge names a URL of another place, {}: only {} is contacted for this job",
                url.url().origin().ascii_serialization(),
                self.place.url().origin().ascii_serialization(),
            ));
        }
        Ok(url.to_string())
    }

    /// What a plan may show of a URL that is not contacted: no credentials, no query, and no
    /// address that is not one of HTTP. Else where the forge should have it.
    fn harmless(&self, project: &Project) -> String {
        let text = project.url.as_deref().filter(|it| it.len() <= 2 * LONGEST_NAME);
        let url = text.and_then(|it| Url::parse(it).ok());
        let url = url.filter(|it| matches!(it.scheme(), "http" | "https"));
        let mut url = url.unwrap_or_else(|| {
            let mut url = self.place.url().clone();
            if let Some(path) = &project.path {
                url.set_path(&format!("{}.git", cleaned(path)));
            }
            url
        });
        // Both can be set where there is a host, as there is here.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_query(None);
        url.set_fragment(None);
        url.to_string()
    }

    /// A repository's path below the group's; whole, if it is not below it.
    fn name_below(&self, path: &str) -> String {
        let group = percent_decode_str(self.place.url().path()).decode_utf8_lossy();
        let mut rest = path;
        for segment in group.split('/').filter(|it| !it.is_empty()) {
            match rest.split_once('/') {
                Some((first, below)) if first.to_lowercase() == segment.to_lowercase() => {
                    rest = below;
                }
                _ => return path.to_owned(),
            }
        }
        rest.strip_suffix(".git").unwrap_or(rest).to_owned()
    }

    /// Why the options leave a repository out, if they do.
    fn left_out(&self, name: &str) -> Option<String> {
        if !self.include.is_empty() && !self.include.iter().any(|it| it.matches(name)) {
            let mut shown: Vec<_> =
                self.include.iter().take(SHOWN).map(|it| format!("`{it}`")).collect();
            if self.include.len() > SHOWN {
                shown.push("…".to_owned());
            }
            return Some(format!("not included by {}", shown.join(", ")));
        }
        let pattern = self.exclude.iter().find(|it| it.matches(name))?;
        Some(format!("excluded by `{pattern}`"))
    }
}

/// What an entry without a path is called: no two are called the same.
pub(super) fn label(item: &Value, position: usize) -> String {
    match item["id"].as_u64() {
        Some(id) => format!("(project {id})"),
        None => format!("(entry {position} of the list)"),
    }
}

fn blank() -> PlannedRepository {
    PlannedRepository {
        repo_index: None,
        repo_name: String::new(),
        git_url: String::new(),
        skipped: None,
        refused: None,
    }
}

fn scanned(row: PlannedRepository, index: u32) -> PlannedRepository {
    PlannedRepository { repo_index: Some(index), ..row }
}

/// A name that can be shown anywhere.
fn cleaned(name: &str) -> String {
    let shown = |c: char| if is_unseen(c) { char::REPLACEMENT_CHARACTER } else { c };
    name.chars().take(LONGEST_NAME).map(shown).collect()
}

#[cfg(test)]
mod tests;
