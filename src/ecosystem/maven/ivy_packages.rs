//! Converts the dependencies of all Ivy files to packages.
//!
//! Input: the Ivy modules of one repository, in any order. Output: the packages that each requires. By "Version
//! matchers" of Ivy's reference: `latest.release`, `1.+` and intervals are ranges. Invariants: a module of the
//! repository is not a package of another one, unless the file states a different revision of it.

use super::{
    ivy::{IvyModule, Required},
    ivy_names::Defined,
};
use crate::ecosystem::{
    Findings, SourceFile,
    budget::Budget,
    collect::{Collector, Declared},
    step::Joining,
    text,
};
use crate::model::{ecosystem::Ecosystem, scan_result::Source};
use std::collections::HashMap;

/// Resolves the Ivy modules of one repository.
pub(in crate::ecosystem) fn resolve_ivy(joining: &mut Joining<'_>) {
    let defined: Defined = joining.facts.take();
    let mut modules: Vec<IvyModule> = joining.facts.take();
    for IvyModule { file, revision, required, .. } in &mut modules {
        let texts = required.iter_mut().flat_map(|required| {
            [Some(&mut required.organisation), Some(&mut required.name), required.revision.as_mut()]
        });
        for text in texts.chain([revision.as_mut()]).flatten().filter(|text| text.contains("${")) {
            if let Some(value) = defined.expand(file, text, joining.budget) {
                *text = value;
            }
        }
    }
    let found = resolve(modules, joining.budget);
    joining.add(found);
}

fn resolve(mut modules: Vec<IvyModule>, budget: &Budget) -> Findings {
    modules.sort_by(|a, b| a.file.cmp(&b.file));
    let mut own: HashMap<(&str, &str), Vec<Option<&str>>> = HashMap::new();
    for IvyModule { organisation, name, revision, .. } in &modules {
        if let (Some(organisation), Some(name)) = (organisation, name) {
            let revision = revision.as_deref().filter(|revision| is_exact(revision));
            own.entry((organisation, name)).or_default().push(revision);
        }
    }
    let is_own = |required: &Required| {
        let name = (required.organisation.as_str(), required.name.as_str());
        let revision = required.revision.as_deref().filter(|revision| is_exact(revision));
        let mut own = own.get(&name).into_iter().flatten().take_while(|_| budget.visit());
        own.any(|own| own.is_none() || revision.is_none() || *own == revision)
    };
    let mut all = Findings::default();
    for module in &modules {
        let file = SourceFile { path: &module.file, bytes: b"", budget };
        let mut found = Collector::new(file, Ecosystem::Maven, Source::Manifest);
        for required in module.required.iter().filter(|required| !is_own(required)) {
            add(required, &mut found);
        }
        let findings = found.finish();
        all.packages.extend(findings.packages);
        all.warnings.extend(findings.warnings);
    }
    all
}

fn add(required: &Required, found: &mut Collector<'_>) {
    let Required { organisation, name, revision, constraint, scope, line } = required;
    let name = format!("{organisation}:{name}");
    let exact = revision.as_deref().filter(|revision| is_exact(revision));
    match revision.as_deref() {
        None => found.warn(*line, format!("`{}` has no revision", text::excerpt(&name))),
        Some(revision) if revision.contains("${") => {
            let (name, revision) = (text::excerpt(&name), text::excerpt(revision));
            found.warn(*line, format!("`{name}`: `{revision}` is defined outside the repository"));
        }
        Some(_) => {}
    }
    let open = revision.as_deref().filter(|_| exact.is_none());
    found.add(Declared {
        name: &name,
        version: exact,
        specifier: constraint.as_deref().or(open),
        line: *line,
        direct: Some(true),
        scope: *scope,
    });
}

/// Whether a revision is one, and not a range or an expression.
fn is_exact(revision: &str) -> bool {
    let is_range = revision.starts_with(['[', ']', '('])
        || revision.ends_with('+')
        || revision.starts_with("latest.");
    !is_range && !revision.contains("${")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecosystem::{Parser, maven::IvyFile};

    /// Fails if a module of the repository is a package of another one, or the order of the files matters.
    #[test]
    fn modules_of_the_repository_are_not_packages() {
        let module = |name: &str, revision: &str, required: &str| {
            format!(
                "<ivy-module version='2.0'><info organisation='o' module='{name}' revision='{revision}'>\
                 <extends module='base' revision='1'/></info><dependencies>{required}</dependencies></ivy-module>"
            )
        };
        let depends = |org: &str, name: &str, revision: &str| {
            format!("<dependency org='{org}' name='{name}' rev='{revision}'/>")
        };
        let required = [
            depends("o", "core", "latest.integration"),
            depends("o", "core", "2.0"),
            depends("o", "core", "1.0"),
            depends("o", "away", "1.0"),
            depends("other", "core", "2.0"),
        ];
        let texts = [
            ("base/ivy.xml", module("base", "${build}", "")),
            ("core/ivy.xml", module("core", "2.0", "")),
            ("web/ivy.xml", module("web", "2.0", &required.concat())),
        ];
        let read = |(path, text): &(&str, String)| {
            IvyFile.parse(SourceFile::alone(path, text.as_bytes())).into_fact::<IvyModule>()
        };
        let found = resolve(texts.iter().map(read).collect(), Budget::alone(1 << 20));
        let backwards = resolve(texts.iter().rev().map(read).collect(), Budget::alone(1 << 20));
        assert_eq!(found.packages, backwards.packages);
        let purls: Vec<_> = found.packages.iter().map(|package| package.purl.as_str()).collect();
        let expected = ["pkg:maven/o/core@1.0", "pkg:maven/o/away@1.0", "pkg:maven/other/core@2.0"];
        assert_eq!(purls, expected);
    }
}
