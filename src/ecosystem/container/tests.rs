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

#[test]
fn an_empty_tag_is_the_version_of_the_app() {
    let chart = "apiVersion: v2\nname: kite\nversion: 0.3.0\nappVersion: \"2.7.1\"\n";
    let values = "image: {repository: kites/kite, tag: \"\"}\n\
                  web: {image: {repository: kites/web, tag: '1.0'}}\n\
                  db: {image: {repository: kites/db}}\n";
    let template = "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  \
                    - image: \"kites/side:{{ .Chart.AppVersion }}\"\n";
    check(
        &[
            ("charts/kite/Chart.yaml", chart),
            ("charts/kite/values.yaml", values),
            ("charts/kite/templates/a/pod.yaml", template),
            ("charts/tail/Chart.yaml", "name: tail\nappVersion: '{{ version }}'\n"),
            ("charts/tail/values.yaml", values),
            ("elsewhere/values.yaml", values),
        ],
        &[
            "kites/db - charts/kite/values.yaml",
            "kites/db - charts/tail/values.yaml",
            "kites/db - elsewhere/values.yaml",
            "kites/kite - charts/tail/values.yaml",
            "kites/kite - elsewhere/values.yaml",
            "kites/kite 2.7.1 charts/kite/values.yaml",
            "kites/side 2.7.1 charts/kite/templates/a/pod.yaml",
            "kites/web 1.0 charts/kite/values.yaml",
            "kites/web 1.0 charts/tail/values.yaml",
            "kites/web 1.0 elsewhere/values.yaml",
        ],
    );
}

#[test]
fn charts_of_the_repository_are_own() {
    let chart = "name: kite\ndependencies:\n\
                 - {name: common, version: 1.0.0, repository: 'file://../common'}\n\
                 - {name: tail, version: 1.0.0}\n\
                 - {name: reel, version: 1.0.0, repository: ''}\n\
                 - {name: elsewhere, version: 1.0.0}\n\
                 - {name: copied, version: 1.0.0, repository: 'https://charts.kites.example'}\n";
    check(
        &[
            ("kite/Chart.yaml", chart),
            ("kite/charts/tail/Chart.yaml", "name: tail\n"),
            ("kite/charts/reel-1/Chart.yaml", "name: reel\n"),
            ("kite/charts/copied/Chart.yaml", "name: copied\n"),
            ("other/charts/elsewhere/Chart.yaml", "name: elsewhere\n"),
        ],
        &["copied 1.0.0 kite/Chart.yaml", "elsewhere 1.0.0 kite/Chart.yaml"],
    );
}
