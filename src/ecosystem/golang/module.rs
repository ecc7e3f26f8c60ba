//! `go.mod`, by the "Go Modules Reference", section "go.mod files".
//!
//! Input: the file of the main module. Output: the modules that it requires, with `replace` applied; those
//! marked `// indirect` are not direct, unless a `tool` line requires them.
//!
//! Decisions: since Go 1.17 the file lists every module of the build. `exclude` and `retract` restrict
//! versions, and `go` and `toolchain` select the language version: they name no packages.
//!
//! Before Go 1.17 it lists only the modules that it needs itself; what it needs through them is in `go.sum`, to
//! which an [`OldModule`] belongs.
//!
//! Invariants: a module that is replaced by a folder is local and not a package; a bad line loses only
//! itself.

use super::sum::OldModule;
use crate::ecosystem::{
    Fact, Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    path::{file_name, folder_of},
    text,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

/// The directives that name no packages.
const IGNORED: [&str; 8] =
    ["module", "go", "toolchain", "godebug", "exclude", "retract", "ignore", "tool"];

/// Words that are read of one line; no valid line has more.
const MAX_WORDS: usize = 16;

/// Reads `go.mod`.
#[derive(Debug)]
pub(in crate::ecosystem) struct GoMod;

impl Parser for GoMod {
    fn name(&self) -> &'static str {
        "go-mod"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "go.mod"
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Golang, Source::Manifest);
        let text = text::decode(file.bytes);
        let module = Module::read(&text, &mut found);
        if !module.understood && found.has_warnings() {
            return found.unreadable();
        }
        found.describe(module.path.as_deref(), std::iter::empty());
        let old = module.is_old().then(|| module.for_sum(folder_of(file.path)));
        module.list(&mut found);
        let fact = old.map(|old| Box::new(old) as Box<dyn Fact>);
        Findings { fact, ..found.finish() }
    }
}

/// A `require` line.
struct Requirement<'a> {
    path: Cow<'a, str>,
    version: Cow<'a, str>,
    indirect: bool,
    line: u32,
}

/// The left side of a `replace`: a path, and a version if the replacement is only for that version.
type Replaced<'a> = (Cow<'a, str>, Option<Cow<'a, str>>);

/// The right side of a `replace`.
enum Replacement<'a> {
    Folder,
    Module { path: Cow<'a, str>, version: Cow<'a, str> },
}

/// The lines of a file that concern packages.
#[derive(Default)]
struct Module<'a> {
    path: Option<Cow<'a, str>>,
    /// The version of the language.
    go: Option<Cow<'a, str>>,
    requirements: Vec<Requirement<'a>>,
    replacements: HashMap<Replaced<'a>, Replacement<'a>>,
    tools: HashSet<Cow<'a, str>>,
    /// Whether the file has any valid line.
    understood: bool,
}

impl<'a> Module<'a> {
    fn read(text: &'a str, found: &mut Collector<'_>) -> Self {
        let mut module = Self::default();
        for_each_line(text, |directive, words, comment, number| {
            module.line(directive, words, comment, number, found);
        });
        module
    }

    fn line(
        &mut self,
        directive: &str,
        mut words: Vec<Cow<'a, str>>,
        comment: &str,
        line: u32,
        found: &mut Collector<'_>,
    ) {
        self.understood |= is_known(directive);
        match (directive, words.as_mut_slice()) {
            ("require", [path, version]) => self.requirements.push(Requirement {
                path: std::mem::take(path),
                version: std::mem::take(version),
                indirect: comment == "indirect" || comment.starts_with("indirect;"),
                line,
            }),
            ("replace", _) => match replacement(words) {
                Some((replaced, replacement)) => {
                    drop(self.replacements.insert(replaced, replacement));
                }
                None => found.warn(line, "replace: expected `module [version] => module version`"),
            },
            ("tool", [path]) => drop(self.tools.insert(std::mem::take(path))),
            ("module", [path]) => self.path = Some(std::mem::take(path)),
            ("go", [version]) => self.go = Some(std::mem::take(version)),
            ("require", _) => found.warn(line, "require: expected a module and a version"),
            _ if is_known(directive) => {}
            _ => {
                let message =
                    format!("`{}` is not a directive of go.mod", text::excerpt(directive));
                found.warn(line, message);
            }
        }
    }

