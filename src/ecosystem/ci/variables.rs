//! Expands variables of GitLab pipelines that the file itself defines.
//!
//! Input: the text of an image, and its job. Output: the text with the values inserted; several texts,
//! where a matrix runs the job with several values. The nearest definition wins: the job's own, then those
//! of its templates, then those of the top level.
//!
//! Invariants: an undefined variable stays as written; the output is bounded; templates and matrices that
//! jobs share are read once.

use super::inherited::{Inherited, Templates};
use crate::ecosystem::{
    image,
    yaml::{Id, Node},
};
use std::{collections::HashMap, rc::Rc};

/// Rounds of expansion, because values may contain variables.
const MAX_ROUNDS: usize = 4;

/// Texts that a matrix may give.
const MAX_TEXTS: usize = 100;

/// Values that are read of one matrix.
const MAX_VALUES: usize = 500;

/// A longer text, or one with more variables, is not expanded.
const MAX_LENGTH: usize = 1000;
const MAX_VARIABLES: usize = 16;

/// The variables of a matrix with their values.
type Matrix<'t> = Vec<(&'t str, Vec<&'t str>)>;

/// Data that the jobs of a file share.
#[derive(Debug, Default)]
pub(super) struct Shared<'t, 'a> {
    templates: Templates<'t, 'a>,
    matrices: HashMap<Id, Rc<Matrix<'t>>>,
}

impl<'t, 'a> Shared<'t, 'a> {
    /// The variables of a job. `inputs` are those of the file, with their defaults.
    pub(super) fn of(
        &mut self,
        root: Node<'t, 'a>,
        job: Node<'t, 'a>,
        inputs: Option<Node<'t, 'a>>,
    ) -> Variables<'t, 'a> {
        let inherited = self.templates.of(root, job);
        let node = job.get("parallel").and_then(|parallel| parallel.get("matrix"));
        let matrix = node.map(|node| {
            let read = self.matrices.entry(node.id()).or_insert_with(|| Rc::new(matrix(node)));
            (node.id(), Rc::clone(read))
        });
        Variables { own: job.get("variables"), inherited, matrix, inputs }
    }
}

/// The sources of a job's variables.
#[derive(Debug)]
pub(super) struct Variables<'t, 'a> {
    own: Option<Node<'t, 'a>>,
    inherited: Rc<Inherited<'t, 'a>>,
    matrix: Option<(Id, Rc<Matrix<'t>>)>,
    inputs: Option<Node<'t, 'a>>,
}

/// Identifies the sources of variables: jobs with equal origins have equal values.
pub(super) type Origin = (Option<Id>, usize, Option<Id>);

impl<'t, 'a> Variables<'t, 'a> {
    pub(super) fn origin(&self) -> Origin {
        let matrix = self.matrix.as_ref().map(|matrix| matrix.0);
        (self.own.map(Node::id), self.inherited.number, matrix)
    }

    /// Whether the job has variables of its own.
    pub(super) fn is_own(&self) -> bool {
        self.own.is_some() || self.matrix.as_ref().is_some_and(|matrix| !matrix.1.is_empty())
    }

    /// The image of the job's templates.
    pub(super) fn inherited_image(&self) -> Option<Node<'t, 'a>> {
        self.inherited.image
    }

    /// Expands a text. A matrix may give several texts.
    pub(super) fn expand(&self, text: &str) -> Vec<String> {
        if text.len() > MAX_LENGTH || text.matches('$').count() > MAX_VARIABLES {
            return vec![text.to_owned()];
        }
        let mut text = self.with_inputs(text);
        for _ in 0..MAX_ROUNDS {
            let next = image::expand(&text, |name| self.value(name));
            if next == text || next.len() > MAX_LENGTH {
                break;
            }
            text = next;
        }
        let mut texts = vec![text];
        for (name, values) in self.matrix.iter().flat_map(|matrix| matrix.1.iter()) {
            let is_used = texts.iter().any(|text| text.contains('$') && text.contains(name));
            if is_used && texts.len() * values.len() <= MAX_TEXTS {
                let expanded = texts.iter().flat_map(|text| {
                    let value =
                        |value: &'t str| move |variable: &str| (variable == *name).then_some(value);
                    values.iter().map(move |entry| image::expand(text, value(entry)))
                });
                texts = expanded.collect();
                texts.retain(|text| text.len() <= MAX_LENGTH);
            }
        }
        texts
    }

    /// `NAME: value`, or `NAME: {value: …, description: …}`.
    fn value(&self, name: &str) -> Option<&'t str> {
        match self.own.and_then(|variables| variables.get(name)) {
            Some(value) => value.as_str().or_else(|| value.text("value")),
            None => self.inherited.value(name),
        }
    }

    /// Replaces `$[[ inputs.name | function ]]` with the default of the input.
    fn with_inputs(&self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once("$[[") {
            let Some((inner, after)) = behind.split_once("]]") else { break };
            out.push_str(before);
            let name = inner.split('|').next().unwrap_or(inner).trim().strip_prefix("inputs.");
            let input = name.and_then(|name| self.inputs?.get(name));
            match input.and_then(|input| input.text("default")) {
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
