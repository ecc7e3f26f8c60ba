//! Tests of each kind of entry.

use super::*;
use crate::{
    intake::{discovery::numbering::Numbering, forge_api::Facts},
    model::{filters::Filters, plan::in_words},
};
use chrono::DateTime;

fn policy() -> NetworkPolicy {
    NetworkPolicy {
        allow_hosts: vec!["forge.example".into(), "other.example".into()],
        allow_ports: vec![443],
        ..NetworkPolicy::default()
    }
}

fn selection(options: &Options) -> Selection {
    let place = GitUrl::parse("https://forge.example/Acme/web", &policy()).unwrap();
    Selection::new(&place, &policy(), options, DateTime::UNIX_EPOCH).unwrap()
}

fn entry(path: &str) -> Project {
    at(path, &format!("https://forge.example/{path}.git"))
}

fn at(path: &str, url: &str) -> Project {
    Project { path: Some(path.to_owned()), url: Some(url.to_owned()), ..Project::default() }
}

/// The plan of these entries, in their order.
fn plan(options: &Options, entries: &[Project]) -> Plan {
    plan_of(&selection(options), entries)
}

fn plan_of(selection: &Selection, entries: &[Project]) -> Plan {
    let mut numbering = Numbering::after(&[], entries.len());
    let rows = selection.rows(entries, &|| false).unwrap();
    let repositories = rows.into_iter().filter_map(|row| numbering.add(row).unwrap()).collect();
    Plan { schema: 1, complete: true, repositories }
}

/// `number name` of each row, and why it is skipped or refused.
fn lines(plan: &Plan) -> Vec<String> {
    let line = |row: &PlannedRepository| {
        let number = row.repo_index.map_or("-".to_owned(), |index| index.to_string());
        let reason = row.skipped.iter().map(|reason| format!(" skipped: {reason}"));
        let reason = reason.chain(row.refused.iter().map(|reason| format!(" refused: {reason}")));
        format!("{number} {}{}", row.repo_name, reason.collect::<String>())
    };
    plan.repositories.iter().map(line).collect()
}

#[test]
fn names_are_the_paths_below_the_group_and_numbers_follow_the_list() {
    let entries = ["acme/web/z", "ACME/Web/a/b.git", "acme/web/a", "elsewhere/c"];
    let plan = plan(&Options::default(), &entries.map(entry));
    assert_eq!(lines(&plan), ["0 z", "1 a/b", "2 a", "3 elsewhere/c"]);
    assert_eq!(plan.repositories[1].git_url, "https://forge.example/ACME/Web/a/b.git.git");
}

#[test]
fn duplicate_entries_are_scanned_once() {
    let again = at("acme/web/b", "https://forge.example/acme/web/a.git");
    let entries = vec![entry("acme/web/a"), entry("acme/web/c"), entry("acme/web/a"), again];
    let plan = plan(&Options::default(), &entries);
    assert_eq!(lines(&plan), ["0 a", "1 c", "- b skipped: the same repository as `a`"]);
}

#[test]
fn repositories_skipped_by_patterns_have_a_reason() {
    let options = Options {
        include: vec!["apps/**".into(), "lib-*".into()],
        exclude: vec!["*-old".into()],
        ..Options::default()
    };
    let mut empty = entry("acme/web/apps/empty");
    empty.skipped = Some((SkipKind::Empty, "the repository is empty"));
    let entries = vec![
        entry("acme/web/apps/one"),
        entry("acme/web/apps/one-old"),
        entry("acme/web/deep/lib-two"),
        entry("acme/web/three"),
        empty,
    ];
    assert_eq!(
        lines(&plan(&options, &entries)),
        [
            "0 apps/one",
            "- apps/one-old skipped: excluded by `*-old`",
            "1 deep/lib-two",
            "- three skipped: not included by `apps/**`, `lib-*`",
            "- apps/empty skipped: the repository is empty",
        ]
    );
}

