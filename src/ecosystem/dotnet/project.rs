//! `*.csproj`, `*.fsproj`, `*.vbproj`, and the files that `MSBuild` takes into all projects below a
//! folder: `Directory.Build.props`, `Directory.Build.targets`, `Directory.Packages.props`, and
//! `Packages.props`; other `*.props` and `*.targets` may define what those refer to.
//!
//! What flows in: one file. What flows out: a [`MsBuild`], whose packages [`resolve`](super::resolve())
//! makes once all files of the repository are there. What must stay true: elements count wherever they
//! stand, in `Choose` and in targets too: conditions are not evaluated.

use super::item::{self, Item, Kind, Property};
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::Collector,
    purl::Ecosystem,
    source::file_name,
    xml::{self, Element},
};
use crate::model::scan_result::Source;

/// Reads project files.
#[derive(Debug)]
pub(in crate::ecosystem) struct MsBuildProject;

/// What one file of `MSBuild` says of packages, for [`join`](crate::ecosystem::join()).
#[derive(Debug, PartialEq)]
pub struct MsBuild {
    pub(super) file: String,
    pub(super) is_test: bool,
    pub(super) items: Vec<Item>,
    pub(super) properties: Vec<Property>,
}

impl MsBuild {
    /// How much there is in it, in packages or what is as large.
    pub fn size(&self) -> usize {
        self.items.len() + self.properties.len()
    }

    /// Whether it is a project, not a file that projects take in.
    pub(super) fn is_project(&self) -> bool {
        self.file.to_ascii_lowercase().ends_with("proj")
    }

    /// Whether `MSBuild` takes it into the projects below its folder.
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
        const SUFFIXES: [&str; 9] = [
            ".csproj", ".fsproj", ".vbproj", ".vcxproj", ".sqlproj", ".wixproj", ".proj", ".props",
            ".targets",
        ];
        let file = file_name(path).to_ascii_lowercase();
        SUFFIXES.iter().any(|it| file.len() > it.len() && file.ends_with(it))
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::NuGet, Source::Manifest);
        let text = xml::decode(file.bytes);
        let tree = xml::parse(&text, found.budget());
        for (line, message) in &tree.errors {
            found.warn(*line, message);
        }
        let Some(root) = tree.root().filter(|it| it.name() == "Project") else {
            let is_project = file.path.to_ascii_lowercase().ends_with("proj");
            // Other tools have files of that name too.
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
        Findings { msbuild: Some(Box::new(build)), ..found.finish() }
    }
}

/// Groups stand in the project, in `Choose`/`When` and in targets.
fn read(root: Element<'_, '_>, build: &mut MsBuild, found: &mut Collector<'_>) {
    let mut open = vec![root];
    while let Some(element) = open.pop() {
        match element.name() {
            "ItemGroup" => {
                element.children().for_each(|it| item::items(it, &mut build.items, found));
            }
            "PropertyGroup" => item::properties(element, &mut build.properties),
            "Project" | "Choose" | "When" | "Otherwise" | "Target" => {
                let at = open.len();
                open.extend(element.children());
                // The stack gives the first child back first.
                open.get_mut(at..).unwrap_or_default().reverse();
            }
            _ => {}
        }
    }
}

fn is_test(build: &MsBuild) -> bool {
    let says_so =
        |it: &Property| it.name == "istestproject" && it.value.eq_ignore_ascii_case("true");
    let has_sdk = |it: &Item| {
        it.kind == Kind::Reference && it.name.eq_ignore_ascii_case("Microsoft.NET.Test.Sdk")
    };
    build.properties.iter().any(says_so) || build.items.iter().any(has_sdk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_msbuild_are_wanted() {
        for path in [
            "a/App.csproj",
            "Lib.fsproj",
            "x.vbproj",
            "Directory.Packages.props",
            "b/x.targets",
            "n.vcxproj",
            "build/dirs.proj",
        ] {
            assert!(MsBuildProject.wants(path), "{path}");
        }
        for path in [".csproj", "a.sln", "App.csproj.user", "props", "a.xcodeproj/project.pbxproj"]
        {
            assert!(!MsBuildProject.wants(path), "{path}");
        }
    }
}
