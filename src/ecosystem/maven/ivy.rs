//! `ivy.xml`, by "Ivy files" of Ivy's reference.
//!
//! Input: an Ivy module descriptor. Output: an [`IvyModule`], the modules that it depends on; they become packages
//! once all files of the repository have been read, because a project depends on its own modules as on any other
//! (`ivy_packages`). Invariants: texts that are too long for a name or a version are dropped.
//!
//! Decisions. `${…}` has the value that settings, builds and files of properties around define (`ivy_names`). A
//! configuration has the scope that its name implies (`compile`, `runtime`, `default`, `test`, `provided`, `optional`), or that of a
//! configuration that extends it; others have none.

use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::Collector,
    facts::{Fact, Facts},
    path::file_name,
    xml::{self, Element},
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use std::{collections::HashMap, slice};

/// Longest name and revision in bytes.
const MAX_VALUE: usize = 300;

/// Bytes of an average dependency.
const USUAL: usize = 256;

/// Reads `ivy.xml`.
#[derive(Debug)]
pub(in crate::ecosystem) struct IvyFile;

impl Parser for IvyFile {
    fn name(&self) -> &'static str {
        "ivy"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "ivy.xml"
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Maven, Source::Manifest);
        let text = xml::decode(file.bytes);
        let tree = xml::parse(&text, found.budget());
        for (line, message) in &tree.errors {
            found.warn(*line, message);
        }
        let Some(root) = tree.root().filter(|root| root.name() == "ivy-module") else {
            found.warn(1, "expected the element `ivy-module`");
            return found.unreadable();
        };
        let module = read(root, IvyModule::new(file.path), &mut found);
        let fact: Box<dyn Fact> = Box::new(module);
        Findings { fact: Some(fact), ..found.finish() }
    }
}

/// The contents of one descriptor.
#[derive(Debug, PartialEq)]
pub(super) struct IvyModule {
    pub(super) file: String,
    pub(super) organisation: Option<String>,
    pub(super) name: Option<String>,
    pub(super) revision: Option<String>,
    pub(super) required: Vec<Required>,
}

/// A module that another one depends on, or extends.
#[derive(Debug, PartialEq)]
pub(super) struct Required {
    pub(super) organisation: String,
    pub(super) name: String,
    pub(super) revision: Option<String>,
    /// What was declared before a publication replaced it by a revision.
    pub(super) constraint: Option<String>,
    pub(super) scope: Option<Scope>,
    pub(super) line: u32,
}

impl IvyModule {
    pub(super) fn new(file: &str) -> Self {
        let (organisation, name, revision) = (None, None, None);
        Self { file: file.to_owned(), organisation, name, revision, required: Vec::new() }
    }
}

impl Fact for IvyModule {
    /// The number of dependencies, with long ones counted several times.
    fn size(&self) -> usize {
        let texts = |required: &Required| {
            let Required { organisation, name, revision, constraint, .. } = required;
            let texts = [Some(organisation), Some(name), revision.as_ref(), constraint.as_ref()];
            texts.into_iter().flatten().map(String::len).sum::<usize>()
        };
        let of = |required| 1 + (self.file.len() + texts(required)) / USUAL;
        1 + self.required.iter().map(of).sum::<usize>()
    }

    fn gather(self: Box<Self>, facts: &mut Facts) {
        facts.with(|modules: &mut Vec<Self>| modules.push(*self));
    }
}

fn read(root: Element<'_, '_>, mut module: IvyModule, found: &mut Collector<'_>) -> IvyModule {
    let info = root.child("info");
    let of_info = |name| value(info?, name);
    module.organisation = of_info("organisation");
    module.name = of_info("module");
    module.revision = of_info("revision");
    for extends in root.descend(&["info", "extends"]) {
        let names = ["organisation", "module", "revision"];
        require(extends, names, Some(Scope::Build), &mut module, found);
    }
    let configurations = Configurations::of(root);
    for dependencies in root.descend(&["dependencies"]) {
        let attributes = ["defaultconf", "defaultconfmapping"];
        let default = [dependencies].into_iter().chain(root.child("configurations"));
        let mut default = default.flat_map(|of| attributes.map(|name| value(of, name))).flatten();
        let default = default.next().unwrap_or_else(|| "*".to_owned());
        for dependency in nested(dependencies) {
            let mut scope = None;
            let inside =
                dependency.descend(&["conf"]).into_iter().filter_map(|conf| value(conf, "name"));
            let all: Vec<_> = value(dependency, "conf").into_iter().chain(inside).collect();
            let all = if all.is_empty() { slice::from_ref(&default) } else { all.as_slice() };
            for conf in all {
                scope = Scope::stronger(scope, configurations.scope(conf));
            }
            require(dependency, ["org", "name", "rev"], scope, &mut module, found);
        }
    }
    module
}

