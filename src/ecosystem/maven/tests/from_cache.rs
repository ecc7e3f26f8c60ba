//! Versions from a cache of poms.

use super::{child, dependencies, dependency, managed, project, read, version};
use crate::ecosystem::{
    Budget,
    maven::packages::resolve,
    module_cache::{CachedFile, ModuleCache, ModuleId},
};
use std::collections::BTreeMap;

/// A cache in memory, which records what it is asked for.
#[derive(Debug, Default)]
struct Cache {
    poms: BTreeMap<&'static str, String>,
    asked: Vec<String>,
}

impl ModuleCache for Cache {
    fn pom(&mut self, module: &ModuleId) -> Option<CachedFile> {
        let name = format!("{}:{}:{}", module.group(), module.artifact(), module.version());
        let text = self.poms.get(name.as_str()).cloned();
        let path = name.replace(':', "/") + ".pom";
        self.asked.push(name);
        text.map(|text| CachedFile { path, bytes: text.into_bytes() })
    }
}

/// `file name version < managers | cached file` of each package.
#[track_caller]
fn check(files: &[(&str, &str)], cache: &mut Cache, expected: &[&str]) {
    let poms = files.iter().map(|(path, text)| read(path, text)).collect();
    let found = resolve(poms, Some(cache), Budget::alone(1 << 20));
    let shown: Vec<_> = found
        .packages
        .iter()
        .map(|package| {
            let version = package.version.as_deref().or(package.specifier.as_deref());
            let mut shown = format!("{} {} {}", package.file, package.name, version.unwrap_or("-"));
            package.managed_by.iter().for_each(|purl| shown.extend([" < ", purl.as_str()]));
            package.resolved_from.iter().for_each(|path| shown.extend([" | ", path.as_str()]));
            shown
        })
        .collect();
    assert_eq!(shown, expected);
}

fn import(name: &str, number: &str) -> String {
    dependency(name, &format!("{}<type>pom</type><scope>import</scope>", version(number)))
}

fn properties(all: &str) -> String {
    format!("<properties>{all}</properties>")
}

#[test]
fn parents_and_boms_of_the_cache_define_versions() {
    let mut cache = Cache::default();
    let parent = properties("<bom>7</bom><own>1.1</own>")
        + &managed(&[import("o:bom", "${bom}"), dependency("x:a", &version("1.0"))]);
    let above =
        properties("<above>5.0</above>") + &dependencies(&[dependency("x:d", &version("4"))]);
    let parent = child("o:above", "parent", &parent);
    let bom = project("o:bom", &managed(&[dependency("x:b", &version("${v}"))]))
        .replace("<version>1</version>", "<version>8</version><properties><v>3</v></properties>");
    cache.poms.insert("o:parent:1", parent);
    cache.poms.insert("o:above:1", project("o:above", &above));
    cache.poms.insert("o:bom:8", bom);
    let uses = properties("<bom>8</bom>")
        + &dependencies(&[
            dependency("x:a", ""),
            dependency("x:b", ""),
            dependency("x:c", &version("${above}")),
            dependency("x:e", ""),
            dependency("x:f", &version("9")),
        ]);
    check(
        &[("app/pom.xml", &child("o:parent", "app", &uses))],
        &mut cache,
        &[
            "app/pom.xml o:parent 1",
            "app/pom.xml x:a 1.0 | o/parent/1.pom",
            "app/pom.xml x:b 3 | o/bom/8.pom",
            "app/pom.xml x:c 5.0 | o/above/1.pom",
            "app/pom.xml x:e -",
            "app/pom.xml x:f 9",
            "app/pom.xml x:d 4 | o/above/1.pom",
        ],
    );
    cache.asked.sort_unstable();
    assert_eq!(cache.asked, ["o:above:1", "o:bom:7", "o:bom:8", "o:parent:1"]);
}

#[test]
fn a_pom_that_the_cache_does_not_have_is_named() {
    let mut cache = Cache::default();
    cache
        .poms
        .insert("o:parent:1", child("o:missing", "parent", &managed(&[import("o:bom", "2")])));
    // A file with the coordinates of another module.
    cache.poms.insert("o:bom:2", project("o:other", &managed(&[dependency("x:a", &version("1"))])));
    let uses = dependencies(&[dependency("x:a", "")]);
    check(
        &[("pom.xml", &child("o:parent", "app", &uses))],
        &mut cache,
        &["pom.xml o:parent 1", "pom.xml x:a - < pkg:maven/o/missing@1 < pkg:maven/o/bom@2"],
    );
}

/// Fails if poms that refer to each other are read again and again, or a reference leads to another file.
#[test]
fn references_are_followed_once_and_are_names_of_files() {
    let mut cache = Cache::default();
    cache.poms.insert("o:a:1", child("o:b", "a", &managed(&[import("o:a", "1")])));
    cache.poms.insert("o:b:1", child("o:a", "b", &managed(&[import("o:b", "1")])));
    let imports =
        managed(&[import("../..:etc", "1"), import("o:x", "../1"), import("o:x", "[1,2)")]);
    let uses = imports + &dependencies(&[dependency("x:a", "")]);
    let poms = vec![read("pom.xml", &child("o:a", "app", &uses))];
    let found = resolve(poms, Some(&mut cache), Budget::alone(1 << 20));
    assert!(found.packages.iter().all(|package| package.resolved_from.is_none()));
    cache.asked.sort_unstable();
    assert_eq!(cache.asked, ["o:a:1", "o:b:1"]);
}
