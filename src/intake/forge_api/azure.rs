//! The API of Azure DevOps: repositories of organizations and of projects.

use super::{
    Facts, ForgeApi, Names, PageEnd, Project, Question, base_of, basic, endpoint, entry, is_public,
    next_page::{self, OtherOrigin},
    segments,
};
use crate::model::{
    address::Origin, filters::Visibility, git_url::GitUrl, master::Options, plan::SkipKind,
};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use url::Url;

/// The host of Azure DevOps Services.
const SERVICES: &str = "dev.azure.com";
/// The segment of a URL behind which the name of a repository follows.
const MARK: &str = "_git";
/// The header with the place where a list continues.
const CONTINUATION: &str = "x-ms-continuationtoken";

#[derive(Debug)]
pub(super) struct Azure;

impl ForgeApi for Azure {
    /// `organization` and `organization/project` are groups, as are `collection` and
    /// `collection/project` of a server, below a folder of their own or not.
    fn names(&self, url: &GitUrl) -> Names {
        let most = if is_services(url) { 2 } else { 3 };
        let segments = segments(url);
        let is_repository = segments.len() > most || segments.iter().any(|part| part == MARK);
        if is_repository { Names::Repository } else { Names::Group }
    }

    /// Below the organization or project itself.
    fn base(&self, url: &GitUrl) -> Option<Url> {
        base_of(url, None, &format!("{}/_apis/", url.url().path().trim_end_matches('/')))
    }

    fn questions(&self, base: &Url, url: &GitUrl, _options: &Options) -> Vec<Question> {
        // The oldest version that supported servers have.
        let version = if is_services(url) { "7.1" } else { "6.0" };
        vec![Question::List(endpoint(base, "git/repositories", &[("api-version", version)]))]
    }

    fn project(&self, item: &Value, position: usize) -> Project {
        let url = entry::text(&item["webUrl"]).or_else(|| entry::text(&item["remoteUrl"]));
        // Names may have blanks.
        let url = url.map(|url| entry::without_username(url.replace(' ', "%20")));
        let skipped = if item["isDisabled"] == true {
            Some((SkipKind::NoAccess, "the forge has disabled the repository"))
        } else if item["isInMaintenance"] == true {
            Some((SkipKind::NoAccess, "the repository is in maintenance"))
        } else {
            None
        };
        let bytes = item["size"].as_u64();
        let branch = entry::text(&item["defaultBranch"]);
        Project {
            path: path_of(item, url.as_deref()),
            url,
            skipped,
            unreadable: None,
            label: entry::label(item, position),
            facts: Facts {
                fork: item.is_object().then(|| item["isFork"] == true),
                // A repository gets its default branch with its first commit.
                empty: item.is_object().then(|| branch.is_none() && bytes.unwrap_or(0) == 0),
                visibility: match item["project"]["visibility"].as_str() {
                    Some("organization") => Some(Visibility::Internal),
                    _ => entry::visibility(&item["project"]["visibility"]),
                },
                bytes,
                // Not stated by this API.
                archived: None,
                topics: None,
                active_at: None,
            },
        }
    }

    fn list_member(&self) -> Option<&'static str> {
        Some("value")
    }

    fn next_page(&self, end: &PageEnd<'_>) -> Result<Option<Url>, OtherOrigin> {
        let token = end.headers.get(CONTINUATION).and_then(|value| value.to_str().ok());
        let token = token.map(str::trim).filter(|token| !token.is_empty());
        Ok(token.map(|token| next_page::with_parameter(end.url, "continuationToken", token)))
    }

    fn page_after(&self, _page: &Url) -> Option<Url> {
        None
    }

    /// A personal access token is a password; the name of its user does not matter.
    fn authorization(&self, _username: &str, token: &str) -> String {
        basic("", token)
    }

    /// Instead of 401, the forge answers with its page to sign in, or leads there.
    fn wants_login(&self, code: u16) -> bool {
        matches!(code, 203 | 302)
    }
}

fn is_services(url: &GitUrl) -> bool {
    Origin::of(url.url()).is_some_and(|origin| is_public(&origin, SERVICES))
}

/// `organization/project/repository`: the URL may omit the project, if the repository has its name.
fn path_of(item: &Value, url: Option<&str>) -> Option<String> {
    let (project, name) = (entry::text(&item["project"]["name"])?, entry::text(&item["name"])?);
    let url = Url::parse(url?).ok()?;
    let decoded = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
    let parts = url.path().split('/').filter(|part| !part.is_empty()).map(decoded);
    let mut path: Vec<String> = parts.take_while(|part| part != MARK).collect();
    if path.last().is_none_or(|last| last.to_lowercase() != project.to_lowercase()) {
        path.push(project);
    }
    path.push(name);
    Some(path.join("/"))
}
