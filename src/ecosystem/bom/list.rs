//! Converts the components of a document to packages.
//!
//! Input: components, and the dependencies between them. Output: packages. Invariants: a purl keeps its
//! parts and becomes canonical; purls of unknown types are kept too.

use crate::ecosystem::{
    collect::{Added, Collector, Declared},
    purl::{self, Parts},
    text,
};
use crate::model::scan_result::Scope;
use packageurl::PackageUrl;
use percent_encoding::percent_decode_str;
use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    str::FromStr,
};

/// One component of a document.
#[derive(Debug, Default)]
pub(super) struct Component<'a> {
    /// The component's identifier within the document.
    pub(super) reference: Cow<'a, str>,
    pub(super) purl: Option<Cow<'a, str>>,
    pub(super) name: Cow<'a, str>,
    /// Used where the purl has no version.
    pub(super) version: Option<Cow<'a, str>>,
    pub(super) line: u32,
    pub(super) scope: Option<Scope>,
    /// Each an expression or another text.
    pub(super) licenses: Vec<Cow<'a, str>>,
    /// As `algorithm:digits`.
    pub(super) digests: Vec<String>,
}

impl Component<'_> {
    /// Records a digest, with the algorithm's name in any of its spellings: `SHA-256`, `SHA256`.
    pub(super) fn digest(&mut self, algorithm: &str, digits: &str) {
        /// Longer texts are no digests.
        const LONGEST: usize = 200;
        if algorithm.len().max(digits.len()) < LONGEST {
            self.digests.push(format!("{}:{digits}", algorithm.replace('-', "")));
        }
    }
}

/// The components and dependencies of a document.
#[derive(Debug, Default)]
pub(super) struct Document<'a> {
    pub(super) components: Vec<Component<'a>>,
    /// The component that the document describes.
    pub(super) subject: Option<Cow<'a, str>>,
    /// The requiring components. Each is stored once, because a long name may require many components.
    pub(super) requiring: Vec<Cow<'a, str>>,
    /// Index into `requiring`, and the required component.
    pub(super) requires: Vec<(usize, Cow<'a, str>)>,
}

impl<'a> Document<'a> {
    /// Records that one component requires others.
    pub(super) fn require(
        &mut self,
        by: Cow<'a, str>,
        required: impl Iterator<Item = Cow<'a, str>>,
    ) {
        let at = self.requiring.len();
        self.requiring.push(by);
        self.requires.extend(required.map(|required| (at, required)));
    }

    pub(super) fn list(&self, found: &mut Collector<'_>) {
        let subject = self.subject.as_deref();
        let is_subject: Vec<bool> =
            self.requiring.iter().map(|requiring| Some(requiring.as_ref()) == subject).collect();
        let of_subject = |required: &&(usize, Cow<'_, str>)| {
            is_subject.get(required.0).copied().unwrap_or_default()
        };
        let direct: HashSet<&str> = self
            .requires
            .iter()
            .filter(of_subject)
            .map(|(_, required)| required.as_ref())
            .collect();
        let mut added: HashMap<&str, Added> = HashMap::new();
        for component in &self.components {
            let reference = component.reference.as_ref();
            if subject == Some(reference) && !reference.is_empty() {
                continue;
            }
            let is_direct = (!direct.is_empty()).then(|| direct.contains(reference));
            if let Some(taken) = take(component, is_direct, found) {
                added.insert(reference, taken);
            }
        }
        let requiring: Vec<Option<Added>> =
            self.requiring.iter().map(|requiring| added.get(requiring.as_ref()).copied()).collect();
        for (by, required) in &self.requires {
            let ends = (requiring.get(*by).and_then(Option::as_ref), added.get(required.as_ref()));
            if let (Some(package), Some(required)) = ends {
                found.requires(*package, *required);
            }
        }
    }
}

fn take(
    component: &Component<'_>,
    direct: Option<bool>,
    found: &mut Collector<'_>,
) -> Option<Added> {
    let line = component.line;
    let Some(purl) = &component.purl else {
        let name = text::excerpt(&component.name);
        found.warn(line, format!("`{name}` has no purl and is skipped"));
        return None;
    };
    let Some(parsed) = Parsed::read(purl) else {
        found.warn(line, format!("`{}` is not a valid purl", text::excerpt(purl)));
        return None;
    };
    let name = parsed.display_name();
    let version = parsed.version.as_deref().or(component.version.as_deref());
    let scope = component.scope;
    let declared = Declared { name: &name, version, line, direct, scope, ..Declared::default() };
    let kind = parsed.kind.as_str().into();
    let added = found.take_as(kind, declared, |version| parsed.write(version));
    component.licenses.iter().for_each(|license| found.license(added, license));
    component.digests.iter().for_each(|digest| found.hash(added, digest));
    added
}

