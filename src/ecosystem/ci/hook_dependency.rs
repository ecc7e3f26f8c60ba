//! The `additional_dependencies` of pre-commit's hooks, by "Supported languages" of its manual and the
//! installers of the languages.
//!
//! Input: an entry, and the language of its hook. Output: the package in the notation of that language's
//! installer. Decisions: a version is exact if the installer takes it so; `cargo add` takes any version as a
//! range, `gem install` none. Invariants: a local folder is not a package.

use crate::ecosystem::version;
use crate::model::ecosystem::Ecosystem;

/// The languages of hooks whose dependencies are packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Language {
    Python,
    Node,
    Golang,
    Rust,
    Ruby,
    Dart,
    Perl,
    R,
    Lua,
    Julia,
    Conda,
    Haskell,
    /// One without dependencies, or that is not known.
    Other,
}

/// An entry as a package.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Dependency<'a> {
    pub(super) ecosystem: Ecosystem,
    pub(super) name: &'a str,
    pub(super) version: Option<&'a str>,
    pub(super) specifier: Option<&'a str>,
}

/// The ecosystem of an entry, its name and its version, and which versions are exact.
type Notation<'a> = (Ecosystem, (&'a str, Option<&'a str>), fn(&str) -> bool);

impl Language {
    /// The language of this name.
    pub(super) fn of(name: &str) -> Self {
        match name {
            "python" | "python_venv" => Self::Python,
            "node" => Self::Node,
            "golang" => Self::Golang,
            "rust" => Self::Rust,
            "ruby" => Self::Ruby,
            "dart" => Self::Dart,
            "perl" => Self::Perl,
            "r" => Self::R,
            "lua" => Self::Lua,
            "julia" => Self::Julia,
            "conda" => Self::Conda,
            "haskell" => Self::Haskell,
            _ => Self::Other,
        }
    }

    /// The language whose notation an entry has, where no other allows it.
    pub(super) fn shown_by(entry: &str) -> Option<Self> {
        let entry = entry.trim();
        if entry.starts_with("cli:") {
            return Some(Self::Rust);
        }
        // `name @ address` is Python's; no other notation has `=` or `<`.
        if entry.contains("://") || entry.contains([' ', '=', '<', '>', '[']) {
            return None;
        }
        let is_scoped = entry.starts_with('@');
        let (name, version) = entry.trim_start_matches('@').split_once('@').unwrap_or((entry, ""));
        let is_module = name.split('/').next().is_some_and(|host| host.contains('.'));
        if !is_scoped && name.contains('/') && is_module {
            return Some(Self::Golang);
        }
        (is_scoped || !version.is_empty() && !name.contains('/')).then_some(Self::Node)
    }
}

impl<'a> Dependency<'a> {
    /// Reads an entry of any language but Python, whose notation is that of requirements files.
    pub(super) fn read(language: Language, entry: &'a str) -> Option<Self> {
        let entry = entry.trim();
        if entry.is_empty() || entry.starts_with(['.', '/', '~']) {
            return None;
        }
        let (ecosystem, (name, wanted), is_exact): Notation<'_> = match language {
            Language::Node => (Ecosystem::Npm, behind_name(entry, '@'), version::is_complete),
            Language::Golang => (Ecosystem::Golang, split(entry, '@'), is_go_version),
            Language::Rust => match entry.strip_prefix("cli:") {
                // `cargo install --version 1.2.3` takes a whole version exactly.
                Some(tool) => (Ecosystem::Cargo, split(tool, ':'), version::is_complete),
                None => (Ecosystem::Cargo, split(entry, ':'), |_| false),
            },
            Language::Ruby => (Ecosystem::Gem, split(entry, ':'), is_number),
            Language::Dart => (Ecosystem::Pub, split(entry, ':'), version::is_complete),
            Language::Perl => match entry.split_once('~') {
                Some((name, range)) => (Ecosystem::Cpan, (name, Some(range)), |_| false),
                None => (Ecosystem::Cpan, split(entry, '@'), is_number),
            },
            Language::R if entry.contains("::") => return None,
            Language::R if entry.contains('/') => {
                (Ecosystem::GitHub, split(entry, '@'), |reference| !reference.is_empty())
            }
            Language::R => (Ecosystem::Cran, split(entry, '@'), is_number),
            Language::Lua => (Ecosystem::LuaRocks, split(entry, ' '), is_number),
            Language::Julia => (Ecosystem::Julia, split(entry, '@'), version::is_complete),
            Language::Conda => conda(entry),
            Language::Haskell => (Ecosystem::Hackage, haskell(entry), is_number),
            Language::Python | Language::Other => return None,
        };
        let wanted = wanted.map(str::trim).filter(|wanted| !wanted.is_empty());
        let version = wanted.filter(|wanted| is_exact(wanted));
        let specifier = wanted.filter(|_| version.is_none());
        Some(Self { ecosystem, name, version, specifier })
    }
}

