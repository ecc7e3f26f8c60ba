//! Rules of the collector: what is bounded, and what is refused.

use super::*;

#[test]
fn warnings_are_bounded_and_names_checked() {
    let file = SourceFile { path: "Cargo.lock", bytes: b"", budget: Budget::alone(1 << 30) };
    let mut collector = Collector::new(file, Ecosystem::Cargo, Source::Lockfile);
    for line in 1..=150 {
        collector.add(Declared { name: " ", line, ..Declared::default() });
    }
    let findings = collector.finish();
    assert!(findings.packages.is_empty());
    assert_eq!(findings.warnings.len(), 101);
    assert_eq!(findings.warnings[100].message, "50 more warnings are omitted");
}

/// Fails if the memory for the packages of one file is unbounded.
#[test]
fn packages_are_bounded_by_number_and_by_text() {
    let omitted = |path: &str, wanted: u32| {
        let file = SourceFile { path, bytes: b"", budget: Budget::alone(1 << 30) };
        let mut collector = Collector::new(file, Ecosystem::Cargo, Source::Lockfile);
        for line in 1..=wanted {
            collector.add(Declared { name: "a", line, ..Declared::default() });
        }
        let findings = collector.finish();
        let warning = findings.warnings.first().map(|warning| warning.message.clone());
        (findings.packages.len(), warning.unwrap_or_default())
    };
    let more = "1 more packages are omitted: the file declares more than the limit of one file";
    assert_eq!(omitted("Cargo.lock", 250_001), (250_000, more.to_owned()));
    assert_eq!(omitted("Cargo.lock", 250_000), (250_000, String::new()));
    let (kept, warning) = omitted(&"d".repeat(20_000), 4_000);
    assert!(kept < 3_500 && warning.contains("more packages are omitted"), "{kept} {warning}");
}

#[test]
fn required_packages_are_listed_once_by_purl_and_bounded() {
    let file = SourceFile { path: "Cargo.lock", bytes: b"", budget: Budget::alone(1 << 30) };
    let mut collector = Collector::new(file, Ecosystem::Cargo, Source::Lockfile);
    let named = |name| Declared { name, line: 1, ..Declared::default() };
    let [b, a, c] = ["b", "a", "c"].map(|name| collector.take(Ecosystem::Cargo, named(name)));
    for required in [c, a, c, b] {
        collector.requires(b.unwrap(), required.unwrap());
    }
    collector.text = MAX_TEXT + 1;
    collector.requires(a.unwrap(), c.unwrap());
    let findings = collector.finish();
    assert_eq!(findings.packages[0].requires, ["pkg:cargo/a", "pkg:cargo/c"]);
    assert!(findings.packages[1].requires.is_empty());
    assert!(findings.warnings[0].message.starts_with("1 relations between packages"));
}

/// Fails if an entry that was read in part becomes a package or a warning.
#[test]
fn nothing_is_added_once_the_budget_is_used_up() {
    let file = SourceFile::alone("Cargo.lock", b"");
    let mut collector = Collector::new(file, Ecosystem::Cargo, Source::Lockfile);
    let named = |name| Declared { name, line: 1, ..Declared::default() };
    let [a, b] = ["a", "b"].map(|name| collector.take(Ecosystem::Cargo, named(name)).unwrap());
    assert!(!file.budget.spend(file.budget.allowed()));
    assert_eq!(collector.take(Ecosystem::Cargo, named("c")), None);
    collector.requires(a, b);
    collector.warn(1, "`d` has no version");
    let findings = collector.finish();
    assert_eq!((findings.packages.len(), findings.warnings.len()), (2, 0));
    assert!(findings.packages[0].requires.is_empty());
}

#[test]
fn long_names_and_versions_are_rejected() {
    let file = SourceFile { path: "Cargo.toml", bytes: b"", budget: Budget::alone(1 << 30) };
    let mut collector = Collector::new(file, Ecosystem::Cargo, Source::Manifest);
    let long = "1".repeat(5_000);
    collector.add(Declared { name: &long, line: 1, ..Declared::default() });
    let (version, specifier) = (Some(long.as_str()), Some(long.as_str()));
    collector.add(Declared { name: "a", version, specifier, line: 2, ..Declared::default() });
    let findings = collector.finish();
    let [package] = findings.packages.as_slice() else { panic!("{findings:?}") };
    assert_eq!((&package.version, &package.specifier), (&None, &None));
    let lines: Vec<_> = findings.warnings.iter().filter_map(|warning| warning.line).collect();
    assert_eq!(lines, [1, 2, 2]);
}

#[test]
fn no_warning_contains_a_part_of_a_secret() {
    let file = SourceFile { path: "requirements.txt", bytes: b"", budget: Budget::alone(1 << 30) };
    let mut collector = Collector::new(file, Ecosystem::PyPi, Source::Manifest);
    let line = format!("x https://user:{}@git.example/x", "secret".repeat(50));
    collector.warn(1, format!("`{}` is odd", text::excerpt(&line)));
    collector.warn(2, &line);
    let messages: Vec<_> =
        collector.finish().warnings.into_iter().map(|warning| warning.message).collect();
    assert_eq!(messages, ["`x https://git.example/x` is odd", "x https://git.example/x"]);
}

#[test]
fn digests_and_licenses_are_kept_once_in_one_form() {
    let file = SourceFile::alone("composer.lock", b"");
    let mut collector = Collector::new(file, Ecosystem::Composer, Source::Lockfile);
    let added = collector
        .take(Ecosystem::Composer, Declared { name: "a/b", line: 1, ..Declared::default() });
    let sha1 = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
    collector.hash(added, &format!("{} sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=", "0f".repeat(32)));
    collector.hash(added, sha1);
    collector.hash(added, "h1:2jmj7l5rSw0yVb/vlWAYkK/YBwk=");
    collector.hash(None, sha1);
    for license in ["MIT/ISC", "MIT OR ISC", " own ", ""] {
        collector.license(added, license);
    }
    let package = collector.finish().packages.remove(0);
    assert_eq!(package.hashes, [format!("sha1:{sha1}"), format!("sha256:{}", "0f".repeat(32))]);
    assert_eq!(package.licenses, ["MIT OR ISC", "own"]);
}

/// Fails if one package can hold any number of texts.
#[test]
fn digests_and_licenses_are_bounded() {
    let file = SourceFile { path: "uv.lock", bytes: b"", budget: Budget::alone(1 << 30) };
    let mut collector = Collector::new(file, Ecosystem::PyPi, Source::Lockfile);
    let added =
        collector.take(Ecosystem::PyPi, Declared { name: "a", line: 1, ..Declared::default() });
    for number in 0..2 * MAX_STATED {
        collector.hash(added, &format!("{number:064x}"));
        collector.license(added, &number.to_string());
    }
    collector.license(added, &"x".repeat(MAX_NAME + 1));
    let findings = collector.finish();
    let package = &findings.packages[0];
    assert_eq!((package.hashes.len(), package.licenses.len()), (MAX_STATED, MAX_STATED));
}
