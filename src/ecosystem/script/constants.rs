//! The string constants of a build script.
//!
//! Input: the tokens of a Groovy, Kotlin or Scala script. Output: the values of the names that the
//! script defines literally: `def x = "1"`, `val x = "1"`, `ext { x = "1" }`, `ext.x = "1"`,
//! `extra["x"] = "1"`, `val x by extra("1")`, `set("x", "1")`, `versions = [x: "1"]`, `versions += [x: "1"]`,
//! `object V { val x = "1" }`, `val V = new { val x = "1" }`, and concatenations of these. `val x = platform("g:a:v")`
//! also defines `x.platform`.
//!
//! Invariants: a name with two different values has no value.

use super::{
    Token, Tokens, defaults,
    operand::{MAX_VALUE, plain_operand},
    wrappers::{is_platform, wrapped},
};
use std::{borrow::Cow, collections::HashMap, ops::Range};

/// Depth of nested objects and maps.
const MAX_DEPTH: usize = 4;

/// Constructors of lists.
const LISTS: [&str; 5] = ["Seq", "List", "Vector", "IndexedSeq", "Set"];

/// Objects and functions of Gradle that hold or wrap names.
const HOLDERS: [&str; 10] = [
    "project",
    "rootProject",
    "ext",
    "extra",
    "this",
    "property",
    "findProperty",
    "properties",
    "get",
    "toString",
];

/// Names and their values.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Constants {
    /// None for a name with several values. A name inside an object or a map is stored as `object.name`;
    /// inside an object also on its own.
    values: HashMap<String, Option<String>>,
}

/// The definition of a name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Definition<'c> {
    Text(&'c str),
    /// Different values, so none of them counts.
    Ambiguous,
}

impl<'c> Definition<'c> {
    fn of(value: Option<&'c String>) -> Self {
        value.map_or(Self::Ambiguous, |value| Self::Text(value))
    }

    pub(crate) fn text(self) -> Option<&'c str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Ambiguous => None,
        }
    }
}

impl Constants {
    pub(crate) fn of(tokens: &Tokens<'_>) -> Self {
        let mut reader = Reader { tokens, open: Vec::new(), constants: Self::default() };
        for at in 0..tokens.len() {
            reader.visit(at);
        }
        reader.constants
    }

    /// Expands the names in a text. The error is the first unknown name.
    pub(crate) fn expand(&self, text: &str) -> Result<String, String> {
        let get = |name: &str| self.look_up(&plain_name(name))?.text();
        crate::ecosystem::expression::expand(text, &get)
    }

    /// The definition of a plain name.
    pub(crate) fn look_up(&self, plain_name: &str) -> Option<Definition<'_>> {
        self.values.get(plain_name).map(|value| Definition::of(value.as_ref()))
    }

    /// All plain names with their definitions.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, Definition<'_>)> {
        self.values.iter().map(|(name, value)| (name.as_str(), Definition::of(value.as_ref())))
    }

    /// Defines a name from outside the script.
    pub(crate) fn define(&mut self, name: &str, value: &str) {
        self.insert(&plain_name(name), value);
    }

    fn insert(&mut self, name: &str, value: &str) {
        if name.len() > MAX_VALUE || value.len() > MAX_VALUE {
            return;
        }
        self.values
            .entry(name.to_owned())
            .and_modify(|known| *known = known.take().filter(|known| known == value))
            .or_insert_with(|| Some(value.to_owned()));
    }
}

/// Reads a string, a name, or a concatenation of these, as a text with `${…}`. Also returns its end.
pub(crate) fn value(tokens: &Tokens<'_>, at: usize) -> Option<(String, usize)> {
    let (mut sum, mut at) = operand(tokens, at)?;
    while tokens.is_mark(at, '+') && sum.len() <= MAX_VALUE {
        let (more, end) = operand(tokens, tokens.skip_lines(at + 1))?;
        sum.push_str(&more);
        at = end;
    }
    Some((sum, at))
}

/// The first and the last element of a list of values: `Seq("1", name)`.
pub(crate) fn ends_of_list(tokens: &Tokens<'_>, at: usize) -> Option<[String; 2]> {
    if !(LISTS.contains(&tokens.word(at)?) && tokens.is_mark(at + 1, '(')) {
        return None;
    }
    let elements = tokens.elements(at + 1);
    let value = |element: &Range<usize>| {
        value(tokens, element.start).filter(|(_, end)| tokens.skip_lines(*end) >= element.end)
    };
    let ([first, ..], [.., last]) = (elements.as_slice(), elements.as_slice()) else {
        return None;
    };
    Some([value(first)?.0, value(last)?.0])
}

