//! Variables of GitLab's pipelines, as far as the file itself gives them a value.
//!
//! What flows in: the text of an image, and the job that it stands in. What flows out: the text with
//! the values in it; several texts, where a matrix runs the job for several values. The nearest value
//! wins: the job's own, then those of what it extends, then those of the top.
//!
//! What must stay true: what has no value here stays as it is written; nothing grows without a bound.

use crate::ecosystem::{container, yaml::Node};

/// Values may be made of variables so often.
const MAX_ROUNDS: usize = 4;

/// GitLab allows eleven levels of `extends`.
const MAX_TEMPLATES: usize = 32;

/// A matrix gives no more texts.
const MAX_TEXTS: usize = 100;

/// Where the variables of one job are looked for.
#[derive(Debug)]
pub(super) struct Variables<'t, 'a> {
    /// What the job extends, the nearest first.
    templates: Vec<Node<'t, 'a>>,
    /// The tables of variables, the nearest first.
    tables: Vec<Node<'t, 'a>>,
    matrix: Vec<(&'t str, Vec<&'t str>)>,
    inputs: Option<Node<'t, 'a>>,
}

impl<'t, 'a> Variables<'t, 'a> {
    /// `inputs` are those of the file, with their defaults.
    pub(super) fn of(root: Node<'t, 'a>, job: Node<'t, 'a>, inputs: Option<Node<'t, 'a>>) -> Self {
        let templates = templates(root, job);
        let around = templates.iter().copied().chain([root]);
        let tables = std::iter::once(job).chain(around).filter_map(|it| it.get("variables"));
        Self { tables: tables.collect(), templates, matrix: matrix(job), inputs }
    }

    /// Whether the job has values of its own for what it extends.
    pub(super) fn is_own(&self, job: Node<'_, '_>) -> bool {
        !self.matrix.is_empty() || job.get("variables").is_some()
    }

    /// The image that the job has of what it extends.
    pub(super) fn inherited_image(&self) -> Option<Node<'t, 'a>> {
        self.templates.iter().find_map(|it| it.get("image"))
    }

    /// The text, or the texts, with what is known in place of the variables.
    pub(super) fn expand(&self, text: &str) -> Vec<String> {
        let mut text = self.with_inputs(text);
        for _ in 0..MAX_ROUNDS {
            let next = container::expand(&text, |name| self.value(name));
            if next == text {
                break;
            }
            text = next;
        }
        let mut texts = vec![text];
        for (name, values) in &self.matrix {
            let is_asked_for = texts.iter().any(|it| it.contains(name));
            if is_asked_for && texts.len() * values.len() <= MAX_TEXTS {
                let expanded = texts.iter().flat_map(|text| {
                    let value = |value: &'t str| move |it: &str| (it == *name).then_some(value);
                    values.iter().map(move |it| container::expand(text, value(it)))
                });
                texts = expanded.collect();
            }
        }
        texts
    }

    /// `NAME: value`, or `NAME: {value: …, description: …}`.
    fn value(&self, name: &str) -> Option<&'t str> {
        let value = self.tables.iter().find_map(|it| it.get(name))?;
        value.as_str().or_else(|| value.text("value"))
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
            rest = after;
        }
        out.push_str(rest);
        out
    }
}

/// What a job extends, level by level; of several the last one wins.
fn templates<'t, 'a>(root: Node<'t, 'a>, job: Node<'t, 'a>) -> Vec<Node<'t, 'a>> {
    let mut found: Vec<Node<'t, 'a>> = Vec::new();
    let mut at = 0;
    let mut next = Some(job);
    while let Some(node) = next {
        if let Some(extends) = node.get("extends") {
            let mut names: Vec<_> = extends.elements().filter_map(Node::as_str).collect();
            names.extend(extends.as_str());
            for template in
                names.into_iter().rev().take(MAX_TEMPLATES).filter_map(|it| root.get(it))
            {
                let is_new = found.iter().all(|it| it.id() != template.id());
                if is_new && found.len() < MAX_TEMPLATES {
                    found.push(template);
                }
            }
        }
        next = found.get(at).copied();
        at += 1;
    }
    found
}

/// `parallel: {matrix: [{NAME: [value, value], OTHER: value}]}`
fn matrix<'t>(job: Node<'t, '_>) -> Vec<(&'t str, Vec<&'t str>)> {
    let mut found: Vec<(&str, Vec<&str>)> = Vec::new();
    let matrix = job.get("parallel").and_then(|it| it.get("matrix"));
    let rows = matrix.into_iter().flat_map(Node::elements);
    for member in rows.flat_map(Node::members).take(MAX_TEXTS) {
        let values = member.value.elements().filter_map(Node::as_str).chain(member.value.as_str());
        let values = values.take(MAX_TEXTS);
        match found.iter_mut().find(|(name, _)| *name == member.key) {
            Some((_, known)) => known.extend(values),
            None => found.push((member.key, values.collect())),
        }
    }
    found
}
