//! `scanwatch openapi`: prints the OpenAPI document, for client generators.

use super::{Exit, output};
use crate::api::{openapi, routes::resources};

pub(super) fn run() -> Exit {
    output::print(openapi::text(&resources(), "").as_bytes())
}
