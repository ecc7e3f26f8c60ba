//! Visits the mappings of a pipeline, wherever they are.
//!
//! Input: a node. Output: each mapping at or below it, with the key that leads to it. Invariants: a node is
//! visited once, however many aliases name it; the depth of a tree is bounded.

use crate::ecosystem::yaml::{Node, Seen};

/// The mappings that have been visited, and the keys below which nothing is visited.
#[derive(Debug)]
pub(super) struct Mappings {
    seen: Seen,
    skipped: &'static [&'static str],
}

impl Mappings {
    pub(super) fn new(skipped: &'static [&'static str]) -> Self {
        Self { seen: Seen::default(), skipped }
    }

    /// Passes each mapping at or below a node to `visit`, with its key; an element has the key of its list.
    pub(super) fn visit<'t, 'a>(
        &mut self,
        key: &'t str,
        node: Node<'t, 'a>,
        visit: &mut impl FnMut(&'t str, Node<'t, 'a>),
    ) {
        if !self.seen.is_new((), node) {
            return;
        }
        if node.is_mapping() {
            visit(key, node);
        }
        for member in node.members() {
            if !self.skipped.contains(&member.key) {
                self.visit(member.key, member.value, visit);
            }
        }
        for element in node.elements() {
            self.visit(key, element, visit);
        }
    }
}
