//! A package of a result file, parsed without copying its texts.
//!
//! Input: the JSON text of one package. Output: its members. Invariants: accepts exactly what
//! [`Package`] accepts; the list of required packages is validated and counted, and read only by
//! [`each_required`], so it is never in memory.

use super::{
    ecosystem::AnyEcosystem,
    scan_result::{Package, Scope, Source},
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use std::{borrow::Cow, fmt};

/// One package as one file declares it, with the members of [`Package`].
#[derive(Debug, Clone, Deserialize)]
pub struct Declared<'a> {
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    pub version: Option<Cow<'a, str>>,
    #[serde(default)]
    pub specifier: Option<Cow<'a, str>>,
    pub ecosystem: AnyEcosystem,
    #[serde(borrow)]
    pub purl: Cow<'a, str>,
    #[serde(borrow)]
    pub file: Cow<'a, str>,
    #[serde(default)]
    pub line: Option<u32>,
    pub direct: Option<bool>,
    pub scope: Option<Scope>,
    pub source: Source,
    /// How many packages it requires.
    #[serde(default, rename = "requires", deserialize_with = "count")]
    pub required: usize,
    /// Of a requirement: the purl of the package in the lock file.
    #[serde(default)]
    pub resolved: Option<Cow<'a, str>>,
    #[serde(default)]
    pub licenses: Vec<Cow<'a, str>>,
    #[serde(default)]
    pub hashes: Vec<Cow<'a, str>>,
    /// The poms outside the repository one of which manages the version.
    #[serde(default)]
    pub managed_by: Vec<Cow<'a, str>>,
    /// The file of a local module cache that the version comes from.
    #[serde(default)]
    pub resolved_from: Option<Cow<'a, str>>,
}

impl<'a> Declared<'a> {
    /// Parses the text of one package.
    pub fn parse(text: &'a [u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(text)
    }

    /// Borrows from a package in memory.
    pub fn of(package: &'a Package) -> Self {
        Self {
            name: (&package.name).into(),
            version: package.version.as_ref().map(Cow::from),
            specifier: package.specifier.as_ref().map(Cow::from),
            ecosystem: package.ecosystem.clone(),
            purl: (&package.purl).into(),
            file: (&package.file).into(),
            line: package.line,
            direct: package.direct,
            scope: package.scope,
            source: package.source,
            required: package.requires.len(),
            resolved: package.resolved.as_ref().map(Cow::from),
            licenses: package.licenses.iter().map(Cow::from).collect(),
            hashes: package.hashes.iter().map(Cow::from).collect(),
            managed_by: package.managed_by.iter().map(Cow::from).collect(),
            resolved_from: package.resolved_from.as_ref().map(Cow::from),
        }
    }
}

/// Visits the purls of the packages that a package requires, one by one, given its text.
pub fn each_required(text: &[u8], visit: &mut dyn FnMut(&str)) -> serde_json::Result<()> {
    serde_json::Deserializer::from_slice(text).deserialize_map(Members(visit))
}

fn count<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
    let mut count = 0;
    Texts(&mut |_| count += 1).deserialize(from)?;
    Ok(count)
}

struct Members<'f>(&'f mut dyn FnMut(&str));

impl<'de> Visitor<'de> for Members<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a package")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(name) = members.next_key::<Cow<'de, str>>()? {
            if name == "requires" {
                members.next_value_seed(Texts(&mut *self.0))?;
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// A list of texts.
struct Texts<'f>(&'f mut dyn FnMut(&str));

impl<'de> DeserializeSeed<'de> for Texts<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Texts<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of purls")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Text(&mut *self.0))?.is_some() {}
        Ok(())
    }
}

struct Text<'f>(&'f mut dyn FnMut(&str));

impl<'de> DeserializeSeed<'de> for Text<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for Text<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a purl")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        (self.0)(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn accepts_exactly_what_a_package_accepts() {
        let whole = json!({
            "name": "a \"b\"", "version": "1", "specifier": "^1", "ecosystem": "npm", "purl": "pkg:npm/a@1",
            "file": "f", "line": 7, "direct": true, "scope": "dev", "source": "lockfile",
            "requires": ["pkg:npm/b@1", "pkg:npm/\u{e4}@1"], "resolved": "pkg:npm/a@1",
            "licenses": ["MIT"], "hashes": ["sha1:00"], "managed_by": ["pkg:maven/a/b@1"],
            "resolved_from": "a/b/1/b-1.pom", "more": [{}],
        });
        let mut texts = vec![whole.clone()];
        for name in whole.as_object().unwrap().keys() {
            let mut without = whole.clone();
            without.as_object_mut().unwrap().shift_remove(name);
            texts.push(without);
            for other in [Value::Null, json!(-1), json!("x"), json!([7]), json!(["x"]), json!({})] {
                let mut changed = whole.clone();
                changed[name] = other;
                texts.push(changed);
            }
        }
        for text in texts.iter().map(Value::to_string) {
            let package = serde_json::from_str::<Package>(&text);
            let declared = Declared::parse(text.as_bytes());
            match (package, declared) {
                (Ok(package), Ok(declared)) => {
                    let (read, expected) =
                        (format!("{declared:?}"), format!("{:?}", Declared::of(&package)));
                    assert_eq!(read, expected, "{text}");
                    let mut required = Vec::new();
                    each_required(text.as_bytes(), &mut |purl| required.push(purl.to_owned()))
                        .unwrap();
                    assert_eq!(required, package.requires, "{text}");
                }
                (package, declared) => {
                    assert!(
                        package.is_err() && declared.is_err(),
                        "{text}: {package:?}, {declared:?}"
                    );
                }
            }
        }
    }
}
