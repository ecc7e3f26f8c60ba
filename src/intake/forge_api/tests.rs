//! Tests of each kind of forge, with entries as the documentation of its API shows them.

use super::*;
use crate::model::{
    address::NetworkPolicy,
    filters::{Filters, Visibility},
    plan::SkipKind,
};
use serde_json::json;

fn url(text: &str) -> GitUrl {
    let origin = Origin::of(&Url::parse(text).unwrap()).unwrap();
    let policy = NetworkPolicy { trusted: vec![origin], ..NetworkPolicy::default() };
    GitUrl::parse(text, &policy).unwrap()
}

/// The requests for a URL, in order.
fn requests(api: Api, text: &str) -> Vec<String> {
    let url = url(text);
    let base = api.base(&url).unwrap();
    let questions = api.questions(&base, &url, &Options::default());
    let shown = |question| match question {
        Question::One(url) => format!("one {url}"),
        Question::List(url) => url.to_string(),
    };
    questions.into_iter().map(shown).collect()
}

fn next(
    api: Api,
    page: &str,
    headers: &[(&'static str, &str)],
    members: &Value,
    entries: usize,
) -> Result<Option<String>, OtherOrigin> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, value.parse().unwrap());
    }
    let url = Url::parse(page).unwrap();
    let end = PageEnd { url: &url, headers: &map, members, entries };
    api.next_page(&end).map(|next| next.map(String::from))
}

/// Fails if a forge is asked at another place, or in an order that changes while pages are read.
#[test]
fn each_forge_is_asked_where_its_api_is() {
    for (api, text, expected) in [
        (
            &github::Github as Api,
            "https://github.com/acme",
            &[
                "https://api.github.com/orgs/acme/repos?per_page=100&type=all&sort=created&direction=asc",
                "https://api.github.com/users/acme/repos?per_page=100&type=owner&sort=created&direction=asc",
            ][..],
        ),
        (
            &gitlab::Gitlab,
            "https://lab.example/a/b",
            &[
                "one https://lab.example/api/v4/projects/a%2Fb",
                "https://lab.example/api/v4/groups/a%2Fb/projects?include_subgroups=true&\
                 with_shared=false&per_page=100&order_by=id&sort=asc",
            ],
        ),
        (
            &gitea::Gitea,
            "http://tea.example:3000/acme/",
            &[
                "http://tea.example:3000/api/v1/orgs/acme/repos?limit=50&page=1",
                "http://tea.example:3000/api/v1/users/acme/repos?limit=50&page=1",
            ],
        ),
        (
            &bitbucket::Bitbucket,
            "https://bitbucket.org/acme",
            &["https://api.bitbucket.org/2.0/repositories/acme?pagelen=100&sort=created_on"],
        ),
        (
            &bitbucket::Bitbucket,
            "https://cloud.example/acme",
            &["https://cloud.example/2.0/repositories/acme?pagelen=100&sort=created_on"],
        ),
        (
            &bitbucket_server::BitbucketServer,
            "https://bucket.example/projects/ACME",
            &["https://bucket.example/rest/api/1.0/projects/ACME/repos?limit=100&start=0"],
        ),
        (
            &bitbucket_server::BitbucketServer,
            "https://bucket.example/users/al%20ice",
            &["https://bucket.example/rest/api/1.0/projects/~al%20ice/repos?limit=100&start=0"],
        ),
        (
            &azure::Azure,
            "https://dev.azure.com/acme/my%20web/",
            &["https://dev.azure.com/acme/my%20web/_apis/git/repositories?api-version=7.1"],
        ),
        (
            &azure::Azure,
            "https://tfs.example/tfs/All",
            &["https://tfs.example/tfs/All/_apis/git/repositories?api-version=6.0"],
        ),
    ] {
        assert_eq!(requests(api, text), expected, "{text}");
    }
    let shared = Filters { include_shared: true, ..Filters::default() };
    let options = Options { filters: shared, ..Options::default() };
    let url = url("https://lab.example/a");
    let base = gitlab::Gitlab.base(&url).unwrap();
    let questions = format!("{:?}", gitlab::Gitlab.questions(&base, &url, &options));
    assert!(questions.contains("with_shared=true"), "{questions}");
}

