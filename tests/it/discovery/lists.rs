//! Which repositories are listed, and with which requests.

use super::{CANARY, Settings, lines};
use crate::support::forge::{Fault, Forge};
use scanwatch::{intake::discovery::Listing, model::master::Options};
use serde_json::json;

/// Breaks if a list is incomplete, subgroups are missing, or numbers do not follow the forge's list.
#[tokio::test]
async fn a_group_is_listed_completely_with_its_subgroups() {
    let forge = Forge::start();
    forge.group(&["acme/web", "acme/platform/api", "acme/platform/deep/er/lib", "acme/zoo"]);
    forge.group(&["acme-two/other", "elsewhere/x"]);
    forge.listing().page_size = 1;
    let plan = Settings::of(&forge, "gitlab").group(&format!("{}/Acme/", forge.base())).await;
    assert_eq!(lines(&plan), ["0 platform/api", "1 platform/deep/er/lib", "2 web", "3 zoo"]);
    assert_eq!(plan.repositories[0].git_url, forge.url("acme/platform/api"));
    assert!(plan.complete);
    assert_eq!(forge.listing().asked.len(), 4);
    let first = "/api/v4/groups/Acme/projects?include_subgroups=true&with_shared=false&\
                 per_page=100&order_by=id&sort=asc";
    assert_eq!(forge.listing().asked[0], first);
}

/// Breaks if only one page is read from a forge behind a proxy that removes the Link header.
#[tokio::test]
async fn without_links_the_next_page_is_found_by_its_number() {
    let forge = Forge::start();
    forge.group(&["acme/a", "acme/b", "acme/c"]);
    forge.listing().page_size = 1;
    forge.listing().faults = vec![Fault::NoLinks; 3].into();
    let plan = Settings::of(&forge, "gitlab").group(&format!("{}/acme", forge.base())).await;
    assert_eq!(lines(&plan), ["0 a", "1 b", "2 c"]);
}

/// Breaks if a project and a group with several path segments are not distinguished.
#[tokio::test]
async fn the_forge_decides_between_project_and_group() {
    let forge = Forge::start();
    forge.group(&["acme/platform/api", "acme/platform/deep/lib"]);
    let settings = Settings::of(&forge, "gitlab");
    let listing = settings.list(&format!("{}/acme/platform/API/", forge.base())).await;
    let Ok(Listing::Repository(plan)) = listing else { panic!("{listing:?}") };
    assert_eq!(lines(&plan), ["0 API"]);
    assert_eq!(plan.repositories[0].git_url, forge.url("acme/platform/api"));
    let plan = settings.group(&format!("{}/acme/platform", forge.base())).await;
    assert_eq!(lines(&plan), ["0 api", "1 deep/lib"]);
    let listing = forge.listing();
    let asked = listing.paths_asked();
    assert_eq!(
        asked,
        [
            "/api/v4/projects/acme%2Fplatform%2FAPI",
            "/api/v4/projects/acme%2Fplatform",
            "/api/v4/groups/acme%2Fplatform/projects"
        ]
    );
}

/// Breaks if a user's projects are not listed, or a group with several path segments is treated as
/// a user.
#[tokio::test]
async fn a_name_that_is_not_a_group_may_be_a_user() {
    let forge = Forge::start();
    forge.group(&["alice/dots"]);
    forge.listing().is_user("alice");
    let settings = Settings::of(&forge, "gitlab");
    assert_eq!(lines(&settings.group(&format!("{}/alice", forge.base())).await), ["0 dots"]);
    let error = settings.error(&format!("{}/alice/nothing", forge.base())).await;
    assert!(error.contains("does not exist"), "{error}");
}

/// Breaks if the error for a missing or inaccessible target has no remedy.
#[tokio::test]
async fn a_target_that_does_not_exist_is_reported_with_the_remedy() {
    let forge = Forge::start();
    for (kind, places) in [
        ("gitlab", vec!["/api/v4/groups/nobody/projects", "/api/v4/users/nobody/projects"]),
        ("github", vec!["/api/v3/orgs/nobody/repos", "/api/v3/users/nobody/repos"]),
    ] {
        forge.listing().asked.clear();
        let settings = Settings::of(&forge, kind);
        let error = settings.error(&format!("{}/nobody", forge.base())).await;
        assert!(error.contains("/nobody does not exist, or there is no token"), "{error}");
        assert!(error.contains("[[forges]]"), "{error}");
        assert_eq!(forge.listing().paths_asked(), places);
    }
    let settings = Settings::of(&forge, "gitlab").with_token();
    let error = settings.error(&format!("{}/nobody", forge.base())).await;
    assert!(error.contains("the token has no access to it"), "{error}");
}

/// Breaks if organisations or users of GitHub are not found, or pages are missing.
#[tokio::test]
async fn organisations_and_users_of_a_github_are_listed() {
    let forge = Forge::start();
    forge.group(&["acme/one", "acme/two", "acme/three", "bob/dots"]);
    forge.listing().describe("acme/one", json!({"archived": true}));
    forge.listing().describe("acme/two", json!({"disabled": true}));
    forge.listing().is_user("bob");
    forge.listing().page_size = 2;
    let settings = Settings::of(&forge, "github");
    let plan = settings.group(&format!("{}/acme", forge.base())).await;
    assert_eq!(lines(&plan), ["0 one", "1 three", "- two: the forge has disabled the repository"]);
    assert_eq!(lines(&settings.group(&format!("{}/bob", forge.base())).await), ["0 dots"]);
    forge.listing().asked.clear();
    let listing = settings.list(&format!("{}/acme/one", forge.base())).await;
    assert!(matches!(listing, Ok(Listing::Repository(_))), "{listing:?}");
    assert!(forge.listing().asked.is_empty(), "a repository's URL needs no question");
}

