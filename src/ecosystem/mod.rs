//! Bytes become packages: one file per format, one line in [`REGISTRY`] for each.
//!
//! What flows in: one file's path and bytes. What flows out: the packages that it declares,
//! with their lines, and a warning for each thing that was not understood. [`join()`] then adds
//! what the files of one repository say of each other. Sources have parsers of their own: what
//! they import is asked for beside what is declared.
//!
//! What must stay true: pure (no disk, no network, no clock), never a panic, time and memory
//! bounded by the size of the input, and one bad entry never loses the entries beside it.

#[cfg(test)]
mod aliases;
mod bom;
mod budget;
mod cargo;
mod ci;
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
#[cfg(test)]
mod fixtures;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod git_reference;
mod gleam;
mod golang;
mod gradle;
mod haskell;
mod hex;
mod imports;
mod join;
mod json;
mod julia;
mod lua;
mod maven;
#[cfg(test)]
mod mentions;
mod mise;
#[cfg(test)]
mod mutated_files;
mod nim;
mod npm;
mod opam;
mod perl;
mod php;
mod purl;
mod purl_types;
mod python;
mod r;
mod ruby;
mod runtimes;
mod sbt;
mod script;
mod source;
mod swift;
mod terraform;
mod text;
mod toml;
mod vcpkg;
mod workspace;
mod xml;
mod yaml;

pub use budget::Budget;
pub use imports::{Imports, source_parser_for};
pub use join::{Gathered, join};
pub use source::{Findings, Parser, SourceFile, read};

/// Every parser there is, in the order in which they are asked. To add a format, write its file
/// and add its line.
pub static REGISTRY: &[&dyn Parser] = &[
    &npm::PackageLock,
    &npm::PackageJson,
    &python::PyProject,
    &python::Requirements,
    &python::SetupCfg,
    &python::SetupPy,
    &cargo::CargoLock,
    &cargo::CargoToml,
    &golang::GoMod,
    &maven::MavenPom,
    &gradle::GradleBuild,
    &sbt::SbtBuild,
    &conda::CondaEnvironment,
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
    &php::ComposerLock,
    &php::ComposerJson,
    &php::InstalledJson,
    &ruby::GemfileLock,
    &ruby::Gemfile,
    &ruby::Gemspec,
    &gradle::GradleLock,
    &gradle::VersionCatalog,
    &gradle::VerificationMetadata,
    &maven::MavenInstall,
    &golang::VendoredModules,
    &npm::YarnLock,
    &npm::PnpmLock,
    &npm::BunLock,
    &npm::DenoLock,
    &npm::WorkspaceFile,
    &ci::GitLabPipeline,
    &ci::GitHubWorkflow,
    &container::Dockerfile,
    &container::ComposeFile,
    &container::HelmChart,
    &container::HelmValues,
    &container::Devfile,
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
    &conan::ConanLock,
    &conan::ConanInfo,
    &conan::ConanFile,
    &conan::ConanRecipe,
    &vcpkg::VcpkgManifest,
    &haskell::StackLock,
    &haskell::StackYaml,
    &haskell::CabalFreeze,
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
    &bom::BomJson,
    &bom::CycloneDxXml,
    &bom::SpdxTags,
    // It judges by the folder, so it has what no other one wants.
    &container::KubernetesManifest,
];

/// The first parser that wants a file, judged by its path alone.
pub fn parser_for(path: &str) -> Option<&'static dyn Parser> {
    REGISTRY.iter().copied().find(|parser| parser.wants(path) && !parser.is_deep())
}

/// The first one that wants it in a deep scan, where no other does.
pub fn deep_parser_for(path: &str) -> Option<&'static dyn Parser> {
    REGISTRY.iter().copied().find(|parser| parser.is_deep() && parser.wants(path))
}
