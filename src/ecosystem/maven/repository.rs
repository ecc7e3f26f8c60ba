//! The poms of one repository, and how they hang together.
//!
//! What flows in: the poms as their files have them. What flows out: which is whose parent, and
//! what an expression stands for in a project. By "Project Inheritance" of the POM Reference: a
//! child has the properties of its parents, the nearest first; and what it inherits is read with
//! the child's own.
//!
//! What must stay true: poms that name each other as parents end; the whole work is bounded by
//! [`MAX_WORK`], however the poms refer to each other.

use super::pom::{Entry, Parent, Pom};
use crate::ecosystem::{budget::Budget, expression};
use std::{cell::Cell, collections::HashMap};

/// No chain of parents is longer.
const MAX_PARENTS: usize = 32;
/// How often a pom or an entry is looked at for one repository. A thousand modules with fifty
/// dependencies each need less than a million.
const MAX_WORK: usize = 5_000_000;

/// All poms of a repository.
pub(super) struct Repository<'a> {
    pub(super) poms: &'a [Pom],
    by_path: HashMap<&'a str, usize>,
    by_name: HashMap<(&'a str, &'a str), Vec<usize>>,
    /// Each pom, then its parents that lie in the repository, from the nearest.
    chains: Vec<Vec<usize>>,
    work: Cell<usize>,
    budget: &'a Budget,
}

impl<'a> Repository<'a> {
    pub(super) fn of(poms: &'a [Pom], budget: &'a Budget) -> Self {
        let mut by_name: HashMap<_, Vec<_>> = HashMap::new();
        for (at, pom) in poms.iter().enumerate() {
            if let (Some(group), Some(artifact)) = (pom.group(), pom.own.artifact.as_deref()) {
                by_name.entry((group, artifact)).or_default().push(at);
            }
        }
        let by_path = poms.iter().enumerate().map(|(at, it)| (it.file.as_str(), at)).collect();
        let work = Cell::new(MAX_WORK);
        let mut repository = Self { poms, by_path, by_name, chains: Vec::new(), work, budget };
        repository.chains = (0..poms.len()).map(|at| repository.find_chain(at)).collect();
        repository
    }

    /// The pom and its parents, from the nearest.
    pub(super) fn chain(&self, at: usize) -> &[usize] {
        self.chains.get(at).map_or(&[], Vec::as_slice)
    }

    fn find_chain(&self, at: usize) -> Vec<usize> {
        let mut chain = vec![at];
        while let Some(parent) = chain.last().and_then(|it| self.parent(*it))
            && chain.len() < MAX_PARENTS
            && !chain.contains(&parent)
        {
            chain.push(parent);
        }
        chain
    }

    /// The parent at the path that the child states, if it is the one meant; else any in the
    /// repository with its coordinates.
    fn parent(&self, child: usize) -> Option<usize> {
        let pom = self.poms.get(child)?;
        let parent = pom.parent.as_ref()?;
        let meant = |at: &usize| self.poms.get(*at).is_some_and(|it| is_meant(parent, it));
        let by_path = parent.path.as_deref().and_then(|path| {
            let path = joined(&pom.file, path)?;
            let within = format!("{path}/pom.xml");
            [path.as_str(), within.trim_start_matches('/')]
                .iter()
                .find_map(|it| self.by_path.get(it).copied())
                .filter(meant)
        });
        by_path.or_else(|| {
            let name = (parent.of.group.as_deref()?, parent.of.artifact.as_deref()?);
            let named = self.by_name.get(&name)?.iter().copied();
            named.take_while(|_| self.spend()).find(|it| *it != child && meant(it))
        })
    }

    /// The first pom of a group and artifact that has a version; what is not known fits.
    pub(super) fn find(&self, name: (&str, &str), version: Option<&str>) -> Option<usize> {
        self.find_where(name, version, |_| true)
    }