/// Fails if a token is sent in a form that the forge does not know.
#[test]
fn each_forge_gets_its_token_in_its_own_form() {
    let cloud = &bitbucket::Bitbucket;
    for (api, user, expected) in [
        (&github::Github as Api, "oauth2", "Bearer t0k"),
        (&gitlab::Gitlab, "oauth2", "Bearer t0k"),
        (&gitea::Gitea, "oauth2", "token t0k"),
        (cloud, "x-token-auth", "Bearer t0k"),
        (cloud, "me@acme.example", "Basic bWVAYWNtZS5leGFtcGxlOnQwaw=="),
        (&bitbucket_server::BitbucketServer, "alice", "Bearer t0k"),
        (&azure::Azure, "oauth2", "Basic OnQwaw=="),
    ] {
        assert_eq!(api.authorization(user, "t0k"), expected, "{api:?}");
    }
    let login = |api: Api| [203, 302, 307].map(|code| api.wants_login(code));
    assert_eq!(login(&azure::Azure), [true, true, false]);
    assert_eq!(login(&gitea::Gitea), [false; 3]);
}

/// Fails if a member of an entry is not read, or read as something else.
#[test]
fn entries_are_read_as_each_forge_writes_them() {
    let time = |text| entry::time(&json!(text));
    let date = time("2024-03-01T10:00:00Z");
    assert!(date.is_some());
    for (api, item, path, clone, facts) in [
        (
            &github::Github as Api,
            json!({
                "id": 1, "full_name": "acme/api", "clone_url": "https://h/acme/api.git",
                "archived": true, "fork": true, "size": 3, "topics": ["rust"], "private": true,
                "visibility": "internal", "pushed_at": "2024-03-01T10:00:00Z",
                "updated_at": "2030-01-01T00:00:00Z", "permissions": {"pull": true},
            }),
            "acme/api",
            "https://h/acme/api.git",
            Facts {
                archived: Some(true),
                fork: Some(true),
                empty: Some(false),
                topics: Some(vec!["rust".into()]),
                visibility: Some(Visibility::Internal),
                active_at: date,
                bytes: Some(3072),
            },
        ),
        (
            &gitlab::Gitlab,
            json!({
                "path_with_namespace": "acme/api", "http_url_to_repo": "https://h/acme/api.git",
                "archived": false, "forked_from_project": {"id": 7}, "empty_repo": false,
                "topics": ["a", 1], "visibility": "private",
                "last_activity_at": "2024-03-01T12:00:00.000+02:00",
                "statistics": {"repository_size": 1_038_090},
            }),
            "acme/api",
            "https://h/acme/api.git",
            Facts {
                archived: Some(false),
                fork: Some(true),
                empty: Some(false),
                topics: Some(vec!["a".into()]),
                visibility: Some(Visibility::Private),
                active_at: date,
                bytes: Some(1_038_090),
            },
        ),
        (
            &gitea::Gitea,
            json!({
                "full_name": "acme/api", "clone_url": "https://h/acme/api.git", "empty": true,
                "archived": true, "fork": false, "private": false, "internal": true, "size": 2,
                "topics": [], "updated_at": "2024-03-01T10:00:00Z",
            }),
            "acme/api",
            "https://h/acme/api.git",
            Facts {
                archived: Some(true),
                fork: Some(false),
                empty: Some(true),
                topics: Some(vec![]),
                visibility: Some(Visibility::Internal),
                active_at: date,
                bytes: Some(2048),
            },
        ),
        (
            &bitbucket::Bitbucket,
            json!({
                "full_name": "acme/api", "is_private": true, "size": 77, "mainbranch": null,
                "updated_on": "2024-03-01T10:00:00.000000+00:00", "parent": {"full_name": "x/y"},
                "links": {"clone": [
                    {"name": "ssh", "href": "git@h:acme/api.git"},
                    {"name": "https", "href": "https://me@h/acme/api.git"},
                ]},
            }),
            "acme/api",
            "https://h/acme/api.git",
            Facts {
                fork: Some(true),
                empty: Some(true),
                visibility: Some(Visibility::Private),
                active_at: date,
                bytes: Some(77),
                ..Facts::default()
            },
        ),
        (
            &bitbucket_server::BitbucketServer,
            json!({
                "slug": "my-repo", "id": 1, "name": "My repo", "state": "AVAILABLE",
                "forkable": true, "project": {"key": "PRJ"}, "public": true, "archived": true,
                "origin": {"slug": "theirs"},
                "links": {"clone": [
                    {"href": "ssh://git@h/prj/my-repo.git", "name": "ssh"},
                    {"href": "https://h/scm/prj/my-repo.git", "name": "http"},
                ]},
            }),
            "PRJ/my-repo",
            "https://h/scm/prj/my-repo.git",
            Facts {
                archived: Some(true),
                fork: Some(true),
                visibility: Some(Visibility::Public),
                ..Facts::default()
            },
        ),
        (
            &azure::Azure,
            json!({
                "id": "5febef5a", "name": "my api", "isFork": true, "size": 728,
                "project": {"name": "my web", "visibility": "organization"},
                "defaultBranch": "refs/heads/main", "isDisabled": false,
                "remoteUrl": "https://acme@h/acme/my%20web/_git/my%20api",
            }),
            "acme/my web/my api",
            "https://h/acme/my%20web/_git/my%20api",
            Facts {
                fork: Some(true),
                empty: Some(false),
                visibility: Some(Visibility::Internal),
                bytes: Some(728),
                ..Facts::default()
            },
        ),
    ] {
        let project = api.project(&item, 1);
        let read = (project.path.as_deref(), project.url.as_deref());
        assert_eq!(read, (Some(path), Some(clone)), "{api:?}");
        assert_eq!((project.skipped, &project.facts), (None, &facts), "{api:?}");
    }
}

