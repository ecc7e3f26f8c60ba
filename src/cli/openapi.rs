//! `scanwatch openapi`: what the API is, for programs that make clients of it.

use super::{Exit, output};
use crate::api::openapi;

pub(super) fn run() -> Exit {
    match output::data(openapi::text().as_bytes()) {
        Ok(()) => Exit::Done,
        Err(_) => Exit::Failed,
    }
}
