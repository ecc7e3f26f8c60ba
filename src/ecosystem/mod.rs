//! Parsers: bytes of a manifest, lock file or source become packages.
//!
//! Input: the path and the bytes of one file. Output: the packages that it declares, with their
//! lines, and a warning for each part that could not be parsed. [`join()`] then combines the
//! findings of all files of one repository. Sources have parsers of their own: their imports are
//! compared with the declared packages.
//!
//! Invariants: parsers are pure (no disk, no network, no clock) and never panic; their time and memory
//! are bounded by the size of the input; and a bad entry never loses the entries beside it.
//!
//! Each format is one file and one line in [`REGISTRY`]; a format whose files need each other also has a
//! line in `STEPS`.

#[cfg(test)]
mod aliases;
#[cfg(test)]
mod amplification;
mod archive;
mod bazel;
mod bom;
mod bower;
mod budget;
mod by_content;
mod cargo;
mod ci;
mod clojure;
mod cocoapods;
mod collect;
mod conan;
mod conda;
mod container;
mod credentials;
mod crystal;
mod dart;
mod dotnet;
mod expression;
mod facts;
#[cfg(test)]
mod fixtures;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod git_modules;
mod git_reference;
mod git_source;
mod gleam;
mod golang;
mod gradle;
mod haskell;
mod hex;
mod image;
mod imports;
mod join;
mod json;
mod julia;
mod locks;
mod lua;
mod maven;
mod mise;
mod module_cache;
#[cfg(test)]
mod mutated_files;
mod nim;
mod nix;
mod npm;
mod opam;
mod parser;
mod path;
mod perl;
mod php;
mod project;
mod purl;
mod python;
mod r;
mod resolution;
mod ruby;
mod runtimes;
mod sbt;
mod script;
mod step;
mod swift;
mod terraform;
mod text;
mod toml;
mod vcpkg;
mod version;
mod workspace;
mod xml;
mod yaml;

pub use archive::archive_parser_for;
pub use budget::{ArchiveLimits, Budget};
pub use facts::{Fact, Facts};
pub use git_modules::Gitlinks;
pub use imports::{Imports, source_parser_for};
pub use join::{Gathered, join};
pub use module_cache::{CachedFile, MAX_CACHED_BYTES, ModuleCache, ModuleId};
pub use parser::{Findings, Pairing, Parser, SourceFile, read, read_archive};
pub use project::Project;
pub use yaml::value as yaml_value;

use step::Step;

