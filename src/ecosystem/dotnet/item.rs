//! The package items and properties of one `MSBuild` file.
//!
//! Input: the XML tree of the file. Output: items and properties, unexpanded. Invariants: nothing is
//! evaluated; of a condition only its presence is recorded.

use crate::ecosystem::{collect::Collector, text, xml::Element};
use crate::model::scan_result::Scope;
use std::sync::Arc;

/// Longest name, version and property value in bytes.
const LONGEST: usize = 300;

/// Packages and properties of one file; this bounds the memory until all files have been read.
const MAX_ITEMS: usize = 50_000;

/// The role of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ItemKind {
    /// The project requires the package.
    Reference,
    /// Sets the version in each project that requires it: `PackageVersion`, or `Update`.
    Version,
    /// Changes a reference that is defined elsewhere.
    Update,
}

/// One package of an `ItemGroup`.
#[derive(Debug, PartialEq)]
pub(super) struct Item {
    pub(super) kind: ItemKind,
    pub(super) name: String,
    /// Shared by all packages of an element.
    pub(super) version: Option<Arc<str>>,
    pub(super) scope: Option<Scope>,
    pub(super) line: u32,
}

/// A property, and whether it is set under a condition only.
#[derive(Debug, PartialEq)]
pub(super) struct Property {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) is_conditional: bool,
}

/// Reads the packages of an element of an `ItemGroup`; one element may name several.
pub(super) fn items(element: Element<'_, '_>, items: &mut Vec<Item>, found: &mut Collector<'_>) {
    let (kind, scope) = match element.name() {
        "PackageReference" => (ItemKind::Reference, None),
        "DotNetCliToolReference" | "PackageDownload" | "GlobalPackageReference" => {
            (ItemKind::Reference, Some(Scope::Build))
        }
        "PackageVersion" => (ItemKind::Version, None),
        _ => return,
    };
    let (names, kind) = match (element.attribute("Include"), element.attribute("Update")) {
        (None, Some(names)) if kind == ItemKind::Reference => (names, ItemKind::Update),
        (Some(names), _) | (None, Some(names)) => (names, kind),
        (None, None) => return,
    };
    let metadata = |name: &str| {
        element.attribute(name).map(std::borrow::Cow::into_owned).or_else(|| {
            let child = element.children().find(|child| child.name().eq_ignore_ascii_case(name))?;
            Some(child.text().to_owned())
        })
    };
    let version = metadata("VersionOverride").or_else(|| metadata("Version"));
    let version = version.filter(|version| !version.is_empty());
    let is_long = version.as_ref().is_some_and(|version| version.len() > LONGEST);
    if is_long {
        let message = format!("the version is longer than {LONGEST} bytes and is ignored");
        found.warn(element.line(), message);
    }
    let version: Option<Arc<str>> = version.filter(|_| !is_long).map(Arc::from);
    // `all` means that the package is not passed on to the project's users.
    let private = metadata("PrivateAssets").is_some_and(|assets| {
        assets.split(';').any(|asset| asset.trim().eq_ignore_ascii_case("all"))
    });
    let scope = scope.or(private.then_some(Scope::Build));
    for name in names.split(';').map(str::trim).filter(|name| !name.is_empty()) {
        if items.len() >= MAX_ITEMS {
            let message = format!("more than {MAX_ITEMS} packages; the rest is skipped");
            return found.warn(element.line(), message);
        }
        if name.len() > LONGEST {
            let message = format!("`{}` is not a valid package name", text::excerpt(name));
            found.warn(element.line(), message);
            continue;
        }
        if !found.budget().copy(name.len()) {
            return;
        }
        let (name, version) = (name.to_owned(), version.clone());
        items.push(Item { kind, name, version, scope, line: element.line() });
    }
}

/// Reads the properties of a `PropertyGroup`.
pub(super) fn properties(group: Element<'_, '_>, properties: &mut Vec<Property>) {
    let of_group = group.attribute("Condition").is_some();
    let is_short = |property: &Element<'_, '_>| {
        property.name().len() <= LONGEST && property.text().len() <= LONGEST
    };
    let room = MAX_ITEMS.saturating_sub(properties.len());
    let all = group.children().filter(|element| !element.text().is_empty() && is_short(element));
    for element in all.take(room) {
        properties.push(Property {
            name: element.name().to_ascii_lowercase(),
            value: element.text().to_owned(),
            is_conditional: of_group || element.attribute("Condition").is_some(),
        });
    }
}
