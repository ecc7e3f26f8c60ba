//! Variables of GitLab's pipelines, as far as the file itself gives them a value.
//!
//! What flows in: the text of an image, and the job that it stands in. What flows out: the text with
//! the values in it; several texts, where a matrix runs the job for several values. The nearest value
//! wins: the job's own, then those of what it extends, then those of the top.
//!
//! What must stay true: what has no value here stays as it is written; nothing grows without a bound;
//! what jobs share, be it what they extend or a matrix, is read once, however many jobs there are.

use super::inherited::{Inherited, Templates};
use crate::ecosystem::{
    container,
    yaml::{Id, Node},
};
use std::{collections::HashMap, rc::Rc};

/// Values may be made of variables so often.
const MAX_ROUNDS: usize = 4;

/// A matrix gives no more texts.
const MAX_TEXTS: usize = 100;

/// Of one matrix no more values are read.
const MAX_VALUES: usize = 500;

/// A longer text, or one with more variables, is no image: it stays as it is written.
const MAX_LENGTH: usize = 1000;
const MAX_VARIABLES: usize = 16;

/// The names of a matrix with their values.
type Matrix<'t> = Vec<(&'t str, Vec<&'t str>)>;

/// What the jobs of a file share.
#[derive(Debug, Default)]
pub(super) struct Shared<'t, 'a> {
    templates: Templates<'t, 'a>,
    matrices: HashMap<Id, Rc<Matrix<'t>>>,
}

impl<'t, 'a> Shared<'t, 'a> {
    /// Where the variables of a job are looked for. `inputs` are those of the file, with their defaults.
    pub(super) fn of(
        &mut self,
        root: Node<'t, 'a>,
        job: Node<'t, 'a>,
        inputs: Option<Node<'t, 'a>>,
    ) -> Variables<'t, 'a> {
        let inherited = self.templates.of(root, job);
        let node = job.get("parallel").and_then(|it| it.get("matrix"));
        let matrix = node.map(|node| {
            let read = self.matrices.entry(node.id()).or_insert_with(|| Rc::new(matrix(node)));
            (node.id(), Rc::clone(read))
        });
        Variables { own: job.get("variables"), inherited, matrix, inputs }
    }
}

/// Where the variables of one job are looked for.
#[derive(Debug)]
pub(super) struct Variables<'t, 'a> {
    own: Option<Node<'t, 'a>>,
    inherited: Rc<Inherited<'t, 'a>>,
    matrix: Option<(Id, Rc<Matrix<'t>>)>,
    inputs: Option<Node<'t, 'a>>,
}

/// What the values of a job follow from: jobs of which it is the same have the same values.
pub(super) type Origin = (Option<Id>, usize, Option<Id>);

impl<'t, 'a> Variables<'t, 'a> {
    pub(super) fn origin(&self) -> Origin {
        let matrix = self.matrix.as_ref().map(|it| it.0);
        (self.own.map(Node::id), self.inherited.number, matrix)
    }

    /// Whether the job has values of its own for what it extends.
    pub(super) fn is_own(&self) -> bool {
        self.own.is_some() || self.matrix.as_ref().is_some_and(|it| !it.1.is_empty())
    }

    /// The image that the job has of what it extends.
    pub(super) fn inherited_image(&self) -> Option<Node<'t, 'a>> {
        self.inherited.image
    }

    /// The text, or the texts, with what is known in place of the variables.
    pub(super) fn expand(&self, text: &str) -> Vec<String> {
        if text.len() > MAX_LENGTH || text.matches('$').count() > MAX_VARIABLES {
            return vec![text.to_owned()];
        }
        let mut text = self.with_inputs(text);
        for _ in 0..MAX_ROUNDS {
            let next = container::expand(&text, |name| self.value(name));
            if next == text || next.len() > MAX_LENGTH {
                break;
            }
            text = next;
        }
        let mut texts = vec![text];
        for (name, values) in self.matrix.iter().flat_map(|it| it.1.iter()) {
            let is_asked_for = texts.iter().any(|it| it.contains('$') && it.contains(name));
            if is_asked_for && texts.len() * values.len() <= MAX_TEXTS {
                let expanded = texts.iter().flat_map(|text| {
                    let value = |value: &'t str| move |it: &str| (it == *name).then_some(value);
                    values.iter().map(move |it| container::expand(text, value(it)))
                });
                texts = expanded.collect();
                texts.retain(|it| it.len() <= MAX_LENGTH);
            }
        }
        texts
    }

    /// `NAME: value`, or `NAME: {value: …, description: …}`.
    fn value(&self, name: &str) -> Option<&'t str> {
        match self.own.and_then(|it| it.get(name)) {
            Some(value) => value.as_str().or_else(|| value.text("value")),
            None => self.inherited.value(name),
        }
    }

    /// `$[[ inputs.name | function ]]` becomes the default of the input.
    fn with_inputs(&self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once("$[[") {
            let Some((inner, after)) = behind.split_once("]]") else { break };
            out.push_str(before);
            let name = inner.split('|').next().unwrap_or(inner).trim().strip_prefix("inputs.");
            let input = name.and_then(|it| self.inputs?.get(it));
            match input.and_then(|it| it.text("default")) {
                Some(default) => out.push_str(default),
                None => out.extend(["$[[", inner, "]]"]),
            }
            if out.len() > MAX_LENGTH {
                return text.to_owned();
            }
            rest = after;
        }
        out.push_str(rest);
        out
    }
}

/// `[{NAME: [value, value], OTHER: value}]`
fn matrix<'t>(matrix: Node<'t, '_>) -> Matrix<'t> {
    let mut found: Matrix<'t> = Vec::new();
    let mut left = MAX_VALUES;
    for member in matrix.elements().flat_map(Node::members).take(MAX_TEXTS) {
        let listed = member.value.elements().take(MAX_TEXTS.min(left)).filter_map(Node::as_str);
        let values: Vec<_> = listed.chain(member.value.as_str().filter(|_| left > 0)).collect();
        left -= values.len();
        match found.iter_mut().find(|(name, _)| *name == member.key) {
            Some((_, known)) => known.extend(values),
            None => found.push((member.key, values)),
        }
    }
    found
}
