//! `*.csproj`, `*.fsproj`, `*.vbproj`, and the files that `MSBuild` imports into all projects below a
//! folder: `Directory.Build.props`, `Directory.Build.targets`, `Directory.Packages.props`, and
//! `Packages.props`; other `*.props` and `*.targets` may define properties that those use.
//!
//! Input: one file. Output: an [`MsBuild`], which [`resolve`](super::resolve()) converts to packages once
//! all files of the repository have been read. Invariants: conditions are not evaluated, so elements count
//! anywhere, also in `Choose` and in targets.

use super::item::{self, Item, ItemKind, Property};
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::Collector,
    facts::{Fact, Facts},
    path::file_name,
    xml::{self, Element},
};
use crate::model::{ecosystem::Ecosystem, scan_result::Source};

/// Reads project files.
#[derive(Debug)]
pub(in crate::ecosystem) struct MsBuildProject;

/// The packages and properties of one `MSBuild` file, for [`resolve`](super::resolve).
#[derive(Debug, PartialEq)]
pub(super) struct MsBuild {
    pub(super) file: String,
    pub(super) is_test: bool,
    pub(super) items: Vec<Item>,
    pub(super) properties: Vec<Property>,
}

impl Fact for MsBuild {
    fn size(&self) -> usize {
        self.items.len() + self.properties.len()
    }

    fn gather(self: Box<Self>, facts: &mut Facts) {
        facts.with(|builds: &mut Vec<Self>| builds.push(*self));
    }
}

impl MsBuild {
    /// Whether the file is a project, not a file that projects import.
    pub(super) fn is_project(&self) -> bool {
        self.file.to_ascii_lowercase().ends_with("proj")
    }

    /// Whether `MSBuild` imports the file into the projects below its folder.
    pub(super) fn is_shared(&self) -> bool {
        let file = file_name(&self.file).to_ascii_lowercase();
        (file.starts_with("directory.") || file == "packages.props") && !self.is_project()
    }
}

impl Parser for MsBuildProject {
    fn name(&self) -> &'static str {
        "msbuild"
    }

    fn wants(&self, path: &str) -> bool {
        const SUFFIXES: [&str; 13] = [
            ".csproj",
            ".fsproj",
            ".vbproj",
            ".vcxproj",
            ".sqlproj",
            ".wixproj",
            ".esproj",
            ".ilproj",
            ".pyproj",
            ".msbuildproj",
            ".proj",
            ".props",
            ".targets",
        ];
        let file = file_name(path).to_ascii_lowercase();
        SUFFIXES.iter().any(|suffix| file.len() > suffix.len() && file.ends_with(suffix))
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::NuGet, Source::Manifest);
        let text = xml::decode(file.bytes);
        let tree = xml::parse(&text, found.budget());
        for (line, message) in &tree.errors {
            found.warn(*line, message);
        }
        let Some(root) = tree.root().filter(|root| root.name() == "Project") else {
            let is_project = file.path.to_ascii_lowercase().ends_with("proj");
            // Other tools use these file names too.
            if !is_project && tree.root().is_some() {
                return Findings::default();
            }
            if !found.has_warnings() && !text.trim().is_empty() {
                found.warn(1, "expected the element `Project`");
            }
            return found.unreadable();
        };
        let mut build = MsBuild {
            file: file.path.to_owned(),
            is_test: false,
            items: Vec::new(),
            properties: Vec::new(),
        };
        read(root, &mut build, &mut found);
        build.is_test = is_test(&build);
        Findings { fact: Some(Box::new(build)), ..found.finish() }
    }
}

/// Reads the groups in the project, in `Choose`/`When` and in targets.
fn read(root: Element<'_, '_>, build: &mut MsBuild, found: &mut Collector<'_>) {
    let mut open = vec![root];
    while let Some(element) = open.pop() {
        match element.name() {
            "ItemGroup" => {
                element.children().for_each(|child| item::items(child, &mut build.items, found));
            }
            "PropertyGroup" => item::properties(element, &mut build.properties),
            "Sdk" | "Import" => item::sdks(element, &mut build.items, found),
            "Project" | "Choose" | "When" | "Otherwise" | "Target" | "ImportGroup" => {
                if element.name() == "Project" {
                    item::sdks(element, &mut build.items, found);
                }
                let at = open.len();
                open.extend(element.children());
                // The last element of the stack is read first.
                open.get_mut(at..).unwrap_or_default().reverse();
            }
            _ => {}
        }
    }
}

fn is_test(build: &MsBuild) -> bool {
    let is_declared = |property: &Property| {
        property.name == "istestproject" && property.value.eq_ignore_ascii_case("true")
    };
    let has_sdk = |item: &Item| match item.kind {
        ItemKind::Reference => item.name.eq_ignore_ascii_case("Microsoft.NET.Test.Sdk"),
        ItemKind::Sdk => item.name.eq_ignore_ascii_case("MSTest.Sdk"),
        ItemKind::Version | ItemKind::Update => false,
    };
    build.properties.iter().any(is_declared) || build.items.iter().any(has_sdk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn msbuild_files_are_wanted() {
        for path in [
            "a/App.csproj",
            "Lib.fsproj",
            "x.vbproj",
            "Directory.Packages.props",
            "b/x.targets",
            "n.vcxproj",
            "build/dirs.proj",
            "web/site.esproj",
        ] {
            assert!(MsBuildProject.wants(path), "{path}");
        }
        for path in [".csproj", "a.sln", "App.csproj.user", "props", "a.xcodeproj/project.pbxproj"]
        {
            assert!(!MsBuildProject.wants(path), "{path}");
        }
    }
}