    /// Whether a project of the repository is meant. A `*.pom` is what a repository of packages
    /// has of one of them, so it is no project of this one.
    pub(super) fn has_project(&self, name: (&str, &str), version: Option<&str>) -> bool {
        self.find_where(name, version, |it| it.file.ends_with("pom.xml")).is_some()
    }

    fn find_where(
        &self,
        name: (&str, &str),
        version: Option<&str>,
        accept: impl Fn(&Pom) -> bool,
    ) -> Option<usize> {
        let named = self.by_name.get(&name)?.iter().copied();
        named.take_while(|_| self.spend()).find(|at| {
            let pom = self.poms.get(*at).filter(|it| accept(it));
            let own = pom.and_then(Pom::version).and_then(|it| self.expand(*at, None, it).ok());
            pom.is_some() && (own.is_none() || version.is_none() || own.as_deref() == version)
        })
    }

    /// The group and the artifact of an entry, as a project reads them. The error is the
    /// expression that is unknown.
    pub(super) fn name(&self, at: usize, entry: &Entry) -> Result<(String, String), String> {
        let read =
            |it: &Option<String>| self.expand(at, entry.profile, it.as_deref().unwrap_or_default());
        Ok((read(&entry.of.group)?, read(&entry.of.artifact)?))
    }

    /// Replaces expressions by what a project and its parents say.
    pub(super) fn expand(
        &self,
        at: usize,
        profile: Option<usize>,
        text: &str,
    ) -> Result<String, String> {
        if !text.contains("${") {
            return Ok(text.to_owned());
        }
        expression::expand(text, &|name| self.property(at, profile, name))
    }

    fn property(&self, at: usize, profile: Option<usize>, name: &str) -> Option<&'a str> {
        let pom = self.poms.get(at).filter(|_| self.spend())?;
        let of_project = name.strip_prefix("project.").or_else(|| name.strip_prefix("pom."));
        if let Some(value) = of_project.and_then(|it| of_model(pom, it)) {
            return Some(value);
        }
        let of_profile = profile.and_then(|it| pom.profiles.get(it)?.get(name));
        let mut inherited =
            self.chain(at).iter().filter_map(|it| self.poms.get(*it)?.properties.get(name));
        let defined = of_profile.or_else(|| inherited.next()).map(String::as_str);
        // Without the prefix: the form of Maven 1 and 2, which Maven 3 still reads.
        defined.or_else(|| of_model(pom, name))
    }

    /// Takes one from the work that is left; false where there is none.
    pub(super) fn spend(&self) -> bool {
        let left = self.work.get();
        self.work.set(left.saturating_sub(1));
        left > 0 && self.budget.visit()
    }

    pub(super) fn is_exhausted(&self) -> bool {
        self.work.get() == 0
    }
}

/// Whether a pom is the parent that is meant. Maven compares the version too; a range or an
/// expression on one side is left to it.
fn is_meant(parent: &Parent, pom: &Pom) -> bool {
    let (Some(asked), Some(own)) = (parent.of.version.as_deref(), pom.version()) else {
        return false;
    };
    let open = |it: &str| it.contains("${") || it.starts_with(['[', '(']);
    parent.of.group.as_deref() == pom.group()
        && parent.of.artifact == pom.own.artifact
        && (asked == own || open(asked) || open(own))
}

/// The path that a pom's relative path leads to; none outside the repository.
fn joined(file: &str, path: &str) -> Option<String> {
    let mut segments: Vec<&str> = file.split('/').collect();
    segments.pop();
    for segment in path.split(['/', '\\']) {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()?),
            segment => segments.push(segment),
        }
    }
    Some(segments.join("/"))
}

fn of_model<'a>(pom: &'a Pom, name: &str) -> Option<&'a str> {
    let parent = pom.parent.as_ref();
    match name {
        "groupId" => pom.group(),
        "artifactId" => pom.own.artifact.as_deref(),
        "version" => pom.version(),
        "parent.groupId" => parent?.of.group.as_deref(),
        "parent.artifactId" => parent?.of.artifact.as_deref(),
        "parent.version" => parent?.of.version.as_deref(),
        _ => None,
    }
}
