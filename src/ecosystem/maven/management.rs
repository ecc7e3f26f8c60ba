//! `dependencyManagement` and `pluginManagement`: versions that are defined in one place for many uses.
//!
//! Input: the poms of a repository. Output: for a dependency or a plugin, the entry that manages it. By
//! "Dependency Management" and "Importing Dependencies" of Maven's introduction: entries of a pom or its
//! parents win over imports; a BOM is a project of its own, with its own properties and parents.
//!
//! Where no pom of the repository manages an entry, a parent or BOM outside the repository does; which ones
//! come into question follows from the poms.
//!
//! Invariants: circular imports of BOMs end.

use super::{
    outside::{Outside, Outsiders},
    pom::Entry,
    repository::Repository,
};
use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    rc::Rc,
};

/// Poms whose management is searched for one entry.
const MAX_POMS: usize = 256;
/// The key of imports; no artifact has such a name.
const IMPORTS: &str = "<import>";
/// The key of entries whose artifact is an expression.
const EXPRESSIONS: &str = "${";

/// Names and imports that are cached for all projects together.
const MAX_CACHED: usize = 50_000;

/// An entry, with its index in its pom.
type Placed<'a> = (usize, &'a Entry);

/// The entry that manages another one.
#[derive(Clone, Copy)]
pub(super) struct Managed<'a> {
    /// The project that defines its expressions.
    pub(super) project: usize,
    /// The pom that contains it.
    pub(super) holder: usize,
    pub(super) entry: &'a Entry,
}

/// The managed versions of a repository's poms.
pub(super) struct Management<'r, 'a> {
    repository: &'r Repository<'a>,
    /// For each pom, by artifact.
    entries: Vec<HashMap<&'a str, Vec<Placed<'a>>>>,
    /// Expanding the entries again for each lookup would take quadratic time.
    cache: RefCell<Cache<'a>>,
    /// The last answer of [`Management::outside`]: entries of one kind follow each other.
    last_outside: RefCell<Option<(Kind, Rc<Outsiders>)>>,
}

/// The project, the profile, and whether plugins are meant.
type Kind = (usize, Option<usize>, bool);

/// The projects that have been read so far.
#[derive(Default)]
struct Cache<'a> {
    projects: HashMap<usize, Project<'a>>,
    /// The number of names and imports in all projects.
    size: usize,
}

/// The managed entries of a project and its parents, expanded as the project reads them.
#[derive(Default)]
struct Project<'a> {
    /// Of two entries for the same use, Maven takes the last.
    entries: HashMap<(String, String), HashMap<Use<'a>, Placed<'a>>>,
    /// The artifacts whose entries are in `entries`. Entries with expressions are always there.
    artifacts: HashSet<String>,
    /// By profile: the imported poms of the repository, each with its position.
    imports: HashMap<Option<usize>, Vec<(usize, usize)>>,
    /// By profile: the imported poms outside the repository.
    outside: HashMap<Option<usize>, Outsiders>,
}

/// The use of an entry, in addition to its name.
#[derive(PartialEq, Eq, Hash)]
struct Use<'a> {
    /// The pom that contains the entry.
    holder: usize,
    profile: Option<usize>,
    is_plugin: bool,
    kind: Option<&'a str>,
    classifier: Option<&'a str>,
}

impl<'a> Use<'a> {
    fn of(entry: &'a Entry, holder: usize, profile: Option<usize>) -> Self {
        let (kind, classifier) = (entry.kind.as_deref(), entry.classifier.as_deref());
        Self { holder, profile, is_plugin: entry.role.is_plugin(), kind, classifier }
    }
}

impl<'r, 'a> Management<'r, 'a> {
    pub(super) fn of(repository: &'r Repository<'a>) -> Self {
        let entries = repository.poms.iter().map(|pom| by_artifact(&pom.managed)).collect();
        Self { repository, entries, cache: RefCell::default(), last_outside: RefCell::default() }
    }

