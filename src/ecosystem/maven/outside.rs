//! Poms outside the repository: parents and BOMs that no file of the repository contains.
//!
//! Input: their coordinates. Output: the text that names those that may define a version. Invariants: few are
//! named, however many there are.

use crate::{ecosystem::text, model::ecosystem::Ecosystem};
use std::fmt::Write;

/// Poms that are remembered for one version.
const MAX_POMS: usize = 128;
/// Poms that a package names.
const MAX_LISTED: usize = 8;
/// Poms that a message names.
const MAX_SHOWN: usize = 3;

/// A pom outside the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outside {
    /// `group:artifact`
    pub(super) name: String,
    /// None if the version is a range or unknown.
    pub(super) version: Option<String>,
}

/// The poms outside the repository that may define a version, each once, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Outsiders(Vec<Outside>);

impl Outsiders {
    pub(super) fn extend(&mut self, all: impl IntoIterator<Item = Outside>) {
        for outside in all {
            if self.0.len() < MAX_POMS && !self.0.contains(&outside) {
                self.0.push(outside);
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Outside> {
        self.0.iter()
    }

    /// The purls of the poms.
    pub(super) fn purls(&self) -> Vec<String> {
        let purl =
            |outside: &Outside| Ecosystem::Maven.purl(&outside.name, outside.version.as_deref());
        self.0.iter().take(MAX_LISTED).filter_map(purl).collect()
    }

    /// Why a version is unknown that one of these poms defines: "the version is `verb` by …".
    pub(super) fn reason(&self, what: &str, verb: &str) -> String {
        let mut named = String::new();
        for (at, Outside { name, version }) in self.0.iter().take(MAX_SHOWN).enumerate() {
            let version = version.iter().flat_map(|version| [":", version.as_str()]);
            let pom: String = std::iter::once(name.as_str()).chain(version).collect();
            let comma = if at == 0 { "" } else { ", " };
            // Writing to a `String` cannot fail.
            let _ = write!(named, "{comma}{}", text::excerpt(&pom));
        }
        match self.0.len() {
            0 => format!("{what} is defined outside the repository"),
            1 => format!("{what} is {verb} by {named}, which is outside the repository"),
            all => {
                let more = all.saturating_sub(MAX_SHOWN);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                format!(
                    "{what} is {verb} by one of {named}{more}, which are outside the repository"
                )
            }
        }
    }
}
