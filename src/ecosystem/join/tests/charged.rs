//! The work of the steps over several files is charged to the budget.

use super::*;

/// A package that a manifest requires or a lock file lists.
fn package(file: &str, name: &str, source: Source) -> Package {
    let path = "Cargo.toml";
    let file_of = SourceFile::alone(path, b"[dependencies]\nx = '1'\n");
    let one = read_alone(parser_for(path).unwrap(), file_of).packages.remove(0);
    let purl = format!("pkg:cargo/{name}");
    Package { file: file.to_owned(), name: name.to_owned(), purl, source, ..one }
}

/// Paths of manifests 20 folders deep, each in a folder of its own.
fn deep(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{}m{number}/Cargo.toml", "deep/".repeat(20))).collect()
}

/// Runs a step on packages, with an unlimited budget and with none: the units spent, and both results.
fn with_and_without(
    step: fn(&mut Joining<'_>),
    packages: &[Package],
) -> (u64, Vec<Package>, Vec<Package>) {
    let run = |budget: &Budget| {
        let mut packages = packages.to_vec();
        let (warnings, projects, facts) = (Vec::new(), Vec::new(), Facts::default());
        let cache = None;
        step(&mut Joining { packages: &mut packages, warnings, projects, facts, budget, cache });
        packages
    };
    let unlimited = Budget::unlimited();
    let all = run(&unlimited);
    (unlimited.spent(), all, run(&Budget::limited_to(0)))
}

/// Fails if the search for the lock file of a workspace member is not charged.
#[test]
fn the_search_for_the_lock_of_a_member_is_charged() {
    let mut packages = vec![package("Cargo.lock", "x", Source::Lockfile)];
    packages[0].direct = None;
    packages.extend(deep(50).iter().map(|folder| package(folder, "x", Source::Manifest)));
    let (spent, all, none) = with_and_without(locks::complete, &packages);
    assert_eq!((all[0].direct, none[0].direct), (Some(true), None));
    // A folder of 100 bytes, and the 20 folders above it.
    assert!(spent > 50 * 1_000, "{spent}");
}

/// Fails if the search for inherited versions, or copying them, is not charged.
#[test]
fn what_members_inherit_is_charged() {
    let members = deep(50);
    let packages = |defined: &str| {
        let mut packages = vec![package("Cargo.toml", "x", Source::Manifest)];
        (packages[0].scope, packages[0].specifier) = (None, Some(defined.to_owned()));
        packages.extend(members.iter().map(|folder| {
            let inherits = Some("workspace = true".to_owned());
            Package { specifier: inherits, ..package(folder, "x", Source::Manifest) }
        }));
        packages
    };
    let inherited = |packages: &[Package], defined: &str| {
        let inherits = |package: &&Package| package.specifier.as_deref() == Some(defined);
        packages.iter().skip(1).filter(inherits).count()
    };
    let (spent, all, none) = with_and_without(inherit_versions, &packages("1"));
    assert_eq!((inherited(&all, "1"), inherited(&none, "1")), (50, 0));
    // The length of each folder above each member, twice.
    assert!(spent > 50 * 2_000, "{spent}");
    let long = "1".repeat(1_000);
    let (of_long, ..) = with_and_without(inherit_versions, &packages(&long));
    assert!(of_long > spent + 50 * 1_000, "copying was not charged: {of_long} and {spent}");

    // Many folders above that define packages, but not the required one: each lookup is charged.
    let mut wide: Vec<Package> = std::iter::successors(Some("deep/".repeat(20)), |folder| {
        folder.strip_suffix("deep/").map(str::to_owned)
    })
    .map(|folder| Package {
        scope: None,
        ..package(&format!("{folder}Cargo.toml"), "y", Source::Manifest)
    })
    .collect();
    wide.extend((0..50).map(|number| {
        let file = format!("{}Cargo.toml", "deep/".repeat(20));
        let inherits = Some("workspace = true".to_owned());
        Package { specifier: inherits, ..package(&file, &format!("x{number}"), Source::Manifest) }
    }));
    let (spent, ..) = with_and_without(inherit_versions, &wide);
    assert!(spent > 50 * 1_000, "{spent}");
}
