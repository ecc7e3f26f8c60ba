//! `Gemfile` and `gems.rb`, by "gemfile(5)" of Bundler's manual.
//!
//! Input: a program in Ruby. Output: the gems of its `gem` calls, with the groups, paths and repositories of
//! the enclosing blocks, also in loops over literal lists. Invariants: nothing is run, so a gem counts whatever its
//! condition is, and a computed name or version is a warning.

use super::{
    call::{Call, is_call},
    exact,
    program::{Program, opens_block},
    words::{Word, statements, words},
};
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared, MAX_VERSION},
    git_reference,
    path::{file_name, folder_of},
    text,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use std::rc::Rc;

/// Depth of blocks; deeper ones are only counted.
const MAX_BLOCKS: usize = 100;

/// Reads `Gemfile`, `gems.rb`, `*.gemfile`, `Pluginfile`, and the files that Gemfiles evaluate: `Gemfile.common`,
/// `gemfiles/common.rb`.
#[derive(Debug)]
pub(in crate::ecosystem) struct Gemfile;

impl Parser for Gemfile {
    fn name(&self) -> &'static str {
        "gemfile"
    }

    fn wants(&self, path: &str) -> bool {
        let file = file_name(path);
        let variant = file.strip_prefix("Gemfile").filter(|rest| rest.starts_with(['.', '-', '_']));
        // `Pluginfile` belongs to fastlane, whose Gemfile includes it.
        matches!(file, "Gemfile" | "gems.rb" | "Pluginfile")
            || file.ends_with(".gemfile")
            || variant.is_some_and(|rest| !rest.ends_with(".lock") && !rest.ends_with(".md"))
            || (file.ends_with(".rb") && folder_name(path) == "gemfiles")
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Gem, Source::Manifest);
        let text = text::decode(file.bytes);
        let mut reader = Reader { blocks: Vec::new(), too_deep: 0, found };
        let mut program = Program::new(file.bytes.len(), is_call, file.budget);
        for (line, statement) in statements(&text) {
            for expanded in program.expand(&statement) {
                reader.statement(line, &words(&expanded));
            }
        }
        reader.found.finish()
    }
}

/// Reads the statements of a Gemfile.
struct Reader<'f> {
    blocks: Vec<Block>,
    too_deep: usize,
    found: Collector<'f>,
}

impl Reader<'_> {
    fn statement(&mut self, line: u32, words: &[Word<'_>]) {
        let Self { blocks, too_deep, found } = self;
        let call = Call::of(words);
        match words.first() {
            Some(Word::Name("end")) if *too_deep > 0 => *too_deep -= 1,
            Some(Word::Name("end")) => drop(blocks.pop()),
            // A variable of that name.
            Some(Word::Name("gem")) if words.get(1) == Some(&Word::Mark('=')) => {}
            Some(Word::Name("gem")) => {
                gem(&call, line, blocks.last(), found);
                gems(words.get(1..).unwrap_or_default(), line, blocks.last(), found);
            }
            Some(Word::Name("eval_gemfile")) => evaluated(words, line, found),
            _ if opens_block(words) && blocks.len() >= MAX_BLOCKS => *too_deep += 1,
            Some(Word::Name(word)) if opens_block(words) => {
                blocks.push(Block::of(word, &call, blocks.last()));
            }
            // A block after another expression, such as `%w[a b].each do |name|`.
            _ if opens_block(words) => blocks.push(blocks.last().cloned().unwrap_or_default()),
            // `group(:test) { gem "a" }`, or `gem "a" if …` after other code.
            _ => in_braces(words, line, blocks.last(), found),
        }
    }
}

