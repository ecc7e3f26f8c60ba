//! Which hosts are contacted, and which are not.

use super::{CANARY, Settings, lines};
use crate::support::forge::{Fault, Forge};
use scanwatch::{
    intake::{discovery::Discovery, target::Target},
    model::master::Options,
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

/// Breaks if a forge can direct a request with the token to another origin.
#[tokio::test]
async fn a_next_page_of_another_origin_is_not_requested() {
    let (forge, trap) = (Forge::start(), Forge::start());
    forge.group(&["acme/a"]);
    trap.group(&["acme/a"]);
    forge.listing().token = Some(CANARY.to_owned());
    let next = format!("{}/api/v4/groups/acme/projects?page=2", trap.base());
    forge.listing().faults = vec![Fault::Next(next)].into();
    // Even if the other origin is trusted itself.
    let settings = Settings::of(&forge, "gitlab").with_token().forge(&trap.base(), "gitlab", "");
    let error = settings.error(&format!("{}/acme", forge.base())).await;
    assert!(
        error.contains("a next page of another origin") && error.contains(&trap.base()),
        "{error}"
    );
    assert_eq!(trap.contacts(), 0);
}

/// Breaks if a redirect is followed.
#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (forge, trap) = (Forge::start(), Forge::start());
    let headers = format!("Location: {}/api/v4/groups/acme/projects\r\n", trap.base());
    forge.listing().faults = vec![Fault::Status(301, headers)].into();
    let settings = Settings::of(&forge, "gitlab").with_token();
    let error = settings.error(&format!("{}/acme", forge.base())).await;
    assert!(error.contains("redirects"), "{error}");
    assert_eq!(trap.contacts(), 0);
}

/// Breaks if a group can direct its scans to another origin, or its plan shows a secret.
#[tokio::test]
async fn a_url_of_another_origin_is_refused_in_its_row() {
    let (forge, other) = (Forge::start(), Forge::start());
    forge.group(&["acme/a", "acme/b", "acme/c", "acme/d", "acme/e"]);
    for (path, url) in [
        ("acme/a", other.url("acme/a")),
        ("acme/b", "http://169.254.169.254/latest.git".to_owned()),
        ("acme/c", forge.url("acme/c").replace("://", &format!("://u:{CANARY}@"))),
        ("acme/d", "ext::sh -c touch% /tmp/x".to_owned()),
    ] {
        forge.listing().describe(path, json!({ "http_url_to_repo": url }));
    }
    let settings = Settings::of(&forge, "gitlab").forge(&other.base(), "git", "");
    let plan = settings.group(&format!("{}/acme", forge.base())).await;
    for (line, expected) in lines(&plan).iter().zip([
        "0 a! the URL of the forge's entry has another origin",
        "1 b! the URL of the forge's entry is refused: Invalid Git URL scheme: http",
        "2 c! the URL of the forge's entry is refused: Invalid Git URL: credentials",
        "3 d! the URL of the forge's entry is refused: Invalid Git URL scheme: ext",
        "4 e",
    ]) {
        assert!(line.starts_with(expected), "{line}");
    }
    assert_eq!(plan.repositories[2].git_url, forge.url("acme/c"));
    assert_eq!(plan.repositories[3].git_url, forge.url("acme/d"));
    assert_eq!(other.contacts(), 0);
}

/// Breaks if an allowed name can resolve to a private address: its addresses must be checked when
/// the connection is made.
#[tokio::test]
async fn an_allowed_name_with_a_private_address_is_not_contacted() {
    let trap = Forge::start();
    let url = format!("https://localhost:{}", trap.port());
    // The settings define the API of a trusted forge; this test removes the trust.
    let settings = Settings::new()
        .forge(&url, "gitlab", "")
        .set("network.allow_hosts", "localhost")
        .set("network.allow_ports", trap.port());
    let mut config = (*settings.load()).clone();
    config.network.trusted.clear();
    let target = Target::parse(&format!("{url}/acme"), &config);
    let target = target.expect("a name that is allowed");
    let discovery = Discovery::new(config.into());
    let listing = discovery.list(&target, &Options::default(), CancellationToken::new()).await;
    let error = listing.expect_err("it leads inside").to_string();
    assert!(error.contains("Private network access not allowed: localhost has"), "{error}");
    assert_eq!(trap.contacts(), 0);
}

/// Breaks if a target that was accepted with other settings is contacted with these.
#[tokio::test]
async fn the_url_policy_is_checked_again_before_a_contact() {
    let forge = Forge::start();
    let config = Settings::of(&forge, "gitlab").load();
    let url = format!("{}/acme", forge.base());
    let target = Target::parse(&url, &config).expect("trusted");
    let closed = Settings::new().load();
    let discovery = Discovery::new(closed);
    let listing = discovery.list(&target, &Options::default(), CancellationToken::new()).await;
    let error = listing.expect_err("nobody is trusted").to_string();
    assert!(error.contains("Invalid Git URL scheme: http"), "{error}");
    assert_eq!(forge.contacts(), 0);
}

/// Breaks if a forge can reveal its token by including it in an answer.
#[tokio::test]
async fn a_token_in_answers_of_the_forge_is_masked() {
    let forge = Forge::start();
    forge.group(&["acme/a"]);
    forge.listing().token = Some(CANARY.to_owned());
    let settings = Settings::of(&forge, "gitlab").with_token();
    let url = format!("{}/acme", forge.base());
    let encoded = CANARY.replace('-', "%2d");
    for next in [
        format!("https://{CANARY}.evil.example/x"),
        format!("{}/api/v4/groups/{CANARY}/projects?page=2", forge.base()),
        format!("{}/api/v4/groups/{encoded}/projects?page=2", forge.base()),
    ] {
        forge.listing().faults = vec![Fault::Next(next)].into();
        let error = settings.error(&url).await;
        assert!(error.contains("***") && !error.contains(&encoded), "{error}");
    }
    forge.listing().describe(&format!("acme/{CANARY}"), json!({ "id": 7 }));
    let plan = settings.group(&url).await;
    assert_eq!(lines(&plan), ["0 a", "1 ***"]);
}
