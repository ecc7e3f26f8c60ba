//! Small services in a forge on this machine.

use crate::support::forge::Forge;

/// Adds a small service with a few manifests among its sources to a group; returns its URL.
pub(crate) fn add(forge: &Forge, number: usize) -> String {
    let path = format!("acme/service-{number}");
    let package = format!(
        r#"{{"name": "service-{number}", "dependencies": {{"express": "4.18.{number}", "pg": "^8"}}}}"#
    );
    let readme = format!("# Service {number}\n").repeat(60);
    let source = format!("def work_{number}(value):\n    return value + {number}\n").repeat(40);
    let repository = forge.add_repository(
        &path,
        &[
            ("README.md", readme.as_bytes()),
            ("package.json", package.as_bytes()),
            ("api/requirements.txt", b"flask==3.0.0\nattrs==23.1.0\nrequests>=2\n"),
            ("api/main.py", source.as_bytes()),
            ("api/work/first.py", format!("# first\n{source}").as_bytes()),
            ("api/work/second.py", format!("# second\n{source}").as_bytes()),
            ("Dockerfile", b"FROM python:3.12-slim\nCOPY api /api\n"),
            (".gitlab-ci.yml", b"test:\n  image: python:3.12\n  script: [pytest]\n"),
        ],
    );
    repository.allow_filters();
    forge.listing().add(&path);
    forge.url(&path)
}
