//! Generates files with many mentions of one value of a sample.
//!
//! Input: a sample as a value, and which part of it is long and mentioned. Output: a file of about the
//! requested size: half of it is the mentioned part, the rest are the mentions.

use crate::ecosystem::{budget::Budget, yaml};
use std::fmt::Write;

/// A YAML value that can be written.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    List(Vec<Value>),
    Map(Vec<(String, Value)>),
    /// Written verbatim, with anchors and aliases.
    Raw(String),
}

/// Which value of a sample is long, and how it is mentioned.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    /// The path of the long value: the index at each level, from the root.
    long: Vec<usize>,
    /// The number of indices that lead to the repeated value.
    repeated: usize,
    how: How,
    /// The keys of the path, for messages.
    #[expect(dead_code, reason = "shown")]
    path: String,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum How {
    /// A long text.
    LongText,
    /// A text of many variables.
    Variables,
    /// A collection of many elements.
    Many,
    /// A collection of many aliases of one element.
    ManyAliases,
    /// Mappings that merge a long mapping.
    Merge,
    /// Mappings that merge a list of many mappings.
    MergeMany,
    /// A long collection with a long key.
    LongKey,
}

impl Value {
    pub(super) fn read(text: &str) -> Self {
        fn of(node: yaml::Node<'_, '_>) -> Value {
            if node.is_sequence() {
                Value::List(node.elements().map(of).collect())
            } else if node.is_mapping() {
                Value::Map(
                    node.members()
                        .map(|member| (member.key.to_owned(), of(member.value)))
                        .collect(),
                )
            } else {
                Value::Text(node.as_str().unwrap_or_default().to_owned())
            }
        }
        of(yaml::parse(text, Budget::alone(1 << 20)).root().expect("a sample"))
    }

    /// The text of a file, with each member of the root on its own line.
    pub(super) fn write(&self) -> String {
        let mut out = String::new();
        match self {
            Self::Map(members) => {
                for (key, value) in members {
                    out.push_str(&quoted_key(key));
                    out.push_str(": ");
                    value.write_flow(&mut out);
                    out.push('\n');
                }
            }
            other => other.write_flow(&mut out),
        }
        out
    }

    fn flow(&self) -> String {
        let mut out = String::new();
        self.write_flow(&mut out);
        out
    }

    fn write_flow(&self, out: &mut String) {
        match self {
            Self::Text(text) => write!(out, "{text:?}").unwrap(),
            Self::Raw(text) => out.push_str(text),
            Self::List(elements) => {
                out.push('[');
                for element in elements {
                    element.write_flow(out);
                    out.push_str(", ");
                }
                out.push(']');
            }
            Self::Map(members) => {
                out.push('{');
                for (key, value) in members {
                    write!(out, "{}: ", quoted_key(key)).unwrap();
                    value.write_flow(out);
                    out.push_str(", ");
                }
                out.push('}');
            }
        }
    }

    fn at(&self, path: &[usize]) -> &Value {
        path.iter().fold(self, |value, place| match value {
            Self::List(elements) => &elements[*place],
            Self::Map(members) => &members[*place].1,
            _ => unreachable!("a path leads through collections"),
        })
    }

    fn at_mut(&mut self, path: &[usize]) -> &mut Value {
        path.iter().fold(self, |value, place| match value {
            Self::List(elements) => &mut elements[*place],
            Self::Map(members) => &mut members[*place].1,
            _ => unreachable!("a path leads through collections"),
        })
    }

    fn len(&self) -> usize {
        match self {
            Self::List(elements) => elements.len(),
            Self::Map(members) => members.len(),
            _ => 0,
        }
    }

    /// The paths of all values below this one.
    fn paths(&self, above: &[usize], found: &mut Vec<Vec<usize>>) {
        for place in 0..self.len() {
            let path = [above, &[place]].concat();
            self.at(&[place]).paths(&path, found);
            found.push(path);
        }
    }

    fn keys(&self, path: &[usize]) -> String {
        let mut value = self;
        let mut shown = String::new();
        for place in path {
            match value {
                Self::Map(members) => shown.extend([".", &members[*place].0]),
                _ => write!(shown, "[{place}]").unwrap(),
            }
            value = value.at(&[*place]);
        }
        shown
    }

    /// The collection with its elements repeated; each copy has a different name or text.
    fn many(&self, size: usize) -> Value {
        let mut value = self.clone();
        let length = self.flow().len().max(8);
        for number in 0..size / length {
            match (&mut value, self) {
                (Self::List(elements), Self::List(of)) => {
                    elements.extend(of.iter().map(|element| element.numbered(number)));
                }
                (Self::Map(members), Self::Map(of)) => {
                    let again =
                        of.iter().map(|member| (format!("{}{number}", member.0), member.1.clone()));
                    members.extend(again);
                }
                _ => {}
            }
        }
        value
    }

