//! The repositories of a group that its plan skips.
//!
//! Input: a job of a server. Output: their number, and their rows page by page. Invariant: no more
//! than a page is in memory.

use super::{
    error::ClientError,
    http::{Client, Document},
};
use crate::model::JobId;
use serde::Deserialize;

/// Rows per page: the maximum of the server.
const PER_PAGE: usize = 1_000;

/// A page of skipped repositories.
#[derive(Debug, Deserialize)]
pub(in crate::cli) struct SkippedPage {
    pub(in crate::cli) skipped: Vec<Skipped>,
    pub(in crate::cli) skipped_total: u64,
    pub(in crate::cli) total_pages: u64,
}

/// A repository that is not scanned, and why.
#[derive(Debug, Deserialize)]
pub(in crate::cli) struct Skipped {
    pub(in crate::cli) repo_name: String,
    pub(in crate::cli) reason: String,
}

/// How many repositories of a job are skipped.
pub(in crate::cli) async fn count(client: &Client, id: &JobId) -> Result<u64, ClientError> {
    let path = format!("/scan/{id}/repositories?status=skipped&per_page=1");
    Ok(client.get(&path).await?.read::<SkippedPage>()?.skipped_total)
}

/// A page of the skipped repositories of a job; the first page is 1.
pub(in crate::cli) async fn page(
    client: &Client,
    id: &JobId,
    number: u64,
) -> Result<(Document, SkippedPage), ClientError> {
    let path = format!("/scan/{id}/repositories?status=skipped&page={number}&per_page={PER_PAGE}");
    let document = client.get(&path).await?;
    let page = document.read()?;
    Ok((document, page))
}
