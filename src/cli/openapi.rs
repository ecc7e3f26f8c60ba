//! `scanwatch openapi`: prints the OpenAPI document, for client generators.

use super::{Exit, output};
use crate::api::{openapi, routes::resources};

pub(super) fn run() -> Exit {
    match output::write_data(openapi::text(&resources(), "").as_bytes()) {
        Ok(()) => Exit::Done,
        Err(_) => Exit::Failed,
    }
}
