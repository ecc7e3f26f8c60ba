//! Marks answers that have no room for a member: documents of other formats, and CSV.
//!
//! Input: an answer, and whether its job is archived. Output: the answer with the header.

use super::reply;
use warp::{http::HeaderName, reply::Response};

/// The header of such answers: `true` or `false`.
const ARCHIVED: HeaderName = HeaderName::from_static("scanwatch-archived");

/// Adds the header.
pub(crate) fn marked(response: Response, archived: bool) -> Response {
    reply::with_header(response, ARCHIVED, if archived { "true" } else { "false" })
}
