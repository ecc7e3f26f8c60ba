//! The providers and modules that a configuration names, in either of its syntaxes.
//!
//! Input: the source address and the version constraint of a provider, and the `source` and `version` of a module,
//! by "Provider Requirements" and "Module Sources" of Terraform's documentation; also the sources of Terragrunt
//! (`tfr://`) and `OpenTofu` (`oci://`). Output: packages under their addresses.
//!
//! Decisions. A version without an operator is exact, as in Terraform. A module of a repository is named by
//! host and path; its `ref` is a version if it is a commit. A provider that is named twice with one version is
//! one package; modules stay apart if their addresses, versions or references differ.
//!
//! Invariants: a folder of the repository is not a package.

use crate::ecosystem::{
    collect::{Collector, Declared},
    git_reference, purl, swift, text,
};
use crate::model::ecosystem::Ecosystem;
use std::collections::{HashMap, HashSet};

/// Collects the providers and modules of a file.
#[derive(Debug)]
pub(super) struct Sources<'s, 'f> {
    found: &'s mut Collector<'f>,
    providers: Vec<Provider>,
    /// The index of each provider, by its purl.
    by_purl: HashMap<String, usize>,
    /// Address and version of the modules that were added.
    modules: HashSet<String>,
}

#[derive(Debug)]
struct Provider {
    name: String,
    constraint: Option<String>,
    line: u32,
}

impl<'s, 'f> Sources<'s, 'f> {
    pub(super) fn new(found: &'s mut Collector<'f>) -> Self {
        let (providers, by_purl, modules) = (Vec::new(), HashMap::new(), HashSet::new());
        Self { found, providers, by_purl, modules }
    }

    pub(super) fn warn(&mut self, line: u32, message: impl AsRef<str>) {
        self.found.warn(line, message);
    }

    /// Adds a provider. A builtin one is part of Terraform itself.
    pub(super) fn provider(&mut self, name: &str, constraint: Option<&str>, line: u32) {
        let length = name.len() + constraint.map_or(0, str::len);
        if name.starts_with("terraform.io/builtin/") || !self.found.budget().copy(length) {
            return;
        }
        let constraint = constraint.map(str::to_owned);
        let purl = Ecosystem::Terraform.purl(name, exact(constraint.as_deref()));
        let known = purl.as_ref().and_then(|purl| self.by_purl.get(purl));
        if let Some(known) = known.and_then(|at| self.providers.get_mut(*at)) {
            known.constraint = known.constraint.take().or(constraint);
            return;
        }
        self.by_purl.extend(purl.map(|purl| (purl, self.providers.len())));
        self.providers.push(Provider { name: name.to_owned(), constraint, line });
    }

    /// Adds a module. Both lines are the same, or that of the source is below that of the block.
    pub(super) fn module(
        &mut self,
        address: &str,
        constraint: Option<&str>,
        line: u32,
        line_of_source: u32,
    ) {
        if address.contains("${") {
            return self.unknown(line_of_source);
        }
        if address.is_empty() || address.starts_with(['.', '/', '~']) {
            return;
        }
        let length = address.len() + constraint.map_or(0, str::len);
        if !self.found.budget().copy(length) {
            return;
        }
        match Address::read(address) {
            Some(Address::Registry { name, version }) => {
                let constraint = version.or(constraint);
                if self.is_new(name, constraint) {
                    add(name, constraint, line, self.found);
                }
            }
            Some(Address::Repository { name, version, specifier }) => {
                if self.is_new(&name, version.or(specifier)) {
                    let direct = Some(true);
                    let (name, purl) = (name.as_str(), purl::terraform_repository);
                    let declared =
                        Declared { name, version, specifier, line, direct, ..Declared::default() };
                    let ecosystem = Ecosystem::Terraform.into();
                    let _ = self.found.take_as(ecosystem, declared, |version| purl(name, version));
                }
            }
            None => {
                let message = format!("`{}` is not a valid module source", text::excerpt(address));
                self.found.warn(line_of_source, message);
            }
        }
    }

    /// Warns about a source with an expression in it.
    pub(super) fn unknown(&mut self, line: u32) {
        self.found.warn(line, "the source is known only when Terraform runs");
    }

    fn is_new(&mut self, name: &str, wanted: Option<&str>) -> bool {
        self.modules.insert(format!("{name} {}", wanted.unwrap_or_default()))
    }

    /// Adds the providers.
    pub(super) fn finish(self) {
        let Self { found, providers, .. } = self;
        for Provider { name, constraint, line } in &providers {
            add(name, constraint.as_deref(), *line, found);
        }
    }
}

/// The source of a module.
enum Address<'a> {
    Registry { name: &'a str, version: Option<&'a str> },
    Repository { name: String, version: Option<&'a str>, specifier: Option<&'a str> },
}

impl<'a> Address<'a> {
    fn read(address: &'a str) -> Option<Self> {
        let (place, query) = address.split_once('?').unwrap_or((address, ""));
        let parameter = |key: &str| {
            let mut parameters = query.split('&').filter_map(|text| text.split_once('='));
            parameters.find(|(name, _)| *name == key).map(|(_, value)| value)
        };
        // Terragrunt's form: an optional registry, and the version as a parameter.
        if let Some(place) = place.strip_prefix("tfr://") {
            let place = place.trim_start_matches('/');
            let name = place.split("//").next().unwrap_or(place);
            return Some(Self::Registry { name, version: parameter("version") });
        }
        // An image of OpenTofu. A digest identifies it; the tag beside it is the specifier.
        if let Some(place) = place.strip_prefix("oci://") {
            let name = place.split("//").next().unwrap_or(place).trim_end_matches('/').to_owned();
            let (digest, tag) = (parameter("digest"), parameter("tag"));
            let specifier = tag.filter(|_| digest.is_some());
            return Some(Self::Repository { name, version: digest.or(tag), specifier });
        }
        let (forced, place) = match place.split_once("::") {
            Some((_, rest)) => (true, rest),
            None => (false, place),
        };
        // The folder of the module within its package follows `//`.
        let scheme = place.find("://").map_or(0, |scheme| scheme + 3);
        let folder = place.get(scheme..)?.find("//").map_or(place.len(), |folder| folder + scheme);
        let place = place.get(..folder)?;
        let first = place.split('/').next()?;
        let segments = place.split('/').count();
        let is_registry = !forced
            && !place.contains([':', '@'])
            && (segments == 3 && !first.contains('.') || segments == 4 && first.contains('.'));
        if is_registry {
            return Some(Self::Registry { name: place, version: None });
        }
        let reference = parameter("ref").or_else(|| parameter("rev"));
        let name = swift::repository_name(place).or_else(|| {
            let bare = first.contains('.') && segments > 1 && !first.contains(['@', ':']);
            bare.then(|| place.strip_suffix(".git").unwrap_or(place).to_owned())
        })?;
        let version = reference.and_then(git_reference::commit);
        Some(Self::Repository { name, version, specifier: reference.filter(|_| version.is_none()) })
    }
}

/// The version of a constraint that allows only one.
fn exact(constraint: Option<&str>) -> Option<&str> {
    let exact = constraint.map(|constraint| constraint.trim_start_matches('=').trim());
    exact.filter(|version| {
        version.starts_with(|character: char| character.is_ascii_digit())
            && version.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-+".contains(&byte))
    })
}

fn add(name: &str, constraint: Option<&str>, line: u32, found: &mut Collector<'_>) {
    let version = exact(constraint);
    let specifier = if version.is_none() { constraint } else { None };
    let direct = Some(true);
    found.add(Declared { name, version, specifier, line, direct, ..Declared::default() });
}
