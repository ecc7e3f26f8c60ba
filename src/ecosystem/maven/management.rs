//! `dependencyManagement` and `pluginManagement`: versions that are stated in one place for many.
//!
//! What flows in: the poms of a repository. What flows out: for a dependency or a plugin, the
//! entry that manages it. By "Dependency Management" and "Importing Dependencies" of Maven's
//! introduction: what a pom or its parents manage wins over what they import; a BOM is a project
//! of its own, read with its own properties and parents.
//!
//! What must stay true: BOMs that import each other end.

use super::{pom::Entry, repository::Repository};
use std::collections::HashMap;

/// Of how many poms the management is looked at for one entry.
const MAX_POMS: usize = 256;
/// Under which key imports are; no artifact has such a name.
const IMPORTS: &str = "<import>";
/// And those whose artifact is an expression.
const EXPRESSIONS: &str = "${";

/// What the poms of a repository manage.
pub(super) struct Management<'r, 'a> {
    repository: &'r Repository<'a>,
    /// For each pom, by artifact.
    entries: Vec<HashMap<&'a str, Vec<&'a Entry>>>,
}

impl<'r, 'a> Management<'r, 'a> {
    pub(super) fn of(repository: &'r Repository<'a>) -> Self {
        let entries = repository.poms.iter().map(|it| by_artifact(&it.managed)).collect();
        Self { repository, entries }
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
        let own = chain.iter().find_map(|holder| {
            let entries = self.entries.get(*holder)?;
            // Of two entries for one thing, Maven takes the last.
            [name.1, EXPRESSIONS]
                .iter()
                .filter_map(|it| entries.get(it))
                .flatten()
                .rev()
                .take_while(|_| self.repository.spend())
                .find(|it| {
                    counts(*holder, it)
                        && it.is_same_kind(wanted)
                        && self.repository.name(at, it).is_ok_and(|it| (&*it.0, &*it.1) == name)
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