/// `eval_gemfile "gemfiles/common.rb"`: the file is read as a Gemfile if its name is that of one.
fn evaluated(words: &[Word<'_>], line: u32, found: &mut Collector<'_>) {
    let path = words.iter().rev().find_map(|word| match word {
        Word::String(path) | Word::Template(path) => Some(*path),
        _ => None,
    });
    let Some(path) = path else {
        return found.warn(line, "the path of the evaluated Gemfile is computed");
    };
    let mut parts = path.rsplit('/');
    let (name, folder) = (parts.next().unwrap_or(path), parts.next().unwrap_or_default());
    if !Gemfile.wants(&format!("{folder}/{name}")) {
        let path = text::excerpt(path);
        found.warn(
            line,
            format!("`{path}` is evaluated, but not read: its name is not that of a Gemfile"),
        );
    }
}

/// The last folder of a path.
fn folder_name(path: &str) -> &str {
    file_name(folder_of(path))
}

/// The attributes that the calls in a block share.
#[derive(Clone, Default)]
struct Block {
    scope: Option<Scope>,
    is_path: bool,
    /// Shared with nested blocks.
    repository: Option<Rc<str>>,
}

impl Block {
    fn of(word: &str, call: &Call<'_>, around: Option<&Self>) -> Self {
        let mut block = around.cloned().unwrap_or_default();
        match word {
            "group" => {
                let groups = call.values.iter().flat_map(|groups| scopes_of(groups));
                block.scope = groups.fold(None, Scope::stronger);
            }
            "path" => block.is_path = true,
            "git" | "github" => {
                block.repository =
                    call.values.first().map(|address| repository(word, address).into());
            }
            _ => {}
        }
        block
    }
}

fn in_braces(words: &[Word<'_>], line: u32, around: Option<&Block>, found: &mut Collector<'_>) {
    let Some(at) = words.iter().position(|word| *word == Word::Name("gem")) else { return };
    let block = match words.first() {
        Some(Word::Name("group")) => {
            let before = words.get(..at).unwrap_or_default();
            Some(Block::of("group", &Call::of(before), around))
        }
        _ => around.cloned(),
    };
    gems(words.get(at..).unwrap_or_default(), line, block.as_ref(), found);
}

/// Adds the gems of all `gem` calls in a line: `gem "a"; gem "b"`.
fn gems(words: &[Word<'_>], line: u32, block: Option<&Block>, found: &mut Collector<'_>) {
    let calls = words.iter().enumerate().filter(|entry| *entry.1 == Word::Name("gem"));
    for (at, _) in calls {
        match words.get(at + 1) {
            // A variable of that name, as in `unless gem if x`.
            Some(Word::Name("if" | "unless" | "in" | "do" | "then" | "and" | "or" | "end")) => {}
            Some(
                Word::String(_)
                | Word::Template(_)
                | Word::Symbol(_)
                | Word::Name(_)
                | Word::Mark('('),
            ) => gem(&Call::of(words.get(at..).unwrap_or_default()), line, block, found),
            _ => {}
        }
    }
}

fn gem(call: &Call<'_>, line: u32, block: Option<&Block>, found: &mut Collector<'_>) {
    let (Some((name, constraints)), false) = (call.values.split_first(), call.has_computed_name)
    else {
        return found.warn(line, "the gem's name is computed");
    };
    if call.has_option("path") || block.is_some_and(|block| block.is_path) {
        return;
    }
    let groups = call.options.iter().filter(|(key, _)| matches!(*key, "group" | "groups"));
    let own = groups.flat_map(|(_, groups)| scopes_of(groups)).fold(None, Scope::stronger);
    let scope = own.or(block.and_then(|block| block.scope)).unwrap_or(Scope::Runtime);
    let declared =
        Declared { name, line, direct: Some(true), scope: Some(scope), ..Declared::default() };
    let version = exact(constraints).filter(|_| !call.has_computed_value);
    let of_call = call.option(&["git", "github", "gitlab", "bitbucket", "gist"]);
    let address = of_call.map(|(key, address)| Rc::from(repository(key, address)));
    let address = address.or_else(|| block.and_then(|block| block.repository.clone()));
    if let Some(address) = address.filter(|_| version.is_none()) {
        if address.len() > MAX_VERSION {
            // All gems of the block share it, so it is rejected before it is copied.
            return found.add(Declared { specifier: Some(&address), ..declared });
        }
        if !found.budget().read(address.len()) {
            return;
        }
        let reference = call.option(&["ref", "tag", "branch"]).map(|(_, reference)| reference);
        let commit = reference.and_then(git_reference::commit);
        let at = reference.map(|reference| format!("@{reference}")).unwrap_or_default();
        let specifier = format!("git+{address}{at}");
        let specifier = commit.is_none().then_some(specifier.as_str());
        return found.add(Declared { version: commit, specifier, ..declared });
    }
    if call.has_computed_value {
        // The other constraints alone could name a version that is not the one that is meant.
        found.warn(line, format!("the version of `{}` is computed", text::excerpt(name)));
        return found.add(declared);
    }
    let specifier = constraints.join(", ");
    let specifier = version.is_none().then_some(specifier.as_str());
    found.add(Declared { version, specifier, ..declared });
}

fn repository(key: &str, value: &str) -> String {
    match key {
        "github" if !value.contains("://") => {
            // `rails` is short for `rails/rails`.
            let (owner, name) = value.split_once('/').unwrap_or((value, value));
            format!("https://github.com/{owner}/{name}.git")
        }
        "gitlab" => format!("https://gitlab.com/{value}.git"),
        "bitbucket" => format!("https://bitbucket.org/{value}.git"),
        _ => value.to_owned(),
    }
}

/// The scopes of a value, which names several groups if it is a list of words: `%i[development test]`.
fn scopes_of(groups: &str) -> impl Iterator<Item = Option<Scope>> {
    groups.split_whitespace().map(|group| Some(scope_of(group)))
}

/// The scope of a group. Groups have arbitrary names and Bundler installs all of them, so an unknown group
/// is runtime.
fn scope_of(group: &str) -> Scope {
    match group {
        "test" | "tests" | "testing" | "cucumber" | "spec" => Scope::Test,
        "development" | "dev" | "doc" | "docs" | "lint" | "rubocop" | "debug" => Scope::Dev,
        _ => Scope::Runtime,
    }
}