/// All parsers, in the order in which they are tried. To add a format, add its file and its line
/// (docs/adding-a-format.md).
pub static REGISTRY: &[&dyn Parser] = &[
    &npm::PackageLock,
    &npm::PackageJson,
    &python::PyProject,
    &python::Requirements,
    &python::SetupCfg,
    &python::SetupPy,
    &python::HatchToml,
    &python::PixiToml,
    &python::ScriptMetadata,
    &cargo::CargoLock,
    &cargo::CargoToml,
    &golang::GoMod,
    &golang::GoSum,
    &golang::GoWork,
    &golang::DepLock,
    &golang::DepManifest,
    &maven::MavenPom,
    &maven::CoreExtensions,
    &maven::IvyFile,
    &maven::IvyNames,
    &gradle::GradleBuild,
    &sbt::SbtBuild,
    &sbt::SbtLock,
    &conda::CondaEnvironment,
    &conda::CondaLock,
    &conda::CondaExplicit,
    &conda::PixiLock,
    &conda::CondaMeta,
    &python::PoetryLock,
    &python::PipfileLock,
    &python::Pipfile,
    &python::PdmLock,
    &python::UvLock,
    &python::PyLock,
    &dotnet::PackagesLock,
    &dotnet::ProjectAssets,
    &dotnet::PackagesConfig,
    &dotnet::DepsJson,
    &dotnet::PaketLock,
    &dotnet::PaketDependencies,
    &dotnet::MsBuildProject,
    &dotnet::GlobalJson,
    &dotnet::ToolManifest,
    &dotnet::Nuspec,
    &dotnet::FileBasedApp,
    &php::ComposerLock,
    &php::ComposerJson,
    &php::InstalledJson,
    &ruby::GemfileLock,
    &ruby::Gemfile,
    &ruby::Gemspec,
    &gradle::GradleLock,
    &gradle::NebulaLock,
    &gradle::VersionCatalog,
    &gradle::VerificationMetadata,
    &maven::MavenInstall,
    &golang::VendoredModules,
    &npm::YarnLock,
    &npm::PnpmLock,
    &npm::BunLock,
    &npm::DenoLock,
    &npm::DenoJson,
    &npm::WorkspaceFile,
    &bower::BowerJson,
    &ci::GitLabPipeline,
    &ci::GitHubWorkflow,
    &ci::PreCommitConfig,
    &ci::CircleCi,
    &ci::BitbucketPipelines,
    &ci::Jenkinsfile,
    &ci::CloudBuild,
    &container::Dockerfile,
    &container::ComposeFile,
    &container::HelmChart,
    &container::HelmValues,
    &container::Devfile,
    &ci::AzurePipelines,
    &runtimes::ToolVersions,
    &runtimes::VersionFile,
    &mise::MiseToml,
    &dart::PubspecLock,
    &dart::Pubspec,
    &swift::PackageResolved,
    &swift::PackageSwift,
    &cocoapods::PodfileLock,
    &cocoapods::Podfile,
    &hex::MixLock,
    &hex::MixProject,
    &hex::RebarLock,
    &hex::RebarConfig,
    &terraform::TerraformLock,
    &terraform::TerraformFile,
    &nix::FlakeLock,
    &git_modules::GitModules,
    &bazel::BazelFile,
    &bazel::ModuleLock,
    &conan::ConanLock,
    &conan::ConanInfo,
    &conan::ConanFile,
    &conan::ConanRecipe,
    &vcpkg::VcpkgManifest,
    &haskell::StackLock,
    &haskell::StackYaml,
    &haskell::CabalFreeze,
    &haskell::CabalProject,
    &haskell::CabalFile,
    &r::RenvLock,
    &r::Description,
    &julia::JuliaManifest,
    &julia::JuliaProject,
    &lua::LuaRocksLock,
    &lua::Rockspec,
    &opam::OpamLock,
    &opam::OpamFile,
    &gleam::GleamManifest,
    &gleam::GleamToml,
    &nim::NimbleLock,
    &nim::Nimble,
    &perl::CpanSnapshot,
    &perl::CpanFile,
    &perl::CpanMeta,
    &crystal::ShardLock,
    &crystal::ShardYaml,
    &clojure::DepsEdn,
    &clojure::Leiningen,
    &bom::BomJson,
    &bom::CycloneDxXml,
    &bom::SpdxTags,
    &bom::SpdxYaml,
    &bom::SpdxXml,
    // It matches by folder, so it comes last and gets the files that no other parser wants.
    // It matches all YAML and JSON, so it comes last and gets the files that no other parser wants.
    &by_content::KubernetesManifest,
];

/// The steps that combine the findings of all files, in the order in which they run: imports are compared
/// with all packages that the steps before them leave.
static STEPS: &[Step] = &[
    Step::Resolve(maven::resolve_poms),
    Step::Resolve(maven::resolve_ivy),
    Step::Resolve(dotnet::resolve_projects),
    Step::Resolve(gradle::resolve_builds),
    Step::Resolve(golang::resolve_sums),
    Step::Resolve(sbt::resolve_builds),
    Step::Complete(cargo::inherit_versions),
    Step::Complete(npm::resolve_catalogs),
    Step::Complete(workspace::drop_own_projects),
    Step::Complete(ruby::drop_own_gems),
    Step::Complete(golang::drop_vendored_files),
    Step::Complete(container::drop_built),
    Step::Complete(container::complete_charts),
    Step::Complete(git_modules::set_commits),
    Step::Complete(locks::complete),
    Step::Resolve(imports::list_undeclared),
];

/// The parsers of all kinds of files.
#[cfg(any(test, fuzzing))]
fn every_parser() -> impl Iterator<Item = &'static &'static dyn Parser> {
    REGISTRY.iter().chain(imports::SOURCES).chain(archive::ARCHIVES)
}

/// The first parser that wants a file, by the path alone.
pub fn parser_for(path: &str) -> Option<&'static dyn Parser> {
    REGISTRY.iter().copied().find(|parser| parser.wants(path) && !parser.is_deep())
}

/// The first parser that wants a file in a deep scan only.
pub fn deep_parser_for(path: &str) -> Option<&'static dyn Parser> {
    REGISTRY.iter().copied().find(|parser| parser.is_deep() && parser.wants(path))
}
