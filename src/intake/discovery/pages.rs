//! Reads lists page by page, and delivers each page before the next one is requested.
//!
//! Input: the URL of the first page, or where an earlier listing stopped. Output: the entries of
//! each page, with what could not be listed; and how the listing ended.
//!
//! Invariants: a page is taken before the next one is requested, so that after a crash at most one
//! page is requested again; one bad page does not stop the rest if page numbers lead around it; a
//! list that repeats a page, or has too many, ends; a stored URL contains no secret.

use super::{
    DiscoveryError,
    entries::{Body, Entry},
    paging::{ForgeClient, project, shown},
};
use crate::{
    intake::forge_api::Project,
    model::{
        address::Origin,
        listing::{Cursor, ListingError},
    },
};
use chrono::Utc;
use std::{
    borrow::Cow,
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    ops::ControlFlow,
};
use tokio::sync::{mpsc, oneshot};
use url::Url;

/// How many pages in a row may be skipped, because each of them is broken.
const MAX_BAD_PAGES: u32 = 3;

/// The entries of one page.
#[derive(Debug, Default)]
pub(super) struct FoundPage {
    pub(super) projects: Vec<Project>,
    /// Where the listing continues; without it, it would start again from the first page.
    pub(super) next: Option<Cursor>,
    /// Nothing follows.
    pub(super) last: bool,
    /// What could not be listed before this page.
    pub(super) errors: Vec<ListingError>,
}

/// How a list that exists has ended.
#[derive(Debug, PartialEq)]
pub(super) enum Ended {
    /// With its last page.
    Whole,
    /// Before its last page.
    Early(ListingError),
    /// The receiver wants no more.
    Stopped,
}

/// A page, and who waits until it is taken.
pub(super) struct Delivery {
    pub(super) found: FoundPage,
    pub(super) taken: oneshot::Sender<ControlFlow<()>>,
}

/// Delivers pages.
#[derive(Debug)]
pub(super) struct Pages(mpsc::Sender<Delivery>);

impl Pages {
    /// A sender of pages, and their receiver.
    pub(super) fn channel() -> (Self, mpsc::Receiver<Delivery>) {
        let (to, from) = mpsc::channel(1);
        (Self(to), from)
    }

    /// Delivers a page; returns once it is taken, with whether more is wanted.
    pub(super) async fn deliver(&self, found: FoundPage) -> ControlFlow<()> {
        let (taken, answer) = oneshot::channel();
        if self.0.send(Delivery { found, taken }).await.is_err() {
            return ControlFlow::Break(());
        }
        answer.await.unwrap_or(ControlFlow::Break(()))
    }
}

/// A page to request.
struct Position {
    url: Url,
    /// From 1.
    page: u32,
    /// How many entries the pages before it have.
    listed: usize,
}

/// The entries of a page, and the URL of the next one.
type PageContent = (Vec<Entry>, Result<Option<Url>, DiscoveryError>);

impl ForgeClient {
    /// Reads all pages of a list; `None` if the list does not exist.
    ///
    /// # Errors
    /// If the first page cannot be read.
    pub(super) async fn list(
        &self,
        first: Url,
        pages: &Pages,
    ) -> Result<Option<Ended>, DiscoveryError> {
        let begin = Position { url: first, page: 1, listed: 0 };
        self.read_pages(begin, false, pages).await
    }

    /// Continues a list where an earlier listing stopped; `None` if it has to start again, because
    /// the forge no longer knows the page.
    pub(super) async fn resume(&self, cursor: &Cursor, pages: &Pages) -> Option<Ended> {
        let url = Url::parse(&cursor.url).ok()?;
        let origin = Origin::of(&url)?;
        let is_safe = url.username().is_empty() && url.password().is_none();
        if !is_safe || Some(origin) != Origin::of(self.base()) {
            return None;
        }
        let listed = usize::try_from(cursor.listed).unwrap_or(usize::MAX);
        let begin = Position { url, page: cursor.page.max(2), listed };
        self.read_pages(begin, true, pages).await.ok()?
    }

