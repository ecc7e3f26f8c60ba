//! Which nodes of a tree have been read, and as what.
//!
//! Input: a node, and the role in which it is about to be read. Output: whether this is the first time.
//!
//! Invariant: an alias costs one lookup, however large the node is that it names.

use super::{Id, Node};
use std::{collections::HashSet, hash::Hash};

/// The nodes that have been read. A walk asks it before it goes into a node that an alias may name once
/// more: what a node says in one role, it says once.
#[derive(Debug)]
pub(crate) struct Seen<R = ()>(HashSet<(R, Id)>);

impl<R> Default for Seen<R> {
    fn default() -> Self {
        Self(HashSet::new())
    }
}

impl<R: Eq + Hash> Seen<R> {
    /// Whether a node has not been read in this role; from now on it has.
    pub(crate) fn is_new(&mut self, role: R, node: Node<'_, '_>) -> bool {
        node.tree.budget.visit() && self.0.insert((role, node.id))
    }
}
