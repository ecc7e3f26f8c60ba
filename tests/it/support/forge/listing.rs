//! The part of GitLab's and GitHub's API that lists groups: the repositories that the forge has, by
//! path, with the members that the real ones return.
//!
//! Every repository whose path has a `/` is in the group that its path names, and in all groups
//! above. Faults are used up one per request, in order.

use super::http::Request;
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt::Write as _,
};

/// What a request gets instead of its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// This status code, with these header lines.
    Status(u16, String),
    /// Half of its answer, with a matching length.
    HalfJson,
    /// Half of its answer, and then the connection ends.
    Torn,
    /// Its answer, and this as the URL of the next page.
    Next(String),
    /// Its answer, with only `X-Next-Page` to say where it continues.
    NoLinks,
    /// Nothing at all, for as long as the client waits.
    Silence,
    /// These bytes, as the body of an answer.
    Body(String),
}

/// The listed data.
#[derive(Debug)]
pub(crate) struct Listing {
    /// By path. A test's members for a project override the forge's.
    projects: BTreeMap<String, Map<String, Value>>,
    users: BTreeSet<String>,
    /// Entries that every list ends with, whatever they are.
    pub(crate) odd_entries: Vec<Value>,
    pub(crate) page_size: usize,
    /// Whether every page names another one.
    pub(crate) endless: bool,
    pub(crate) token: Option<String>,
    pub(crate) faults: VecDeque<Fault>,
    /// Scheme and authority of the URLs that are listed, where they are not those of the forge.
    pub(crate) base: Option<String>,
    /// The requests so far, by path and query.
    pub(crate) asked: Vec<String>,
}

/// An answer, before it is written.
pub(super) struct Answer {
    pub(super) code: u16,
    pub(super) headers: String,
    pub(super) body: Vec<u8>,
    pub(super) fault: Option<Fault>,
}

impl Default for Listing {
    fn default() -> Self {
        Self {
            projects: BTreeMap::new(),
            users: BTreeSet::new(),
            odd_entries: Vec::new(),
            page_size: 100,
            endless: false,
            token: None,
            faults: VecDeque::new(),
            base: None,
            asked: Vec::new(),
        }
    }
}

impl Listing {
    /// Lists a project.
    pub(crate) fn add(&mut self, path: &str) {
        self.projects.entry(path.to_owned()).or_default();
    }

    /// Overrides members of a project.
    pub(crate) fn describe(&mut self, path: &str, members: Value) {
        let Value::Object(members) = members else { panic!("want an object, got {members}") };
        self.projects.entry(path.to_owned()).or_default().extend(members);
    }

    /// Makes the namespace of this name a user's, which is not a group.
    pub(crate) fn is_user(&mut self, name: &str) {
        self.users.insert(name.to_owned());
    }

    /// The requests so far, without their queries.
    pub(crate) fn paths_asked(&self) -> Vec<&str> {
        self.asked.iter().map(|request| request.split('?').next().unwrap_or(request)).collect()
    }

    /// Answers an API request; `None` for any other.
    pub(super) fn answer(&mut self, request: &Request, own: &str) -> Option<Answer> {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let gitlab = path.strip_prefix("/api/v4/");
        let github = path.strip_prefix("/api/v3/");
        let question = gitlab.or(github)?;
        self.asked.push(request.target.clone());
        let token = self.token.as_ref().map(|token| format!("Bearer {token}"));
        if token.is_some() && token.as_deref() != request.header("authorization") {
            return Some(Answer::of(401, &json!({"message": "401 Unauthorized"})));
        }
        let fault = self.faults.pop_front();
        let base = self.base.clone().unwrap_or_else(|| own.to_owned());
        let own = format!("{base}{path}");
        let words: Vec<&str> = question.split('/').collect();
        let mut answer = match words[..] {
            ["projects", id] if gitlab.is_some() => self.project(&decoded(id), &base),
            ["groups", id, "projects"] if gitlab.is_some() => {
                let deep = parameter(query, "include_subgroups") == Some("true");
                let found = self.below(&decoded(id), deep, false);
                self.page(found, query, &base, &own, gitlab_entry)
            }
            ["users", name, "projects"] if gitlab.is_some() => {
                let found = self.below(&decoded(name), false, true);
                self.page(found, query, &base, &own, gitlab_entry)
            }
            ["orgs", name, "repos"] if github.is_some() => {
                let found = self.below(&decoded(name), false, false);
                self.page(found, query, &base, &own, github_entry)
            }
            ["users", name, "repos"] if github.is_some() => {
                let found = self.below(&decoded(name), false, true);
                self.page(found, query, &base, &own, github_entry)
            }
            _ => Answer::of(404, &json!({"message": "404 Not Found"})),
        };
        match &fault {
            Some(Fault::Next(url)) => answer.headers = format!("Link: <{url}>; rel=\"next\"\r\n"),
            Some(Fault::NoLinks) => {
                let links = answer.headers.split_inclusive('\n');
                answer.headers = links.filter(|link| !link.starts_with("Link:")).collect();
            }
            _ => {}
        }
        answer.fault = fault;
        Some(answer)
    }