/// A decoded purl.
#[derive(Debug)]
struct Parsed {
    kind: String,
    namespace: Option<String>,
    name: String,
    version: Option<String>,
    qualifiers: Vec<(String, String)>,
    subpath: Option<String>,
}

impl Parsed {
    /// Parses a purl by the rules of its type, or leniently if it violates them: other tools omit
    /// parts that a type requires.
    fn read(text: &str) -> Option<Self> {
        /// Longer texts are rejected.
        const LONGEST: usize = 8_000;
        let text = text.trim();
        if text.len() > LONGEST {
            return None;
        }
        match PackageUrl::from_str(text) {
            Ok(purl) => Some(Self {
                kind: purl.ty().to_owned(),
                namespace: purl.namespace().map(str::to_owned),
                name: purl.name().to_owned(),
                version: purl.version().map(str::to_owned),
                qualifiers: purl
                    .qualifiers()
                    .iter()
                    .map(|(key, value)| (key.to_string(), value.to_string()))
                    .collect(),
                subpath: purl.subpath().map(str::to_owned),
            }),
            Err(_) => Self::read_leniently(text),
        }
    }

    fn read_leniently(text: &str) -> Option<Self> {
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let rest = text.strip_prefix("pkg:")?.trim_start_matches('/');
        let rest = rest.split(['?', '#']).next()?;
        let (kind, rest) = rest.split_once('/')?;
        let slash = rest.rfind('/').unwrap_or(0);
        // A version may contain anything but a plain `@`; an npm scope begins with one.
        let at = rest.rfind('@').filter(|offset| *offset > slash && *offset > 0);
        let (path, version) = rest.split_at(at.unwrap_or(rest.len()));
        let (namespace, name) = match path.trim_matches('/').rsplit_once('/') {
            Some((namespace, name)) => (Some(decode(namespace)), decode(name)),
            None => (None, decode(path.trim_matches('/'))),
        };
        let version = version.strip_prefix('@').filter(|version| !version.is_empty()).map(decode);
        let (qualifiers, subpath) = (Vec::new(), None);
        let kind = kind.to_lowercase();
        (!name.is_empty()).then_some(Self { kind, namespace, name, version, qualifiers, subpath })
    }

    fn write(&self, version: Option<&str>) -> Option<String> {
        let qualifiers: Vec<_> =
            self.qualifiers.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        purl::write(
            &self.kind,
            Parts {
                namespace: self.namespace.as_deref(),
                name: &self.name,
                version,
                qualifiers: &qualifiers,
                subpath: self.subpath.as_deref(),
            },
        )
    }

    /// The name that the ecosystem uses, without the namespace where it is not part of the usual name
    /// (an author, a distribution, a vendor).
    fn display_name(&self) -> String {
        let name = &self.name;
        match (self.kind.as_str(), &self.namespace) {
            ("cocoapods", _) => match &self.subpath {
                Some(subspec) => format!("{name}/{subspec}"),
                None => name.clone(),
            },
            ("maven", Some(group)) => format!("{group}:{name}"),
            ("deb" | "rpm" | "apk" | "alpm" | "cpan" | "conan" | "qpkg" | "generic", _)
            | (_, None) => name.clone(),
            (_, Some(namespace)) => format!("{namespace}/{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purls_of_other_tools_are_parsed() {
        for (text, expected) in [
            ("pkg:npm/%40types/node@1.0.0", "npm @types/node pkg:npm/%40types/node@1.0.0"),
            ("pkg:npm/@types/node@1.0.0", "npm @types/node pkg:npm/%40types/node@1.0.0"),
            ("pkg:PyPI/Django_x@1", "pypi django-x pkg:pypi/django-x@1"),
            ("pkg:maven/a.b/c@1?type=jar", "maven a.b:c pkg:maven/a.b/c@1?type=jar"),
            (
                "pkg:deb/debian/curl@7%2B1?arch=amd64",
                "deb curl pkg:deb/debian/curl@7%2B1?arch=amd64",
            ),
            ("pkg:swift/Alamofire@5", "swift Alamofire pkg:swift/Alamofire@5"),
            ("pkg:madeup/x/y@1#z", "madeup x/y pkg:madeup/x/y@1#z"),
            ("pkg:julia/Dates@1.9.0", "julia Dates pkg:julia/Dates@1.9.0"),
        ] {
            let parsed = Parsed::read(text).unwrap();
            let purl = parsed.write(parsed.version.as_deref()).unwrap();
            let shown = format!("{} {} {purl}", parsed.kind, parsed.display_name());
            assert_eq!(shown, expected);
        }
        for text in ["", "pkg:", "pkg:npm", "pkg:npm/", "npm/x", "https://a/b"] {
            assert!(Parsed::read(text).is_none(), "{text}");
        }
    }
}
