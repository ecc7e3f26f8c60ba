//! Every kind of forge: what is listed, which requests are made, and what happens when one of them fails.

use super::{CANARY, Settings, lines};
use crate::support::forge::{Fault, Forge};
use scanwatch::{
    intake::discovery::Listing,
    model::{
        filters::{Filters, Visibility},
        master::Options,
        plan::{Plan, in_words},
    },
};
use serde_json::{Value, json};

/// A kind of forge, a group of it with three repositories, and its first request.
const KINDS: [(&str, &str, &str); 8] = [
    ("gitlab", "acme", "/api/v4/groups/acme/projects"),
    ("github", "acme", "/api/v3/orgs/acme/repos"),
    ("gitea", "acme", "/api/v1/orgs/acme/repos"),
    ("forgejo", "acme", "/api/v1/orgs/acme/repos"),
    ("bitbucket", "acme", "/2.0/repositories/acme"),
    ("bitbucket-server", "projects/acme", "/rest/api/1.0/projects/acme/repos"),
    ("azure", "acme", "/acme/_apis/git/repositories"),
    ("azure", "acme/web", "/acme/web/_apis/git/repositories"),
];

/// The path of a repository of the group `acme`: on Azure DevOps it is in a project.
fn path(kind: &str, name: &str) -> String {
    if kind == "azure" { format!("acme/web/{name}") } else { format!("acme/{name}") }
}

fn forge(kind: &str) -> Forge {
    let forge = Forge::start();
    for name in ["a", "b", "c"] {
        forge.listing().add(&path(kind, name));
    }
    forge.listing().add("elsewhere/x/y");
    forge.listing().page_size = 1;
    forge
}

async fn group(settings: &Settings, url: &str, filters: Filters) -> Plan {
    let options = Options { filters, ..Options::default() };
    match settings.list_with(url, &options).await {
        Ok(Listing::Group { plan, .. }) => plan,
        other => panic!("{url} is no group: {other:?}"),
    }
}

/// Fails if a kind of forge is asked in another way than its API is, if a page is missing, or if the token
/// is not sent in the form that it knows, or in an address.
#[tokio::test]
async fn a_group_of_each_kind_of_forge_is_listed_completely_with_its_token() {
    for (kind, place, request) in KINDS {
        let forge = forge(kind);
        forge.listing().token = Some(CANARY.to_owned());
        let url = format!("{}/{place}", forge.base());
        let settings = Settings::of(&forge, kind).with_token();
        let plan = settings.group(&url).await;
        let prefix = if place == "acme" && kind == "azure" { "web/" } else { "" };
        let expected: Vec<_> = ["a", "b", "c"]
            .iter()
            .zip(0..)
            .map(|(name, n)| format!("{n} {prefix}{name}"))
            .collect();
        assert_eq!(lines(&plan), expected, "{kind}");
        let clone = match kind {
            "azure" => format!("{}/acme/web/_git/a", forge.base()),
            _ => forge.url("acme/a"),
        };
        assert_eq!(plan.repositories[0].git_url, clone, "{kind}");
        {
            let listing = forge.listing();
            assert_eq!(listing.paths_asked(), [request; 3], "{kind}");
            assert!(listing.asked.iter().all(|asked| !asked.contains(CANARY)), "{kind}");
        }
        let error = Settings::of(&forge, kind).error(&url).await;
        assert!(error.contains("requires a token (401)"), "{kind}: {error}");
    }
}

/// Fails if the user of a Gitea or GitHub is not found, or if what does not exist is an empty group.
#[tokio::test]
async fn users_are_listed_and_what_does_not_exist_is_an_error() {
    for (kind, place, _) in KINDS {
        let forge = forge(kind);
        let missing = format!("{}/{}", forge.base(), place.replace("acme", "nobody"));
        let error = Settings::of(&forge, kind).error(&missing).await;
        assert!(error.contains("does not exist, or there is no token"), "{kind}: {error}");
    }
    let forge = forge("gitea");
    forge.listing().is_user("acme");
    let plan = Settings::of(&forge, "gitea").group(&format!("{}/acme", forge.base())).await;
    assert_eq!(lines(&plan), ["0 a", "1 b", "2 c"]);
    let asked = ["/api/v1/orgs/acme/repos", "/api/v1/users/acme/repos"];
    assert_eq!(forge.listing().paths_asked()[..2], asked);
}

