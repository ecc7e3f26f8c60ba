//! What the jobs of GitLab's pipelines have of the templates that they extend.
//!
//! Input: a job. Output: its templates, level by level, with their variables and image; those of the
//! top of the file come last.
//!
//! Invariants: jobs that extend the same share one answer; of each list of `extends`, however many
//! jobs an alias gives it to, the names are looked up once.

use crate::ecosystem::yaml::{Id, Node};
use std::{cell::RefCell, collections::HashMap, rc::Rc};

/// GitLab allows eleven levels of `extends`.
const MAX_TEMPLATES: usize = 32;

/// The templates of a file.
#[derive(Debug, Default)]
pub(super) struct Templates<'t, 'a> {
    /// By root and value of `extends`: what it names, each once, the nearest first.
    named: HashMap<(Id, Id), Rc<[Node<'t, 'a>]>>,
    /// By root and what is named.
    inherited: HashMap<(Id, Vec<Id>), Rc<Inherited<'t, 'a>>>,
}

/// What a job has of what it extends, and of the top.
#[derive(Debug)]
pub(super) struct Inherited<'t, 'a> {
    /// Differs from that of any other one of the file.
    pub(super) number: usize,
    pub(super) image: Option<Node<'t, 'a>>,
    /// The tables of variables, the nearest first.
    tables: Vec<Node<'t, 'a>>,
    /// What was looked for in them.
    values: RefCell<HashMap<String, Option<&'t str>>>,
}

impl<'t, 'a> Templates<'t, 'a> {
    /// What a job has of others.
    pub(super) fn of(&mut self, root: Node<'t, 'a>, job: Node<'t, 'a>) -> Rc<Inherited<'t, 'a>> {
        let named = self.named(root, job);
        let key = (root.id(), named.iter().map(|it| it.id()).collect::<Vec<_>>());
        if let Some(known) = self.inherited.get(&key) {
            return Rc::clone(known);
        }
        let all = self.all(root, &named);
        let around = all.iter().copied().chain([root]);
        let inherited = Rc::new(Inherited {
            number: self.inherited.len(),
            image: all.iter().find_map(|it| it.get("image")),
            tables: around.filter_map(|it| it.get("variables")).collect(),
            values: RefCell::default(),
        });
        self.inherited.insert(key, Rc::clone(&inherited));
        inherited
    }

    /// What a job extends itself; of several the last one wins.
    fn named(&mut self, root: Node<'t, 'a>, job: Node<'t, 'a>) -> Rc<[Node<'t, 'a>]> {
        let Some(extends) = job.get("extends") else { return Rc::default() };
        let known = self.named.entry((root.id(), extends.id())).or_insert_with(|| {
            let names = extends.as_str().into_iter();
            let names = names.chain(extends.elements_from_the_end().filter_map(Node::as_str));
            let mut found = Vec::new();
            add_new(&mut found, names.take(MAX_TEMPLATES).filter_map(|it| root.get(it)));
            found.into()
        });
        Rc::clone(known)
    }

    /// These and what they extend in turn, level by level.
    fn all(&mut self, root: Node<'t, 'a>, named: &[Node<'t, 'a>]) -> Vec<Node<'t, 'a>> {
        let mut found = named.to_vec();
        let mut at = 0;
        while let Some(template) = found.get(at).copied()
            && found.len() < MAX_TEMPLATES
        {
            add_new(&mut found, self.named(root, template).iter().copied());
            at += 1;
        }
        found
    }
}

/// Adds those that are not there, as long as there are not too many.
fn add_new<'t, 'a>(found: &mut Vec<Node<'t, 'a>>, others: impl Iterator<Item = Node<'t, 'a>>) {
    for other in others {
        if found.len() < MAX_TEMPLATES && found.iter().all(|it| it.id() != other.id()) {
            found.push(other);
        }
    }
}

impl<'t> Inherited<'t, '_> {
    /// The value of a variable: `NAME: value`, or `NAME: {value: …, description: …}`.
    pub(super) fn value(&self, name: &str) -> Option<&'t str> {
        if let Some(known) = self.values.borrow().get(name) {
            return *known;
        }
        let value = self.tables.iter().find_map(|it| it.get(name));
        let value = value.and_then(|it| it.as_str().or_else(|| it.text("value")));
        self.values.borrow_mut().insert(name.to_owned(), value);
        value
    }
}