/// Breaks if the token is not sent, or not only in its header.
#[tokio::test]
async fn the_token_is_sent_with_each_request() {
    let forge = Forge::start();
    forge.group(&["acme/a", "acme/b"]);
    forge.listing().page_size = 1;
    forge.listing().token = Some(CANARY.to_owned());
    let url = format!("{}/acme", forge.base());
    for kind in ["gitlab", "github"] {
        let plan = Settings::of(&forge, kind).with_token().group(&url).await;
        assert_eq!(lines(&plan), ["0 a", "1 b"]);
    }
    assert!(forge.listing().asked.iter().all(|request| !request.contains(CANARY)));
    let error = Settings::of(&forge, "gitlab").error(&url).await;
    assert!(error.contains("requires a token") && error.contains("[[forges]]"), "{error}");
    forge.listing().token = Some("another".to_owned());
    let error = Settings::of(&forge, "gitlab").with_token().error(&url).await;
    assert!(error.contains("refuses the token"), "{error}");
}

/// Breaks if a skipped repository is not listed, or an archived one is not scanned.
#[tokio::test]
async fn what_is_not_scanned_is_listed_with_its_reason() {
    let forge = Forge::start();
    forge.group(&[
        "acme/archived",
        "acme/gone",
        "acme/off",
        "acme/void",
        "acme/lib/old",
        "acme/lib/new",
    ]);
    for (path, members) in [
        ("acme/archived", json!({"archived": true})),
        ("acme/gone", json!({"marked_for_deletion_on": "2030-01-01"})),
        ("acme/off", json!({"repository_access_level": "disabled"})),
        ("acme/void", json!({"empty_repo": true})),
    ] {
        forge.listing().describe(path, members);
    }
    let settings = Settings::of(&forge, "gitlab");
    let url = format!("{}/acme", forge.base());
    let options = Options { exclude: vec!["lib/o*".to_owned()], ..Options::default() };
    let listing = settings.list_with(&url, &options).await;
    let Ok(Listing::Group { plan, .. }) = listing else { panic!("{listing:?}") };
    assert_eq!(
        lines(&plan),
        [
            "0 archived",
            "- gone: the project is marked for deletion",
            "1 lib/new",
            "- lib/old: excluded by `lib/o*`",
            "- off: the project has no repository: the feature is disabled",
            "- void: the repository is empty",
        ]
    );
    let options = Options { include_subgroups: false, ..Options::default() };
    let listing = settings.list_with(&url, &options).await;
    let Ok(Listing::Group { plan, .. }) = listing else { panic!("{listing:?}") };
    assert!(!lines(&plan).join(" ").contains("lib"), "subgroups are not asked for");
    let options = Options { include: vec![String::new()], ..Options::default() };
    assert!(settings.list_with(&url, &options).await.is_err(), "no pattern");
}

/// Breaks if an invalid entry affects the others, or disappears.
#[tokio::test]
async fn an_invalid_entry_affects_only_itself() {
    let forge = Forge::start();
    forge.group(&["acme/good", "acme/half", "acme/odd"]);
    forge.listing().describe("acme/half", json!({"http_url_to_repo": null}));
    forge.listing().describe("acme/odd", json!({"archived": [], "empty_repo": "no", "id": "x"}));
    forge.listing().odd_entries = vec![json!(null), json!("text"), json!({"id": 77})];
    let plan = Settings::of(&forge, "gitlab").group(&format!("{}/acme", forge.base())).await;
    let lines = lines(&plan);
    assert_eq!(lines.len(), 6, "{lines:?}");
    for (line, expected) in lines.iter().zip([
        "0 good",
        "1 half! the forge's entry has no HTTP clone URL",
        "2 odd",
        "3 (entry 4 of the list)! the forge's entry has no path",
        "4 (entry 5 of the list)! ",
        "5 (project 77)! ",
    ]) {
        assert!(line.starts_with(expected), "{line}");
    }
}

/// Breaks if one entry with invalid JSON or invalid Unicode affects the whole group.
#[tokio::test]
async fn an_unreadable_entry_affects_only_itself() {
    let forge = Forge::start();
    let entry = |name: &str, more: &str| {
        let url = format!("{}/acme/{name}.git", forge.base());
        format!(r#"{{"path_with_namespace":"acme/{name}","http_url_to_repo":"{url}",{more}}}"#)
    };
    let entries = [
        entry("good", r#""id":1"#),
        entry("lonely", r#""description":"half a character: \ud800""#),
        entry("huge", r#""star_count":1e999"#),
        entry("twice", r#""id":1,"id":2"#),
        entry("deep", &format!(r#""x":{}{}"#, "[".repeat(500), "]".repeat(500))),
        entry("torn", r#""x":tru"#),
        entry("last", r#""id":7"#),
    ];
    forge.listing().faults = vec![Fault::Body(format!("[{}]", entries.join(",")))].into();
    let plan = Settings::of(&forge, "gitlab").group(&format!("{}/acme", forge.base())).await;
    let lines = lines(&plan);
    for (line, expected) in lines.iter().zip([
        "0 good",
        "1 lonely",
        "2 (entry 3 of the list)! the forge's entry cannot be read: number out of range",
        "3 twice",
        "4 (entry 5 of the list)! the forge's entry cannot be read: recursion limit",
        "5 (entry 6 of the list)! the forge's entry cannot be read: expected ident",
        "6 last",
    ]) {
        assert!(line.starts_with(expected), "{line}");
    }
    assert_eq!(lines.len(), 7, "{lines:?}");
}
