use super::*;
use crate::model::ecosystem::Ecosystem;

fn signature() -> Signature {
    Signature::of(&std::fs::metadata("/").unwrap())
}

fn add(table: &mut Table, repository: u32, packages: &[(Ecosystem, &str, Option<&str>)]) {
    let from = table.len();
    for (place, (ecosystem, name, version)) in packages.iter().enumerate() {
        table.push(&(*ecosystem).into(), name, *version, place as u64).unwrap();
    }
    table.finish(repository, from, signature());
}

/// Three repositories; the second one was scanned twice.
fn table() -> Table {
    use Ecosystem::{Npm, PyPi};
    let mut table = Table::default();
    add(&mut table, 2, &[(Npm, "left-pad", Some("1.10.0")), (PyPi, "left-pad", Some("1.0rc1"))]);
    add(&mut table, 1, &[(Npm, "old", None); 20]);
    add(&mut table, 0, &[(Npm, "left-pad", Some("1.9.0")), (Npm, "pad-left", None)]);
    add(&mut table, 1, &[(Npm, "left-pad", None), (Npm, "lodash", Some("4.17.21"))]);
    table
}

fn found(table: &Table, query: &PackageQuery) -> (Vec<(u32, u64)>, FoundRows) {
    let found = table.search(query, &(0..100));
    let rows: Vec<_> = found.rows.iter().map(|row| (row.repository, row.place)).collect();
    assert_eq!(rows.len(), found.total);
    (rows, found)
}

#[test]
fn rows_are_found_by_what_is_given() {
    let some = |text: &str| Some(text.to_owned());
    let mut table = table();
    for _ in 0..2 {
        let (rows, all) = found(&table, &PackageQuery::default());
        assert_eq!(rows, [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]);
        assert_eq!(all.by_ecosystem, [("npm".to_owned(), 5), ("pypi".to_owned(), 1)].into());
        let named = PackageQuery { name: some("left-pad"), ..PackageQuery::default() };
        assert_eq!(found(&table, &named).0, [(0, 0), (1, 0), (2, 0), (2, 1)]);
        let part = PackageQuery { fragment: some("PAD-l"), ..PackageQuery::default() };
        assert_eq!(found(&table, &part).0, [(0, 1)]);
        let both = PackageQuery { fragment: some("ash"), ..named };
        assert!(found(&table, &both).0.is_empty());
        let npm = PackageQuery { ecosystem: some("npm"), ..PackageQuery::default() };
        assert_eq!((found(&table, &npm).1.total, found(&table, &npm).1.repositories), (5, 3));
        let range = PackageQuery {
            fragment: some("left-pad"),
            range: "<1.10".parse().ok(),
            ..PackageQuery::default()
        };
        let (rows, in_range) = found(&table, &range);
        assert_eq!((rows, in_range.without_version), (vec![(0, 0), (2, 1)], 1));
        let page = table.search(&PackageQuery::default(), &(4..5));
        assert_eq!((page.rows[0].repository, page.total, page.rows.len()), (2, 6, 1));
        assert_eq!(
            table.packages(1).map(|(_, name, _)| name).collect::<Vec<_>>(),
            ["left-pad", "lodash"]
        );
        table.compact();
        assert_eq!((table.len(), table.dead), (6, 0));
    }
    table.remove(0);
    assert!(!table.has(0) && table.has(1));
    assert_eq!(found(&table, &PackageQuery::default()).1.total, 4);
}

#[test]
fn a_repository_that_is_being_added_is_not_found() {
    let mut table = table();
    let from = table.len();
    table.push(&Ecosystem::Npm.into(), "half", None, 7).unwrap();
    assert_eq!(found(&table, &PackageQuery::default()).1.total, 6);
    table.truncate(from);
    assert_eq!(table.len(), from);
}

/// Breaks if a row takes more memory than a hundred bytes, also where no name occurs twice.
#[test]
fn a_row_takes_little_memory() {
    for different in [1_000, 300_000_u64] {
        let mut table = Table::default();
        for row in 0..300_000 {
            let name = format!("@some-scope/package-{}", row % different);
            let version = format!("{}.{}.0", row % 40, row % 13);
            table.push(&Ecosystem::Npm.into(), &name, Some(&version), row).unwrap();
        }
        assert!(table.bytes() / 300_000 < 100, "{} bytes", table.bytes() / 300_000);
    }
}
