//! sbt: `*.sbt` and the Scala files of `project/`, by "Library dependencies" of sbt's manual.
//!
//! Input: build definitions. Output: each `group % artifact % version` anywhere in them, with its
//! configuration and the values of the names of its build (`resolve`); the modules of `build.sbt.lock`.
//! Invariants: nothing is run; exclusions and overrides require nothing, so they are not packages.
//!
//! Decisions. `%%` appends the Scala version to the artifact's name. It is appended if the build states the
//! version as a literal (`scalaVersion := "2.13.14"`, by a name, or as an element of a list of literals), and
//! otherwise omitted, as for `%%%`, which appends the platform too. Plugins of sbt have the scope build, and so do
//! the dependencies of the build itself (`project/*.sbt`); `Provided` is build, as in Maven.

mod lock;
mod modules;
mod resolve;
mod scala;

pub(super) use lock::SbtLock;
pub(super) use resolve::resolve_builds;

use super::{
    Findings, Pairing, Parser, SourceFile,
    collect::Collector,
    path::folder_of,
    script::{self, Constants, Dialect},
    text,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use resolve::SbtFile;

/// The tool of these files, because other tools of the ecosystem may share a folder.
const TOOL: &str = "sbt";

/// Reads `*.sbt`, and `*.scala` in `project/`.
#[derive(Debug)]
pub(in crate::ecosystem) struct SbtBuild;

impl Parser for SbtBuild {
    fn name(&self) -> &'static str {
        "sbt"
    }

    fn wants(&self, path: &str) -> bool {
        path.ends_with(".sbt") || (path.ends_with(".scala") && is_in_project(path))
    }

    fn pairing<'p>(&self, path: &'p str) -> Pairing<'p> {
        Pairing { folder: home(path), ..Pairing::of(path).with(TOOL) }
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Maven, Source::Manifest);
        let text = text::decode(file.bytes);
        let tokens = script::tokens(&text, Dialect::Scala);
        let mut constants = Constants::of(&tokens);
        let scala = scala::read(&tokens, &mut constants);
        let modules = modules::read(&tokens, is_of_build(file.path), &mut found);
        tokens.warn(&mut found);
        let fact = SbtFile { file: file.path.to_owned(), constants, scala, modules };
        Findings { fact: Some(Box::new(fact)), ..found.finish() }
    }
}

fn is_in_project(path: &str) -> bool {
    path.rsplit('/').nth(1) == Some("project")
}

/// Whether a file defines the build of the build.
fn is_of_build(path: &str) -> bool {
    path.ends_with(".sbt") && is_in_project(path)
}

/// The folder of the build that a file belongs to: the Scala files of `project/` define names for the build
/// beside that folder.
fn home(path: &str) -> &str {
    let folder = folder_of(path);
    if path.ends_with(".scala") && is_in_project(path) { folder_of(folder) } else { folder }
}

/// The scope of a configuration: `Test`, `"test"`, `"test->test;compile->compile"`. Of several, the strongest.
fn scope_of(configuration: Option<&str>) -> Scope {
    let Some(configuration) = configuration else { return Scope::Runtime };
    let text = configuration.trim_start_matches("${").trim_end_matches('}').to_ascii_lowercase();
    let scope = |part: &str| match part.split("->").next().unwrap_or(part).trim() {
        "test" | "it" | "integrationtest" => Scope::Test,
        "provided" | "plugin" | "scala-tool" => Scope::Build,
        "optional" => Scope::Optional,
        _ => Scope::Runtime,
    };
    let scopes: Vec<_> = text.split([';', ',']).map(scope).collect();
    [Scope::Runtime, Scope::Build, Scope::Optional]
        .into_iter()
        .find(|scope| scopes.contains(scope))
        .unwrap_or(Scope::Test)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sbt_files_are_wanted() {
        for path in ["build.sbt", "a/core.sbt", "project/plugins.sbt", "project/Dependencies.scala"]
        {
            assert!(SbtBuild.wants(path), "{path}");
        }
        for path in ["Main.scala", "project/src/Main.scala", "project/build.properties"] {
            assert!(!SbtBuild.wants(path), "{path}");
        }
    }

    #[test]
    fn files_belong_to_the_folder_of_their_build() {
        for (path, folder) in [
            ("build.sbt", ""),
            ("a/core.sbt", "a"),
            ("project/Dependencies.scala", ""),
            ("a/project/Dependencies.scala", "a"),
            ("a/project/plugins.sbt", "a/project"),
        ] {
            assert_eq!(home(path), folder, "{path}");
        }
    }

    #[test]
    fn dependencies_of_the_build_have_the_scope_build() {
        let bytes = b"libraryDependencies += \"g\" % \"a\" % \"1\"";
        let file = SourceFile::alone("project/deps.sbt", bytes);
        let fact: SbtFile = SbtBuild.parse(file).into_fact();
        assert_eq!(fact.modules[0].scope, Some(Scope::Build));
    }

    #[test]
    fn configurations_determine_the_scope() {
        for (configuration, expected) in [
            ("${Test}", Scope::Test),
            ("it,test", Scope::Test),
            ("test->test;compile->compile", Scope::Runtime),
            ("provided", Scope::Build),
            ("${Optional}", Scope::Optional),
            ("${Runtime}", Scope::Runtime),
        ] {
            assert_eq!(scope_of(Some(configuration)), expected, "{configuration}");
        }
    }
}
