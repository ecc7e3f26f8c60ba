//! Maps modules to packages, by tables and by rules for shared namespaces.
//!
//! Input: a dotted name. Output: the package that provides it, and alternative packages. Invariants: the
//! longest known prefix of a name determines the package.

use super::super::purl::python_name;
use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

/// By module: the package, then alternative packages.
type Table = HashMap<&'static str, Vec<&'static str>>;

static STANDARD: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| lines(include_str!("tables/python_standard_library.txt")).collect());
static DISTRIBUTIONS: LazyLock<Table> =
    LazyLock::new(|| table(include_str!("tables/python_distributions.txt")));
static ARTIFACTS: LazyLock<Table> =
    LazyLock::new(|| table(include_str!("tables/jvm_libraries.txt")));

/// Namespaces of Python in which each module is a distribution of its own: the namespace, and the prefix
/// of the distributions' names.
const NAMESPACES: [(&str, &str); 26] = [
    ("airflow.providers", "apache-airflow-providers-"),
    ("airflow.providers.apache", "apache-airflow-providers-apache-"),
    ("airflow.providers.cncf", "apache-airflow-providers-cncf-"),
    ("airflow.providers.common", "apache-airflow-providers-common-"),
    ("airflow.providers.dbt", "apache-airflow-providers-dbt-"),
    ("airflow.providers.microsoft", "apache-airflow-providers-microsoft-"),
    ("azure", "azure-"),
    ("azure.ai", "azure-ai-"),
    ("azure.communication", "azure-communication-"),
    ("azure.data", "azure-data-"),
    ("azure.iot", "azure-iot-"),
    ("azure.keyvault", "azure-keyvault-"),
    ("azure.mgmt", "azure-mgmt-"),
    ("azure.monitor", "azure-monitor-"),
    ("azure.search", "azure-search-"),
    ("azure.storage", "azure-storage-"),
    ("backports", "backports."),
    ("google.ads", "google-ads-"),
    ("google.cloud", "google-cloud-"),
    ("jaraco", "jaraco."),
    ("opentelemetry.exporter", "opentelemetry-exporter-"),
    ("opentelemetry.instrumentation", "opentelemetry-instrumentation-"),
    ("plone", "plone."),
    ("repoze", "repoze."),
    ("sphinxcontrib", "sphinxcontrib-"),
    ("zope", "zope."),
];

/// A package, and the alternatives that provide the same modules.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Library {
    pub(super) name: String,
    /// Packages that provide the same; those of Maven may end in `*`.
    pub(super) others: &'static [&'static str],
}

/// The library of a package of the JVM.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Artifact {
    Library(Library),
    /// The JDK, or Scala's own library.
    Platform,
    Unknown,
}

/// The distribution of a Python module; none for modules of the standard library, and for modules that
/// belong to no distribution.
pub(super) fn distribution(module: &str) -> Option<Library> {
    let top = module.split('.').next().unwrap_or(module);
    if STANDARD.contains(top) {
        return None;
    }
    for part in parts(module) {
        if let Some(names) = DISTRIBUTIONS.get(part) {
            return library(names);
        }
        if let Some((_, stem)) = NAMESPACES.iter().find(|(namespace, _)| *namespace == part) {
            let next = module.get(part.len() + 1..)?.split('.').next()?;
            return Some(Library { name: of_namespace(stem, next), others: &[] });
        }
    }
    // A name with a leading underscore is private to an implementation.
    let is_name = !top.starts_with('_') && top.is_ascii();
    let name = python_name(top);
    (is_name && !name.is_empty()).then_some(Library { name, others: &[] })
}

/// The library of a package of Java or Scala.
pub(super) fn artifact(package: &str) -> Artifact {
    match parts(package).find_map(|part| ARTIFACTS.get(part)) {
        Some(names) => library(names).map_or(Artifact::Platform, Artifact::Library),
        None => Artifact::Unknown,
    }
}

fn library(names: &'static [&'static str]) -> Option<Library> {
    let (name, others) = names.split_first()?;
    Some(Library { name: (*name).to_owned(), others })
}

