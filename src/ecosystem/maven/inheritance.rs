//! What a project inherits from the poms above it, by "Project Inheritance" of the POM Reference and the
//! `MavenModelMerger` of Maven's model builder.
//!
//! Input: the poms of a repository. Output: the entries that a project inherits, the version of a plugin
//! that a pom above states, and whether a plugin that is only managed is used. Invariants: an entry of a nearer
//! pom replaces an inherited one as a whole, but a plugin keeps the version of the pom above; as Maven
//! merges poms before it expands them, entries are compared as written; profiles are not inherited.

use super::{
    pom::{Coordinates, Entry, PLUGINS, Pom, Role},
    repository::Repository,
};
use std::collections::{HashMap, HashSet};

/// The plugins that the default lifecycles of Maven use.
const USED_BY_DEFAULT: [&str; 8] = [
    "maven-clean-plugin",
    "maven-compiler-plugin",
    "maven-deploy-plugin",
    "maven-install-plugin",
    "maven-jar-plugin",
    "maven-resources-plugin",
    "maven-site-plugin",
    "maven-surefire-plugin",
];

/// Group and artifact as written.
type Name<'a> = (&'a str, &'a str);

/// What two poms have to agree in, so that the entry of the nearer one replaces the other.
#[derive(PartialEq, Eq, Hash)]
struct Key<'a> {
    role: Role,
    plugin: Option<Name<'a>>,
    name: Name<'a>,
    kind: Option<&'a str>,
    classifier: Option<&'a str>,
}

impl<'a> Key<'a> {
    fn of(entry: &'a Entry) -> Self {
        let (name, kind) = match entry.role {
            // The list of processors is replaced as a whole.
            Role::Processor => (Name::default(), None),
            _ => (name(&entry.of), entry.kind.as_deref()),
        };
        let classifier = entry.classifier.as_deref().filter(|_| entry.role != Role::Processor);
        let plugin = entry.plugin.as_deref().map(self::name);
        Self { role: entry.role, plugin, name, kind, classifier }
    }
}

fn name(of: &Coordinates) -> Name<'_> {
    (of.group.as_deref().unwrap_or_default(), of.artifact.as_deref().unwrap_or_default())
}

/// The names of the expressions in a pom.
fn expressions(pom: &Pom) -> impl Iterator<Item = &str> {
    let entries = pom.entries.iter().chain(&pom.managed).map(|entry| &entry.of);
    let texts = entries.flat_map(|of| [&of.group, &of.artifact, &of.version]).flatten();
    let all = texts.chain(pom.properties.values()).flat_map(|text| text.split("${").skip(1));
    all.filter_map(|rest| rest.split_once('}')).map(|(name, _)| name.trim())
}

/// Whether an expression depends on the module, even if the module has neither properties nor a version.
fn varies(name: &str) -> bool {
    let of_project = name.strip_prefix("project.").or_else(|| name.strip_prefix("pom."));
    let name = of_project.unwrap_or(name);
    name == "artifactId" || name.starts_with("parent.")
}

