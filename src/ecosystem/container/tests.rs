//! Files of containers that need each other: each test is a small repository.

use crate::ecosystem::{Gathered, SourceFile, join, parser::read_within, parser_for};
use crate::model::scan_result::Package;

fn joined<'f>(files: impl Iterator<Item = &'f (&'f str, &'f str)>) -> Vec<Package> {
    let (mut packages, mut gathered) = (Vec::new(), Gathered::default());
    for (path, text) in files {
        let file = SourceFile::alone(path, text.as_bytes());
        let findings = read_within(parser_for(path).unwrap(), file);
        packages.extend(findings.packages);
        if let Some(fact) = findings.fact {
            fact.gather(&mut gathered.facts);
        }
    }
    join(&mut packages, gathered);
    packages
}

/// Parses the files, joins their findings in both orders, and compares the packages, one a line.
#[track_caller]
fn check(files: &[(&str, &str)], expected: &[&str]) {
    let packages = joined(files.iter());
    assert_eq!(packages, joined(files.iter().rev()));
    let shown = packages.iter().map(|package| {
        let version = package.version.as_deref().or(package.specifier.as_deref()).unwrap_or("-");
        format!("{} {version} {}", package.name, package.file)
    });
    assert_eq!(shown.collect::<Vec<_>>(), expected);
}

#[test]
fn an_image_that_another_compose_file_builds_is_own() {
    let files = [
        (
            "compose.yaml",
            "include: [infra/db.yml]\nservices:\n  web: {build: ., image: 'kites/web:1'}\n  \
             api: {extends: {file: infra/common.yml, service: api}, image: 'kites/api:2'}\n  \
             log: {extends: {file: infra/common.yml, service: log}, image: 'kites/log:2'}\n",
        ),
        (
            "infra/db.yml",
            "services:\n  db: {image: 'kites/db:16'}\n  web: {image: 'kites/web:1'}\n  \
             old: {image: 'kites/web:0'}\n",
        ),
        ("infra/common.yml", "services:\n  api: {build: ../api}\n  log: {image: 'kites/log:1'}\n"),
        (
            "k8s/pod.yaml",
            "apiVersion: v1\nkind: Pod\nspec: {containers: [{image: 'kites/web:1'}]}\n",
        ),
    ];
    check(
        &files,
        &[
            "kites/db 16 infra/db.yml",
            "kites/log 1 infra/common.yml",
            "kites/log 2 compose.yaml",
            "kites/web 0 infra/db.yml",
            "kites/web 1 k8s/pod.yaml",
        ],
    );
}
