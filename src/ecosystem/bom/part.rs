//! The members and elements that a document has as JSON, as YAML and as XML.
//!
//! Input: a node of one of these trees. Output: its texts and lists. Invariants: a list or an element that
//! aliases name several times is read once; in XML, the elements of a list are siblings with its name.

use crate::ecosystem::{json, xml, yaml};

/// The role in which a list, or an element of it, is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Role {
    Described,
    Relationships,
    Packages,
    References,
    Checksums,
}

/// The lists and elements that have been read; the flag is true for elements.
pub(super) type Seen = yaml::Seen<(Role, bool)>;

/// A node of a document.
pub(super) trait Part<'t>: Copy {
    fn line(self) -> u32;

    /// The text of the node itself.
    fn own_text(self) -> Option<&'t str>;

    /// The text of a member.
    fn text(self, key: &str) -> Option<&'t str>;

    /// The elements of a list that have not been read in this role.
    fn list(self, key: &str, role: Role, seen: &mut Seen) -> Vec<Self>;
}

impl<'t> Part<'t> for &'t json::Node<'_> {
    fn line(self) -> u32 {
        self.line
    }

    fn own_text(self) -> Option<&'t str> {
        self.as_str()
    }

    fn text(self, key: &str) -> Option<&'t str> {
        json::Node::text(self, key)
    }

    fn list(self, key: &str, _: Role, _: &mut Seen) -> Vec<Self> {
        self.elements(key).collect()
    }
}

impl<'t> Part<'t> for yaml::Node<'t, '_> {
    fn line(self) -> u32 {
        self.line
    }

    fn own_text(self) -> Option<&'t str> {
        self.as_str()
    }

    fn text(self, key: &str) -> Option<&'t str> {
        yaml::Node::text(self, key)
    }

    fn list(self, key: &str, role: Role, seen: &mut Seen) -> Vec<Self> {
        let list = self.get(key).filter(|list| seen.is_new((role, false), *list));
        let elements = list.into_iter().flat_map(yaml::Node::elements);
        elements.filter(|element| seen.is_new((role, true), *element)).collect()
    }
}

impl<'t> Part<'t> for xml::Element<'t, '_> {
    fn line(self) -> u32 {
        xml::Element::line(self)
    }

    fn own_text(self) -> Option<&'t str> {
        Some(xml::Element::text(self)).filter(|text| !text.is_empty())
    }

    fn text(self, key: &str) -> Option<&'t str> {
        self.child(key).and_then(Part::own_text)
    }

    fn list(self, key: &str, _: Role, _: &mut Seen) -> Vec<Self> {
        self.children().filter(|child| child.name() == key).collect()
    }
}