    /// The entry that manages an entry of a pom.
    pub(super) fn of_entry(
        &self,
        at: usize,
        wanted: &Entry,
        name: (&str, &str),
    ) -> Option<Managed<'a>> {
        if !wanted.role.is_managed() {
            return None;
        }
        self.search(at, wanted, name, &mut Vec::new())
    }

    /// The poms outside the repository one of which manages an entry that [`of_entry`](Self::of_entry) does
    /// not find: the parents, and the BOMs of dependencies.
    pub(super) fn outside(&self, at: usize, wanted: &Entry) -> Rc<Outsiders> {
        if !wanted.role.is_managed() {
            return Rc::default();
        }
        let key = (at, wanted.profile, wanted.role.is_plugin());
        let mut last = self.last_outside.borrow_mut();
        if let Some((_, found)) = last.as_ref().filter(|(known, _)| *known == key) {
            return Rc::clone(found);
        }
        let found = Rc::new(self.find_outside(at, wanted));
        *last = Some((key, Rc::clone(&found)));
        found
    }

    fn find_outside(&self, at: usize, wanted: &Entry) -> Outsiders {
        let mut found = Outsiders::default();
        let mut pending = vec![at];
        let mut seen = HashSet::new();
        while let Some(next) = pending.pop() {
            if seen.len() >= MAX_POMS || !seen.insert(next) {
                continue;
            }
            found.extend(self.repository.outer(next));
            if wanted.role.is_plugin() {
                continue;
            }
            let profile = wanted.profile.filter(|_| next == at);
            pending.extend(self.imports(next, profile));
            self.with(next, |project| {
                for of in [None, profile] {
                    let outside = project.outside.get(&of).into_iter().flat_map(Outsiders::iter);
                    found.extend(outside.cloned());
                }
                ((), 0)
            });
        }
        found
    }

    /// The BOMs outside the repository that a project imports.
    pub(super) fn missing_boms(&self, at: usize) -> Vec<Outside> {
        self.with(at, |project| {
            (project.outside.values().flat_map(Outsiders::iter).cloned().collect(), 0)
        })
    }

    fn search(
        &self,
        at: usize,
        wanted: &Entry,
        name: (&str, &str),
        seen: &mut Vec<usize>,
    ) -> Option<Managed<'a>> {
        if seen.len() >= MAX_POMS || seen.contains(&at) {
            return None;
        }
        seen.push(at);
        // Profiles of a BOM do not apply.
        let profile = wanted.profile.filter(|_| seen.len() == 1);
        if let Some((holder, entry)) = self.own(at, wanted, name, profile) {
            return Some(Managed { project: at, holder, entry });
        }
        let mut imports = self.imports(at, profile).into_iter();
        imports.find_map(|bom| self.search(bom, wanted, name, seen))
    }

    /// The managed entry of a project or its parents, the nearest first, and the pom that contains it.
    fn own(
        &self,
        at: usize,
        wanted: &Entry,
        name: (&str, &str),
        profile: Option<usize>,
    ) -> Option<(usize, &'a Entry)> {
        self.with(at, |project| {
            let mut added = 0;
            if !project.artifacts.contains(name.1) {
                project.artifacts.insert(name.1.to_owned());
                added = self.add(at, project, name.1);
            }
            let by_use = project.entries.get(&(name.0.to_owned(), name.1.to_owned()));
            let chain = self.repository.chain(at).iter().take_while(|_| self.repository.spend());
            let found = by_use.and_then(|by_use| {
                chain.copied().find_map(|holder| {
                    let of = |profile| by_use.get(&Use::of(wanted, holder, profile));
                    let own =
                        profile.filter(|_| holder == at).and_then(|profile| of(Some(profile)));
                    let last = of(None).into_iter().chain(own).max_by_key(|placed| placed.0);
                    last.map(|placed| (holder, placed.1))
                })
            });
            (found, added)
        })
    }

    /// The poms of the repository that a project imports, in order.
    fn imports(&self, at: usize, profile: Option<usize>) -> Vec<usize> {
        self.with(at, |project| {
            let own = profile.and_then(|profile| project.imports.get(&Some(profile)));
            let all = project.imports.get(&None).into_iter().chain(own).flatten();
            let mut all: Vec<_> = all.take_while(|_| self.repository.spend()).copied().collect();
            all.sort_unstable();
            (all.into_iter().map(|import| import.1).collect(), 0)
        })
    }

    /// Looks something up in a cached project; `work` also returns how much it has added.
    fn with<T>(&self, at: usize, work: impl FnOnce(&mut Project<'a>) -> (T, usize)) -> T {
        let mut cache = self.cache.borrow_mut();
        if cache.size > MAX_CACHED {
            *cache = Cache::default();
        }
        let Cache { projects, size } = &mut *cache;
        let project = projects.entry(at).or_insert_with(|| {
            let mut project = Project::default();
            *size +=
                1 + self.add(at, &mut project, EXPRESSIONS) + self.add_imports(at, &mut project);
            project
        });
        let (found, added) = work(project);
        *size += added;
        found
    }

    /// Adds the managed entries of a project for a key of [`by_artifact`].
    fn add(&self, at: usize, project: &mut Project<'a>, key: &str) -> usize {
        let mut added = 0;
        for (holder, (place, entry)) in self.under(at, key) {
            let Ok(name) = self.repository.name(at, entry) else { continue };
            added += 1;
            let by_use = project.entries.entry(name).or_default();
            let last =
                by_use.entry(Use::of(entry, holder, entry.profile)).or_insert((place, entry));
            if last.0 < place {
                *last = (place, entry);
            }
        }
        added
    }

    fn add_imports(&self, at: usize, project: &mut Project<'a>) -> usize {
        let mut seen = HashSet::new();
        let mut outside = 0;
        for (_, (_, import)) in self.under(at, IMPORTS) {
            let Some(bom) = self.bom(at, import) else {
                let bom = self.repository.outside(at, import.profile, &import.of);
                outside += 1;
                project.outside.entry(import.profile).or_default().extend(bom);
                continue;
            };
            if seen.insert((import.profile, bom)) {
                project.imports.entry(import.profile).or_default().push((seen.len(), bom));
            }
        }
        seen.len() + outside
    }

    /// The managed entries of a project and its parents for a key of [`by_artifact`]. Profiles are not
    /// inherited, so they count in their own pom only.
    fn under<'s>(
        &'s self,
        at: usize,
        key: &'s str,
    ) -> impl Iterator<Item = (usize, Placed<'a>)> + 's {
        let of_each = self.repository.chain(at).iter().map(move |holder| {
            let entries = self.entries.get(*holder).and_then(|entries| entries.get(key));
            entries.into_iter().flatten().map(move |placed| (*holder, *placed))
        });
        let all = of_each.flatten().take_while(|_| self.repository.spend());
        all.filter(move |(holder, (_, entry))| entry.profile.is_none() || *holder == at)
    }

    /// The pom of the repository that an import refers to.
    fn bom(&self, at: usize, import: &Entry) -> Option<usize> {
        let (group, artifact) = self.repository.name(at, import).ok()?;
        let version = import.of.version.as_deref()?;
        let version = self.repository.expand(at, import.profile, version).ok();
        self.repository.find((&group, &artifact), version.as_deref())
    }
}

fn by_artifact(managed: &[Entry]) -> HashMap<&str, Vec<Placed<'_>>> {
    let mut entries: HashMap<_, Vec<_>> = HashMap::new();
    for placed in managed.iter().enumerate() {
        let key = match placed.1.of.artifact.as_deref().unwrap_or_default() {
            _ if placed.1.is_import() => IMPORTS,
            artifact if artifact.contains("${") => EXPRESSIONS,
            artifact => artifact,
        };
        entries.entry(key).or_default().push(placed);
    }
    entries
}
