//! `go.sum` of modules from before Go 1.17, by "go.sum files" and "Module graph pruning" of the "Go Modules
//! Reference".
//!
//! Input: lines of a module, its version and a hash; and the [`OldModule`] of the `go.mod` beside the file.
//! Output: the modules that the main module needs through others.
//!
//! Decisions. Since Go 1.17, `go.mod` lists every module of the build, so `go.sum` adds nothing and is ignored. A
//! line whose version ends with `/go.mod` is about the graph of modules, and not about the content of one. Of
//! several versions of a module the highest counts, as in minimal version selection. The file may have
//! modules that are not needed any more, because only `go mod tidy` removes them. Where
//! `vendor/modules.txt` lists the modules of the build, that file counts.
//!
//! Invariants: what `go.mod` requires or replaces is not listed again.

use super::vendor::{folder_of_list, is_version};
use crate::ecosystem::{
    Budget, Findings, Parser, SourceFile,
    collect::{Collector, Declared, MAX_NAME},
    facts::{Fact, Facts},
    path::{file_name, folder_of},
    step::Joining,
    text,
};
use crate::model::{ecosystem::Ecosystem, scan_result::Source};
use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap, HashSet},
};

/// Reads `go.sum`.
#[derive(Debug)]
pub(in crate::ecosystem) struct GoSum;

/// A `go.mod` from before Go 1.17.
#[derive(Debug, PartialEq)]
pub(super) struct OldModule {
    pub(super) folder: String,
    /// The module itself, and the modules that it requires, with their replacements.
    pub(super) known: HashSet<String>,
    /// The modules that are replaced in every version: the version, where only that is replaced.
    pub(super) replaced: HashMap<String, Option<String>>,
}

impl Fact for OldModule {
    fn size(&self) -> usize {
        self.known.len() + self.replaced.len()
    }

    fn gather(self: Box<Self>, facts: &mut Facts) {
        facts.with(|all: &mut Vec<Self>| all.push(*self));
    }
}

/// The modules of a `go.sum`: the highest version of each, and its line.
#[derive(Debug, PartialEq)]
struct Sums {
    file: String,
    modules: BTreeMap<String, (String, u32)>,
}

impl Fact for Sums {
    /// Few of these files are beside an old `go.mod`, and an entry is smaller than a package.
    fn size(&self) -> usize {
        self.modules.len().div_ceil(8)
    }

    fn gather(self: Box<Self>, facts: &mut Facts) {
        facts.with(|all: &mut Vec<Self>| all.push(*self));
    }
}

impl Parser for GoSum {
    fn name(&self) -> &'static str {
        "go-sum"
    }

    fn reads_lock_files(&self) -> bool {
        true
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "go.sum"
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Golang, Source::Lockfile);
        let text = text::decode(file.bytes);
        let mut modules: BTreeMap<String, (String, u32)> = BTreeMap::new();
        let mut understood = false;
        for (line, content) in (1_u32..).zip(text.lines()) {
            let mut words = content.split_whitespace();
            let Some(path) = words.next() else { continue };
            let is_usable = |version: &&str| {
                is_version(version) && path.len() <= MAX_NAME && version.len() <= MAX_NAME
            };
            let Some(version) = words.next().filter(is_usable) else {
                found.warn(line, format!("`{}` is not a line of go.sum", text::excerpt(content)));
                continue;
            };
            understood = true;
            if version.ends_with("/go.mod") {
                continue;
            }
            if !found.budget().copy(path.len() + version.len()) {
                break;
            }
            let known = modules.entry(path.to_owned()).or_default();
            found.budget().read(known.0.len());
            if compare(version, &known.0).is_gt() {
                *known = (version.to_owned(), line);
            }
        }
        if !understood && found.has_warnings() {
            return found.unreadable();
        }
        let sums = Sums { file: file.path.to_owned(), modules };
        Findings { fact: Some(Box::new(sums)), ..found.finish() }
    }
}

/// Lists the modules of each `go.sum` that a `go.mod` from before Go 1.17 needs through others.
pub(in crate::ecosystem) fn resolve_sums(joining: &mut Joining<'_>) {
    let (old, mut sums): (Vec<OldModule>, Vec<Sums>) = (joining.facts.take(), joining.facts.take());
    if old.is_empty() {
        return;
    }
    let by_folder: HashMap<&str, &OldModule> =
        old.iter().map(|module| (module.folder.as_str(), module)).collect();
    let files = joining.packages.iter().map(|package| package.file.as_str());
    let vendored: HashSet<String> = files.filter_map(folder_of_list).map(str::to_owned).collect();
    sums.sort_by(|a, b| a.file.cmp(&b.file));
    for sums in &sums {
        let folder = folder_of(&sums.file);
        if let Some(module) = by_folder.get(folder).filter(|_| !vendored.contains(folder)) {
            let found = list(sums, module, joining.budget);
            joining.add(found);
        }
    }
}

fn list(sums: &Sums, of: &OldModule, budget: &Budget) -> Findings {
    let file = SourceFile { path: &sums.file, bytes: &[], budget };
    let mut found = Collector::new(file, Ecosystem::Golang, Source::Lockfile);
    for (name, (version, line)) in &sums.modules {
        let replaced = of.replaced.get(name);
        // What is replaced by another module, or by a folder, is not part of the build.
        if of.known.contains(name) || replaced.is_some_and(Option::is_none) {
            continue;
        }
        let version = replaced.and_then(Option::as_ref).unwrap_or(version);
        let (version, direct) = (Some(version.as_str()), Some(false));
        found.add(Declared { name, version, line: *line, direct, ..Declared::default() });
    }
    found.finish()
}