fn operand(tokens: &Tokens<'_>, at: usize) -> Option<(String, usize)> {
    let special = wrapped(tokens, at).or_else(|| defaults::read(tokens, at));
    special.or_else(|| plain_operand(tokens, at))
}

/// A path without the holders: `project.ext.x`, `property("x")`.
pub(crate) fn plain_name(name: &str) -> String {
    let mut segments: Vec<&str> = name
        .split(['.', '[', ']', '(', ')', '"', '\'', ' '])
        .filter(|segment| !segment.is_empty())
        .collect();
    if segments.len() > 1 {
        segments.retain(|segment| !HOLDERS.contains(segment));
    }
    segments.join(".")
}

struct Reader<'t, 'a> {
    tokens: &'t Tokens<'a>,
    /// The open brackets, each with the name before it.
    open: Vec<(char, Option<&'a str>)>,
    constants: Constants,
}

impl<'a> Reader<'_, 'a> {
    fn visit(&mut self, at: usize) {
        match self.tokens.get(at) {
            Some(Token::Mark(open @ ('(' | '[' | '{'))) => {
                self.open.push((*open, self.name_before(at)));
            }
            Some(Token::Mark(')' | ']' | '}')) => drop(self.open.pop()),
            Some(Token::Mark('=')) => self.assignment(at),
            Some(Token::Mark(':') | Token::Word("to")) => self.entry(at, at + 1),
            Some(Token::Word("by")) => self.delegate(at),
            Some(Token::Word("set")) => self.call(at),
            _ => {}
        }
    }

