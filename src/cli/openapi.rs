//! `scanwatch openapi`: prints the OpenAPI document, for client generators.

use super::{Exit, output};
use crate::api::openapi;

pub(super) fn run() -> Exit {
    match output::write_data(openapi::text().as_bytes()) {
        Ok(()) => Exit::Done,
        Err(_) => Exit::Failed,
    }
}
