//! `vendor/composer/installed.json`: a list in Composer 1, an object around it in Composer 2.
//!
//! What flows in: the packages that are checked in with the project. What flows out: each of them
//! with what it requires. What must stay true: only Composer 2 says which are there for
//! development.

use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::Collector,
    json::{self, Node, Value},
    purl::Ecosystem,
};
use crate::model::scan_result::{Scope, Source};
use std::collections::HashSet;

/// Reads `installed.json` in a folder `composer`.
#[derive(Debug)]
pub(in crate::ecosystem) struct InstalledJson;

impl Parser for InstalledJson {
    fn name(&self) -> &'static str {
        "composer-installed"
    }

    fn wants(&self, path: &str) -> bool {
        path.strip_suffix("composer/installed.json")
            .is_some_and(|it| it.is_empty() || it.ends_with('/'))
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Composer, Source::Lockfile);
        json::read_object_or_array(file.bytes, found, walk)
    }
}

fn walk(root: &Node<'_>, found: &mut Collector<'_>) {
    let packages: Vec<&Node<'_>> = match &root.value {
        Value::Array(elements) => elements.iter().collect(),
        _ => root.elements("packages").collect(),
    };
    let of_dev: HashSet<&str> =
        root.elements("dev-package-names").filter_map(Node::as_str).collect();
    let scope = |it: &Node<'_>| {
        let is_dev = it.text("name").is_some_and(|name| of_dev.contains(name));
        if is_dev { Scope::Dev } else { Scope::Runtime }
    };
    super::add_all(packages.into_iter().map(|it| (it, scope(it))), found);
}
