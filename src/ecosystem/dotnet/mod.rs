//! .NET: project files, `packages.config`, files of `NuGet` and of the SDK, and Paket.
//!
//! Input: `*.csproj` and similar files with the files that `MSBuild` imports from the folders above,
//! `packages.lock.json`, `project.assets.json`, `*.deps.json`, `paket.lock`, `paket.dependencies`,
//! `global.json`, `dotnet-tools.json`, `*.nuspec`, and the directives of file-based C# apps. Output: `NuGet`
//! packages.
//!
//! Decision. `Version="1.2.3"` requires that version or a later one, and `NuGet` resolves it to the lowest:
//! it is recorded as the version. A range or a floating version (`1.*`) is a specifier.
//!
//! Invariants: projects, and assemblies that belong to no package, are not packages.

mod assets;
mod config;
mod deps;
mod file_based;
mod global_json;
mod graph;
mod item;
mod lock;
mod nuspec;
mod paket;
mod paket_lock;
mod project;
mod resolve;
mod tools;

pub(super) use assets::ProjectAssets;
pub(super) use config::PackagesConfig;
pub(super) use deps::DepsJson;
pub(super) use file_based::FileBasedApp;
pub(super) use global_json::GlobalJson;
pub(super) use lock::PackagesLock;
pub(super) use nuspec::Nuspec;
pub(super) use paket::PaketDependencies;
pub(super) use paket_lock::PaketLock;
pub(super) use project::MsBuildProject;
pub(super) use resolve::resolve_projects;
pub(super) use tools::ToolManifest;

/// The version, if a text allows exactly one or names the lowest: `[1.2.3]` or `1.2.3`.
fn exact(text: &str) -> Option<&str> {
    let text = text.trim();
    let inner =
        text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text).trim();
    let is_version = inner.starts_with(|character: char| character.is_ascii_digit())
        && inner.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-+".contains(&byte));
    is_version.then_some(inner)
}

#[cfg(test)]
mod tests {
    use super::exact;

    #[test]
    fn versions_are_distinguished_from_ranges() {
        for (text, version) in
            [("1.0", "1.0"), ("[1.2.3]", "1.2.3"), (" 1.0.0-rc.1+b ", "1.0.0-rc.1+b")]
        {
            assert_eq!(exact(text), Some(version));
        }
        for range in ["[1.0,2.0)", "(,1.0]", "1.*", "*", "[1.0]; [2.0]", "$(V)", ""] {
            assert_eq!(exact(range), None, "{range}");
        }
    }
}
