//! The paths of routes: a template such as `/scan/{id}` comes in with what its parameters are, and
//! tells for a request's path whether it is one of it, and which parameters it has.
//!
//! What must stay true: a path matches to its end or not at all, and is compared as it was sent; a
//! parameter has at least one character; no parameter is without its documentation.

use super::operation::SchemaOf;

/// A part of a path that differs from request to request: `{name}` in its template.
#[derive(Debug, Clone, Copy)]
pub struct PathParameter {
    pub name: &'static str,
    pub about: &'static str,
    pub schema: SchemaOf,
}

/// A path, such as `/scan/{id}`, with what stands for each of its `N` parameters.
#[derive(Debug, Clone, Copy)]
pub struct Template<const N: usize> {
    pub(super) text: &'static str,
    pub(super) parameters: [PathParameter; N],
}

impl<const N: usize> Template<N> {
    /// A template whose parameters are these, in this order. To be made in a `const`: one that
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

    /// The parameters of a request's path, if it is one of this template.
    pub(super) fn parameters_of(&self, path: &str) -> Option<[String; N]> {
        let mut found = segments(self.text, path)?
            .filter(|(expected, _)| is_parameter(expected))
            .map(|(_, given)| given.to_owned());
        let parameters = std::array::from_fn(|_| found.next().unwrap_or_default());
        Some(parameters)
    }
}

/// Whether a request's path is one of the template with this text.
pub fn is_on(template: &str, path: &str) -> bool {
    segments(template, path).is_some()
}

/// The segments of a template, each beside that of the path; `None` where they do not fit. One
/// slash at the end of the path is passed over.
fn segments<'a>(
    template: &'a str,
    path: &'a str,
) -> Option<impl Iterator<Item = (&'a str, &'a str)>> {
    let path = match path.strip_suffix('/') {
        Some(shorter) if !shorter.is_empty() && !shorter.ends_with('/') => shorter,
        _ => path,
    };
    let pairs = || template.split('/').zip(path.split('/'));
    let as_many = template.split('/').count() == path.split('/').count();
    let fits = |(expected, given): (&str, &str)| {
        if is_parameter(expected) { !given.is_empty() } else { expected == given }
    };
    (as_many && pairs().all(fits)).then(pairs)
}

fn is_parameter(segment: &str) -> bool {
    segment.starts_with('{')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_matched_to_its_end_and_by_nothing_less() {
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
            assert_eq!(is_on(template, path), expected, "{template} {path}");
        }
    }

    #[test]
    fn parameters_come_in_order_and_as_they_were_sent() {
        const OF: PathParameter =
            PathParameter { name: "a", about: "", schema: crate::api::operation::schema_of::<u8> };
        const B: PathParameter = PathParameter { name: "b", ..OF };
        const TEMPLATE: Template<2> = Template::new("/x/{a}/y/{b}", [OF, B]);
        let found = TEMPLATE.parameters_of("/x/1/y/%2f/");
        assert_eq!(found, Some(["1".to_owned(), "%2f".to_owned()]));
        assert_eq!(TEMPLATE.parameters_of("/x/1/z/2"), None);
    }
}
