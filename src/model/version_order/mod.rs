//! The order of versions, as each ecosystem defines it.
//!
//! Input: an ecosystem and two versions. Output: which of them is the newer one.
//!
//! Invariants: no panic, and no allocation that grows with a version except for PEP 440; a total preorder: equal
//! versions may be spelled differently (`1.0` and `1.0.0`); a text that is no version of its ecosystem is older than
//! all that are, where the ecosystem has such rules. Numbers may have any number of digits.

mod linux;
mod pep440;
mod semver;
mod words;

use super::ecosystem::{AnyEcosystem, Ecosystem};
use std::cmp::Ordering;

/// How an ecosystem orders versions.
#[derive(Debug, Clone, Copy)]
enum Scheme {
    Semantic(semver::Case),
    Python,
    Words(&'static words::Ranks),
    Debian,
    Rpm,
    Perl,
}

/// Compares two versions of one package.
pub fn compare(ecosystem: &AnyEcosystem, a: &str, b: &str) -> Ordering {
    let (a, b) = (a.trim(), b.trim());
    match scheme(ecosystem) {
        Scheme::Semantic(case) => semver::compare(a, b, case),
        Scheme::Python => pep440::compare(a, b),
        Scheme::Words(ranks) => words::compare(ranks, a, b),
        Scheme::Debian => linux::debian(a, b),
        Scheme::Rpm => linux::rpm(a, b),
        Scheme::Perl => words::perl(a, b),
    }
}

/// Whether a text is a version that has a place among others: not `latest`, the name of a branch, or a URL.
pub fn is_version(ecosystem: &AnyEcosystem, text: &str) -> bool {
    let text = text.trim();
    match scheme(ecosystem) {
        Scheme::Semantic(_) => semver::is_version(text),
        Scheme::Python => pep440::is_version(text),
        _ => text.contains(|c: char| c.is_ascii_digit()),
    }
}

fn scheme(ecosystem: &AnyEcosystem) -> Scheme {
    let known = match ecosystem {
        AnyEcosystem::Known(known) => *known,
        AnyEcosystem::Other(name) => {
            return match &**name {
                "deb" => Scheme::Debian,
                "rpm" => Scheme::Rpm,
                _ => Scheme::Words(&words::USUAL),
            };
        }
    };
    match known {
        Ecosystem::Npm
        | Ecosystem::Jsr
        | Ecosystem::Cargo
        | Ecosystem::Golang
        | Ecosystem::Hex
        | Ecosystem::Pub
        | Ecosystem::Swift
        | Ecosystem::Terraform
        | Ecosystem::Helm
        | Ecosystem::Julia
        | Ecosystem::Bower
        | Ecosystem::Crystal => Scheme::Semantic(semver::Case::Matters),
        Ecosystem::NuGet => Scheme::Semantic(semver::Case::Ignored),
        Ecosystem::PyPi => Scheme::Python,
        Ecosystem::Maven => Scheme::Words(&words::MAVEN),
        Ecosystem::Gem | Ecosystem::CocoaPods => Scheme::Words(&words::GEM),
        Ecosystem::Composer => Scheme::Words(&words::COMPOSER),
        Ecosystem::Opam => Scheme::Debian,
        Ecosystem::Cpan => Scheme::Perl,
        _ => Scheme::Words(&words::USUAL),
    }
}

/// Compares two runs of digits as numbers, however long they are.
fn numbers(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// The bytes of a text with its ASCII letters in lower case.
fn lower(text: &str) -> impl Iterator<Item = u8> + '_ {
    text.bytes().map(|byte| byte.to_ascii_lowercase())
}

/// Whether a text is a number: digits and nothing else.
fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests;
