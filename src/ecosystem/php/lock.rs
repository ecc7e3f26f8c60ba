//! `composer.lock`, by "Libraries" and "Basic usage" of Composer's manual, and its class `Locker`.
//!
//! What flows in: `packages` and `packages-dev`. What flows out: each of them with what it
//! requires. What must stay true: what is direct, only the `composer.json` beside it knows.

use crate::ecosystem::{
    Findings, Parser, SourceFile, collect::Collector, json, purl::Ecosystem, source::file_name,
};
use crate::model::scan_result::{Scope, Source};

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
            let of_runtime = root.elements("packages").map(|it| (it, Scope::Runtime));
            let of_dev = root.elements("packages-dev").map(|it| (it, Scope::Dev));
            super::add_all(of_runtime.chain(of_dev), found);
        })
    }
}
