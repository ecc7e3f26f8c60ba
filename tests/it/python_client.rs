//! A client of the Python service keeps working: it relies only on what that service promised,
//! scans a repository and a group from submission to CSV, and hardly notices that the server is
//! killed in the middle.

use crate::support::{
    files,
    forge::{Behaviour, Forge},
    published,
    python::{python, succeed},
    server::Setup,
    wait::eventually,
};
use std::path::Path;
use tokio::task::spawn_blocking;

const TOKEN: &str = "glpat-old-cl1ent-c4n4ry";

/// Breaks if a user of the Python service must change a client.
#[tokio::test]
async fn a_client_of_the_python_service_runs_unchanged() {
    let forge = Forge::start();
    let project = published::from_pypi("flask==3.0.3");
    let project: Vec<(&str, &[u8])> =
        project.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
    forge.add_repository("tools/flask", &project);
    let paths: Vec<String> = (0..12).map(|n| format!("acme/team-{}/service-{n}", n % 3)).collect();
    forge.group(&paths.iter().map(String::as_str).collect::<Vec<_>>());
    forge.listing().add("acme/team-0/gone");
    // Slow enough that the group still runs when the server is killed.
    for path in &paths[6..] {
        forge.behave_at(path, Behaviour::Slow(400));
    }
    forge.require_login("oauth2", TOKEN);
    forge.listing().token = Some(TOKEN.to_owned());
    let setup = Setup::new().user("operator", "s3cret");
    let token = setup.folder().join("token");
    files::write(&token, TOKEN);
    let forges = format!(
        "[{{ kind = \"gitlab\", url = \"{}\", token_file = \"{}\" }}]",
        forge.base(),
        token.display()
    );
    let (user, password) = ("operator", "s3cret");
    // The client keeps the address it was given.
    let setup = setup.set("forges", forges).at_a_fixed_port();
    let mut server = setup.set("scanner.max_concurrent_processes", 2).start().await;
    let address = server.address();

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/client.py");
    let mut client = python();
    client
        .arg(script)
        .arg(format!("http://{address}"))
        .arg(forge.url("tools/flask"))
        .arg(format!("{}/acme", forge.base()))
        .arg(server.folder())
        .env("API_USERNAME", user)
        .env("API_PASSWORD", password);
    let client = spawn_blocking(move || succeed(&mut client));
    let marker = server.file("group-is-running");
    eventually("the client has seen the group at work", async || {
        assert!(!client.is_finished() || marker.exists(), "the client ended too early");
        marker.exists()
    })
    .await;
    server.kill9().await;
    server.restart().await;
    let said = client.await.unwrap().stdout;
    assert_eq!(String::from_utf8_lossy(&said).trim(), "all expectations met");
    let rows = files::text(&server.file("group.csv"));
    assert_eq!(rows.lines().count(), 14, "a heading and a row for each:\n{rows}");
    let single = files::text(&server.file("single.csv"));
    assert!(single.contains("True"), "flask is a web framework, or nothing is:\n{single}");
}
