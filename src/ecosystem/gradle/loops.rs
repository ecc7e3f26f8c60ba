//! Loops over literals in a build script.
//!
//! Input: the tokens of a script. Output: the values that the parameter of a loop takes:
//! `["g:a:1", "g:b:1"].each { api it }`, `listOf(…).forEach { dep -> api(dep) }`, `for (dep in modules) { … }`,
//! `mapOf("a" to "1").forEach { (name, version) -> … }`. Invariants: nothing is run; the number of statements that
//! loops generate is bounded by the length of the script.

use super::statement::NotationKind;
use crate::ecosystem::{
    budget::Budget,
    script::{self, Tokens},
};
use std::{collections::HashMap, ops::Range, rc::Rc};

/// Constructors of lists and maps.
const LISTS: [&str; 8] = [
    "listOf",
    "setOf",
    "arrayOf",
    "sequenceOf",
    "mutableListOf",
    "listOfNotNull",
    "mapOf",
    "linkedMapOf",
];

/// Methods that run their closure for each element.
const EACH: [&str; 3] = ["each", "forEach", "onEach"];

/// Names in a path that leads to a list.
const MAX_NAMES: usize = 8;

/// Longest value in bytes, because many statements may use it.
const LONGEST_VALUE: usize = 300;

/// Open loops whose names a statement may use.
const MAX_OPEN: usize = 4;

/// A loop whose block is open.
#[derive(Debug)]
struct Loop {
    /// The number of blocks that are open around it.
    depth: usize,
    /// The names that have values within it: one, or those of a key and its value.
    names: Vec<String>,
    rows: Rc<[Vec<String>]>,
}

/// Finds the loops of a script.
pub(super) struct Loops<'t, 'a> {
    tokens: &'t Tokens<'a>,
    /// The index of the bracket of each list that has a name; none where a name has several.
    named: HashMap<&'a str, Option<usize>>,
    /// The rows of the lists that were read.
    read: HashMap<usize, Rc<[Vec<String>]>>,
    /// The loops that are open.
    open: Vec<Loop>,
    /// The number of notations that lists have generated.
    generated: usize,
}

impl<'t, 'a> Loops<'t, 'a> {
    pub(super) fn of(tokens: &'t Tokens<'a>) -> Self {
        let mut named = HashMap::new();
        // An assignment, or an entry of a map: `libraries = [web: ["g:a:1", "g:b:1"]]`.
        let is_sign = |at: &usize| {
            tokens.is_mark(*at, '=') || (tokens.is_mark(*at, ':') && tokens.is_mark(at + 1, '['))
        };
        for sign in (1..tokens.len()).filter(is_sign) {
            let Some(bracket) = bracket_of_literal(tokens, sign + 1) else { continue };
            // The name may have a type: `name: List<String> =`.
            let typed = sign
                .checked_sub(5)
                .filter(|colon| tokens.is_mark(*colon, ':') && tokens.is_mark(sign - 1, '>'));
            if let Some(name) = tokens.word(typed.unwrap_or(sign).saturating_sub(1)) {
                named.entry(name).and_modify(|known| *known = None).or_insert(Some(bracket));
            }
        }
        Self { tokens, named, read: HashMap::new(), open: Vec::new(), generated: 0 }
    }

    /// Opens the loop that begins with the statement at `at`, if there is one. Returns the index of its block.
    pub(super) fn enter(&mut self, at: usize, depth: usize) -> Option<usize> {
        let (names, bracket, block) = self.loop_at(at)?;
        let rows = self.rows(bracket);
        let is_map = rows.first().is_some_and(|row| row.len() == 2);
        let names = match names.as_slice() {
            [name] if is_map => vec![format!("{name}.key"), format!("{name}.value")],
            _ => names,
        };
        self.open.push(Loop { depth, names, rows });
        Some(block)
    }

    /// Closes the loops whose block has ended.
    pub(super) fn leave(&mut self, open_blocks: usize) {
        while self.open.last().is_some_and(|last| last.depth >= open_blocks) {
            self.open.pop();
        }
    }

