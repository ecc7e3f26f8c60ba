//! The parts of the APIs of GitLab, GitHub, Gitea, both Bitbuckets and Azure DevOps that list groups: the
//! repositories that the forge has, by path, with the members that the real ones return.
//!
//! Every repository whose path has a `/` is in the group that its path names, and in all groups
//! above. Faults are used up one per request, in order.

use super::{
    apis::{self, Kind, Page},
    http::Request,
};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

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
    /// Its answer, without a `Link` header to say where it continues.
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
    /// Header lines that every answer has.
    pub(crate) headers: String,
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
            headers: String::new(),
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
        let (kind, question) = Kind::of(path)?;
        self.asked.push(request.target.clone());
        let token = self.token.as_ref().map(|token| kind.authorization(token));
        if token.is_some() && token.as_deref() != request.header("authorization") {
            return Some(Answer::of(401, &json!({"message": "401 Unauthorized"})));
        }
        let fault = self.faults.pop_front();
        let base = self.base.clone().unwrap_or_else(|| own.to_owned());
        let own = format!("{base}{path}");
        let words: Vec<&str> = question.split('/').collect();
        let page = |found| self.page(kind, found, query, &base, &own);
        let mut answer = match (kind, &words[..]) {
            (Kind::Gitlab, ["projects", id]) => self.project(&decoded(id), &base),
            (Kind::Gitlab, ["groups", id, "projects"]) => {
                let deep = apis::parameter(query, "include_subgroups") == Some("true");
                page(self.below(&decoded(id), deep, false))
            }
            (Kind::Gitlab, ["users", name, "projects"])
            | (Kind::Github | Kind::Gitea, ["users", name, "repos"]) => {
                page(self.below(&decoded(name), false, true))
            }
            (Kind::Github | Kind::Gitea, ["orgs", name, "repos"])
            | (Kind::Bitbucket, ["repositories", name])
            | (Kind::BitbucketServer, ["projects", name, "repos"]) => {
                page(self.below(&decoded(name), false, false))
            }
            (Kind::Azure, place) => page(self.below(&decoded(&place.join("/")), true, false)),
            _ => Answer::of(404, &json!({"message": "404 Not Found"})),
        };
        answer.headers.push_str(&self.headers);
        match &fault {
            Some(Fault::Next(url)) if kind == Kind::Bitbucket => apis::set_next(&mut answer, url),
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
            Some(((path, said), id)) => Answer::of(200, &Kind::Gitlab.entry(id, path, said, base)),
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
        kind: Kind,
        found: Option<Vec<(usize, &str)>>,
        query: &str,
        base: &str,
        own: &str,
    ) -> Answer {
        let Some(found) = found else {
            return Answer::of(404, &json!({"message": "404 Group Not Found"}));
        };
        let entry = |(id, path): &(usize, &str)| kind.entry(*id, path, &self.projects[*path], base);
        let mut entries: Vec<Value> = found.iter().map(entry).collect();
        entries.extend(self.odd_entries.iter().cloned());
        let (size, endless) = (self.page_size, self.endless);
        kind.page(&Page { entries: &entries, size, endless, query, own })
    }
}

impl Answer {
    pub(super) fn of(code: u16, body: &Value) -> Self {
        Self { code, headers: String::new(), body: body.to_string().into_bytes(), fault: None }
    }
}

fn decoded(segment: &str) -> String {
    percent_encoding::percent_decode_str(segment).decode_utf8_lossy().into_owned()
}
