//! `vendor/composer/installed.json`: a list in Composer 1, an object around it in Composer 2.
//!
//! Input: the vendored packages of the project. Output: each package with its dependencies. Invariants: only
//! Composer 2 marks development packages.

use crate::ecosystem::{
    Findings, Pairing, Parser, SourceFile,
    collect::Collector,
    json::{self, Node, Value},
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use std::collections::HashSet;

/// Reads `installed.json` in a folder `composer`.
#[derive(Debug)]
pub(in crate::ecosystem) struct InstalledJson;

impl Parser for InstalledJson {
    fn name(&self) -> &'static str {
        "composer-installed"
    }

    fn reads_lock_files(&self) -> bool {
        true
    }

    fn wants(&self, path: &str) -> bool {
        path.strip_suffix("composer/installed.json")
            .is_some_and(|before| before.is_empty() || before.ends_with('/'))
    }

    /// The packages are installed below the folder of the manifest.
    fn pairing<'p>(&self, path: &'p str) -> Pairing<'p> {
        let own = Pairing::of(path);
        let project =
            own.folder.strip_suffix("vendor/composer").map(|above| above.trim_end_matches('/'));
        Pairing { folder: project.unwrap_or(own.folder), ..own }
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
    let scope = |package: &Node<'_>| {
        let is_dev = package.text("name").is_some_and(|name| of_dev.contains(name));
        if is_dev { Scope::Dev } else { Scope::Runtime }
    };
    super::add_all(packages.into_iter().map(|package| (package, scope(package))), found);
}