#[test]
fn a_refused_url_is_shown_without_its_secrets() {
    for (url, shown, reason) in [
        ("http://127.0.0.1:9/x.git", "http://127.0.0.1:9/x.git", "scheme: http"),
        ("https://127.0.0.1/x.git", "https://127.0.0.1/x.git", "Private network"),
        ("https://other.example/x.git", "https://other.example/x.git", "another origin"),
        ("https://evil.example/x.git", "https://evil.example/x.git", "Domain not allowed"),
        ("https://u:s3cret@forge.example/x.git", "https://forge.example/x.git", "credentials"),
        (
            "https://forge.example/x.git?t=s3cret#f",
            "https://forge.example/x.git",
            "must not contain ? or #",
        ),
        ("file:///etc/passwd", "https://forge.example/acme/web/a.git", "scheme: file"),
        ("ext::sh -c touch% /tmp/s3cret", "https://forge.example/acme/web/a.git", "scheme: ext"),
        ("ssh://git:s3cret@forge.example/x", "https://forge.example/acme/web/a.git", "credentials"),
        ("no URL", "https://forge.example/acme/web/a.git", "blanks"),
    ] {
        let plan = plan(&Options::default(), &[at("acme/web/a", url)]);
        let row = &plan.repositories[0];
        assert_eq!((row.repo_index, row.repo_name.as_str()), (Some(0), "a"), "{url}");
        assert_eq!(row.git_url, shown, "{url}");
        let refused = row.refused.as_deref().unwrap_or("not refused");
        assert!(refused.contains(reason) && !refused.contains("s3cret"), "{url}: {refused}");
    }
}

#[test]
fn an_invalid_entry_affects_only_itself() {
    let nothing = |path: Option<&str>| Project {
        path: path.map(str::to_owned),
        label: "(entry 17)".to_owned(),
        ..Project::default()
    };
    let long = "x".repeat(MAX_NAME_CHARS + 1);
    let entries = vec![
        entry("acme/web/good"),
        nothing(None),
        nothing(Some("acme/web/half")),
        Project {
            unreadable: Some("number out of range".to_owned()),
            label: "(entry 18)".to_owned(),
            ..nothing(None)
        },
        entry("acme/web/bell\u{7}"),
        entry(&format!("acme/web/{long}")),
    ];
    let plan = plan(&Options::default(), &entries);
    assert_eq!(
        lines(&plan),
        [
            "0 good",
            "1 (entry 17) refused: the forge's entry has no path",
            "2 half refused: the forge's entry has no HTTP clone URL",
            "3 (entry 18) refused: the forge's entry cannot be read: number out of range",
            "4 bell\u{fffd} refused: the URL of the forge's entry is refused: Invalid Git URL: \
             contains potentially dangerous characters",
            &format!(
                "5 {} refused: its name is too long or contains control characters",
                &long[1..]
            ),
        ]
    );
}

#[test]
fn a_single_project_is_always_scanned() {
    let options = Options { exclude: vec!["web".into()], ..Options::default() };
    let mut empty = entry("acme/web");
    empty.skipped = Some((SkipKind::Empty, "the repository is empty"));
    let plan = selection(&options).single(&empty);
    assert_eq!(lines(&plan), ["0 web"]);
    assert_eq!(plan.repositories[0].git_url, "https://forge.example/acme/web.git");
}

/// Fails if a reason has the wrong kind, or if a filter skips an entry that cannot be read, whose reason
/// would be lost.
#[test]
fn each_reason_has_its_kind() {
    let filters = Filters { skip_forks: true, topics: vec!["rust".into()], ..Filters::default() };
    let options = Options { exclude: vec!["x".into()], filters, ..Options::default() };
    let with = |path: &str, fork: bool| {
        let topics = Some(vec!["rust".to_owned()]);
        let facts = Facts { fork: Some(fork), topics, ..Facts::default() };
        Project { facts, ..entry(path) }
    };
    let entries = vec![
        with("acme/web/a", false),
        Project { path: Some("acme/web/again".into()), ..with("acme/web/a", false) },
        with("acme/web/copy", true),
        with("acme/web/x", true),
        entry("acme/web/plain"),
        Project {
            skipped: Some((SkipKind::NoAccess, "the forge has disabled the repository")),
            ..with("acme/web/off", true)
        },
        Project::unreadable("number out of range".to_owned(), 7),
    ];
    let plan = plan(&options, &entries);
    assert_eq!(
        lines(&plan),
        [
            "0 a",
            "- again skipped: the same repository as `a`",
            "- copy skipped: the repository is a fork",
            "- x skipped: excluded by `x`",
            "- plain skipped: the forge does not state its topics",
            "- off skipped: the forge has disabled the repository",
            "1 (entry 7 of the list) refused: the forge's entry cannot be read: number out of range",
        ]
    );
    let words = "5 skipped: 2 filtered, 1 fork, 1 no access, 1 duplicate";
    assert_eq!(in_words(&plan.skipped_by_reason()), words);
}

/// Fails if the names of a group whose path differs from that of its URL keep the group's path.
#[test]
fn names_are_below_the_path_of_the_group() {
    let selection = selection(&Options::default()).in_group("PROJ".to_owned());
    let entries = [at("PROJ/api", "https://forge.example/scm/proj/api.git")];
    let plan = plan_of(&selection, &entries);
    assert_eq!(lines(&plan), ["0 api"]);
}
