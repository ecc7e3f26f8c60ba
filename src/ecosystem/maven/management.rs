//! `dependencyManagement` and `pluginManagement`: versions that are stated in one place for many.
//!
//! What flows in: the poms of a repository. What flows out: for a dependency or a plugin, the
//! entry that manages it. By "Dependency Management" and "Importing Dependencies" of Maven's
//! introduction: what a pom or its parents manage wins over what they import; a BOM is a project
//! of its own, read with its own properties and parents.
//!
//! What must stay true: BOMs that import each other end.

use super::{pom::Entry, repository::Repository};
use std::{
    cell::RefCell,
    collections::{HashMap, VecDeque},
    rc::Rc,
};

/// Of how many poms the management is looked at for one entry.
const MAX_POMS: usize = 256;
/// Under which key imports are; no artifact has such a name.
const IMPORTS: &str = "<import>";
/// And those whose artifact is an expression.
const EXPRESSIONS: &str = "${";

/// For so many projects it is remembered what their expressions come to: the one at hand, and the BOMs
/// that it and its neighbours import.
const MOST_EXPANDED: usize = 8;

/// The entries whose artifact is an expression, by the names that they have in one project, each with
/// the pom that holds it.
type Expanded<'a> = HashMap<(String, String), Vec<(usize, &'a Entry)>>;

/// What the poms of a repository manage.
pub(super) struct Management<'r, 'a> {
    repository: &'r Repository<'a>,
    /// For each pom, by artifact.
    entries: Vec<HashMap<&'a str, Vec<&'a Entry>>>,
    /// Of the projects that were asked for last: to expand all entries for each that is wanted would
    /// take the square of the time.
    expanded: RefCell<VecDeque<(usize, Rc<Expanded<'a>>)>>,
}

impl<'r, 'a> Management<'r, 'a> {
    pub(super) fn of(repository: &'r Repository<'a>) -> Self {
        let entries = repository.poms.iter().map(|it| by_artifact(&it.managed)).collect();
        Self { repository, entries, expanded: RefCell::default() }
    }

    /// What the expressions of a pom and of its parents come to in this project.
    fn expanded(&self, at: usize) -> Rc<Expanded<'a>> {
        if let Some((_, known)) = self.expanded.borrow().iter().find(|it| it.0 == at) {
            return Rc::clone(known);
        }
        let mut names = Expanded::new();
        for holder in self.repository.chain(at) {
            let entries = self.entries.get(*holder).and_then(|it| it.get(EXPRESSIONS));
            let entries = entries.into_iter().flatten();
            for entry in entries.take_while(|_| self.repository.spend()) {
                if let Ok(name) = self.repository.name(at, entry) {
                    names.entry(name).or_default().push((*holder, *entry));
                }
            }
        }
        let names = Rc::new(names);
        let mut known = self.expanded.borrow_mut();
        if known.len() >= MOST_EXPANDED {
            known.pop_front();
        }
        known.push_back((at, Rc::clone(&names)));
        names
    }

    /// What manages an entry of a pom, and as which project it is to be read.
    pub(super) fn of_entry(
        &self,
        at: usize,
        wanted: &Entry,
        name: (&str, &str),
    ) -> Option<(usize, &'a Entry)> {
        self.search(at, wanted, name, &mut Vec::new())
    }

    fn search(
        &self,
        at: usize,
        wanted: &Entry,
        name: (&str, &str),
        seen: &mut Vec<usize>,
    ) -> Option<(usize, &'a Entry)> {
        if seen.len() >= MAX_POMS || seen.contains(&at) {
            return None;
        }
        seen.push(at);
        // A profile counts in its own pom alone: it is not inherited, and a BOM has none.
        let profile = wanted.profile.filter(|_| seen.len() == 1);
        let counts = |holder: usize, it: &Entry| {
            it.profile.is_none() || (holder == at && it.profile == profile)
        };
        let chain = self.repository.chain(at);
        let expanded = self.expanded(at);
        let named = expanded.get(&(name.0.to_owned(), name.1.to_owned()));
        let own = chain.iter().find_map(|holder| {
            let fits = |it: &Entry| counts(*holder, it) && it.is_same_kind(wanted);
            // Of two entries for one thing, Maven takes the last.
            let by_expression = named
                .into_iter()
                .flatten()
                .rev()
                .take_while(|_| self.repository.spend())
                .find(|it| it.0 == *holder && fits(it.1))
                .map(|it| it.1);
            by_expression.or_else(|| {
                let entries = self.entries.get(*holder)?.get(name.1)?.iter().copied();
                entries.rev().take_while(|_| self.repository.spend()).find(|it| {
                    fits(it)
                        && self.repository.name(at, it).is_ok_and(|it| (&*it.0, &*it.1) == name)
                })
            })
        });
        if let Some(entry) = own {
            return Some((at, entry));
        }
        chain.iter().find_map(|holder| {
            let imports = self.entries.get(*holder)?.get(IMPORTS)?;
            imports
                .iter()
                .take_while(|_| self.repository.spend())
                .filter(|it| counts(*holder, it))
                .find_map(|import| self.search(self.bom(at, import)?, wanted, name, seen))
        })
    }

    /// The pom of the repository that an import means.
    fn bom(&self, at: usize, import: &Entry) -> Option<usize> {
        let (group, artifact) =
            self.repository.spend().then(|| self.repository.name(at, import).ok())??;
        let version = import.of.version.as_deref()?;
        let version = self.repository.expand(at, import.profile, version).ok();
        self.repository.find((&group, &artifact), version.as_deref())
    }
}

fn by_artifact(managed: &[Entry]) -> HashMap<&str, Vec<&Entry>> {
    let mut entries: HashMap<_, Vec<_>> = HashMap::new();
    for entry in managed {
        let key = match entry.of.artifact.as_deref().unwrap_or_default() {
            _ if entry.is_import() => IMPORTS,
            artifact if artifact.contains("${") => EXPRESSIONS,
            artifact => artifact,
        };
        entries.entry(key).or_default().push(entry);
    }
    entries
}
