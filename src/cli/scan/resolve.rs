//! `--resolve cache`: versions that no file of a repository defines come from a module cache of this machine.
//!
//! Input: the option. Output: the folders of the caches. Invariants: they exist; only the user of the command
//! line names them, never a repository or a server.

use anyhow::{Context, anyhow};
use std::{env, path::PathBuf, str::FromStr};

/// Where the cache is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Resolve {
    /// In the usual folders of Maven and Gradle.
    Usual,
    Folder(PathBuf),
}

impl FromStr for Resolve {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            None if text == "cache" => Ok(Self::Usual),
            Some(("cache", folder)) if !folder.is_empty() => Ok(Self::Folder(folder.into())),
            _ => Err("expected cache or cache=FOLDER"),
        }
    }
}

impl Resolve {
    /// The folders of the caches, without symbolic links.
    ///
    /// # Errors
    /// Which folder is missing, and what to do.
    pub(super) fn folders(&self) -> anyhow::Result<Vec<PathBuf>> {
        match self {
            Self::Usual => usual(|name| env::var_os(name).map(PathBuf::from)),
            Self::Folder(path) => {
                let shown = path.display();
                let real = path.canonicalize();
                let real = real.with_context(|| format!("the cache `{shown}` cannot be read"))?;
                if real.is_dir() {
                    Ok(vec![real])
                } else {
                    Err(anyhow!("the cache `{shown}` is not a folder"))
                }
            }
        }
    }
}

/// By "Settings Reference" of Maven (`localRepository`) and "Dependency Caching" of Gradle.
fn usual(variable: impl Fn(&str) -> Option<PathBuf>) -> anyhow::Result<Vec<PathBuf>> {
    let home = variable("HOME").unwrap_or_default();
    let gradle = variable("GRADLE_USER_HOME").unwrap_or_else(|| home.join(".gradle"));
    let places = [home.join(".m2/repository"), gradle.join("caches/modules-2/files-2.1")];
    let found = places.iter().filter_map(|place| place.canonicalize().ok());
    let found: Vec<_> = found.filter(|place| place.is_dir()).collect();
    if found.is_empty() {
        let places = places.each_ref().map(|place| place.display().to_string());
        return Err(anyhow!(
            "there is no module cache: neither `{}` nor `{}` is a folder; name one with --resolve cache=FOLDER",
            places[0],
            places[1]
        ));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_cache_is_named_or_usual() {
        assert_eq!("cache".parse::<Resolve>(), Ok(Resolve::Usual));
        assert_eq!("cache=a=b".parse::<Resolve>(), Ok(Resolve::Folder("a=b".into())));
        for text in ["", "cache=", "network", "Cache", "network=x"] {
            assert!(text.parse::<Resolve>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_folders_exist() {
        let root = tempfile::tempdir().unwrap();
        let home = fs::canonicalize(root.path()).unwrap();
        let of_home = |name: &str| (name == "HOME").then(|| home.clone());
        let error = usual(of_home).unwrap_err().to_string();
        assert!(error.contains(".m2/repository") && error.contains("cache=FOLDER"), "{error}");
        let maven = home.join(".m2/repository");
        let gradle = home.join("g/caches/modules-2/files-2.1");
        fs::create_dir_all(&maven).unwrap();
        fs::create_dir_all(&gradle).unwrap();
        assert_eq!(usual(of_home).unwrap(), std::slice::from_ref(&maven));
        let both = |name: &str| Some(if name == "HOME" { home.clone() } else { home.join("g") });
        assert_eq!(usual(both).unwrap(), [maven.clone(), gradle]);
        assert_eq!(Resolve::Folder(maven.clone()).folders().unwrap(), [maven]);
        let missing = Resolve::Folder(home.join("missing")).folders().unwrap_err();
        assert!(missing.to_string().contains("cannot be read"), "{missing}");
    }
}