    /// The name of the object, map or call that a bracket opens: `object V {`, `x = [`, `x = mapOf(`.
    fn name_before(&self, at: usize) -> Option<&'a str> {
        let before = at.checked_sub(1)?;
        if self.tokens.is_mark(before, '=') {
            // `x += [`
            let adds = before.checked_sub(1).is_some_and(|sign| self.tokens.is_mark(sign, '+'));
            return self.tokens.word(before.checked_sub(1 + usize::from(adds))?);
        }
        // A map within a map.
        if self.tokens.is_mark(before, ':') && self.open.last().is_some_and(|frame| frame.0 == '[')
        {
            return self.tokens.word(before.checked_sub(1)?);
        }
        let word = self.tokens.word(before)?;
        if let (Some(sign), true) = (before.checked_sub(1), matches!(word, "mapOf" | "Map" | "new"))
        {
            return self
                .tokens
                .is_mark(sign, '=')
                .then(|| self.tokens.word(sign.checked_sub(1)?))?;
        }
        let keyword = before.checked_sub(1).and_then(|offset| self.tokens.word(offset));
        (keyword == Some("object")).then_some(word)
    }

    fn insert(&mut self, name: &str, value: &str) {
        if name.len() > MAX_VALUE || value.len() > MAX_VALUE {
            return;
        }
        let value = &*self.within(value);
        let mut path = name.to_owned();
        // Within nested objects and maps, outer names may be omitted in references.
        let named = self.open.iter().rev().map_while(|(_, outer)| *outer).take(MAX_DEPTH);
        for outer in named {
            // Bounded, because each entry copies the outer names.
            if outer.len() + path.len() >= MAX_VALUE {
                break;
            }
            path = format!("{outer}.{path}");
            self.constants.insert(&path, value);
        }
        if self.open.last().is_none_or(|(bracket, outer)| outer.is_none() || *bracket == '{') {
            self.constants.insert(name, value);
        }
    }

    /// A value with the names that its own object or map defines: other objects may define them too.
    fn within<'v>(&self, value: &'v str) -> Cow<'v, str> {
        let named = self.open.iter().rev().map_while(|(_, outer)| *outer).take(MAX_DEPTH);
        let mut path: Vec<&str> = named.collect();
        path.reverse();
        let outer = path.join(".");
        if path.is_empty() || outer.len() > MAX_VALUE || !value.contains("${") {
            return Cow::Borrowed(value);
        }
        let get = |name: &str| {
            let mut outer = Some(outer.as_str());
            while let Some(path) = outer {
                let own = self.constants.look_up(&format!("{path}.{}", plain_name(name)));
                if own.is_some() {
                    return own?.text().filter(|text| !text.contains("${"));
                }
                outer = path.rsplit_once('.').map(|(outer, _)| outer);
            }
            None
        };
        let expanded = crate::ecosystem::expression::expand(value, &get);
        expanded.map_or(Cow::Borrowed(value), Cow::Owned)
    }

    /// `name = value`, `name: Type = value`, `ext.name = value`, `extra["name"] = value`.
    fn assignment(&mut self, at: usize) {
        // Excludes named arguments, comparisons and `:=`.
        let in_call = self.open.last().is_some_and(|frame| frame.0 != '{');
        let Some(before) = at.checked_sub(1).filter(|_| !in_call) else { return };
        let tokens = self.tokens;
        if let (Some([head, last]), Some(name)) =
            (ends_of_list(tokens, at + 1), self.name_of(before))
        {
            self.insert(&format!("{name}.head"), &head);
            self.insert(&format!("{name}.last"), &last);
            return;
        }
        let Some((value, end)) = value(tokens, at + 1) else { return };
        let end = defaults::behind_cast(tokens, end);
        if !(tokens.ends_line(end) || matches!(tokens.mark(end), Some(';' | '}'))) {
            return;
        }
        if tokens.is_mark(before, ']') {
            return self.assigned_entry(before, &value);
        }
        let Some(name) = self.name_of(before) else { return };
        if is_platform(tokens, at + 1) {
            self.insert(&format!("{name}.platform"), &value);
        }
        let path = before.checked_sub(2).filter(|offset| tokens.is_mark(offset + 1, '.'));
        match path.and_then(|offset| tokens.word(offset)) {
            Some(outer) => self.constants.insert(&plain_name(&format!("{outer}.{name}")), &value),
            None => self.insert(name, &value),
        }
    }

    /// `extra["name"] = value`, `versions["name"] = value`; the bracket is at `close`.
    fn assigned_entry(&mut self, close: usize, value: &str) {
        let (tokens, at) = (self.tokens, close.saturating_sub(1));
        let Some(key) = tokens.text(at).map(str::to_owned) else { return };
        let outer = at.checked_sub(2).filter(|offset| tokens.is_mark(offset + 1, '['));
        match outer.and_then(|offset| tokens.word(offset)).filter(|word| !HOLDERS.contains(word)) {
            Some(outer) => self.constants.insert(&plain_name(&format!("{outer}.{key}")), value),
            None => self.insert(&key, value),
        }
    }

    /// The name that ends at `before`, which may have a type: `name: Type`, `name: Type[Other]`.
    fn name_of(&self, before: usize) -> Option<&'a str> {
        let tokens = self.tokens;
        let type_len = if tokens.is_mark(before, ']') { 4 } else { 1 };
        let colon = before.checked_sub(type_len).filter(|colon| tokens.is_mark(*colon, ':'));
        tokens.word(colon.map_or(before, |colon| colon.saturating_sub(1)))
    }

    /// Reads an entry of a map that has a name.
    fn entry(&mut self, at: usize, value_at: usize) {
        let Some((_, Some(_))) = self.open.last().filter(|frame| frame.0 != '{') else { return };
        let tokens = self.tokens;
        let Some(before) = at.checked_sub(1) else { return };
        let key = tokens.word(before).or_else(|| tokens.text(before)).map(str::to_owned);
        if let (Some(key), Some((value, _))) = (key, value(tokens, value_at)) {
            self.insert(&key, &value);
        }
    }

    /// `val name by extra("value")`, `val name: Type by extra("value")`.
    fn delegate(&mut self, at: usize) {
        let tokens = self.tokens;
        let Some(before) = at.checked_sub(1) else { return };
        let typed = before.checked_sub(2).filter(|offset| tokens.is_mark(offset + 1, ':'));
        let name = tokens.word(typed.unwrap_or(before));
        let is_extra = tokens.word(at + 1) == Some("extra") && tokens.is_mark(at + 2, '(');
        if let (Some(name), true, Some(text)) = (name, is_extra, tokens.text(at + 3)) {
            let text = text.to_owned();
            self.insert(name, &text);
        }
    }

    /// `set("name", "value")`.
    fn call(&mut self, at: usize) {
        let tokens = self.tokens;
        if tokens.is_mark(at + 1, '(') && tokens.is_mark(at + 3, ',') {
            let value = value(tokens, at + 4).map(|(value, _)| value);
            let key = tokens.text(at + 2).map(str::to_owned);
            if let (Some(key), Some(value)) = (key, value) {
                self.constants.insert(&key, &value);
            }
        }
    }
}
