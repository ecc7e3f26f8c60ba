//! `composer.lock`, by "Libraries" and "Basic usage" of Composer's manual, and its class `Locker`.
//!
//! Input: `packages` and `packages-dev`. Output: each package with its dependencies. Invariants: only the
//! `composer.json` beside the file states what is direct.

use crate::ecosystem::{Findings, Parser, SourceFile, collect::Collector, json, path::file_name};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};

/// Reads `composer.lock`.
#[derive(Debug)]
pub(in crate::ecosystem) struct ComposerLock;

impl Parser for ComposerLock {
    fn name(&self) -> &'static str {
        "composer-lock"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "composer.lock"
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Composer, Source::Lockfile);
        json::read(file.bytes, found, |root, found| {
            let of_runtime = root.elements("packages").map(|package| (package, Scope::Runtime));
            let of_dev = root.elements("packages-dev").map(|package| (package, Scope::Dev));
            super::add_all(of_runtime.chain(of_dev), found);
        })
    }
}