    /// Whether the file is from before Go 1.17. "If the go directive is missing, go 1.16 is assumed."
    fn is_old(&self) -> bool {
        let Some(go) = &self.go else { return true };
        let mut numbers = go.split('.').map(|number| number.parse::<u32>().unwrap_or(u32::MAX));
        (numbers.next(), numbers.next()) < (Some(1), Some(17))
    }

    /// What decides which modules of `go.sum` are listed.
    fn for_sum(&self, folder: &str) -> OldModule {
        let required: HashSet<&str> =
            self.requirements.iter().map(|required| &*required.path).collect();
        let replacing =
            self.replacements.iter().filter(|((path, _), _)| required.contains(&**path));
        let replacing = replacing.filter_map(|(_, by)| match by {
            Replacement::Module { path, .. } => Some(&**path),
            Replacement::Folder => None,
        });
        let known = required.iter().copied().chain(replacing).chain(self.path.as_deref());
        let replaced = self.replacements.iter().filter(|((_, version), _)| version.is_none());
        let replaced = replaced.map(|((path, _), by)| match by {
            Replacement::Module { path: by, version } if by == path => {
                (path.to_string(), Some(version.to_string()))
            }
            _ => (path.to_string(), None),
        });
        OldModule {
            folder: folder.to_owned(),
            known: known.map(str::to_owned).collect(),
            replaced: replaced.collect(),
        }
    }

    fn list(self, found: &mut Collector<'_>) {
        let providers = self.providers_of_tools();
        for (index, required) in self.requirements.iter().enumerate() {
            let (mut path, mut version) = (&required.path, &required.version);
            let exactly = (path.clone(), Some(version.clone()));
            let by = self.replacements.get(&exactly);
            match by.or_else(|| self.replacements.get(&(path.clone(), None))) {
                Some(Replacement::Folder) => continue,
                Some(Replacement::Module { path: by, version: at }) => (path, version) = (by, at),
                None => {}
            }
            let is_tool = required.indirect && providers.contains(&index);
            // A branch or a tag stays until a go command replaces it with a version.
            let is_version = version.starts_with('v')
                && version.bytes().nth(1).is_some_and(|byte| byte.is_ascii_digit());
            found.add(Declared {
                name: path,
                version: is_version.then_some(version.as_ref()),
                specifier: (!is_version).then_some(version.as_ref()),
                line: required.line,
                direct: Some(!required.indirect || is_tool),
                scope: is_tool.then_some(Scope::Build),
            });
        }
    }

    /// The requirements that provide the packages of the `tool` lines: for each tool, the module whose
    /// path is the longest prefix.
    fn providers_of_tools(&self) -> HashSet<usize> {
        let by_path: HashMap<&str, usize> = self
            .requirements
            .iter()
            .enumerate()
            .map(|(at, requirement)| (requirement.path.as_ref(), at))
            .collect();
        let provider = |tool: &str| {
            let ends = tool.rmatch_indices('/').map(|(at, _)| at);
            std::iter::once(tool.len())
                .chain(ends)
                // The go command accepts no longer path.
                .take(64)
                .find_map(|end| by_path.get(tool.get(..end)?).copied())
        };
        self.tools.iter().filter_map(|tool| provider(tool)).collect()
    }
}

/// Calls `read` with the directive, the other words, the comment and the number of each line, also of the
/// lines in a block of a directive.
pub(super) fn for_each_line<'a>(
    text: &'a str,
    mut read: impl FnMut(&str, Vec<Cow<'a, str>>, &'a str, u32),
) {
    let mut block: Option<Cow<'a, str>> = None;
    for (number, line) in (1_u32..).zip(text.lines()) {
        let (mut words, comment) = split(line);
        match (words.first().map(AsRef::as_ref), block.take()) {
            (None, around) => block = around,
            (Some(")"), _) => {}
            (Some(_), Some(directive)) => {
                read(&directive, words, comment, number);
                block = Some(directive);
            }
            (Some(_), None) => {
                let directive = words.remove(0);
                if words.first().is_some_and(|word| word == "(") {
                    block = Some(directive);
                } else {
                    read(&directive, words, comment, number);
                }
            }
        }
    }
}

