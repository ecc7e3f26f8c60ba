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
    /// An SDK that defines properties and targets of the project.
    Sdk,
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

impl Item {
    /// A package with a name and a version of usual length; a longer version is ignored.
    pub(super) fn new(
        kind: ItemKind,
        name: &str,
        version: Option<&str>,
        scope: Option<Scope>,
        line: u32,
        found: &mut Collector<'_>,
    ) -> Option<Self> {
        let version = short(version.map(str::trim), line, found).map(Arc::from);
        Self::with(kind, name, version, scope, line, found)
    }

    /// As [`new`](Self::new), with a version that several packages share.
    fn with(
        kind: ItemKind,
        name: &str,
        version: Option<Arc<str>>,
        scope: Option<Scope>,
        line: u32,
        found: &mut Collector<'_>,
    ) -> Option<Self> {
        let name = name.trim();
        if name.len() > LONGEST {
            found.warn(line, format!("`{}` is not a valid package name", text::excerpt(name)));
            return None;
        }
        if name.is_empty() || !found.budget().copy(name.len()) {
            return None;
        }
        Some(Self { kind, name: name.to_owned(), version, scope, line })
    }
}

/// The version, if there is one of usual length.
fn short<'t>(version: Option<&'t str>, line: u32, found: &mut Collector<'_>) -> Option<&'t str> {
    let version = version.filter(|version| !version.is_empty())?;
    if version.len() > LONGEST {
        let message = format!("the version is longer than {LONGEST} bytes and is ignored");
        found.warn(line, message);
        return None;
    }
    Some(version)
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
    let line = element.line();
    let version = metadata("VersionOverride").or_else(|| metadata("Version"));
    // A download of one package may list several versions: `[1.0.0];[2.0.0]`.
    let takes_list = element.name() == "PackageDownload" && !names.contains(';');
    let versions: Vec<Option<Arc<str>>> = match &version {
        Some(versions) if takes_list && versions.len() <= LONGEST => {
            let all = versions.split(';').map(str::trim).filter(|version| !version.is_empty());
            all.map(|version| Some(Arc::from(version))).collect()
        }
        _ => vec![short(version.as_deref(), line, found).map(Arc::from)],
    };
    // `all` means that the package is not passed on to the project's users.
    let private = metadata("PrivateAssets").is_some_and(|assets| {
        assets.split(';').any(|asset| asset.trim().eq_ignore_ascii_case("all"))
    });
    let scope = scope.or(private.then_some(Scope::Build));
    for name in names.split(';').filter(|name| !name.trim().is_empty()) {
        for version in &versions {
            if items.len() >= MAX_ITEMS {
                let message = format!("more than {MAX_ITEMS} packages; the rest is skipped");
                return found.warn(line, message);
            }
            match Item::with(kind, name, version.clone(), scope, line, found) {
                Some(item) => items.push(item),
                None if found.budget().is_used_up() => return,
                None => break,
            }
        }
    }
}

/// Reads the SDKs that an element names: `<Project Sdk="A;B/1.0.0">`, `<Import Sdk="A" Version="1.0.0">` or
/// `<Sdk Name="A" Version="1.0.0">`.
pub(super) fn sdks(element: Element<'_, '_>, items: &mut Vec<Item>, found: &mut Collector<'_>) {
    let key = if element.name() == "Sdk" { "Name" } else { "Sdk" };
    let Some(names) = element.attribute(key) else { return };
    let own = if element.name() == "Project" { None } else { element.attribute("Version") };
    let line = element.line();
    for sdk in names.split(';').filter(|sdk| !sdk.trim().is_empty()) {
        if items.len() >= MAX_ITEMS {
            return;
        }
        let (name, version) = match sdk.split_once('/') {
            Some((name, version)) => (name, Some(version)),
            None => (sdk, own.as_deref()),
        };
        items.extend(Item::new(ItemKind::Sdk, name, version, Some(Scope::Build), line, found));
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
