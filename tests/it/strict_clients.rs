//! Clients whose types are as strict as those of the service that scanwatch replaces: one reads
//! results and writes CSV, one shows progress. Both submit a repository and a group, and then read
//! every job that the server knows, with the folders of the Python service among them.

use crate::{
    foreign_results, python_service,
    support::{
        files,
        forge::{Behaviour, Forge},
        python::{python, succeed},
        server::Setup,
    },
};
use std::path::Path;
use tokio::task::spawn_blocking;

const FLASK: &[(&str, &[u8])] = &[("requirements.txt", b"flask==3.0.3\nredis==5.0.1\n")];

/// Breaks if a number, a text, a list or a word is of another kind than a client's types expect.
#[tokio::test]
async fn every_document_has_the_types_of_the_python_service() {
    let forge = Forge::start();
    forge.add_repository("tools/flask", FLASK);
    forge.group(&["acme/web", "acme/team/api", "acme/team/tools"]);
    forge.listing().add("acme/gone");
    for path in ["tools/flask", "acme/web", "acme/team/api", "acme/team/tools"] {
        forge.behave_at(path, Behaviour::Slow(300));
    }
    let setup = Setup::new().user("operator", "s3cret");
    python_service::lay(&setup);
    foreign_results::lay_all(&setup);
    let forges = format!("[{{ kind = \"gitlab\", url = \"{}\" }}]", forge.base());
    let setup = setup.set("forges", forges).set("jobs.retention_hours", 1_000_000);
    let server = setup.set("scanner.max_concurrent_processes", 2).start().await;

    let clients = ["strict_results.py", "strict_progress.py"].map(|script| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python").join(script);
        let folder = server.file(script);
        std::fs::create_dir(&folder).unwrap();
        let mut client = python();
        client
            .arg(path)
            .arg(server.url(""))
            .arg(folder)
            .arg(forge.url("tools/flask"))
            .arg(format!("{}/acme", forge.base()))
            .env("API_USERNAME", "operator")
            .env("API_PASSWORD", "s3cret");
        spawn_blocking(move || succeed(&mut client))
    });
    for client in clients {
        let said = client.await.unwrap().stdout;
        assert_eq!(String::from_utf8_lossy(&said).trim(), "all types hold");
    }

    let written = files::below(&server.file("strict_results.py"));
    let tables =
        written.iter().map(|path| (path.file_stem().unwrap().to_string_lossy(), files::text(path)));
    let group = |text: &String| text.contains("team/api,") && text.contains("gone,");
    let (without, tables): (Vec<_>, Vec<_>) = tables.partition(|(name, _)| name == "without");
    let groups: Vec<_> = tables.iter().filter(|(_, text)| group(text)).collect();
    // The other client's group may still run when this one reads all jobs.
    assert!(!groups.is_empty(), "{tables:#?}");
    let rows: Vec<_> = groups[0].1.lines().collect();
    assert_eq!(rows.len(), 5, "a heading and a row for each: {rows:#?}");
    assert!(
        rows.iter().any(|row| row.starts_with("gone,") && row.contains(",failed,")),
        "{rows:#?}"
    );
    let single = tables.iter().find(|(_, text)| text.contains("flask.git,")).unwrap();
    assert!(single.1.contains("yes"), "flask is a web framework, or nothing is: {}", single.1);
    for job in [python_service::SINGLE, python_service::GROUP, python_service::TIMELESS] {
        assert!(tables.iter().any(|(name, _)| name == job), "no results of {job}");
    }
    let foreign = tables.iter().find(|(name, _)| name == foreign_results::GROUP).unwrap();
    for (project, status) in [("a", "success"), ("c", "unknown"), ("d", "failed")] {
        let row = format!("\n{project},https://gitlab.com/acme/{project}.git,{status},");
        assert!(foreign.1.contains(&row), "{}", foreign.1);
    }
    for job in [python_service::FAILED, python_service::UNFINISHED] {
        assert!(without[0].1.contains(job), "{}", without[0].1);
    }
    let progress = files::text(&server.file("strict_progress.py/progress.csv"));
    assert!(progress.contains("completed_with_errors,team/api,completed,"), "{progress}");
    assert!(
        progress.contains(&format!("{},in_progress,", python_service::UNFINISHED)),
        "{progress}"
    );
}