    fn project(&self, path: &str, base: &str) -> Answer {
        let found =
            self.projects.iter().zip(1..).find(|((known, _), _)| known.eq_ignore_ascii_case(path));
        match found {
            Some(((path, said), id)) => Answer::of(200, &gitlab_entry(id, path, said, base)),
            None => Answer::of(404, &json!({"message": "404 Project Not Found"})),
        }
    }

    /// The projects of a namespace of this kind, with their numbers; `None` if it does not exist.
    fn below(&self, namespace: &str, deep: bool, of_user: bool) -> Option<Vec<(usize, &str)>> {
        let first = namespace.split('/').next().unwrap_or(namespace);
        if self.users.contains(first) != of_user {
            return None;
        }
        let prefix = format!("{}/", namespace.to_lowercase());
        let in_it = |path: &str| path.to_lowercase().starts_with(&prefix);
        let known = self.projects.keys().zip(1..).filter(|(path, _)| in_it(path));
        let known: Vec<_> = known.map(|(path, id)| (id, path.as_str())).collect();
        let direct = |path: &str| !path[prefix.len()..].contains('/');
        let wanted = known.iter().copied().filter(|(_, path)| deep || direct(path)).collect();
        (!known.is_empty() || self.endless).then_some(wanted)
    }

    fn page(
        &self,
        found: Option<Vec<(usize, &str)>>,
        query: &str,
        base: &str,
        own: &str,
        entry: fn(usize, &str, &Map<String, Value>, &str) -> Value,
    ) -> Answer {
        let Some(found) = found else {
            return Answer::of(404, &json!({"message": "404 Group Not Found"}));
        };
        let mut entries: Vec<Value> =
            found.iter().map(|(id, path)| entry(*id, path, &self.projects[*path], base)).collect();
        entries.extend(self.odd_entries.iter().cloned());
        let number: usize =
            parameter(query, "page").and_then(|text| text.parse().ok()).unwrap_or(1);
        let begin = ((number - 1) * self.page_size).min(entries.len());
        let end = (begin + self.page_size).min(entries.len());
        let mut answer = Answer::of(200, &Value::from(entries[begin..end].to_vec()));
        if end < entries.len() || self.endless {
            let others = query.split('&').filter(|part| !part.starts_with("page="));
            let others = others.collect::<Vec<_>>().join("&");
            let next = number + 1;
            let _ = write!(
                answer.headers,
                "Link: <{own}?{others}&page=1>; rel=\"first\", <{own}?{others}&page={next}>; \
                 rel=\"next\"\r\nX-Next-Page: {next}\r\n"
            );
        } else {
            answer.headers.push_str("X-Next-Page: \r\n");
        }
        answer
    }
}

impl Answer {
    fn of(code: u16, body: &Value) -> Self {
        Self { code, headers: String::new(), body: body.to_string().into_bytes(), fault: None }
    }
}

fn gitlab_entry(id: usize, path: &str, said: &Map<String, Value>, base: &str) -> Value {
    let name = path.rsplit('/').next().unwrap_or(path);
    laid_over(
        json!({
            "id": id,
            "name": name,
            "path": name,
            "path_with_namespace": path,
            "default_branch": "main",
            "http_url_to_repo": format!("{base}/{path}.git"),
            "ssh_url_to_repo": format!("git@forge.example:{path}.git"),
            "web_url": format!("{base}/{path}"),
            "archived": false,
            "empty_repo": false,
            "repository_access_level": "enabled",
            "marked_for_deletion_on": null,
        }),
        said,
    )
}

fn github_entry(id: usize, path: &str, said: &Map<String, Value>, base: &str) -> Value {
    let (owner, name) = path.split_once('/').unwrap_or(("", path));
    laid_over(
        json!({
            "id": id,
            "name": name,
            "full_name": path,
            "owner": {"login": owner},
            "clone_url": format!("{base}/{path}.git"),
            "ssh_url": format!("git@forge.example:{path}.git"),
            "html_url": format!("{base}/{path}"),
            "default_branch": "main",
            "archived": false,
            "disabled": false,
            "fork": false,
        }),
        said,
    )
}

fn laid_over(mut entry: Value, said: &Map<String, Value>) -> Value {
    if let Value::Object(members) = &mut entry {
        members.extend(said.clone());
    }
    entry
}

fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
}

fn decoded(segment: &str) -> String {
    percent_encoding::percent_decode_str(segment).decode_utf8_lossy().into_owned()
}