    /// The notations for which one stands: the elements of a list; in loops, one for each value of their
    /// parameters; none for the parameter of an unknown loop. Bounded by the length of the script.
    pub(super) fn expand(&mut self, kind: NotationKind, budget: &Budget) -> Vec<NotationKind> {
        let limit = self.tokens.len() / 2;
        let mut kinds = match self.elements(&kind) {
            Some(elements) => {
                self.generated += elements.len();
                if self.generated > limit { Vec::new() } else { elements }
            }
            None => vec![kind],
        };
        for open in self.open.iter().rev().take(MAX_OPEN) {
            let mut expanded = Vec::new();
            for kind in kinds {
                if !open.is_used_by(&kind) {
                    expanded.push(kind);
                    continue;
                }
                for value in open.expand(&kind) {
                    self.generated += 1;
                    if self.generated > limit || !budget.visit() {
                        break;
                    }
                    expanded.push(value);
                }
            }
            kinds = expanded;
        }
        let is_parameter = |kind: &NotationKind| matches!(kind, NotationKind::Name(name) if name == "it" || name.starts_with("it."));
        kinds.retain(|kind| !is_parameter(kind) && budget.copy(kind.text_len()));
        kinds
    }

    /// The values of a name that an open loop defines.
    pub(super) fn values_of(&self, name: &str) -> impl Iterator<Item = &str> {
        self.open.iter().rev().take(MAX_OPEN).flat_map(move |open| open.values_of(name))
    }

    /// The modules of a list that has a name.
    fn elements(&mut self, kind: &NotationKind) -> Option<Vec<NotationKind>> {
        let NotationKind::Name(path) = kind else { return None };
        let name = path.rsplit('.').next()?;
        let bracket = (*self.named.get(name)?)?;
        let rows = self.rows(bracket);
        let is_module = |row: &Vec<String>| matches!(row.as_slice(), [value] if value.contains(':') || value.starts_with("${"));
        let kind = |row: &Vec<String>| NotationKind::of(row.concat());
        rows.iter().all(is_module).then(|| rows.iter().map(kind).collect())
    }

    /// The names and the list of the loop that begins at `at`, and the index of its block.
    fn loop_at(&self, at: usize) -> Option<(Vec<String>, usize, usize)> {
        let tokens = self.tokens;
        if tokens.word(at) == Some("for") && tokens.is_mark(at + 1, '(') {
            return self.for_loop(at + 1);
        }
        let (bracket, behind) = self.list(at)?;
        let dot = tokens.skip_lines(behind);
        let is_each = tokens.is_mark(dot, '.')
            && tokens.word(dot + 1).is_some_and(|method| EACH.contains(&method))
            && tokens.is_mark(dot + 2, '{');
        is_each.then(|| (parameters(tokens, dot + 2).0, bracket, dot + 2))
    }

    /// `for (name in list) {`, `for (Type name : list) {`
    fn for_loop(&self, open: usize) -> Option<(Vec<String>, usize, usize)> {
        let tokens = self.tokens;
        let block = tokens.behind_bracket(open);
        let near = open + 1..block.min(open + 2 * MAX_NAMES);
        let sign = near.clone().find(|at| tokens.word(*at) == Some("in"));
        let sign = sign.or_else(|| near.clone().find(|at| tokens.is_mark(*at, ':')))?;
        let names = (open + 1..sign).filter_map(|at| tokens.word(at));
        let names: Vec<String> = names.map(str::to_owned).collect();
        let names = match names.as_slice() {
            // With a type or a keyword before the name, and the parts of an entry in brackets.
            [.., name] if !tokens.is_mark(open + 1, '(') => vec![name.clone()],
            _ => names,
        };
        let (bracket, _) = self.list(sign + 1)?;
        tokens.is_mark(block, '{').then_some((names, bracket, block))
    }

    /// The bracket of the list that an expression names or contains, and the index behind the expression.
    fn list(&self, at: usize) -> Option<(usize, usize)> {
        if let Some(bracket) = bracket_of_literal(self.tokens, at) {
            return Some((bracket, self.tokens.behind_bracket(bracket)));
        }
        let mut at = at;
        for _ in 0..MAX_NAMES {
            let name = self.tokens.word(at)?;
            let is_path = self.tokens.is_mark(at + 1, '.')
                && self.tokens.word(at + 2).is_some_and(|next| !EACH.contains(&next));
            if !is_path {
                return Some(((*self.named.get(name)?)?, at + 1));
            }
            at += 2;
        }
        None
    }

