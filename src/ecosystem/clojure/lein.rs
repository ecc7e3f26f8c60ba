//! `project.clj` and `profiles.clj`, by Leiningen's tutorial, `sample.project.clj` and "Profiles".
//!
//! Input: the options of `defproject`, and the profiles. Output: the libraries of `:dependencies`, `:plugins` and
//! `:java-agents`. Invariants: nothing is evaluated; a library of `:managed-dependencies` is no package, but sets
//! the version of one without any.
//!
//! Decisions. An unquoted name (`~version`) has the value that a `def` of the file gives it. The profile
//! `provided` has the scope build, as in Maven; the profile `uberjar` adds to what is shipped; a profile whose
//! name contains `test` has the scope test, any other the scope dev.

use super::{
    edn::{self, Form, Node, value_of},
    library::{self, Version},
};
use crate::ecosystem::{Findings, Parser, SourceFile, collect::Collector, path::file_name};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use std::collections::HashMap;

/// Longest value of a name in bytes, because all libraries may share it.
const LONGEST_VALUE: usize = 300;

/// Reads `project.clj` and `profiles.clj`.
#[derive(Debug)]
pub(in crate::ecosystem) struct Leiningen;

impl Parser for Leiningen {
    fn name(&self) -> &'static str {
        "leiningen"
    }

    fn wants(&self, path: &str) -> bool {
        matches!(file_name(path), "project.clj" | "profiles.clj")
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Maven, Source::Manifest);
        let has_profiles = file.file_name() == "profiles.clj";
        edn::read(file.bytes, found, |forms, found| {
            let mut project = Project { values: values(forms), managed: HashMap::new(), found };
            if has_profiles {
                for form in forms {
                    project.profiles(form);
                }
            } else if let Some(options) = options(forms, project.found) {
                project.options(options);
            } else if let Some(first) = forms.first() {
                project.found.warn(first.line, "no `defproject`");
            }
        })
    }
}

/// The options of `defproject`, which may stand in another form: `(let […] (defproject …))`.
fn options<'n, 'a>(forms: &'n [Node<'a>], found: &mut Collector<'_>) -> Option<&'n [Node<'a>]> {
    let is_project =
        |form: &&Node<'_>| form.elements().first().and_then(Node::symbol) == Some("defproject");
    let inner = forms.iter().flat_map(Node::elements);
    let project = forms.iter().chain(inner).find(is_project)?.elements();
    let name = project.get(1).and_then(Node::symbol).map(library::module);
    // A version may be missing.
    let begin = if matches!(project.get(2)?.form, Form::Keyword(_)) { 2 } else { 3 };
    let options = project.get(begin..).unwrap_or_default();
    // `:sub` of lein-sub lists the folders of a repository's other projects.
    let members = value_of(options, "sub").into_iter().flat_map(Node::elements);
    found.describe(name.as_deref(), members.filter_map(Node::text));
    Some(options)
}

/// The texts that the file defines: `(def version "1.0")`.
fn values<'n>(forms: &'n [Node<'_>]) -> HashMap<&'n str, &'n str> {
    let definitions = forms.iter().map(Node::elements);
    let definitions = definitions.filter_map(|elements| {
        let [first, name, .., value] = elements else { return None };
        let is_definition = matches!(first.symbol(), Some("def" | "defonce"));
        let value = value.text().filter(|value| value.len() <= LONGEST_VALUE);
        Some((name.symbol().filter(|_| is_definition)?, value?))
    });
    definitions.collect()
}

struct Project<'n, 'a, 'c, 'f> {
    values: HashMap<&'n str, &'n str>,
    /// The versions of `:managed-dependencies`, by module.
    managed: HashMap<String, &'n Node<'a>>,
    found: &'c mut Collector<'f>,
}

