//! `cabal.project`, by "cabal.project Reference" of Cabal's documentation.
//!
//! Input: the fields `packages` and `optional-packages`, and stanzas `source-repository-package`. Output: the
//! workspace, and the packages of other repositories with their commit. Decisions: a constraint names no
//! dependency of its own; what `import` includes is not followed.
//!
//! Invariants: a bad line loses only itself; an address is never read as a folder.

use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    git_reference,
    path::file_name,
    swift, text,
};
use crate::model::{ecosystem::Ecosystem, scan_result::Source};

/// Reads `cabal.project`.
#[derive(Debug)]
pub(in crate::ecosystem) struct CabalProject;

impl Parser for CabalProject {
    fn name(&self) -> &'static str {
        "cabal-project"
    }

    fn wants(&self, path: &str) -> bool {
        // A variant for one compiler has a name such as `cabal.project.ghc-9.8`.
        let variant = file_name(path).strip_prefix("cabal.project");
        variant
            .is_some_and(|end| end.is_empty() || end.starts_with('.') && !end.ends_with(".freeze"))
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Hackage, Source::Manifest);
        let text = text::decode(file.bytes);
        let mut reader = Reader::default();
        for (line, content) in (1_u32..).zip(text.lines()) {
            reader.line(content, line, &mut found);
        }
        reader.finish(&mut found);
        found.describe(None, reader.members.iter().map(|member| folder(member)));
        found.finish()
    }
}

/// A stanza of a package in another repository.
#[derive(Default)]
struct Remote<'a> {
    line: u32,
    location: &'a str,
    tag: &'a str,
    folders: Vec<&'a str>,
}

/// The field that the words of an indented line belong to.
#[derive(Clone, Copy)]
enum Field {
    Members,
    Folders,
    Other,
}

#[derive(Default)]
struct Reader<'a> {
    members: Vec<&'a str>,
    remote: Option<Remote<'a>>,
    /// The open field and its column.
    field: Option<(usize, Field)>,
}

impl<'a> Reader<'a> {
    fn line(&mut self, content: &'a str, line: u32, found: &mut Collector<'_>) {
        if text::is_merge_marker(content) {
            return found.warn(line, text::MERGE_MARKER);
        }
        let text = content.trim();
        if text.is_empty() || text.starts_with("--") {
            return;
        }
        let column = content.len() - content.trim_start().len();
        if let Some((at, field)) = self.field
            && column > at
        {
            return self.words(field, text);
        }
        self.field = None;
        if column == 0 {
            self.finish(found);
        }
        let Some((name, value)) = text.split_once(':') else {
            if column == 0 && text.eq_ignore_ascii_case("source-repository-package") {
                self.remote = Some(Remote { line, ..Remote::default() });
            }
            return;
        };
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        let field = match (name.as_str(), &mut self.remote) {
            ("packages" | "optional-packages", None) => Field::Members,
            ("subdir", Some(_)) => Field::Folders,
            ("location", Some(remote)) => {
                remote.location = value;
                Field::Other
            }
            ("tag", Some(remote)) => {
                remote.tag = value;
                Field::Other
            }
            _ => Field::Other,
        };
        self.field = Some((column, field));
        self.words(field, value);
    }

    /// Reads the words of a list, which blanks or commas separate.
    fn words(&mut self, field: Field, text: &'a str) {
        let words = text.split([' ', '\t', ',']).filter(|word| !word.is_empty());
        match (field, &mut self.remote) {
            (Field::Members, _) => self.members.extend(words.filter(|word| !word.contains("://"))),
            (Field::Folders, Some(remote)) => remote.folders.extend(words),
            _ => {}
        }
    }

    /// Adds the packages of the open stanza.
    fn finish(&mut self, found: &mut Collector<'_>) {
        let Some(Remote { line, location, tag, folders }) = self.remote.take() else { return };
        let Some(repository) = swift::repository_name(location) else {
            let message =
                format!("`{}` is not the address of a repository", text::excerpt(location));
            return found.warn(line, message);
        };
        let version = git_reference::commit(tag);
        let specifier = Some(tag).filter(|_| version.is_none());
        let direct = Some(true);
        let declared = Declared { version, specifier, line, direct, ..Declared::default() };
        // Each folder is a package, usually with the folder's name.
        let mut names = folders.iter().filter_map(|folder| last_segment(folder)).peekable();
        if names.peek().is_none() {
            found.add(Declared { name: last_segment(&repository).unwrap_or_default(), ..declared });
        }
        names.for_each(|name| found.add(Declared { name, ..declared }));
    }
}

/// The last segment of a path that is not `.`.
fn last_segment(path: &str) -> Option<&str> {
    path.rsplit('/').find(|segment| !matches!(*segment, "" | "."))
}

/// The folder of a member: of `lib/lib.cabal`, `lib/*.cabal` or `lib/`.
fn folder(member: &str) -> &str {
    match member.rsplit_once('/') {
        Some((folder, file)) if file.ends_with(".cabal") => folder,
        None if member.ends_with(".cabal") => ".",
        _ => member,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_folders() {
        for (member, expected) in [
            ("./*.cabal", "."),
            ("a.cabal", "."),
            ("./*/*.cabal", "./*"),
            ("lib/lib.cabal", "lib"),
            ("lib/", "lib/"),
            (".", "."),
        ] {
            assert_eq!(folder(member), expected);
        }
    }
}