/// Compares two versions by "Versions" of the "Go Modules Reference", which refers to Semantic Versioning.
/// An empty text is less than any version.
fn compare(a: &str, b: &str) -> Ordering {
    let parts = |version: &str| {
        let version = version.split('+').next().unwrap_or_default().to_owned();
        let (numbers, before) = match version.split_once('-') {
            Some((numbers, before)) => (numbers, Some(before.to_owned())),
            None => (version.as_str(), None),
        };
        let numbers = numbers.trim_start_matches('v').split('.');
        let numbers: Vec<u64> = numbers.map_while(|number| number.parse().ok()).collect();
        (numbers, before)
    };
    let ((numbers_a, before_a), (numbers_b, before_b)) = (parts(a), parts(b));
    numbers_a.cmp(&numbers_b).then_with(|| match (before_a, before_b) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(a), Some(b)) => compare_identifiers(&a, &b),
    })
}

/// Semantic Versioning, section 11: numbers are less than other identifiers, and fewer identifiers are less.
fn compare_identifiers(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.split('.'), b.split('.'));
    loop {
        let order = match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(a), Some(b)) => match (a.parse::<u64>(), b.parse::<u64>()) {
                (Ok(a), Ok(b)) => a.cmp(&b),
                (Ok(_), Err(_)) => Ordering::Less,
                (Err(_), Ok(_)) => Ordering::Greater,
                (Err(_), Err(_)) => a.cmp(b),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecosystem::{Gathered, join, parser_for};

    /// Joins the files, and compares the packages of `go.sum`: name, version and line.
    #[track_caller]
    fn check(files: &[(&str, &str)], expected: &[&str]) {
        let (mut packages, mut gathered) = (Vec::new(), Gathered::default());
        for (path, text) in files {
            let file = SourceFile::alone(path, text.as_bytes());
            let findings = parser_for(path).unwrap().parse(file);
            packages.extend(findings.packages);
            if let Some(fact) = findings.fact {
                fact.gather(&mut gathered.facts);
            }
            gathered.bytes += text.len() as u64;
        }
        join(&mut packages, gathered);
        let of_sum = packages.iter().filter(|package| package.file.ends_with("go.sum"));
        let shown: Vec<_> = of_sum
            .map(|package| {
                assert_eq!(package.direct, Some(false));
                let version = package.version.as_deref().unwrap_or_default();
                format!("{} {version} {}", package.name, package.line.unwrap_or_default())
            })
            .collect();
        assert_eq!(shown, expected);
    }

    const SUM: &str = "a.example/direct v1.0.0 h1:x=\n\
        a.example/direct v1.0.0/go.mod h1:x=\n\
        a.example/graph v1.0.0/go.mod h1:x=\n\
        a.example/through v1.9.0 h1:x=\n\
        a.example/through v1.10.0 h1:x=\n\
        a.example/pseudo v0.0.0-20200101000000-000000000000 h1:x=\n\
        a.example/pseudo v0.0.0-20210101000000-000000000000 h1:x=\n";

    #[test]
    fn an_old_module_needs_what_the_sum_has_beside_its_requirements() {
        let through = [
            "a.example/pseudo v0.0.0-20210101000000-000000000000 7",
            "a.example/through v1.10.0 5",
        ];
        for go in ["go 1.16\n", "go 1.9\n", ""] {
            let module = format!("module m\n{go}require a.example/direct v1.0.0\n");
            check(&[("x/go.mod", &module), ("x/go.sum", SUM)], &through);
        }
    }

    /// Fails if the file counts where it adds nothing: since Go 1.17, or beside a list of the build.
    #[test]
    fn other_modules_do_not_need_the_sum() {
        for go in ["1.17", "1.21.3", "2.0"] {
            let module = format!("module m\ngo {go}\nrequire a.example/direct v1.0.0\n");
            check(&[("go.mod", &module), ("go.sum", SUM)], &[]);
        }
        check(&[("go.sum", SUM)], &[]);
        check(&[("x/go.mod", "module m\ngo 1.16\n"), ("go.sum", SUM)], &[]);
        let list = ("vendor/modules.txt", "# a.example/through v1.9.0\na.example/through\n");
        check(&[("go.mod", "module m\ngo 1.16\n"), ("go.sum", SUM), list], &[]);
    }

    #[test]
    fn replaced_modules_are_not_listed() {
        let module = "module m\nreplace a.example/through => ../through\n\
            replace a.example/pseudo => a.example/pseudo v0.0.0-20200101000000-000000000000\n\
            replace a.example/graph => a.example/fork v1.0.0\n";
        let sum = format!("{SUM}a.example/fork v1.0.0 h1:x=\na.example/graph v0.9.0 h1:x=\n");
        check(
            &[("go.mod", module), ("go.sum", &sum)],
            &[
                "a.example/direct v1.0.0 1",
                "a.example/fork v1.0.0 8",
                "a.example/pseudo v0.0.0-20200101000000-000000000000 7",
            ],
        );
    }

    #[test]
    fn versions_are_ordered() {
        let sorted = [
            "",
            "v0.9.0",
            "v1.0.0-alpha",
            "v1.0.0-alpha.1",
            "v1.0.0-beta.2",
            "v1.0.0-beta.11",
            "v1.0.0",
            "v1.2.0+incompatible",
            "v1.10.0",
        ];
        for pair in sorted.windows(2) {
            assert_eq!(compare(pair[0], pair[1]), Ordering::Less, "{pair:?}");
            assert_eq!(compare(pair[1], pair[0]), Ordering::Greater, "{pair:?}");
        }
    }
}