/// Fails if what a forge calls unreadable is scanned, or if a strange entry is not an entry.
#[test]
fn what_a_forge_cannot_serve_is_skipped() {
    use SkipKind::{Empty, NoAccess};
    for (api, item, kind) in [
        (&github::Github as Api, json!({"disabled": true}), NoAccess),
        (&github::Github, json!({"permissions": {"pull": false}}), NoAccess),
        (&gitlab::Gitlab, json!({"empty_repo": true}), Empty),
        (&gitlab::Gitlab, json!({"repository_access_level": "disabled"}), NoAccess),
        (&gitlab::Gitlab, json!({"marked_for_deletion_on": "2030-01-01"}), NoAccess),
        (&gitea::Gitea, json!({"permissions": {"pull": false}}), NoAccess),
        (&gitea::Gitea, json!({"has_code": false}), NoAccess),
        (&bitbucket_server::BitbucketServer, json!({"state": "OFFLINE"}), NoAccess),
        (&azure::Azure, json!({"isDisabled": true}), NoAccess),
        (&azure::Azure, json!({"isInMaintenance": true}), NoAccess),
    ] {
        let skipped = api.project(&item, 1).skipped;
        assert_eq!(skipped.map(|(kind, _)| kind), Some(kind), "{api:?} {item}");
    }
    for api in ALL {
        for item in [json!(null), json!([1]), json!("x"), json!({"links": 1, "project": []})] {
            let project = api.project(&item, 7);
            assert_eq!((project.path, project.url, project.skipped), (None, None, None), "{item}");
            assert_eq!(project.label, "(entry 7 of the list)");
        }
        let project = api.project(&json!(null), 7);
        assert_eq!(project.facts, Facts::default(), "{api:?}");
    }
}

/// Fails if the repositories of a default project, whose URL omits it, get the name of their project.
#[test]
fn an_azure_url_may_omit_the_project() {
    for (web, expected) in [
        ("https://h/acme/_git/web", "acme/web/web"),
        ("https://h/acme/web/_git/web", "acme/web/web"),
        ("https://h/tfs/All/Web/_git/web", "tfs/All/Web/web"),
        ("https://h/a b/_git/web", "a b/web/web"),
    ] {
        let item = json!({"name": "web", "project": {"name": "web"}, "webUrl": web});
        let project = azure::Azure.project(&item, 1);
        assert_eq!(project.path.as_deref(), Some(expected), "{web}");
        assert_eq!(project.url, Some(web.replace(' ', "%20")));
    }
}

