//! .NET: project files, `packages.config`, what `NuGet` locks and the SDK writes, and Paket.
//!
//! What flows in: `*.csproj` and its relatives with the files that `MSBuild` takes in from the folders
//! around them, `packages.lock.json`, `project.assets.json`, `*.deps.json`, `paket.lock` and
//! `paket.dependencies`. What flows out: packages of `NuGet`.
//!
//! Decision. `Version="1.2.3"` asks for that version or a later one, and is resolved to the lowest there
//! is: it is given as the version. A range or a floating version (`1.*`) is a specifier.
//!
//! What must stay true: projects and assemblies that come with no package are none.

mod assets;
mod config;
mod deps;
mod graph;
mod item;
mod lock;
mod paket;
mod paket_lock;
mod project;
mod resolve;

pub(super) use assets::ProjectAssets;
pub(super) use config::PackagesConfig;
pub(super) use deps::DepsJson;
pub(super) use lock::PackagesLock;
pub(super) use paket::PaketDependencies;
pub(super) use paket_lock::PaketLock;
pub(super) use project::MsBuild;
pub(super) use project::MsBuildProject;
pub(super) use resolve::resolve;

/// The version where a text allows but one: `1.2.3`, which is the lowest that is taken, and
/// `[1.2.3]`.
fn exact(text: &str) -> Option<&str> {
    let text = text.trim();
    let inner = text.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(text).trim();
    let is_version = inner.starts_with(|it: char| it.is_ascii_digit())
        && inner.bytes().all(|it| it.is_ascii_alphanumeric() || b".-+".contains(&it));
    is_version.then_some(inner)
}

#[cfg(test)]
mod tests {
    use super::exact;

    #[test]
    fn versions_are_told_from_ranges() {
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
