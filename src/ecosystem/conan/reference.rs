//! `name/version@user/channel#recipe:package#build`, by "Package references" of Conan's reference.
//!
//! Input: a reference. Output: its parts. Invariants: a version range, and a version that only a build
//! determines, are specifiers.

use crate::ecosystem::{
    collect::{Added, Collector, Declared},
    purl::{self, Parts},
    text,
};
use crate::model::ecosystem::Ecosystem;

/// The parts of a reference that identify a package.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reference<'a> {
    pub(super) name: &'a str,
    version: &'a str,
    user: Option<&'a str>,
    channel: Option<&'a str>,
}

impl<'a> Reference<'a> {
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let text = text.trim();
        let (name, rest) = text.split_once('/')?;
        // A range may contain any character but its closing bracket.
        let (version, rest) = match rest.find(']').filter(|_| rest.starts_with('[')) {
            Some(end) => rest.split_at_checked(end + 1)?,
            None => rest.split_at(rest.find(['@', '#', ':', '%']).unwrap_or(rest.len())),
        };
        let place = rest.strip_prefix('@').unwrap_or_default();
        let place = place.split(['#', ':', '%']).next().unwrap_or(place);
        let (user, channel) = place.split_once('/').unwrap_or((place, ""));
        let named = |part: &'a str| (!part.is_empty() && part != "_").then_some(part);
        let usable = |byte: u8| byte.is_ascii_alphanumeric() || b"_+.-".contains(&byte);
        let is_name = !name.is_empty() && name.bytes().all(usable);
        let reference =
            Self { name, version: version.trim(), user: named(user), channel: named(channel) };
        (is_name && !reference.version.is_empty()).then_some(reference)
    }

    /// The version, unless it is a range.
    fn exact(&self) -> Option<&'a str> {
        let is_range = self.version.starts_with(['[', '<', '(', '$', '{'])
            || self.version.contains(['*', '~', '{'])
            || self.version.ends_with(".Z")
            || self.version.ends_with(".Y");
        (!is_range).then_some(self.version)
    }
}

/// Adds the package of a reference.
pub(super) fn add(text: &str, declared: Declared<'_>, found: &mut Collector<'_>) -> Option<Added> {
    let Some(reference) = Reference::read(text) else {
        found.warn(declared.line, format!("`{}` is not a valid reference", text::excerpt(text)));
        return None;
    };
    let version = reference.exact();
    let specifier = version.is_none().then_some(reference.version);
    let qualifiers: Vec<_> = [("user", reference.user), ("channel", reference.channel)]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect();
    let name = reference.name;
    found.take_as(
        Ecosystem::Conan.into(),
        Declared { name, version, specifier, ..declared },
        |version| {
            let qualifiers = qualifiers.as_slice();
            purl::write("conan", Parts { name, version, qualifiers, ..Parts::default() })
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_parsed() {
        let read = |text| {
            let reference = Reference::read(text)?;
            let place =
                format!("{}/{}", reference.user.unwrap_or("-"), reference.channel.unwrap_or("-"));
            Some(format!("{} {} {place}", reference.name, reference.exact().unwrap_or("?")))
        };
        for (text, expected) in [
            ("zlib/1.2.11", Some("zlib 1.2.11 -/-")),
            (
                "zlib/1.2.11#4524fcdd41f33e8df88ece6e755a5dcc%1650538915.154",
                Some("zlib 1.2.11 -/-"),
            ),
            ("zlib/1.2.11@conan/stable#0:abc#0", Some("zlib 1.2.11 conan/stable")),
            ("zlib/1.2.11@_/_", Some("zlib 1.2.11 -/-")),
            ("zlib/1.2.11@user", Some("zlib 1.2.11 user/-")),
            ("zlib/[>=1.2 <2]@a/b", Some("zlib ? a/b")),
            ("zlib/1.2.Z", Some("zlib ? -/-")),
            ("protobuf/<host_version>", Some("protobuf ? -/-")),
            ("zlib", None),
            ("/1.0", None),
            ("zlib/", None),
            ("https://a", None),
        ] {
            assert_eq!(read(text).as_deref(), expected, "{text}");
        }
    }
}
