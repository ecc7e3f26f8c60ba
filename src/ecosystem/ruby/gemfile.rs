//! `Gemfile` and `gems.rb`, by "gemfile(5)" of Bundler's manual.
//!
//! Input: a program in Ruby. Output: the gems of its `gem` calls, with the groups, paths and repositories of
//! the enclosing blocks. Invariants: nothing is run, so a gem counts whatever its condition is, and a computed
//! name is a warning.

use super::{
    exact,
    words::{Word, statements, words},
};
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared, MAX_VERSION},
    git_reference,
    path::file_name,
    text,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use std::rc::Rc;

/// Depth of blocks; deeper ones are only counted.
const MAX_BLOCKS: usize = 100;

/// Reads `Gemfile`, `gems.rb`, `*.gemfile` and `Pluginfile`.
#[derive(Debug)]
pub(in crate::ecosystem) struct Gemfile;

impl Parser for Gemfile {
    fn name(&self) -> &'static str {
        "gemfile"
    }

    fn wants(&self, path: &str) -> bool {
        let file = file_name(path);
        // `Pluginfile` belongs to fastlane, whose Gemfile includes it.
        matches!(file, "Gemfile" | "gems.rb" | "Gemfile.next" | "Gemfile.local" | "Pluginfile")
            || file.ends_with(".gemfile")
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Gem, Source::Manifest);
        let text = text::decode(file.bytes);
        let mut blocks: Vec<Block> = Vec::new();
        let mut too_deep = 0_usize;
        for (number, statement) in statements(&text) {
            let words = words(&statement);
            let call = Call::of(&words);
            match words.first() {
                Some(Word::Name("end")) if too_deep > 0 => too_deep -= 1,
                Some(Word::Name("end")) => drop(blocks.pop()),
                Some(Word::Name("gem")) => {
                    gem(&call, number, blocks.last(), &mut found);
                    gems(words.get(1..).unwrap_or_default(), number, blocks.last(), &mut found);
                }
                _ if opens_block(&words) && blocks.len() >= MAX_BLOCKS => too_deep += 1,
                Some(Word::Name(word)) if opens_block(&words) => {
                    blocks.push(Block::of(word, &call, blocks.last()));
                }
                // A block after another expression, such as `%w[a b].each do |name|`.
                _ if opens_block(&words) => blocks.push(blocks.last().cloned().unwrap_or_default()),
                // `group(:test) { gem "a" }`, or `gem "a" if …` after other code.
                _ => in_braces(&words, &call, number, blocks.last(), &mut found),
            }
        }
        found.finish()
    }
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

/// The arguments of a call.
#[derive(Default)]
struct Call<'a> {
    /// Strings and symbols without a key.
    values: Vec<&'a str>,
    options: Vec<(&'a str, &'a str)>,
}

impl<'a> Call<'a> {
    fn of(words: &[Word<'a>]) -> Self {
        let mut call = Self::default();
        let mut key = None;
        let mut before = None;
        // The closing bracket, within `ENV["X"]` or `fetch("X")`.
        let mut inside = None;
        for word in words.iter().skip(1) {
            let behind_name = matches!(before, Some(Word::Name(_)));
            before = Some(*word);
            match *word {
                Word::Mark(mark) if inside == Some(mark) => inside = None,
                _ if inside.is_some() => {}
                Word::Mark('[') if behind_name => inside = Some(']'),
                Word::Mark('(') if behind_name => inside = Some(')'),
                Word::Key(name) => key = Some(name),
                Word::String(value) | Word::Symbol(value) => match key {
                    Some(key) => call.options.push((key, value)),
                    None => call.values.push(value),
                },
                // Strings of a condition or of the next call are not arguments.
                Word::Name("if" | "unless" | "do" | "gem") | Word::Mark(';') => break,
                _ => {}
            }
        }
        call
    }

    fn option(&self, keys: &[&str]) -> Option<(&'a str, &'a str)> {
        self.options.iter().copied().find(|(key, _)| keys.contains(key))
    }
}

fn opens_block(words: &[Word<'_>]) -> bool {
    const KEYWORDS: [&str; 10] =
        ["if", "unless", "case", "begin", "def", "while", "until", "for", "class", "module"];
    let is_keyword = |word: &Word<'_>| matches!(word, Word::Name(name) if KEYWORDS.contains(name));
    // `version = if …` has its own `end`.
    let assigned =
        words.windows(2).any(|pair| matches!(pair, [Word::Mark('='), word] if is_keyword(word)));
    let opens = words.first().is_some_and(is_keyword) || assigned;
    let is_do = words.contains(&Word::Name("do"));
    (opens || is_do) && !words.contains(&Word::Name("end"))
}

fn in_braces(
    words: &[Word<'_>],
    call: &Call<'_>,
    line: u32,
    around: Option<&Block>,
    found: &mut Collector<'_>,
) {
    let Some(at) = words.iter().position(|word| *word == Word::Name("gem")) else { return };
    let block = match words.first() {
        Some(Word::Name("group")) => {
            let before = words.get(..at).unwrap_or_default();
            Some(Block::of("group", &Call::of(before), around))
        }
        Some(Word::Name(_)) if call.values.is_empty() => return,
        _ => around.cloned(),
    };
    gems(words.get(at..).unwrap_or_default(), line, block.as_ref(), found);
}

/// Adds the gems of all `gem` calls in a line: `gem "a"; gem "b"`.
fn gems(words: &[Word<'_>], line: u32, block: Option<&Block>, found: &mut Collector<'_>) {
    let calls = words.iter().enumerate().filter(|entry| *entry.1 == Word::Name("gem"));
    for (at, _) in calls {
        let call = Call::of(words.get(at..).unwrap_or_default());
        if !call.values.is_empty() {
            gem(&call, line, block, found);
        }
    }
}

fn gem(call: &Call<'_>, line: u32, block: Option<&Block>, found: &mut Collector<'_>) {
    let Some((name, constraints)) = call.values.split_first() else {
        return found.warn(line, "the gem's name is computed");
    };
    if call.option(&["path"]).is_some() || block.is_some_and(|block| block.is_path) {
        return;
    }
    let groups = call.options.iter().filter(|(key, _)| matches!(*key, "group" | "groups"));
    let own = groups.flat_map(|(_, groups)| scopes_of(groups)).fold(None, Scope::stronger);
    let scope = own.or(block.and_then(|block| block.scope)).unwrap_or(Scope::Runtime);
    let declared =
        Declared { name, line, direct: Some(true), scope: Some(scope), ..Declared::default() };
    let version = exact(constraints);
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