/// `google-cloud-` and `bigquery_storage_v1` become `google-cloud-bigquery-storage`.
fn of_namespace(stem: &str, module: &str) -> String {
    if stem.ends_with('.') {
        return format!("{stem}{module}");
    }
    let version = module.rfind("_v").filter(|at| {
        module
            .get(at + 2..)
            .is_some_and(|rest| rest.starts_with(|character: char| character.is_ascii_digit()))
    });
    format!("{stem}{}", module.get(..version.unwrap_or(module.len())).unwrap_or(module))
        .replace('_', "-")
}

/// A dotted name and its prefixes: `a.b.c`, `a.b`, `a`.
pub(super) fn parts(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |inner| inner.rsplit_once('.').map(|(outer, _)| outer))
}

fn lines(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines().filter(|line| !line.starts_with('#') && !line.is_empty())
}

fn table(text: &'static str) -> Table {
    let row = |line: &'static str| {
        let mut words = line.split(' ');
        (words.next().unwrap_or_default(), words.collect())
    };
    lines(text).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ecosystem::Ecosystem;

    #[test]
    fn python_modules_are_mapped_to_distributions() {
        for (module, expected) in [
            ("yaml", Some("PyYAML")),
            ("numpy.linalg", Some("numpy")),
            ("typing_extensions", Some("typing_extensions")),
            ("flask_admin.base", Some("flask-admin")),
            ("google.cloud.bigquery_storage_v1.types", Some("google-cloud-bigquery-storage")),
            ("google.protobuf.message", Some("protobuf")),
            ("google.cloud", None),
            ("google.unheard", None),
            ("zope.interface", Some("zope.interface")),
            ("azure.storage.blob.aio", Some("azure-storage-blob")),
            ("azure.identity", Some("azure-identity")),
            ("airflow.models", Some("apache-airflow")),
            ("airflow.providers.apache.spark", Some("apache-airflow-providers-apache-spark")),
            ("os.path", None),
            ("urllib2", None),
            ("distutils.core", None),
            ("__future__.annotations", None),
            ("_private", None),
            ("größe", None),
        ] {
            let found = distribution(module).map(|library| library.name);
            assert_eq!(found.as_deref(), expected, "{module}");
        }
    }

    #[test]
    fn jvm_packages_are_mapped_to_artifacts() {
        for (package, expected) in [
            ("com.google.common.collect", Some("com.google.guava:guava")),
            ("com.google.common.truth", Some("com.google.truth:truth")),
            ("org.apache.commons.lang3.tuple", Some("org.apache.commons:commons-lang3")),
            ("cats", Some("org.typelevel:cats-core")),
            ("cats.effect.kernel", Some("org.typelevel:cats-effect")),
            ("javax.servlet.http", Some("javax.servlet:javax.servlet-api")),
            ("com.sun.jna.ptr", Some("net.java.dev.jna:jna")),
            ("javax.crypto.spec", None),
            ("com.sun.net.httpserver", None),
            ("scala.util", None),
            ("scala.xml", Some("org.scala-lang.modules:scala-xml")),
        ] {
            let found = match artifact(package) {
                Artifact::Library(library) => Some(library.name),
                Artifact::Platform => None,
                Artifact::Unknown => panic!("{package} is unknown"),
            };
            assert_eq!(found.as_deref(), expected, "{package}");
        }
        assert_eq!(artifact("com.google.commonplace"), Artifact::Unknown);
        assert_eq!(artifact("com.acme"), Artifact::Unknown);
    }

    #[test]
    fn table_entries_are_unique_and_have_valid_purls() {
        for (text, ecosystem) in [
            (include_str!("tables/python_distributions.txt"), Ecosystem::PyPi),
            (include_str!("tables/jvm_libraries.txt"), Ecosystem::Maven),
        ] {
            let keys: Vec<_> = lines(text).filter_map(|line| line.split(' ').next()).collect();
            let table = table(text);
            assert_eq!(keys.len(), table.len());
            for (key, names) in table {
                if let Some(name) = names.first() {
                    assert!(ecosystem.purl(name, None).is_some(), "{key}: {name}");
                    assert!(!name.ends_with('*'), "{key}: {name}");
                }
                assert!(names.iter().all(|name| !name.is_empty()), "{key}: {names:?}");
            }
        }
        assert!(STANDARD.contains("tomllib") && STANDARD.len() > 300);
    }
}