    async fn read_pages(
        &self,
        mut here: Position,
        is_resumed: bool,
        pages: &Pages,
    ) -> Result<Option<Ended>, DiscoveryError> {
        let (hasher, mut seen) = (RandomState::new(), HashSet::new());
        let mut is_first = true;
        let mut bad_pages = 0;
        loop {
            if here.page > self.limits().max_pages {
                let max = self.limits().max_pages;
                let error = DiscoveryError::TooManyPages { request: shown(&here.url, 1), max };
                return Ok(Some(Ended::Early(self.listing_error(&here, error))));
            }
            seen.insert(hasher.hash_one(&here.url));
            let content = match self.page(&here).await {
                Ok(None) if is_first => return Ok(None),
                Err(DiscoveryError::Status { code: 400 | 410 | 422, .. })
                    if is_first && is_resumed =>
                {
                    return Ok(None);
                }
                Err(error) if is_first && !is_resumed => return Err(error),
                Ok(None) => {
                    let request = shown(&here.url, here.page);
                    Err(DiscoveryError::Status { request, code: 404, attempts: 1 })
                }
                Ok(Some(content)) => Ok(content),
                Err(error) => Err(error),
            };
            is_first = false;
            let (found, next, ending) = match content {
                Ok(content) => {
                    bad_pages = 0;
                    self.found(&here, content, |url| seen.contains(&hasher.hash_one(url)))
                }
                Err(error) => {
                    bad_pages += 1;
                    let next = is_of_page(&error).then(|| self.after(&here)).flatten();
                    let error = self.listing_error(&here, error);
                    let Some(next) = next.filter(|_| bad_pages <= MAX_BAD_PAGES) else {
                        return Ok(Some(Ended::Early(error)));
                    };
                    let next_page = self.cursor(&next);
                    let errors = vec![error];
                    let found = FoundPage { next: next_page, errors, ..FoundPage::default() };
                    (found, Some(next), None)
                }
            };
            if pages.deliver(found).await.is_break() {
                return Ok(Some(Ended::Stopped));
            }
            match (next, ending) {
                (Some(next), None) => here = next,
                (_, Some(error)) => return Ok(Some(Ended::Early(error))),
                (None, None) => return Ok(Some(Ended::Whole)),
            }
        }
    }

    /// The entries of a page that was read; where the listing continues, or why it does not.
    fn found(
        &self,
        here: &Position,
        (items, next): PageContent,
        is_seen: impl Fn(&Url) -> bool,
    ) -> (FoundPage, Option<Position>, Option<ListingError>) {
        let numbered = (here.listed + 1..).zip(&items);
        let projects =
            numbered.map(|(position, item)| project(item, position, self.api())).collect();
        let next = match next {
            Ok(Some(url)) if is_seen(&url) => {
                Err(DiscoveryError::PageLoop { request: shown(&here.url, here.page) })
            }
            other => other,
        };
        let (next, ending) = match next {
            Ok(next) => (next, None),
            Err(error) => (None, Some(self.listing_error(here, error))),
        };
        let listed = here.listed + items.len();
        let next = next.map(|url| Position { url, page: here.page + 1, listed });
        let found = FoundPage {
            projects,
            next: next.as_ref().and_then(|next| self.cursor(next)),
            last: next.is_none() && ending.is_none(),
            errors: Vec::new(),
        };
        (found, next, ending)
    }

    /// Requests a page; `None` if it does not exist.
    async fn page(&self, here: &Position) -> Result<Option<PageContent>, DiscoveryError> {
        let Some(answer) = self.get(&here.url, here.page).await? else { return Ok(None) };
        let Body::List(items) = answer.body else {
            let request = shown(&here.url, here.page);
            return Err(DiscoveryError::InvalidAnswer { request, reason: "not a list".to_owned() });
        };
        Ok(Some((items, answer.next)))
    }

    /// The page after one that cannot be read, if its URL has a number.
    fn after(&self, here: &Position) -> Option<Position> {
        let url = self.api().page_after(&here.url)?;
        Some(Position { url, page: here.page + 1, listed: here.listed })
    }

    /// The position to store; `None` if its URL contains a secret.
    fn cursor(&self, at: &Position) -> Option<Cursor> {
        let url = match self.redact(at.url.as_str()) {
            Cow::Borrowed(_) => at.url.to_string(),
            Cow::Owned(_) => return None,
        };
        Some(Cursor { url, page: at.page, listed: at.listed as u64 })
    }

    fn listing_error(&self, here: &Position, error: DiscoveryError) -> ListingError {
        let request = shown(&here.url, here.page);
        ListingError::new(&self.redact(&request), &self.masked(error).to_string(), Utc::now())
    }
}

/// Whether another page may be readable although this one is not.
fn is_of_page(error: &DiscoveryError) -> bool {
    matches!(
        error,
        DiscoveryError::Status { code: 500..=599, .. }
            | DiscoveryError::Unreachable { .. }
            | DiscoveryError::AnswerTimeout { .. }
            | DiscoveryError::TooLarge { .. }
            | DiscoveryError::InvalidAnswer { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails if a listing goes on although no other page can be read either, such as after its
    /// token has expired.
    #[test]
    fn only_errors_of_a_page_are_skipped() {
        let request = || "https://h.example/p".to_owned();
        let status = |code| DiscoveryError::Status { request: request(), code, attempts: 4 };
        assert!(is_of_page(&status(500)) && is_of_page(&status(503)));
        let reason = || "not JSON".to_owned();
        assert!(is_of_page(&DiscoveryError::InvalidAnswer {
            request: request(),
            reason: reason()
        }));
        assert!(!is_of_page(&status(404)) && !is_of_page(&status(400)));
        let code = 401;
        assert!(!is_of_page(&DiscoveryError::TokenRefused { request: request(), code }));
        let (pause, token) = (String::new(), "");
        let limit = DiscoveryError::RateLimit { request: request(), code: 429, pause, token };
        assert!(!is_of_page(&limit));
    }
}