/// Fails if a temporary failure of any kind of forge fails a group, if the announced pause is not made, or
/// if a failure that persists is hidden.
#[tokio::test]
async fn each_kind_of_forge_may_fail_for_a_while() {
    let status = |code, headers: &str| Fault::Status(code, headers.to_owned());
    for (kind, place, _) in KINDS {
        let forge = forge(kind);
        let settings = Settings::of(&forge, kind);
        let url = format!("{}/{place}", forge.base());
        forge.listing().faults = vec![
            status(429, "Retry-After: 0\r\n"),
            status(429, "RateLimit-Remaining: 0\r\nRateLimit-Reset: 0\r\n"),
            status(403, "X-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: 1\r\n"),
        ]
        .into();
        assert_eq!(settings.group(&url).await.repositories.len(), 3, "{kind}");
        assert_eq!(forge.listing().asked.len(), 6, "{kind}");
        for (fault, said) in [
            (status(429, "Retry-After: 3600\r\n"), "requests a pause of 3600 s"),
            (status(401, ""), "requires a token (401)"),
            (status(403, ""), "requires a token (403)"),
            (status(500, "Retry-After: 999\r\n"), "answers 500 after 1 attempt"),
            (status(501, ""), "answers 501"),
            (Fault::HalfJson, "not JSON"),
            (Fault::Body("{}".to_owned()), "not a list"),
            (Fault::Body("\"x\"".to_owned()), "not a list"),
        ] {
            forge.listing().faults = vec![fault.clone()].into();
            let error = settings.error(&url).await;
            assert!(error.contains(said), "{kind} {fault:?}: {error}");
        }
    }
}

/// Fails if a token that expires between two pages leads to half a list, or to an error without its cause.
#[tokio::test]
async fn a_token_that_expires_midway_is_an_error_that_says_so() {
    for (kind, place, _) in KINDS {
        let forge = forge(kind);
        forge.listing().token = Some(CANARY.to_owned());
        let settings = Settings::of(&forge, kind).with_token();
        // A page, and then an answer without a valid token.
        let page = match kind {
            "bitbucket" => Fault::Next("/2.0/repositories/acme?page=2".to_owned()),
            "bitbucket-server" | "azure" => Fault::NoLinks,
            _ => Fault::Next("?page=2".to_owned()),
        };
        forge.listing().faults = vec![page, Fault::Status(401, String::new())].into();
        let error = settings.error(&format!("{}/{place}", forge.base())).await;
        assert!(error.contains("(page 2) refuses the token (401)"), "{kind}: {error}");
        assert!(error.contains("has expired"), "{kind}: {error}");
        assert_eq!(forge.listing().asked.len(), 2, "{kind}");
    }
}

/// Fails if the sign-in page of Azure DevOps is taken for an answer, or for a redirect to follow.
#[tokio::test]
async fn the_sign_in_page_of_azure_devops_is_a_missing_token() {
    for (code, headers) in [(203, ""), (302, "Location: http://127.0.0.1:1/_signin\r\n")] {
        let forge = forge("azure");
        forge.listing().faults = vec![Fault::Status(code, headers.to_owned()); 2].into();
        let url = format!("{}/acme/web", forge.base());
        let error = Settings::of(&forge, "azure").error(&url).await;
        assert!(error.contains(&format!("requires a token ({code})")), "{error}");
        let error = Settings::of(&forge, "azure").with_token().error(&url).await;
        assert!(error.contains(&format!("refuses the token ({code})")), "{error}");
    }
}