/// The inheritance between the poms of a repository. Poms are identified by their index.
pub(super) struct Inheritance<'r, 'a> {
    repository: &'r Repository<'a>,
    /// For each pom, the entries that replace inherited ones.
    keys: Vec<HashSet<Key<'a>>>,
    /// The first entry of each plugin that states a version.
    plugins: HashMap<(usize, Name<'a>), &'a Entry>,
    /// The plugins that a pom or one of its modules uses.
    used: HashSet<(usize, Name<'a>)>,
    /// For each pom, the names of all expressions in it.
    expressions: Vec<HashSet<&'a str>>,
    /// For each pom, whether an expression in it has another value in each module.
    varies: Vec<bool>,
}

impl<'r, 'a> Inheritance<'r, 'a> {
    pub(super) fn of(repository: &'r Repository<'a>) -> Self {
        let expressions = repository.poms.iter().map(|pom| expressions(pom).collect());
        let expressions: Vec<HashSet<&str>> = expressions.collect();
        let varies =
            expressions.iter().map(|names| names.iter().any(|name| varies(name))).collect();
        let (keys, plugins, used) = (Vec::new(), HashMap::new(), HashSet::new());
        let mut found = Self { repository, keys, plugins, used, expressions, varies };
        for (at, pom) in repository.poms.iter().enumerate() {
            let inheritable = pom.entries.iter().filter(|entry| entry.profile.is_none());
            found.keys.push(inheritable.clone().map(Key::of).collect());
            for plugin in pom.entries.iter().filter(|entry| entry.role.is_plugin()) {
                let name = name(&plugin.of);
                for above in repository.chain(at).iter().take_while(|_| repository.spend()) {
                    found.used.insert((*above, name));
                }
            }
            for plugin in inheritable.filter(|entry| entry.role == Role::Plugin) {
                if plugin.of.version.is_some() {
                    found.plugins.entry((at, name(&plugin.of))).or_insert(plugin);
                }
            }
        }
        found
    }

    /// Whether an entry counts, which it does not as a part of a plugin that is only managed.
    pub(super) fn is_used(&self, at: usize, entry: &Entry) -> bool {
        let plugin = entry.plugin.as_deref().filter(|_| entry.is_of_managed).map(name);
        plugin.is_none_or(|plugin| {
            let by_default = plugin.0 == PLUGINS && USED_BY_DEFAULT.contains(&plugin.1);
            by_default || self.used.contains(&(at, plugin))
        })
    }

    /// The entry of a plugin in the nearest pom that states its version: the project itself, or one above. The
    /// first value is that pom.
    pub(super) fn versioned_plugin(&self, at: usize, plugin: &Entry) -> Option<(usize, &'a Entry)> {
        let name = name(&plugin.of);
        let mut chain = self.repository.chain(at).iter().take_while(|_| self.repository.spend());
        chain.find_map(|holder| {
            let found = self.plugins.get(&(*holder, name)).copied();
            let found = found.filter(|found| *holder == at || !found.is_private);
            found.map(|found| (*holder, found))
        })
    }

    /// Whether a project gives all inherited entries what its parent gives them, as most modules of a large
    /// repository do: evaluating each entry again would take most of the work.
    pub(super) fn is_as_above(&self, at: usize) -> bool {
        let Some(pom) = self.repository.poms.get(at) else { return true };
        let above = self.repository.chain(at).get(1..).unwrap_or_default();
        let is_used = |name: &String| {
            let mut expressions = above.iter().filter_map(|above| self.expressions.get(*above));
            expressions.any(|expressions| expressions.contains(name.as_str()))
        };
        pom.managed.iter().all(|entry| entry.profile.is_some())
            && pom.own.group.is_none()
            && pom.own.version.is_none()
            && !pom.properties.keys().any(is_used)
            && !above.iter().any(|above| self.varies.get(*above).copied().unwrap_or(true))
    }

    /// The entries that a project inherits, the nearest first, each with the pom that contains it.
    pub(super) fn inherited(&self, at: usize) -> impl Iterator<Item = (usize, &'a Entry)> {
        let chain = self.repository.chain(at);
        let above = chain.iter().enumerate().skip(1);
        let all = above.flat_map(move |(depth, holder)| {
            let entries = self.repository.poms.get(*holder).map(|pom| pom.entries.iter());
            entries.into_iter().flatten().map(move |entry| (depth, *holder, entry))
        });
        all.take_while(|_| self.repository.spend())
            .filter(|(_, holder, entry)| {
                entry.profile.is_none() && !entry.is_private && self.is_used(*holder, entry)
            })
            .filter(move |(depth, _, entry)| {
                let key = Key::of(entry);
                let nearer = chain.iter().take(*depth).filter_map(|pom| self.keys.get(*pom));
                let mut nearer = nearer.take_while(|_| self.repository.spend());
                !nearer.any(|keys| keys.contains(&key))
            })
            .map(|(_, holder, entry)| (holder, entry))
    }
}