    fn rows(&mut self, bracket: usize) -> Rc<[Vec<String>]> {
        let tokens = self.tokens;
        let rows = self.read.entry(bracket).or_insert_with(|| {
            tokens.elements(bracket).iter().filter_map(|element| row(tokens, element)).collect()
        });
        Rc::clone(rows)
    }
}

/// The bracket of a list or map that is written at `at`.
fn bracket_of_literal(tokens: &Tokens<'_>, at: usize) -> Option<usize> {
    if tokens.is_mark(at, '[') {
        return Some(at);
    }
    let is_list = tokens.word(at).is_some_and(|word| LISTS.contains(&word));
    (is_list && tokens.is_mark(at + 1, '(')).then_some(at + 1)
}

/// One value, or a key and its value: `"a"`, `a: "1"`, `"a" to "1"`.
fn row(tokens: &Tokens<'_>, element: &Range<usize>) -> Option<Vec<String>> {
    let at = element.start;
    let is_entry = tokens.is_mark(at + 1, ':') || tokens.word(at + 1) == Some("to");
    if is_entry {
        let key = tokens.word(at).or_else(|| tokens.text(at))?.to_owned();
        let (value, _) = script::value(tokens, at + 2)?;
        return (key.len() + value.len() <= LONGEST_VALUE).then(|| vec![key, value]);
    }
    let (value, end) = script::value(tokens, at)?;
    let is_whole = tokens.skip_lines(end) >= element.end;
    (is_whole && value.len() <= LONGEST_VALUE).then(|| vec![value])
}

/// The parameters of a closure, and the index behind their arrow: `{ dep -> …`, `{ (name, version) -> …`; `it`
/// without any.
pub(super) fn parameters(tokens: &Tokens<'_>, block: usize) -> (Vec<String>, usize) {
    let mut at = tokens.skip_lines(block + 1);
    let mut names: Vec<String> = Vec::new();
    for _ in 0..2 * MAX_NAMES {
        match tokens.mark(at) {
            Some('-') if tokens.is_mark(at + 1, '>') => return (names, at + 2),
            // The type of a parameter follows.
            Some(':') => at += 1,
            Some('(' | ')' | ',') => {}
            _ => match tokens.word(at) {
                Some(name) => {
                    // The word before a name is its type.
                    if tokens.word(at - 1).is_some() {
                        names.pop();
                    }
                    names.push(name.to_owned());
                }
                None => break,
            },
        }
        at += 1;
    }
    (vec!["it".to_owned()], block + 1)
}

impl Loop {
    /// Whether a notation uses a name of the loop.
    fn is_used_by(&self, kind: &NotationKind) -> bool {
        let texts = match kind {
            NotationKind::Text(text) | NotationKind::Name(text) => [Some(text), None, None],
            NotationKind::Parts { group, name, version } => {
                [Some(group), Some(name), version.as_ref()]
            }
        };
        let is_name = matches!(kind, NotationKind::Name(_));
        let uses = |text: &String| {
            self.names.iter().any(|name| (is_name && text == name) || text.contains(&mark(name)))
        };
        texts.into_iter().flatten().any(uses)
    }

    /// A notation once for each element, with its values in place of the names.
    fn expand(&self, kind: &NotationKind) -> impl Iterator<Item = NotationKind> {
        self.rows.iter().map(|row| self.with(kind, row))
    }

    fn with(&self, kind: &NotationKind, row: &[String]) -> NotationKind {
        let values = || self.names.iter().zip(row);
        let replaced = |text: &str| {
            values().fold(text.to_owned(), |text, (name, value)| text.replace(&mark(name), value))
        };
        match kind {
            NotationKind::Text(text) => NotationKind::of(replaced(text)),
            NotationKind::Name(path) => match values().find(|(name, _)| *name == path) {
                Some((_, value)) => NotationKind::of(value.clone()),
                None => NotationKind::Name(path.clone()),
            },
            NotationKind::Parts { group, name, version } => NotationKind::Parts {
                group: replaced(group),
                name: replaced(name),
                version: version.as_deref().map(replaced),
            },
        }
    }