    fn numbered(&self, number: usize) -> Value {
        match self {
            Self::Text(text) => Self::Text(format!("{text}{number}")),
            Self::Map(members) => Self::Map(
                members.iter().map(|(key, value)| (key.clone(), value.numbered(number))).collect(),
            ),
            other => other.clone(),
        }
    }

    /// The collection with its first element, and aliases of that element.
    fn many_aliases(&self, size: usize) -> Value {
        let first = Self::Raw(format!("&e {}", self.at(&[0]).flow()));
        let alias = || Self::Raw("*e".to_owned());
        match self {
            Self::Map(of) => {
                let again = (0..size / 12).map(|number| (format!("{}{number}", of[0].0), alias()));
                Self::Map(std::iter::once((of[0].0.clone(), first)).chain(again).collect())
            }
            _ => Self::List(std::iter::once(first).chain((0..size / 4).map(|_| alias())).collect()),
        }
    }
}

/// Quotes unusual keys, because some parsers search for keys before they parse the YAML.
fn quoted_key(key: &str) -> String {
    let is_plain = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-<".contains(&byte));
    if is_plain { key.to_owned() } else { format!("{key:?}") }
}

impl Shape {
    /// All shapes of a sample.
    pub(super) fn all(sample: &Value) -> Vec<Self> {
        let mut paths = Vec::new();
        sample.paths(&[], &mut paths);
        let mut shapes = Vec::new();
        for long in paths {
            let kinds: &[How] = match sample.at(&long) {
                Value::Map(members) if !members.is_empty() => {
                    &[How::Many, How::ManyAliases, How::Merge, How::MergeMany, How::LongKey]
                }
                Value::List(elements) if !elements.is_empty() => {
                    &[How::Many, How::ManyAliases, How::LongKey]
                }
                _ => &[How::LongText, How::Variables],
            };
            for how in kinds {
                let most = if *how == How::LongKey { 1 } else { long.len() };
                for repeated in 1..=most {
                    let path = sample.keys(&long);
                    shapes.push(Self { long: long.clone(), repeated, how: *how, path });
                }
            }
        }
        shapes
    }

    /// A file of about this many bytes.
    pub(super) fn write(&self, sample: &Value, size: usize) -> String {
        let mut file = sample.clone();
        let value = sample.at(&self.long).clone();
        let half = size / 2;
        let (long, mention) = match self.how {
            How::LongKey => return self.long_key(file, half),
            How::LongText => (format!("&a \"{}{}\"", text(&value), "x".repeat(half)), "*a"),
            How::Variables => {
                (format!("&a \"{}{}\"", text(&value), "$A$[[ inputs.a ]]".repeat(half / 17)), "*a")
            }
            How::Many => (format!("&a {}", value.many(half).flow()), "*a"),
            How::ManyAliases => (format!("&a {}", value.many_aliases(half).flow()), "*a"),
            How::Merge => (format!("&a {}", value.many(half).flow()), "{<<: *a}"),
            How::MergeMany => {
                let list = Value::List(vec![value.clone()]).many_aliases(half).flow();
                // Behind the part of the value that is read.
                (format!("{{<<: &a {list}}}"), "{<<: *a}")
            }
        };
        let (above, below) = self.long.split_at(self.repeated);
        let mut copy = sample.at(above).clone();
        *copy.at_mut(below) = Value::Raw(mention.to_owned());
        *file.at_mut(&self.long) = Value::Raw(long);
        let copy = Value::Raw(copy.flow());
        let Some((place, around)) = above.split_last() else { unreachable!("a path is not empty") };
        match file.at_mut(around) {
            Value::List(elements) => {
                let times = 1 + half / (copy.flow().len() + 2);
                let behind = elements.split_off(place + 1);
                elements.extend(std::iter::repeat_n(copy, times));
                elements.extend(behind);
            }
            Value::Map(members) => {
                let key = members[*place].0.clone();
                let times = 1 + half / (copy.flow().len() + key.len() + 8);
                let copies = (0..times).map(|number| (format!("{key}{number}"), copy.clone()));
                let behind = members.split_off(place + 1);
                members.extend(copies);
                members.extend(behind);
            }
            _ => unreachable!("a path leads through collections"),
        }
        file.write()
    }

    fn long_key(&self, mut file: Value, half: usize) -> String {
        let long = file.at(&self.long).many(half);
        let Some((place, around)) = self.long.split_last() else { return file.write() };
        *file.at_mut(&self.long) = long;
        if let Value::Map(members) = file.at_mut(around) {
            let key = &mut members[*place].0;
            *key = format!("{}{key}", "k".repeat(half));
        }
        file.write()
    }
}

fn text(value: &Value) -> &str {
    match value {
        Value::Text(text) => text,
        _ => "",
    }
}
