//! The variables and the image that GitLab jobs inherit by `extends`.
//!
//! Input: a job. Output: its templates, level by level, with their variables and image, then those of the
//! top level.
//!
//! Invariants: jobs that extend the same templates share one result; the names in a list of `extends` are
//! looked up once, however many jobs refer to it by an alias.

use crate::ecosystem::yaml::{Id, Node};
use std::{cell::RefCell, collections::HashMap, rc::Rc};

/// GitLab allows eleven levels of `extends`.
const MAX_TEMPLATES: usize = 32;

/// The templates of a file, cached.
#[derive(Debug, Default)]
pub(super) struct Templates<'t, 'a> {
    /// By root and value of `extends`: the named templates without repeats, the nearest first.
    named: HashMap<(Id, Id), Rc<[Node<'t, 'a>]>>,
    /// By root and named templates.
    inherited: HashMap<(Id, Vec<Id>), Rc<Inherited<'t, 'a>>>,
}

/// The inheritance of a job: from its templates and from the top level.
#[derive(Debug)]
pub(super) struct Inherited<'t, 'a> {
    /// Identifies this inheritance within the file.
    pub(super) number: usize,
    pub(super) image: Option<Node<'t, 'a>>,
    /// The `variables` tables, the nearest first.
    tables: Vec<Node<'t, 'a>>,
    /// Cache of lookups in the tables.
    values: RefCell<HashMap<String, Option<&'t str>>>,
}

impl<'t, 'a> Templates<'t, 'a> {
    /// The inheritance of a job.
    pub(super) fn of(&mut self, root: Node<'t, 'a>, job: Node<'t, 'a>) -> Rc<Inherited<'t, 'a>> {
        let named = self.named(root, job);
        let key = (root.id(), named.iter().map(|template| template.id()).collect::<Vec<_>>());
        if let Some(known) = self.inherited.get(&key) {
            return Rc::clone(known);
        }
        let all = self.all(root, &named);
        let around = all.iter().copied().chain([root]);
        let inherited = Rc::new(Inherited {
            number: self.inherited.len(),
            image: all.iter().find_map(|template| template.get("image")),
            tables: around.filter_map(|template| template.get("variables")).collect(),
            values: RefCell::default(),
        });
        self.inherited.insert(key, Rc::clone(&inherited));
        inherited
    }

    /// The templates in the job's own `extends`; the last one wins, so it comes first.
    fn named(&mut self, root: Node<'t, 'a>, job: Node<'t, 'a>) -> Rc<[Node<'t, 'a>]> {
        let Some(extends) = job.get("extends") else { return Rc::default() };
        let known = self.named.entry((root.id(), extends.id())).or_insert_with(|| {
            let names = extends.as_str().into_iter();
            let names = names.chain(extends.elements_from_the_end().filter_map(Node::as_str));
            let mut found = Vec::new();
            add_new(&mut found, names.take(MAX_TEMPLATES).filter_map(|name| root.get(name)));
            found.into()
        });
        Rc::clone(known)
    }

    /// The named templates and those that they extend, level by level.
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

/// Appends nodes that are not in the list yet, up to the limit.
fn add_new<'t, 'a>(found: &mut Vec<Node<'t, 'a>>, others: impl Iterator<Item = Node<'t, 'a>>) {
    for other in others {
        if found.len() < MAX_TEMPLATES && found.iter().all(|template| template.id() != other.id()) {
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
        let value = self.tables.iter().find_map(|table| table.get(name));
        let value = value.and_then(|value| value.as_str().or_else(|| value.text("value")));
        self.values.borrow_mut().insert(name.to_owned(), value);
        value
    }
}
