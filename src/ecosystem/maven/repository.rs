//! The poms of one repository, and their parents.
//!
//! Input: the poms of all files. Output: the parents of each pom, and the values of expressions in a
//! project. By "Project Inheritance" of the POM Reference: a child inherits the properties of its parents,
//! the nearest first; inherited entries are expanded with the child's properties.
//!
//! Invariants: circular parents end; the total work is bounded by [`MAX_WORK`], however the poms refer to
//! each other.

use super::{
    outside::Outside,
    pom::{Coordinates, Entry, Parent, Pom},
};
use crate::ecosystem::{budget::Budget, expression};
use std::{cell::Cell, collections::HashMap};

/// Longest chain of parents.
const MAX_PARENTS: usize = 32;
/// Visits of poms and entries for one repository. A thousand modules with fifty dependencies each need less
/// than a million.
const MAX_WORK: usize = 5_000_000;

/// All poms of a repository.
pub(super) struct Repository<'a> {
    pub(super) poms: &'a [Pom],
    by_path: HashMap<&'a str, usize>,
    by_name: HashMap<(&'a str, &'a str), Vec<usize>>,
    /// For each pom, its parent in the repository.
    parents: Vec<Option<usize>>,
    /// For each pom: itself, then its parents in the repository, the nearest first.
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
        let own = poms.iter().enumerate().filter(|(_, pom)| !pom.is_cached);
        let by_path = own.map(|(at, pom)| (pom.file.as_str(), at)).collect();
        let work = Cell::new(MAX_WORK);
        let (parents, chains) = (Vec::new(), Vec::new());
        let mut repository = Self { poms, by_path, by_name, parents, chains, work, budget };
        repository.parents = (0..poms.len()).map(|at| repository.find_parent(at)).collect();
        repository.chains = (0..poms.len()).map(|at| repository.find_chain(at)).collect();
        repository
    }

    /// The pom and its parents, the nearest first.
    pub(super) fn chain(&self, at: usize) -> &[usize] {
        self.chains.get(at).map_or(&[], Vec::as_slice)
    }

    /// The parent of a pom in the repository.
    pub(super) fn parent(&self, at: usize) -> Option<usize> {
        self.parents.get(at).copied().flatten()
    }

    /// The parent outside the repository from which a project inherits.
    pub(super) fn outer(&self, at: usize) -> Option<Outside> {
        self.missing_parent(*self.chain(at).last()?)
    }

    /// The parent that a pom names, if it is outside the repository.
    pub(super) fn missing_parent(&self, at: usize) -> Option<Outside> {
        let parent = self.poms.get(at)?.parent.as_ref().filter(|_| self.parent(at).is_none())?;
        self.outside(at, None, &parent.of)
    }

    /// The path of a pom of the local cache.
    pub(super) fn cached(&self, at: usize) -> Option<&'a str> {
        self.poms.get(at).filter(|pom| pom.is_cached).map(|pom| pom.file.as_str())
    }

    /// The pom that coordinates in a project refer to.
    pub(super) fn outside(
        &self,
        at: usize,
        profile: Option<usize>,
        of: &Coordinates,
    ) -> Option<Outside> {
        let read = |text: &Option<String>| self.expand(at, profile, text.as_deref()?).ok();
        let (group, artifact, version) = (read(&of.group)?, read(&of.artifact)?, read(&of.version));
        let version = version.filter(|version| !version.starts_with(['[', '(']));
        Some(Outside { name: format!("{group}:{artifact}"), version })
    }

    fn find_chain(&self, at: usize) -> Vec<usize> {
        let mut chain = vec![at];
        while let Some(parent) = chain.last().and_then(|pom| self.parent(*pom))
            && chain.len() < MAX_PARENTS
            && !chain.contains(&parent)
        {
            chain.push(parent);
        }
        chain
    }

    /// The parent at the path that the child states, if its coordinates match; else any pom in the
    /// repository with the coordinates.
    fn find_parent(&self, child: usize) -> Option<usize> {
        let pom = self.poms.get(child)?;
        let parent = pom.parent.as_ref()?;
        let meant = |at: &usize| self.poms.get(*at).is_some_and(|pom| is_meant(parent, pom));
        let by_path = parent.path.as_deref().and_then(|path| {
            located(&pom.file, path, |path| self.by_path.get(path).copied()).filter(meant)
        });
        by_path.or_else(|| {
            let name = (parent.of.group.as_deref()?, parent.of.artifact.as_deref()?);
            let named = self.by_name.get(&name)?.iter().copied();
            named.take_while(|_| self.spend()).find(|index| *index != child && meant(index))
        })
    }

    /// The first pom with this group and artifact whose version matches; an unknown version matches that of
    /// a pom of the repository.
    pub(super) fn find(&self, name: (&str, &str), version: Option<&str>) -> Option<usize> {
        self.find_where(name, version, |pom| version.is_some() || !pom.is_cached)
    }

    /// Whether a project of the repository has these coordinates. A `*.pom` file belongs to a Maven
    /// repository that is checked in, so it is not a project of this repository.
    pub(super) fn has_project(&self, name: (&str, &str), version: Option<&str>) -> bool {
        let is_project = |pom: &Pom| !pom.is_cached && pom.file.ends_with("pom.xml");
        self.find_where(name, version, is_project).is_some()
    }

    fn find_where(
        &self,
        name: (&str, &str),
        version: Option<&str>,
        accept: impl Fn(&Pom) -> bool,
    ) -> Option<usize> {
        let named = self.by_name.get(&name)?.iter().copied();
        named.take_while(|_| self.spend()).find(|at| {
            let pom = self.poms.get(*at).filter(|pom| accept(pom));
            let own =
                pom.and_then(Pom::version).and_then(|version| self.expand(*at, None, version).ok());
            pom.is_some() && (own.is_none() || version.is_none() || own.as_deref() == version)
        })
    }

    /// The expanded group and artifact of an entry. The error is the first unknown expression.
    pub(super) fn name(&self, at: usize, entry: &Entry) -> Result<(String, String), String> {
        let read = |text: &Option<String>| {
            self.expand(at, entry.profile, text.as_deref().unwrap_or_default())
        };
        Ok((read(&entry.of.group)?, read(&entry.of.artifact)?))
    }

    /// Expands expressions with the properties of a project and its parents.
    pub(super) fn expand(
        &self,
        at: usize,
        profile: Option<usize>,
        text: &str,
    ) -> Result<String, String> {
        self.expand_from(at, profile, text).map(|expanded| expanded.0)
    }

    /// As [`expand`](Self::expand). The second value is the path of a pom of the local cache that defines one
    /// of the expressions.
    pub(super) fn expand_from(
        &self,
        at: usize,
        profile: Option<usize>,
        text: &str,
    ) -> Result<(String, Option<&'a str>), String> {
        if !text.contains("${") {
            return Ok((text.to_owned(), None));
        }
        let source = Cell::new(None);
        let lookup = |name: &str| {
            let (holder, value) = self.property(at, profile, name)?;
            source.set(source.get().or_else(|| self.cached(holder)));
            Some(value)
        };
        expression::expand(text, &lookup).map(|expanded| (expanded, source.get()))
    }

    /// The value of an expression, and the pom that defines it.
    fn property(&self, at: usize, profile: Option<usize>, name: &str) -> Option<(usize, &'a str)> {
        let pom = self.poms.get(at).filter(|_| self.spend())?;
        let of_project = name.strip_prefix("project.").or_else(|| name.strip_prefix("pom."));
        if let Some(value) = of_project.and_then(|key| of_model(pom, key)) {
            return Some((at, value));
        }
        let of_profile =
            profile.and_then(|profile| Some((at, pom.profiles.get(profile)?.get(name)?)));
        let mut inherited = self
            .chain(at)
            .iter()
            .filter_map(|holder| Some((*holder, self.poms.get(*holder)?.properties.get(name)?)));
        let defined = of_profile.or_else(|| inherited.next());
        // The form without prefix is that of Maven 1 and 2; Maven 3 still accepts it.
        let bare = || Some((at, of_model(pom, name)?));
        defined.map(|(holder, value)| (holder, value.as_str())).or_else(bare)
    }

    /// Charges one unit of work. False once the work is used up.
    pub(super) fn spend(&self) -> bool {
        let left = self.work.get();
        self.work.set(left.saturating_sub(1));
        left > 0 && self.budget.visit()
    }

    pub(super) fn is_exhausted(&self) -> bool {
        self.work.get() == 0
    }
}

/// Whether a pom is the parent that a child refers to. The version has to match, unless one side is a range
/// or an expression.
fn is_meant(parent: &Parent, pom: &Pom) -> bool {
    let (Some(asked), Some(own)) = (parent.of.version.as_deref(), pom.version()) else {
        return false;
    };
    let open = |text: &str| text.contains("${") || text.starts_with(['[', '(']);
    parent.of.group.as_deref() == pom.group()
        && parent.of.artifact == pom.own.artifact
        && (asked == own || open(asked) || open(own))
}

/// The pom at a path relative to another one: a file, or a folder with a `pom.xml`.
pub(super) fn located(file: &str, path: &str, at: impl Fn(&str) -> Option<usize>) -> Option<usize> {
    let path = joined(file, path)?;
    at(&path).or_else(|| at(format!("{path}/pom.xml").trim_start_matches('/')))
}

/// Resolves a pom's relative path; none outside the repository.
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
