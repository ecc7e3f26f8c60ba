//! The paths of routes.
//!
//! Input: templates such as `/scan/{id}`, with their documented parameters; the path of a request.
//! Output: the template that the path matches, found segment by segment, and its parameters.
//!
//! Invariants: a path matches completely or not at all, and is compared as it was sent; a
//! parameter has at least one character; every parameter is documented.

use super::operation::SchemaOf;
use std::str::Split;

/// A variable part of a path: `{name}` in its template.
#[derive(Debug, Clone, Copy)]
pub struct PathParameter {
    pub name: &'static str,
    pub about: &'static str,
    pub schema: SchemaOf,
}

/// A path, such as `/scan/{id}`, with its `N` documented parameters.
#[derive(Debug, Clone, Copy)]
pub struct Template<const N: usize> {
    pub(crate) text: &'static str,
    pub(crate) parameters: [PathParameter; N],
}

impl<const N: usize> Template<N> {
    /// A template with these parameters, in this order. Used in a `const`, a template that
    /// contradicts its parameters does not compile.
    pub const fn new(text: &'static str, parameters: [PathParameter; N]) -> Self {
        let bytes = text.as_bytes();
        assert!(!bytes.is_empty() && bytes[0] == b'/', "a path begins with a slash");
        let (mut at, mut found) = (0, 0);
        while at < bytes.len() {
            if bytes[at] == b'{' {
                assert!(found < N, "the path has more parameters than are documented");
                let name = parameters[found].name.as_bytes();
                let mut n = 0;
                while n < name.len() {
                    assert!(bytes[at + 1 + n] == name[n], "the path names another parameter");
                    n += 1;
                }
                assert!(bytes[at + 1 + n] == b'}', "the path names another parameter");
                found += 1;
            }
            at += 1;
        }
        assert!(found == N, "the path has fewer parameters than are documented");
        Self { text, parameters }
    }

    /// The parameters of a path that matches this template.
    pub(crate) fn parameters_of(&self, path: &str) -> [String; N] {
        let pairs = self.text.split('/').zip(path.split('/'));
        let mut found = pairs.filter(|(name, _)| is_parameter(name)).map(|(_, given)| given);
        std::array::from_fn(|_| found.next().unwrap_or_default().to_owned())
    }
}

/// Templates as a tree of their segments, which maps a path to the index of its template.
#[derive(Debug, Default)]
pub struct Paths {
    /// The index of the template that ends here.
    end: Option<usize>,
    fixed: Vec<(&'static str, Paths)>,
    parameter: Option<Box<Paths>>,
}

impl Paths {
    /// Builds the tree; the index of a template is its position in the list.
    pub fn new(templates: impl IntoIterator<Item = &'static str>) -> Self {
        let mut paths = Self::default();
        for (place, template) in templates.into_iter().enumerate() {
            paths.insert(template, place);
        }
        paths
    }

    /// The index of the template that a path matches. One trailing slash of the path is ignored.
    pub fn find(&self, path: &str) -> Option<usize> {
        let path = match path.strip_suffix('/') {
            Some(shorter) if !shorter.is_empty() && !shorter.ends_with('/') => shorter,
            _ => path,
        };
        self.below(path.split('/'))
    }

    fn insert(&mut self, template: &'static str, place: usize) {
        let mut node = self;
        for segment in template.split('/') {
            node = if is_parameter(segment) {
                node.parameter.get_or_insert_default()
            } else {
                let known = node.fixed.iter().position(|(name, _)| *name == segment);
                let at = known.unwrap_or(node.fixed.len());
                if known.is_none() {
                    node.fixed.push((segment, Self::default()));
                }
                &mut node.fixed[at].1
            };
        }
        node.end = Some(place);
    }

    fn below(&self, mut path: Split<'_, char>) -> Option<usize> {
        let Some(segment) = path.next() else { return self.end };
        let fixed = self.fixed.iter().find(|(name, _)| *name == segment);
        let found = fixed.and_then(|(_, node)| node.below(path.clone()));
        let parameter = self.parameter.as_ref().filter(|_| found.is_none() && !segment.is_empty());
        found.or_else(|| parameter?.below(path))
    }
}

fn is_parameter(segment: &str) -> bool {
    segment.starts_with('{')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_matched_completely() {
        for (template, path, expected) in [
            ("/", "/", true),
            ("/", "//", false),
            ("/", "", false),
            ("/jobs", "/jobs", true),
            ("/jobs", "/jobs/", true),
            ("/jobs", "/jobs//", false),
            ("/jobs", "//jobs", false),
            ("/jobs", "/Jobs", false),
            ("/jobs", "/jobs/x", false),
            ("/jobs", "*", false),
            ("/scan/{id}", "/scan", false),
            ("/scan/{id}", "/scan/", false),
            ("/scan/{id}", "/scan//", false),
            ("/scan/{id}", "/scan/7/", true),
            ("/scan/{id}/log", "/scan//log", false),
            ("/scan/{id}/log", "/scan/%2e/log", true),
        ] {
            let found = Paths::new([template]).find(path);
            assert_eq!(found.is_some(), expected, "{template} {path}");
        }
    }

    #[test]
    fn each_path_finds_its_template_among_those_with_the_same_prefix() {
        let templates =
            ["/scan", "/scan/{id}", "/scan/{id}/log", "/scan/all", "/scan/all/log/{n}", "/"];
        let paths = Paths::new(templates);
        for (path, expected) in [
            ("/scan", Some(0)),
            ("/scan/7", Some(1)),
            ("/scan/7/log", Some(2)),
            ("/scan/all", Some(3)),
            // A fixed segment is tried first, and abandoned if nothing below it matches.
            ("/scan/all/log", Some(2)),
            ("/scan/all/log/1", Some(4)),
            ("/scan/7/log/1", None),
            ("/", Some(5)),
            ("/{id}", None),
            ("", None),
        ] {
            assert_eq!(paths.find(path), expected, "{path}");
        }
    }

    #[test]
    fn parameters_come_in_order_and_as_they_were_sent() {
        const OF: PathParameter = PathParameter {
            name: "a",
            about: "",
            schema: crate::api::routing::operation::schema_of::<u8>,
        };
        const B: PathParameter = PathParameter { name: "b", ..OF };
        const TEMPLATE: Template<2> = Template::new("/x/{a}/y/{b}", [OF, B]);
        let found = TEMPLATE.parameters_of("/x/1/y/%2f/");
        assert_eq!(found, ["1", "%2f"]);
    }
}