/// The dependencies of a list. A tag that is not closed contains those that follow it.
fn nested<'t, 'a>(list: Element<'t, 'a>) -> Vec<Element<'t, 'a>> {
    let mut found = Vec::new();
    let mut level = list.descend(&["dependency"]);
    while !level.is_empty() {
        let below = level.iter().flat_map(|dependency| dependency.descend(&["dependency"]));
        let below = below.collect();
        found.append(&mut level);
        level = below;
    }
    found
}

/// Reads the coordinates in the attributes of these names.
fn require(
    element: Element<'_, '_>,
    [organisation, name, revision]: [&str; 3],
    scope: Option<Scope>,
    module: &mut IvyModule,
    found: &mut Collector<'_>,
) {
    let line = element.line();
    // A module without an organisation is of the same one.
    let organisation = value(element, organisation).or_else(|| module.organisation.clone());
    let (Some(organisation), Some(name)) = (organisation, value(element, name)) else {
        let message = format!("a {} without an organisation or a name", element.name());
        return found.warn(line, message);
    };
    let revision = value(element, revision);
    let constraint = value(element, "revConstraint");
    module.required.push(Required { organisation, name, revision, constraint, scope, line });
}

fn value(of: Element<'_, '_>, name: &str) -> Option<String> {
    let value = of.attribute(name)?;
    (!value.is_empty() && value.len() <= MAX_VALUE).then(|| value.into_owned())
}

/// The scopes of the configurations that a descriptor declares.
struct Configurations(HashMap<String, Scope>);

impl Configurations {
    fn of(root: Element<'_, '_>) -> Self {
        let declared: HashMap<String, Vec<String>> = root
            .descend(&["configurations", "conf"])
            .into_iter()
            .filter_map(|conf| {
                let extended = value(conf, "extends").unwrap_or_default();
                Some((value(conf, "name")?, names(&extended).map(str::to_owned).collect()))
            })
            .collect();
        let mut scopes = HashMap::new();
        // The strongest first, because it decides about a configuration that several extend.
        for scope in [Scope::Runtime, Scope::Optional, Scope::Build, Scope::Test] {
            let of_name = declared.keys().filter(|name| scope_of_name(name) == Some(scope));
            let mut pending: Vec<&String> = of_name.collect();
            while let Some(extends) = pending.pop() {
                for extended in declared.get(extends).into_iter().flatten() {
                    let is_known =
                        scopes.contains_key(extended) || scope_of_name(extended).is_some();
                    if !is_known {
                        scopes.insert(extended.clone(), scope);
                        pending.push(extended);
                    }
                }
            }
        }
        Self(scopes)
    }

    /// The scope of a mapping of configurations: `compile,runtime->default;test->*`.
    fn scope(&self, mapping: &str) -> Option<Scope> {
        let of_each = mapping.split(';').flat_map(|part| {
            let own = part.split_once("->").map_or(part, |(own, _)| own);
            names(own).map(move |name| scope_of_name(name).or_else(|| self.0.get(name).copied()))
        });
        of_each.fold(None, Scope::stronger)
    }
}

/// The names of a list. `!test` excludes a configuration, so it is none of the list.
fn names(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|name| !name.is_empty() && !name.starts_with('!'))
}

/// The scope that the name of a configuration implies. `*` stands for all of them.
fn scope_of_name(name: &str) -> Option<Scope> {
    match name {
        "*" | "compile" | "runtime" | "default" | "master" | "api" | "implementation" => {
            Some(Scope::Runtime)
        }
        "provided" | "system" | "build" => Some(Scope::Build),
        "optional" => Some(Scope::Optional),
        name if name.to_ascii_lowercase().contains("test") => Some(Scope::Test),
        _ => None,
    }
}