fn is_known(directive: &str) -> bool {
    matches!(directive, "require" | "replace") || IGNORED.contains(&directive)
}

/// `old [version] => new [version]`; without a version, `new` is a folder.
fn replacement(words: Vec<Cow<'_, str>>) -> Option<(Replaced<'_>, Replacement<'_>)> {
    let mut words = words.into_iter();
    let old = words.next()?;
    let mut version = words.next()?;
    let only = if version == "=>" {
        None
    } else {
        (words.next()? == "=>").then_some(())?;
        Some(std::mem::take(&mut version))
    };
    let new = words.next()?;
    let by = match words.next() {
        Some(version) => Replacement::Module { path: new, version },
        None if is_folder(&new) => Replacement::Folder,
        None => return None,
    };
    (old != "=>" && words.next().is_none()).then_some(((old, only), by))
}

/// "If the path on the right side of the arrow is an absolute or relative path (beginning with
/// `./` or `../`), it represents the local file path".
pub(super) fn is_folder(path: &str) -> bool {
    let drive = path.as_bytes().get(1) == Some(&b':');
    matches!(path, "." | "..")
        || drive
        || ["./", "../", "/", ".\\", "..\\", "\\"].iter().any(|prefix| path.starts_with(prefix))
}

/// The words of a line, and its comment. A word is a quoted string, a parenthesis, or a run of other
/// characters up to white space, a parenthesis or a comment.
fn split(line: &str) -> (Vec<Cow<'_, str>>, &str) {
    let mut words = Vec::new();
    let mut rest = line.trim();
    loop {
        rest = rest.trim_start();
        if let Some(comment) = rest.strip_prefix("//") {
            return (words, comment.trim());
        }
        let first = rest.chars().next().filter(|_| words.len() < MAX_WORDS);
        let Some(first) = first else { return (words, "") };
        let (word, tail) = match first {
            '"' | '`' => quoted(rest, first),
            '(' | ')' => (Cow::Borrowed(&rest[..1]), &rest[1..]),
            _ => {
                let ends = |at: usize, character: char| {
                    character.is_whitespace()
                        || matches!(character, '(' | ')')
                        || rest[at..].starts_with("//")
                };
                let end = rest.char_indices().find(|(at, character)| ends(*at, *character));
                let (word, tail) = rest.split_at(end.map_or(rest.len(), |(at, _)| at));
                (Cow::Borrowed(word), tail)
            }
        };
        words.push(word);
        rest = tail;
    }
}

/// Parses a Go string: interpreted in `"`, raw in a backquote. Paths and versions need no escapes but
/// those of `"` and `\`.
fn quoted(text: &str, quote: char) -> (Cow<'_, str>, &str) {
    let body = &text[1..];
    let mut escaped = false;
    let end = body.find(|character: char| {
        let ends = character == quote && !escaped;
        escaped = quote == '"' && character == '\\' && !escaped;
        ends
    });
    let Some(end) = end else { return (Cow::Borrowed(body), "") };
    let word = &body[..end];
    let word = if quote == '"' && word.contains('\\') {
        Cow::Owned(word.replace("\\\"", "\"").replace("\\\\", "\\"))
    } else {
        Cow::Borrowed(word)
    };
    (word, &body[end + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails if a line of brackets takes twenty times its size.
    #[test]
    fn the_words_of_a_line_are_limited() {
        let (words, comment) = split("a (b) \"c\" // d");
        assert_eq!((words.join(" ").as_str(), comment), ("a ( b ) c", "d"));
        assert_eq!(split(&"(".repeat(1_000_000)).0.len(), MAX_WORDS);
    }
}
