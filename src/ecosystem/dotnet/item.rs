//! The items and properties of one file of `MSBuild`, as they stand in it.
//!
//! What flows in: the tree of the file. What flows out: what is said of packages, unexpanded. What must
//! stay true: nothing is evaluated; of a condition only that there is one is kept.

use crate::ecosystem::xml::Element;
use crate::model::scan_result::Scope;

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
    pub(super) version: Option<String>,
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
pub(super) fn items(element: Element<'_, '_>, items: &mut Vec<Item>) {
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
    // Nothing of it reaches those who use the project.
    let private = metadata("PrivateAssets")
        .is_some_and(|it| it.split(';').any(|it| it.trim().eq_ignore_ascii_case("all")));
    let scope = scope.or(private.then_some(Scope::Build));
    for name in names.split(';').map(str::trim).filter(|it| !it.is_empty()) {
        let (name, version) = (name.to_owned(), version.clone());
        items.push(Item { kind, name, version, scope, line: element.line() });
    }
}

/// The properties of a `PropertyGroup`.
pub(super) fn properties(group: Element<'_, '_>, properties: &mut Vec<Property>) {
    let of_group = group.attribute("Condition").is_some();
    for element in group.children().filter(|it| !it.text().is_empty()) {
        properties.push(Property {
            name: element.name().to_ascii_lowercase(),
            value: element.text().to_owned(),
            is_conditional: of_group || element.attribute("Condition").is_some(),
        });
    }
}