/// Fails if a list ends too early, never, or at another forge.
#[test]
fn the_next_page_is_where_each_forge_says() {
    let page = "https://h.example/x?limit=50&page=1";
    let tea: Api = &gitea::Gitea;
    let link = [("link", "<https://h.example/x?limit=50&page=2>; rel=\"next\"")];
    let second = Ok(Some("https://h.example/x?limit=50&page=2".to_owned()));
    assert_eq!(next(tea, page, &link, &Value::Null, 50), second);
    // Without links, a page that is not empty has a successor, unless it is the first and has all.
    let total = |count| [("x-total-count", count)];
    assert_eq!(next(tea, page, &total("51"), &Value::Null, 50), second);
    assert_eq!(next(tea, page, &total("50"), &Value::Null, 50), Ok(None));
    assert_eq!(next(tea, page, &total("x"), &Value::Null, 50), Ok(None));
    let later = "https://h.example/x?limit=50&page=2";
    let third = Ok(Some("https://h.example/x?limit=50&page=3".to_owned()));
    assert_eq!(next(tea, later, &total("51"), &Value::Null, 1), third);
    assert_eq!(next(tea, later, &total("51"), &Value::Null, 0), Ok(None));
    let last = [("link", "<https://h.example/x?page=1>; rel=\"first\""), ("x-total-count", "900")];
    assert_eq!(next(tea, later, &last, &Value::Null, 1), Ok(None));

    let cloud: Api = &bitbucket::Bitbucket;
    let to = |url: &str| json!({ "next": url, "size": 9 });
    let follow = |url: &str| next(cloud, page, &[], &to(url), 1);
    assert_eq!(
        follow("https://h.example/y?page=q%3D"),
        Ok(Some("https://h.example/y?page=q%3D".into()))
    );
    assert_eq!(next(cloud, page, &link, &json!({}), 1), Ok(None), "no link is followed");
    for (foreign, origin) in [
        ("https://evil.example/x", "https://evil.example"),
        ("http://h.example/x", "http://h.example"),
        ("https://u@h.example/x", "https://h.example"),
    ] {
        assert_eq!(follow(foreign), Err(OtherOrigin(origin.to_owned())), "{foreign}");
    }

    let server: Api = &bitbucket_server::BitbucketServer;
    let page = "https://h.example/x?limit=100&start=0";
    let at = |members| next(server, page, &[], &members, 100);
    let more = json!({"isLastPage": false, "nextPageStart": 137});
    assert_eq!(at(more), Ok(Some("https://h.example/x?limit=100&start=137".to_owned())));
    assert_eq!(at(json!({"isLastPage": true, "nextPageStart": null})), Ok(None));
    assert_eq!(at(json!({"isLastPage": true, "nextPageStart": 5})), Ok(None));
    assert_eq!(at(json!({"nextPageStart": -1})), Ok(None));

    let azure: Api = &azure::Azure;
    let page = "https://h.example/a/_apis/git/repositories?api-version=7.1";
    let header = [("x-ms-continuationtoken", "a&b")];
    let expected = format!("{page}&continuationToken=a%26b");
    assert_eq!(next(azure, page, &header, &json!({}), 1), Ok(Some(expected)));
    assert_eq!(next(azure, page, &[("x-ms-continuationtoken", " ")], &json!({}), 1), Ok(None));
}

/// Fails if the names of repositories keep the path of their group.
#[test]
fn the_group_of_a_url_is_as_the_entries_have_it() {
    for (api, text, expected) in [
        (&bitbucket_server::BitbucketServer as Api, "https://h/projects/PRJ", "PRJ"),
        (&bitbucket_server::BitbucketServer, "https://h/users/alice", "~alice"),
        (&azure::Azure, "https://h/acme/my%20web", "acme/my web"),
        (&gitea::Gitea, "https://h/acme/", "acme"),
    ] {
        assert_eq!(api.group_path(&url(text)), expected, "{text}");
    }
}

/// Fails if one broken page ends a list whose pages have numbers, or if a place is invented that only the
/// broken page would have named.
#[test]
fn the_page_after_a_broken_one_has_the_next_number() {
    let after = |api: Api, query: &str| {
        let page = Url::parse(&format!("https://h.example/x?{query}")).unwrap();
        api.page_after(&page).and_then(|url| url.query().map(str::to_owned))
    };
    let tea = after(&gitea::Gitea, "limit=50&page=2");
    assert_eq!(tea.as_deref(), Some("limit=50&page=3"));
    let server = after(&bitbucket_server::BitbucketServer, "limit=100&start=40");
    assert_eq!(server.as_deref(), Some("limit=100&start=140"));
    assert_eq!(after(&azure::Azure, "continuationToken=7&page=1"), None);
}
