//! The items and properties of one file of `MSBuild`, as they stand in it.
//!
//! What flows in: the tree of the file. What flows out: what is said of packages, unexpanded. What must
//! stay true: nothing is evaluated; of a condition only that there is one is kept.

use crate::ecosystem::{collect::Collector, text, xml::Element};
use crate::model::scan_result::Scope;
use std::sync::Arc;

/// No name, no version and no value of use is longer, in bytes.
const LONGEST: usize = 300;

/// Of one file no more packages are read, and no more properties: it bounds the memory until all files
/// are there.
const MOST: usize = 50_000;

/// What an item says of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The project asks for it.
    Reference,
    /// It has this version in each project that asks for it: `PackageVersion`, or `Update`.
    Version,
    /// A reference that only says more of one that stands elsewhere.
    Update,
}

/// One package of an item.
#[derive(Debug, PartialEq)]
pub(super) struct Item {
    pub(super) kind: Kind,
    pub(super) name: String,
    /// Shared by all packages of an element.
    pub(super) version: Option<Arc<str>>,
    pub(super) scope: Option<Scope>,
    pub(super) line: u32,
}

/// A property, and whether it is set only under a condition.
#[derive(Debug, PartialEq)]
pub(super) struct Property {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) is_conditional: bool,
}

/// The packages of an element of an `ItemGroup`; an item may name several.
pub(super) fn items(element: Element<'_, '_>, items: &mut Vec<Item>, found: &mut Collector<'_>) {
    let (kind, scope) = match element.name() {
        "PackageReference" => (Kind::Reference, None),
        "DotNetCliToolReference" | "PackageDownload" | "GlobalPackageReference" => {
            (Kind::Reference, Some(Scope::Build))
        }
        "PackageVersion" => (Kind::Version, None),
        _ => return,
    };
    let (names, kind) = match (element.attribute("Include"), element.attribute("Update")) {
        (None, Some(names)) if kind == Kind::Reference => (names, Kind::Update),
        (Some(names), _) | (None, Some(names)) => (names, kind),
        (None, None) => return,
    };
    let metadata = |name: &str| {
        element.attribute(name).map(std::borrow::Cow::into_owned).or_else(|| {
            let child = element.children().find(|it| it.name().eq_ignore_ascii_case(name))?;
            Some(child.text().to_owned())
        })
    };
    let version = metadata("VersionOverride").or_else(|| metadata("Version"));
    let version = version.filter(|it| !it.is_empty());
    let is_long = version.as_ref().is_some_and(|it| it.len() > LONGEST);
    if is_long {
        let message = format!("a version of more than {LONGEST} bytes is not read");
        found.warn(element.line(), message);
    }
    let version: Option<Arc<str>> = version.filter(|_| !is_long).map(Arc::from);
    // Nothing of it reaches those who use the project.
    let private = metadata("PrivateAssets")
        .is_some_and(|it| it.split(';').any(|it| it.trim().eq_ignore_ascii_case("all")));
    let scope = scope.or(private.then_some(Scope::Build));
    for name in names.split(';').map(str::trim).filter(|it| !it.is_empty()) {
        if items.len() >= MOST {
            let message = format!("more than {MOST} packages: the rest of them is not read");
            return found.warn(element.line(), message);
        }
        if name.len() > LONGEST {
            found.warn(element.line(), format!("`{}` is no package name", text::excerpt(name)));
            continue;
        }
        if !found.budget().copy(name.len()) {
            return;
        }
        let (name, version) = (name.to_owned(), version.clone());
        items.push(Item { kind, name, version, scope, line: element.line() });
    }
}

/// The properties of a `PropertyGroup`.
pub(super) fn properties(group: Element<'_, '_>, properties: &mut Vec<Property>) {
    let of_group = group.attribute("Condition").is_some();
    let is_short = |it: &Element<'_, '_>| it.name().len() <= LONGEST && it.text().len() <= LONGEST;
    let room = MOST.saturating_sub(properties.len());
    let all = group.children().filter(|it| !it.text().is_empty() && is_short(it));
    for element in all.take(room) {
        properties.push(Property {
            name: element.name().to_ascii_lowercase(),
            value: element.text().to_owned(),
            is_conditional: of_group || element.attribute("Condition").is_some(),
        });
    }
}
