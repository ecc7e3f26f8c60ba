//! `.pre-commit-config.yaml` and `.pre-commit-hooks.yaml`, by "Adding pre-commit plugins to your project",
//! "Creating new hooks" and "Supported languages" of pre-commit's manual.
//!
//! Input: repositories with their hooks, or the hooks that a repository offers. Output: the repositories, with
//! `rev` as version if it is a tag or a commit (then the version that a comment names is the specifier); the
//! `additional_dependencies` of hooks; and the images of `docker_image` hooks.
//!
//! Decisions. A dependency belongs to the ecosystem of the hook's `language`. Only the hook's own repository
//! defines the language of most hooks; the notation of their dependencies then shows it: `name@1.0` is npm's,
//! `host/path@v1` Go's, and everything that Python's notation allows is Python's, the language of most hooks.
//!
//! Invariants: `local`, `meta` and `builtin`, and a repository on disk, are not packages; a malformed entry
//! loses only itself.

use super::{
    hook_dependency::{Dependency, Language},
    remark::remarks,
};
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    git_reference,
    git_source::GitSource,
    image::Images,
    path::file_name,
    python, text,
    yaml::{self, Node, Seen, Tree},
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use std::collections::HashMap;

/// Reads `.pre-commit-config.yaml` and `.pre-commit-hooks.yaml`.
#[derive(Debug)]
pub(in crate::ecosystem) struct PreCommitConfig;

impl Parser for PreCommitConfig {
    fn name(&self) -> &'static str {
        "pre-commit"
    }

    fn wants(&self, path: &str) -> bool {
        matches!(
            file_name(path),
            ".pre-commit-config.yaml" | ".pre-commit-config.yml" | ".pre-commit-hooks.yaml"
        )
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Generic, Source::Manifest);
        let text = text::decode(file.bytes);
        let remarks = remarks(&text, "rev");
        yaml::read(file.bytes, found, |tree, found| walk(tree, remarks, found))
    }
}

fn walk(tree: &Tree<'_>, remarks: HashMap<u32, &str>, found: &mut Collector<'_>) {
    let mut config = Config { seen: Seen::default(), images: Images::default(), remarks, found };
    for root in tree.documents() {
        // Before version 1.0 the file was the list itself.
        let entries = root.get("repos").unwrap_or(root);
        for entry in entries.elements() {
            if entry.get("repo").is_some() {
                config.repository(entry);
            } else {
                config.hook(entry, true);
            }
        }
    }
}

/// The role in which a node is read.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Role {
    Repository,
    Hooks,
    Hook,
    Dependencies(Option<Language>),
    Dependency(Option<Language>),
    Image,
}

struct Config<'c, 'f> {
    /// The nodes that have been read; an alias may name one again.
    seen: Seen<Role>,
    images: Images,
    remarks: HashMap<u32, &'c str>,
    found: &'c mut Collector<'f>,
}

impl Config<'_, '_> {
    fn repository(&mut self, repository: Node<'_, '_>) {
        if !self.seen.is_new(Role::Repository, repository) {
            return;
        }
        let Some(repo) = repository.get("repo") else { return };
        if !repo.is_scalar() {
            let message = format!("repo: expected a scalar, got {}", repo.kind());
            return self.found.warn(repo.line, message);
        }
        let address = repo.as_str().unwrap_or_default();
        let is_own = matches!(address, "local" | "meta" | "builtin");
        match GitSource::of(address) {
            _ if is_own || address.starts_with(['.', '/', '~']) => {}
            Some(source) => self.package(&source, repository, repo.line),
            None => {
                let message =
                    format!("`{}` is not the address of a repository", text::excerpt(address));
                self.found.warn(repo.line, message);
            }
        }
        let hooks = repository.get("hooks").filter(|hooks| self.seen.is_new(Role::Hooks, *hooks));
        for hook in hooks.into_iter().flat_map(Node::elements) {
            self.hook(hook, address == "local");
        }
    }

    fn package(&mut self, source: &GitSource, repository: Node<'_, '_>, line: u32) {
        let rev = repository.get("rev").or_else(|| repository.get("sha"));
        let wanted = rev.and_then(Node::as_str).map(str::trim);
        let (version, specifier) = wanted.map(git_reference::split).unwrap_or_default();
        let is_commit = version.is_some_and(|version| git_reference::commit(version).is_some());
        let remark = rev.and_then(|rev| self.remarks.get(&rev.line)).copied();
        let specifier = specifier.or(remark.filter(|_| is_commit));
        let (direct, scope) = (Some(true), Some(Scope::Dev));
        let _ =
            source.add(Declared { name: "", version, specifier, line, direct, scope }, self.found);
    }

    /// Reads a hook. One that is defined here has its language.
    fn hook(&mut self, hook: Node<'_, '_>, is_defined: bool) {
        if !self.seen.is_new(Role::Hook, hook) {
            return;
        }
        let language = hook.text("language");
        if language == Some("docker_image")
            && let Some(entry) = hook.get("entry")
            && self.seen.is_new(Role::Image, entry)
            && let Some(reference) = entry.as_str().and_then(image_of)
        {
            self.images.add_or_warn(reference, entry.line, Scope::Dev, self.found);
        }
        let language = language.map(Language::of).or(is_defined.then_some(Language::Other));
        let Some(list) = hook.get("additional_dependencies") else { return };
        if !self.seen.is_new(Role::Dependencies(language), list) {
            return;
        }
        // The notation of one entry shows the language of all.
        let shown = list.elements().filter_map(Node::as_str).find_map(Language::shown_by);
        for entry in list.elements() {
            if self.seen.is_new(Role::Dependency(language), entry) {
                self.dependency(language.or(shown).unwrap_or(Language::Python), entry);
            }
        }
    }

    fn dependency(&mut self, language: Language, entry: Node<'_, '_>) {
        let Some(text) = entry.as_str().map(str::trim) else {
            let message =
                format!("additional_dependencies: expected a scalar, got {}", entry.kind());
            return self.found.warn(entry.line, message);
        };
        let (line, direct, scope) = (entry.line, Some(true), Some(Scope::Dev));
        let declared = Declared { line, direct, scope, ..Declared::default() };
        if language == Language::Python {
            let _ = python::add_requirement(text, declared, self.found);
        } else if let Some(dependency) = Dependency::read(language, text) {
            let Dependency { ecosystem, name, version, specifier } = dependency;
            self.found.add_of(ecosystem, Declared { name, version, specifier, ..declared });
        }
    }
}

/// The image of a `docker_image` hook: the first word that is neither an option nor its value.
fn image_of(entry: &str) -> Option<&str> {
    let mut words = entry.split_whitespace();
    while let Some(word) = words.next() {
        if !word.starts_with('-') {
            return Some(word);
        }
        // `--entrypoint x`, but `--entrypoint=x` and `--rm`.
        if !word.contains('=') && matches!(word, "--entrypoint" | "-e" | "-v" | "-u" | "-w") {
            words.next();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_follows_the_options() {
        for (entry, image) in [
            ("h.example/lint:1.0", Some("h.example/lint:1.0")),
            ("--entrypoint /bin/lint h.example/lint:1.0 --fix", Some("h.example/lint:1.0")),
            ("--entrypoint=/bin/lint lint:1.0", Some("lint:1.0")),
            ("--rm -v /a:/b lint", Some("lint")),
            ("", None),
        ] {
            assert_eq!(image_of(entry), image, "{entry}");
        }
    }
}
