//! Tracks which nodes of a tree have been read, and in which role.
//!
//! Input: a node, and the role in which it is about to be read. Output: whether this is the first time.
//!
//! Invariants: an alias costs one lookup, however large its node is.

use super::{Id, Node};
use std::{collections::HashSet, hash::Hash};

/// The nodes that have been read. A walk asks before it enters a node that an alias may name again: a
/// node gives the same findings in the same role, so it is read once.
#[derive(Debug)]
pub(crate) struct Seen<R = ()>(HashSet<(R, Id)>);

impl<R> Default for Seen<R> {
    fn default() -> Self {
        Self(HashSet::new())
    }
}

impl<R: Eq + Hash> Seen<R> {
    /// Whether a node has not been read in this role. Marks the node as read.
    pub(crate) fn is_new(&mut self, role: R, node: Node<'_, '_>) -> bool {
        node.tree.budget.visit() && self.0.insert((role, node.id))
    }
}