/// Fails if a list of any kind of forge can be endless, loop, or lead to another server.
#[tokio::test]
async fn an_endless_looping_or_foreign_list_of_each_kind_ends() {
    for (kind, place, request) in KINDS {
        let forge = forge(kind);
        let url = format!("{}/{place}", forge.base());
        forge.listing().endless = true;
        let settings = Settings::of(&forge, kind).set("discovery.max_pages", 5);
        let error = settings.error(&url).await;
        assert!(error.contains("more than 5 pages"), "{kind}: {error}");
        assert_eq!(forge.listing().asked.len(), 5, "{kind}");
        let first = forge.listing().asked[0].clone();
        assert!(first.starts_with(request), "{first}");
        if matches!(kind, "bitbucket-server" | "azure") {
            continue;
        }
        let second = forge.listing().asked[1].clone();
        forge.listing().faults = vec![Fault::Next(second), Fault::Next(first)].into();
        let error = settings.error(&url).await;
        assert!(error.contains("a page that was already read"), "{kind}: {error}");
        forge.listing().faults = vec![Fault::Next("http://127.0.0.1:1/next".to_owned())].into();
        let error = settings.error(&url).await;
        assert!(error.contains("another origin (http://127.0.0.1:1)"), "{kind}: {error}");
    }
    // The other two name only a place within the same list: the same one is a loop.
    let forge = forge("azure");
    forge.listing().headers = "x-ms-continuationtoken: 0\r\n".to_owned();
    forge.listing().page_size = 100;
    let url = format!("{}/acme/web", forge.base());
    let error = Settings::of(&forge, "azure").error(&url).await;
    assert!(error.contains("a page that was already read"), "{error}");
    let body = json!({"values": [], "isLastPage": false, "nextPageStart": 0}).to_string();
    let forge = self::forge("bitbucket-server");
    forge.listing().faults = vec![Fault::Body(body)].into();
    let url = format!("{}/acme", forge.base());
    let error = Settings::of(&forge, "bitbucket-server").error(&url).await;
    assert!(error.contains("a page that was already read"), "{error}");
}

/// Fails if a page is requested although the forge announced that no request is left, so that it is refused.
#[tokio::test]
async fn the_last_allowed_request_is_followed_by_the_announced_pause() {
    let forge = forge("github");
    forge.listing().headers = "X-RateLimit-Remaining: 0\r\nRetry-After: 1\r\n".to_owned();
    let begin = std::time::Instant::now();
    let plan = Settings::of(&forge, "github").group(&format!("{}/acme", forge.base())).await;
    assert_eq!(plan.repositories.len(), 3);
    assert!(begin.elapsed().as_secs() >= 2, "two pauses of a second");
}

/// Fails if a Gitea behind a proxy that removes its links is listed incompletely, or without an end.
#[tokio::test]
async fn a_gitea_without_links_is_listed_by_its_number_of_repositories() {
    let forge = forge("gitea");
    forge.listing().faults = vec![Fault::NoLinks; 9].into();
    let plan = Settings::of(&forge, "gitea").group(&format!("{}/acme", forge.base())).await;
    assert_eq!(lines(&plan), ["0 a", "1 b", "2 c"]);
    assert_eq!(forge.listing().asked.len(), 4, "the last page is empty");
}

/// Fails if an entry of a list within an object affects the others.
#[tokio::test]
async fn an_invalid_entry_of_a_list_in_an_object_affects_only_itself() {
    for (kind, place) in [("bitbucket", "acme"), ("azure", "acme/web")] {
        let forge = forge(kind);
        forge.listing().page_size = 100;
        forge.listing().odd_entries = vec![json!(null), json!({"name": "x"})];
        let url = format!("{}/{place}", forge.base());
        let plan = Settings::of(&forge, kind).group(&url).await;
        let refused = plan.repositories.iter().filter(|row| row.refused.is_some()).count();
        assert_eq!((plan.repositories.len(), refused), (5, 2), "{kind}: {:?}", lines(&plan));
    }
}