    /// The values of a name, if the loop defines it.
    fn values_of(&self, name: &str) -> impl Iterator<Item = &str> {
        let name = name.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).unwrap_or(name);
        let at = self.names.iter().position(|known| known == name);
        let values =
            |at: usize| self.rows.iter().filter_map(move |row| Some(row.get(at)?.as_str()));
        at.into_iter().flat_map(values)
    }
}

fn mark(name: &str) -> String {
    format!("${{{name}}}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecosystem::script::Dialect;

    /// Opens the loop that begins on the line, and expands a notation in it.
    #[track_caller]
    fn check(text: &str, line: u32, used: &str, expected: &[&str]) {
        let tokens = script::tokens(text, Dialect::Groovy);
        let begin = (0..tokens.len()).find(|at| tokens.line(*at) == line);
        let mut loops = Loops::of(&tokens);
        let block = loops.enter(begin.unwrap(), 0);
        assert!(block.is_some_and(|block| tokens.is_mark(block, '{')), "{text}");
        let kinds = loops.expand(NotationKind::of(used.to_owned()), Budget::alone(text.len()));
        let shown: Vec<_> = kinds
            .into_iter()
            .map(|kind| match kind {
                NotationKind::Text(text) => text,
                NotationKind::Name(name) => format!("name {name}"),
                NotationKind::Parts { .. } => "parts".to_owned(),
            })
            .collect();
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn parameters_have_the_values_of_literals() {
        let both = ["g:a:1", "g:b:1"];
        check("['g:a:1', 'g:b:1'].each { api it }", 1, "${it}", &both);
        check("listOf(\n'g:a:1',\n'g:b:1',\n)\n.forEach { dep -> api(dep) }", 1, "${dep}", &both);
        check("def all = ['a', 'b']\nall.each { String x -> api x }", 2, "g:${x}:1", &both);
        check("for (x in ['a', 'b']) { api x }", 1, "g:${x}:1", &both);
        check("for (String x : ['a', 'b']) { api x }", 1, "g:${x}:1", &both);
        check("ext.all = ['a', 'b']\next.all.each { api it }", 2, "g:${it}:1", &both);
        check("[a: '1', b: '1'].each { k, v -> api k }", 1, "g:${k}:${v}", &both);
        check(
            "mapOf('a' to '1', 'b' to v).forEach { api(it) }",
            1,
            "g:${it.key}:${it.value}",
            &["g:a:1", "g:b:${v}"],
        );
        check("[libs.a, 'g:b:1'].each { api it }", 1, "${it}", &["name libs.a", "g:b:1"]);
    }

    #[test]
    fn a_name_of_a_list_stands_for_its_modules() {
        let text =
            "def all = ['g:a:1', libs.b]\ndef words = ['a', 'b']\next.x = [web: ['g:c:1']]\n";
        let tokens = script::tokens(text, Dialect::Groovy);
        let mut loops = Loops::of(&tokens);
        let mut expand =
            |name: &str| loops.expand(NotationKind::Name(name.to_owned()), Budget::alone(1_000));
        let [text, name] =
            [NotationKind::Text("g:a:1".to_owned()), NotationKind::Name("libs.b".to_owned())];
        assert_eq!(expand("all"), [text, name]);
        assert_eq!(expand("words"), [NotationKind::Name("words".to_owned())]);
        assert_eq!(expand("x.web"), [NotationKind::Text("g:c:1".to_owned())]);
        assert!(expand("it").is_empty());
    }

    #[test]
    fn other_loops_are_not_read() {
        for text in ["files.each { api it }", "['a'].collect { it }", "for (x in y) { api x }"] {
            let tokens = script::tokens(text, Dialect::Groovy);
            assert_eq!(Loops::of(&tokens).enter(0, 0), None, "{text}");
        }
    }
}
