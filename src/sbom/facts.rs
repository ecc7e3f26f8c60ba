//! The facts of one component.
//!
//! Input: its declarations, one by one. Output: name, version, scopes, licenses and digests. Invariants: the same
//! declarations give the same facts in any order, apart from the name, which is that of the first; memory is bounded
//! whatever the number of declarations.

use crate::model::{declared::Declared, digest, license, scan_result::Scope};
use serde_json::{Value, json};
use std::{borrow::Cow, collections::BTreeSet};

/// How many licenses and digests of one component a document has.
const MOST: usize = 1000;

/// A list of one component that is written in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum List {
    Specifiers,
    Requires,
    ManagedBy,
    ResolvedFrom,
}

impl List {
    pub(super) fn of<'p>(self, package: &'p Declared<'p>) -> &'p [Cow<'p, str>] {
        match self {
            Self::Specifiers => package.specifier.as_slice(),
            Self::ManagedBy => &package.managed_by,
            Self::ResolvedFrom => package.resolved_from.as_slice(),
            Self::Requires => &[],
        }
    }
}

/// The combined facts of all declarations of a component.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) name: String,
    pub(super) version: Option<String>,
    pub(super) is_direct: bool,
    /// None for a declaration without a scope.
    pub(super) scopes: BTreeSet<Option<Scope>>,
    /// The lists about the origin of the version that are not empty.
    pub(super) origins: BTreeSet<List>,
    licenses: BTreeSet<String>,
    digests: BTreeSet<String>,
    is_named: bool,
}

/// The license that lock files and manifests state for a component.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stated<'f> {
    Nothing,
    /// An SPDX expression.
    Expression(&'f str),
    /// Texts that are not one expression: names, or different licenses in different files.
    Texts(Vec<&'f str>),
}

impl Facts {
    /// Adds a declaration of the component with this purl.
    pub(super) fn add(&mut self, purl: &str, package: &Declared<'_>) {
        self.is_direct |= package.direct == Some(true);
        self.scopes.insert(package.scope);
        let origins = [List::ManagedBy, List::ResolvedFrom];
        self.origins.extend(origins.into_iter().filter(|list| !list.of(package).is_empty()));
        // A range has the name and version of the package that it resolves to.
        if package.purl != purl {
            return;
        }
        if !self.is_named {
            self.is_named = true;
            self.name = package.name.clone().into_owned();
            self.version = package.version.as_ref().map(ToString::to_string);
        }
        for (list, texts) in
            [(&mut self.licenses, &package.licenses), (&mut self.digests, &package.hashes)]
        {
            for text in texts.iter().filter(|text| !text.trim().is_empty()) {
                if !list.contains(text.as_ref()) {
                    list.insert(text.clone().into_owned());
                }
                if list.len() > MOST {
                    list.pop_last();
                }
            }
        }
    }

    /// What is stated about the license.
    pub(super) fn license(&self) -> Stated<'_> {
        let mut all = self.licenses.iter().map(String::as_str);
        match (all.next(), self.licenses.len()) {
            (None, _) => Stated::Nothing,
            (Some(only), 1) if license::expression(only).as_deref() == Some(only) => {
                Stated::Expression(only)
            }
            (Some(first), _) => Stated::Texts(std::iter::once(first).chain(all).collect()),
        }
    }

    /// The digests as members of two names, with the names of algorithms of a format. Digests of unknown
    /// algorithms, as another scanner may have written, are skipped.
    pub(super) fn digests(
        &self,
        [of_algorithm, of_digits]: [&str; 2],
        name: fn(&digest::Algorithm) -> &str,
    ) -> Vec<Value> {
        let known = self.digests.iter().filter_map(|text| digest::parts(text));
        known
            .map(|(algorithm, digits)| json!({ of_algorithm: name(algorithm), of_digits: digits }))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(license: &str, hash: &str) -> Vec<u8> {
        let package = json!({
            "name": "a", "version": "1", "ecosystem": "npm", "purl": "pkg:npm/a@1", "file": "f",
            "direct": null, "scope": null, "source": "lockfile", "licenses": [license], "hashes": [hash],
        });
        package.to_string().into_bytes()
    }

    fn facts(stated: &[(&str, &str)]) -> Facts {
        let mut facts = Facts::default();
        for (license, hash) in stated {
            let text = declared(license, hash);
            facts.add("pkg:npm/a@1", &Declared::parse(&text).unwrap());
        }
        facts
    }

    #[test]
    fn one_expression_is_a_license_and_others_are_texts() {
        for (licenses, expected) in [
            (&[][..], Stated::Nothing),
            (&["MIT", "MIT"], Stated::Expression("MIT")),
            (&["MIT", "ISC"], Stated::Texts(vec!["ISC", "MIT"])),
            (&["proprietary"], Stated::Texts(vec!["proprietary"])),
            (&["mit "], Stated::Texts(vec!["mit "])),
            (&[" "], Stated::Nothing),
        ] {
            let stated: Vec<_> = licenses.iter().map(|license| (*license, "")).collect();
            assert_eq!(facts(&stated).license(), expected, "{licenses:?}");
        }
    }

    #[test]
    fn digests_are_written_in_the_names_of_the_format_and_bounded() {
        let sha1 = format!("sha1:{}", "0a".repeat(20));
        let facts = facts(&[("", &sha1), ("", "sha1:0a"), ("", "blake9:00")]);
        let expected = json!([{ "alg": "SHA-1", "content": "0a".repeat(20) }]);
        assert_eq!(json!(facts.digests(["alg", "content"], |one| one.cyclonedx)), expected);
        let mut many = Facts::default();
        for number in 0..2 * MOST {
            let text = declared(&number.to_string(), &format!("sha1:{number:040}"));
            many.add("pkg:npm/a@1", &Declared::parse(&text).unwrap());
        }
        assert_eq!((many.licenses.len(), many.digests.len()), (MOST, MOST));
    }
}