/// What a kind of forge states about a repository that a filter is to skip.
fn described(kind: &str, filter: &str) -> Option<Value> {
    Some(match (kind, filter) {
        ("bitbucket" | "azure", "archived") | ("bitbucket-server", "empty" | "too large") => {
            return None;
        }
        (_, "archived") => json!({"archived": true}),
        ("gitlab", "fork") => json!({"forked_from_project": {"id": 1}}),
        ("bitbucket", "fork") => json!({"parent": {"full_name": "x/y"}}),
        ("bitbucket-server", "fork") => json!({"origin": {"slug": "y"}}),
        ("azure", "fork") => json!({"isFork": true}),
        (_, "fork") => json!({"fork": true}),
        ("github", "empty") => json!({"size": 0}),
        ("bitbucket", "empty") => json!({"mainbranch": null}),
        ("gitlab", "empty") => json!({"empty_repo": true}),
        ("azure", "empty") => json!({"defaultBranch": null, "size": 0}),
        (_, "empty") => json!({"empty": true}),
        ("gitlab", "too large") => json!({"statistics": {"repository_size": 5_000_001}}),
        ("bitbucket" | "azure", "too large") => json!({"size": 5_000_001}),
        (_, "too large") => json!({"size": 4_883}),
        _ => return None,
    })
}

/// Fails if a filter does not skip what a kind of forge states, names another reason, or skips anything
/// where nothing was requested.
#[tokio::test]
async fn each_filter_skips_what_each_kind_of_forge_states() {
    for (kind, place, _) in KINDS {
        for (filter, filters) in [
            ("archived", Filters { skip_archived: true, ..Filters::default() }),
            ("fork", Filters { skip_forks: true, ..Filters::default() }),
            ("empty", Filters { skip_empty: true, ..Filters::default() }),
            ("too large", Filters { max_size_mb: Some(5), ..Filters::default() }),
        ] {
            let Some(members) = described(kind, filter) else { continue };
            let forge = forge(kind);
            forge.listing().describe(&path(kind, "b"), members);
            let settings = Settings::of(&forge, kind);
            let url = format!("{}/{place}", forge.base());
            let plan = group(&settings, &url, filters).await;
            let words = in_words(&plan.skipped_by_reason());
            assert_eq!(words, format!("1 skipped: 1 {filter}"), "{kind}: {:?}", lines(&plan));
            assert_eq!(plan.counted().count(), 2, "{kind}");
            let all = settings.group(&url).await.counted().count();
            // GitLab's empty projects never were scanned.
            let always_skipped = usize::from(kind == "gitlab" && filter == "empty");
            assert_eq!(all, 3 - always_skipped, "{kind}: {filter}");
        }
    }
}

/// Fails if topics, visibility or activity do not filter, or if the same clone URL is scanned twice.
#[tokio::test]
async fn topics_visibility_and_activity_filter_and_shared_projects_are_scanned_once() {
    let forge = forge("gitlab");
    forge.group(&["acme/d"]);
    let now = chrono::Utc::now().to_rfc3339();
    let shared = forge.url("acme/a");
    for (name, members) in [
        ("a", json!({"topics": ["Rust"], "visibility": "internal", "last_activity_at": now})),
        ("b", json!({"topics": ["rust", "go"], "last_activity_at": now})),
        ("c", json!({"topics": ["go"], "visibility": "internal", "last_activity_at": now})),
        ("d", json!({"topics": ["rust"], "visibility": "internal"})),
    ] {
        forge.listing().describe(&format!("acme/{name}"), members);
    }
    // The project that is shared with the group is listed twice.
    forge.listing().odd_entries = vec![json!({
        "path_with_namespace": "partner/a", "http_url_to_repo": shared, "topics": ["rust"],
        "visibility": "internal", "last_activity_at": now,
    })];
    let filters = Filters {
        topics: vec!["rust".to_owned(), "none".to_owned()],
        visibility: vec![Visibility::Internal, Visibility::Private],
        active_within_days: Some(30),
        include_shared: true,
        ..Filters::default()
    };
    let url = format!("{}/acme", forge.base());
    let plan = group(&Settings::of(&forge, "gitlab"), &url, filters).await;
    let words = in_words(&plan.skipped_by_reason());
    assert_eq!(words, "4 skipped: 3 filtered, 1 duplicate", "{:?}", lines(&plan));
    let mut lines = lines(&plan);
    lines.sort();
    assert_eq!(
        lines,
        [
            "- b: its visibility is public",
            "- c: none of its topics is `rust`, `none`",
            "- d: its last activity was on 2024-01-01",
            "- partner/a: the same repository as `a`",
            "0 a",
        ]
    );
    assert!(forge.listing().asked[0].contains("with_shared=true"));
}
