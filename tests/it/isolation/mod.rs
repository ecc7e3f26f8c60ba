//! Scanners are isolated: what they may reach, how much they may use, and what is reported about
//! it.

mod memory;
mod sandbox;
mod users;

use crate::support::{
    files,
    forge::Forge,
    server::{Setup, TestServer},
};
use serde_json::json;

/// Settings for a server that knows this forge.
fn server_with_forge(forge: &Forge) -> Setup {
    let url = format!("http://127.0.0.1:{}", forge.port());
    Setup::new().set("forges", format!("[{{ kind = \"git\", url = \"{url}\" }}]"))
}

/// Submits a repository of a forge; the job's id.
async fn submit(server: &TestServer, url: &str) -> String {
    server.submit_with(&json!({ "git_url": url })).await
}

/// The text of a repository's log.
fn log(server: &TestServer, job: &str) -> String {
    files::text(&server.scanner_log(job, 0))
}

/// Prints why a test has tested nothing.
fn skip(why: &str) {
    #[expect(clippy::print_stderr, reason = "why a test has tested nothing")]
    {
        eprintln!("skipped: {why}");
    }
}