impl<'n, 'a> Project<'n, 'a, '_, '_> {
    fn options(&mut self, options: &'n [Node<'a>]) {
        let managed = value_of(options, "managed-dependencies");
        for entry in managed.into_iter().flat_map(Node::elements) {
            if let [symbol, version, ..] = entry.elements()
                && let Some(name) = symbol.symbol()
                && self.found.budget().copy(name.len())
            {
                self.managed.insert(library::module(name), version);
            }
        }
        self.libraries(options, Scope::Runtime);
        if let Some(profiles) = value_of(options, "profiles") {
            self.profiles(profiles);
        }
    }

    fn profiles(&mut self, profiles: &'n Node<'a>) {
        for profile in profiles.entries().chunks_exact(2) {
            let name = match &profile[0].form {
                Form::Keyword(name) => name.to_ascii_lowercase(),
                _ => continue,
            };
            let name = name.rsplit('/').next().unwrap_or_default();
            let scope = match name {
                "provided" => Scope::Build,
                "uberjar" => Scope::Runtime,
                name if name.contains("test") => Scope::Test,
                _ => Scope::Dev,
            };
            self.libraries(profile[1].entries(), scope);
        }
    }

    /// The libraries of a project or a profile.
    fn libraries(&mut self, options: &'n [Node<'a>], scope: Scope) {
        let lists = [("dependencies", scope), ("java-agents", scope), ("plugins", Scope::Build)];
        for (key, scope) in lists {
            let Some(list) = value_of(options, key) else { continue };
            if !matches!(list.form, Form::Vector(_) | Form::List(_)) {
                let message = format!("{key}: expected a vector, got {}", list.kind());
                self.found.warn(list.line, message);
            }
            let elements = list.elements();
            for (at, entry) in elements.iter().enumerate() {
                if matches!(entry.form, Form::Keyword(_)) {
                    // The list is not closed: the next options are in it.
                    self.options(&elements[at..]);
                    break;
                }
                self.library(entry, scope);
            }
        }
    }

    /// `[group/artifact "version" :scope "test"]`
    fn library(&mut self, entry: &'n Node<'a>, scope: Scope) {
        let [symbol, rest @ ..] = entry.elements() else {
            let message = format!("expected a library in a vector, got {}", entry.kind());
            return self.found.warn(entry.line, message);
        };
        let Some(name) = symbol.symbol().or_else(|| symbol.text()) else {
            let message = format!("expected the name of a library, got {}", symbol.kind());
            return self.found.warn(symbol.line, message);
        };
        let has_version = |node: &Node<'_>| !matches!(node.form, Form::Keyword(_));
        let (declared, options) = rest.split_at(usize::from(rest.first().is_some_and(has_version)));
        let scope = match value_of(options, "scope").and_then(Node::text) {
            Some("test") => Scope::Test,
            Some("provided" | "system") => Scope::Build,
            _ => scope,
        };
        let declared = declared.first().filter(|version| version.symbol() != Some("nil"));
        let version = declared.or_else(|| self.managed.get(&library::module(name)).copied());
        let version = version.map_or(Version::None, |version| self.version(version));
        library::add(symbol, version, Some(scope), self.found);
        // An entry that is not closed has the next entries in it.
        let mut is_value = false;
        for node in rest {
            if matches!(&node.form, Form::Vector(items) if !items.is_empty() && !is_value) {
                self.library(node, scope);
            }
            is_value = matches!(node.form, Form::Keyword(_));
        }
    }

    /// A version: written as such, or as the name of a definition.
    fn version(&self, version: &'n Node<'a>) -> Version<'n> {
        let name = version.symbol();
        let value = name.and_then(|name| self.values.get(name).copied());
        match version.text().or(value) {
            Some(text) => Version::Text(text),
            None => name.map_or(Version::Computed, Version::Unknown),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn projects_of_leiningen_are_wanted() {
        for path in ["project.clj", "a/project.clj", "profiles.clj"] {
            assert!(Leiningen.wants(path), "{path}");
        }
        assert!(!Leiningen.wants("core.clj"));
    }
}
