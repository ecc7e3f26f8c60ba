//! Lists of a server that come in pages.
//!
//! Input: a path with its parameters. Output: all pages, one after the other. Invariants: one page is in memory.

use super::{Client, ClientError, Document};
use serde::de::DeserializeOwned;
use url::form_urlencoded::Serializer;

/// Rows per page: the maximum of the server.
const PER_PAGE: &str = "1000";

/// A page of a list.
pub(in crate::cli) trait Paged: DeserializeOwned {
    /// The number of pages of the list.
    fn pages(&self) -> u64;
}

/// Requests all pages, calls `show` with each, and returns the last one. `show` also learns whether a page is the
/// first.
pub(in crate::cli) async fn each_page<P: Paged>(
    client: &Client,
    path: &str,
    parameters: &[(&str, Option<&str>)],
    mut show: impl FnMut(&Document, &P, bool) -> Result<(), ClientError>,
) -> Result<P, ClientError> {
    let mut number = 1;
    loop {
        let mut query = Serializer::new(String::new());
        query.append_pair("per_page", PER_PAGE).append_pair("page", &number.to_string());
        for (name, value) in parameters {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        let document = client.get(&format!("{path}?{}", query.finish())).await?;
        let page: P = document.read()?;
        show(&document, &page, number == 1)?;
        if number >= page.pages() {
            return Ok(page);
        }
        number += 1;
    }
}