/// Splits at the first mark.
fn split(entry: &str, mark: char) -> (&str, Option<&str>) {
    entry.split_once(mark).map_or((entry, None), |(name, wanted)| (name, Some(wanted)))
}

/// Splits at the last mark that does not begin the entry: `@scope/name@1`.
fn behind_name(entry: &str, mark: char) -> (&str, Option<&str>) {
    match entry.rsplit_once(mark) {
        Some((name, wanted)) if !name.is_empty() => (name, Some(wanted)),
        _ => (entry, None),
    }
}

/// `name==1.0` is exact; `name=1.0` matches every version with this prefix.
fn conda(entry: &str) -> Notation<'_> {
    let entry = entry.rsplit_once("::").map_or(entry, |(_, rest)| rest);
    let end = entry.find(['=', '<', '>', '!', '~', ' ', '[']).unwrap_or(entry.len());
    let (name, wanted) = entry.split_at_checked(end).unwrap_or((entry, ""));
    match wanted.strip_prefix("==") {
        Some(version) => (Ecosystem::Conda, (name, Some(version)), is_number),
        None => (Ecosystem::Conda, (name, Some(wanted)), |_| false),
    }
}

/// `name-1.0`
fn haskell(entry: &str) -> (&str, Option<&str>) {
    match entry.rsplit_once('-') {
        Some((name, version)) if is_number(version) => (name, Some(version)),
        _ => (entry, None),
    }
}

/// Whether a text begins with a digit and has only the characters of a version.
fn is_number(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-+_".contains(&byte))
}

/// `v1.2.3`, also a pseudo-version; `latest` and `v1` select a version.
fn is_go_version(text: &str) -> bool {
    text.starts_with('v') && version::is_complete(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_language_has_its_notation() {
        use Language as L;
        for (language, entry, ecosystem, name, version, specifier) in [
            (L::Node, "@a/b@1.2.3", Ecosystem::Npm, "@a/b", Some("1.2.3"), None),
            (L::Node, "kite@^1", Ecosystem::Npm, "kite", None, Some("^1")),
            (
                L::Golang,
                "h.example/kite@v1.2.3",
                Ecosystem::Golang,
                "h.example/kite",
                Some("v1.2.3"),
                None,
            ),
            (
                L::Golang,
                "h.example/kite@latest",
                Ecosystem::Golang,
                "h.example/kite",
                None,
                Some("latest"),
            ),
            (L::Rust, "cli:kite:1.2.3", Ecosystem::Cargo, "kite", Some("1.2.3"), None),
            (L::Rust, "kite:1.2.3", Ecosystem::Cargo, "kite", None, Some("1.2.3")),
            (L::Ruby, "kite:1.2", Ecosystem::Gem, "kite", Some("1.2"), None),
            (L::Perl, "Kite::Fly@1.2", Ecosystem::Cpan, "Kite::Fly", Some("1.2"), None),
            (L::R, "acme/kite@v1", Ecosystem::GitHub, "acme/kite", Some("v1"), None),
            (L::Conda, "conda-forge::kite==1.2", Ecosystem::Conda, "kite", Some("1.2"), None),
            (L::Conda, "kite=1.2", Ecosystem::Conda, "kite", None, Some("=1.2")),
            (L::Haskell, "kite-fly-1.2", Ecosystem::Hackage, "kite-fly", Some("1.2"), None),
            (L::Lua, "kite", Ecosystem::LuaRocks, "kite", None, None),
        ] {
            let expected = Dependency { ecosystem, name, version, specifier };
            assert_eq!(Dependency::read(language, entry), Some(expected), "{entry}");
        }
        assert_eq!(Dependency::read(L::Node, "./kite"), None);
        assert_eq!(Dependency::read(L::Other, "kite"), None);
    }

    #[test]
    fn a_notation_shows_its_language() {
        for (entry, language) in [
            ("@a/b", Some(Language::Node)),
            ("kite@1.2", Some(Language::Node)),
            ("h.example/kite@v1", Some(Language::Golang)),
            ("cli:kite", Some(Language::Rust)),
            ("kite==1.2", None),
            ("kite @ https://h.example/kite.whl", None),
            ("kite", None),
        ] {
            assert_eq!(Language::shown_by(entry), language, "{entry}");
        }
    }
}
