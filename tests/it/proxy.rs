//! An outbound proxy for git and for forge queries: a real one, which asks for a password.

use crate::{
    support::{
        files,
        forge::{Forge, TlsFront, program},
        server::Setup,
        tinyproxy::{LOGIN, Tinyproxy},
    },
    worker::Place,
};
use scanwatch::model::{
    address::{Authority, Origin},
    proxy::Proxy,
    task::{Credentials, ScanTask},
};
use serde_json::{Value, json};
use std::{
    io::Write,
    process::{Command, Stdio},
};
use tempfile::TempDir;

/// Settings that send everything through the proxy.
fn behind(proxy: &Tinyproxy, setup: Setup) -> Setup {
    setup
        .set("network.proxy", json!(proxy.url_with_user()))
        .set("network.proxy_password_file", json!(proxy.password_file()))
}

/// Breaks if git or a forge query goes around the proxy, or if its password is kept in a file or a log.
#[tokio::test]
async fn git_and_forge_queries_go_through_the_proxy() {
    let (forge, proxy) = (Forge::start(), Tinyproxy::start());
    forge.group(&["acme/api", "acme/web"]);
    let forges = format!("[{{ kind = \"gitlab\", url = \"{}\" }}]", forge.base());
    let server = behind(&proxy, Setup::new().set("forges", &forges)).start().await;
    let job = server.submit_with(&json!({ "git_url": format!("{}/acme", forge.base()) })).await;
    let document = server.finished(&job).await;
    assert_eq!(document["status"], "completed", "{document:#}");
    let requests = proxy.requests();
    for path in
        ["/api/v4/groups/acme/projects", "/acme/api.git/info/refs", "/acme/web.git/info/refs"]
    {
        let target = format!("GET {}{path}", forge.base());
        assert!(
            requests.iter().any(|request| request.starts_with(&target)),
            "{path}: {requests:#?}"
        );
    }
    // Nothing came another way, apart from the connections of tinyproxy.
    assert!(forge.seen().len() <= requests.len(), "{:?}\n{requests:#?}", forge.seen());
    for path in files::below(server.folder()) {
        let text = files::text(&path);
        assert!(!text.contains(LOGIN.1), "{}: {text}", path.display());
    }

    // A host of no_proxy is contacted directly.
    let direct = behind(&proxy, Setup::new().set("forges", &forges))
        .set("network.no_proxy", "[\"127.0.0.0/8\"]")
        .start()
        .await;
    let job = direct.submit_with(&json!({ "git_url": format!("{}/acme", forge.base()) })).await;
    assert_eq!(direct.finished(&job).await["status"], "completed");
    assert_eq!(proxy.requests(), requests);
}

/// Breaks if a wrong password of the proxy is blamed on the forge, or is shown.
#[tokio::test]
async fn a_proxy_that_refuses_is_named() {
    let (forge, proxy) = (Forge::start(), Tinyproxy::start());
    forge.group(&["acme/api"]);
    let front = forge.with_tls();
    let folder = TempDir::new().unwrap();
    let password = folder.path().join("password");
    files::write(&password, "wrong-canary");
    let forges = format!("[{{ kind = \"git\", url = \"{}\" }}]", front.base());
    let server = Setup::new()
        .set("forges", &forges)
        .set("network.proxy", json!(proxy.url_with_user()))
        .set("network.proxy_password_file", json!(password))
        .start()
        .await;
    let url = format!("{}/acme/api.git", front.base());
    let job = server.submit_with(&json!({ "git_url": url })).await;
    let document = server.finished(&job).await;
    let failure = &server.status_file(&job, 0)["failure"];
    assert_eq!(failure["kind"], "clone", "{document:#}");
    let detail = failure["detail"].as_str().unwrap();
    assert!(detail.contains("the proxy 127.0.0.1 does not lead to 127.0.0.1"), "{detail}");
    assert!(detail.contains("proxy_password_file"), "{detail}");
    assert!(!document.to_string().contains("wrong-canary"));
    assert!(forge.seen().is_empty());
}

/// A task behind the proxy, for a URL that is allowed and not trusted.
fn task(place: &Place, proxy: &Tinyproxy, url: &str, no_proxy: &[&str]) -> ScanTask {
    let mut task = place.task(url);
    task.network.allow_hosts = ["forge.invalid", "localhost"].map(str::to_owned).to_vec();
    let (username, password) = LOGIN;
    task.network.proxy = Some(Proxy {
        url: proxy.url(),
        no_proxy: no_proxy.iter().map(|entry| (*entry).to_owned()).collect(),
        https_only: false,
        credentials: Some(Credentials {
            username: username.to_owned(),
            password: password.to_owned(),
            on_request: false,
        }),
    });
    task
}

/// Runs the scanner's process; returns its failure.
fn failure(place: &Place, task: &ScanTask) -> Value {
    let mut worker = program(env!("CARGO_BIN_EXE_scanwatch"));
    let mut worker =
        worker.arg("worker").stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let line = serde_json::to_string(task).unwrap() + "\n";
    worker.stdin.take().unwrap().write_all(line.as_bytes()).unwrap();
    worker.wait().unwrap();
    place.status()["failure"].clone()
}

/// Breaks if a name is resolved here although the proxy does it, or if a rule of the policy is dropped behind a
/// proxy, or for a host of `no_proxy`.
#[test]
fn behind_a_proxy_the_rules_stay_and_names_are_left_to_it() {
    let proxy = Tinyproxy::start();
    let place = Place::new();
    let asked = task(&place, &proxy, "https://forge.invalid/a.git", &[]);
    let asked = failure(&place, &asked);
    assert_eq!(asked["kind"], "clone", "{asked:#}");
    let detail = asked["detail"].as_str().unwrap();
    assert!(detail.contains("the proxy 127.0.0.1 does not lead to forge.invalid"), "{detail}");
    let first = proxy.requests();
    assert!(first.iter().all(|request| request == "CONNECT forge.invalid:443"), "{first:?}");
    assert!(!first.is_empty());
    for (url, no_proxy, reason) in [
        ("https://127.0.0.1/a.git", &[][..], "Private network access not allowed"),
        ("https://10.0.0.1/a.git", &[], "Private network access not allowed"),
        ("https://169.254.169.254/a.git", &[], "Metadata endpoint access not allowed"),
        ("https://elsewhere.invalid/a.git", &[], "Domain not allowed: elsewhere.invalid"),
        ("https://forge.invalid:8443/a.git", &[], "Non-standard port not allowed: 8443"),
        ("http://forge.invalid/a.git", &[], "Invalid Git URL scheme: http"),
        ("https://localhost/a.git", &["localhost"], "localhost has the address"),
    ] {
        let refused = failure(&place, &task(&place, &proxy, url, no_proxy));
        assert_eq!(refused["kind"], "refused", "{url}: {refused:#}");
        assert!(refused["detail"].as_str().unwrap().contains(reason), "{url}: {refused:#}");
    }
    assert_eq!(proxy.requests(), first);
}

/// A forge with TLS, and a settings file that trusts its authority.
fn secure() -> (Forge, TlsFront, TempDir) {
    let forge = Forge::start();
    forge.add_repository("acme/api", &[("package.json", br#"{"dependencies": {"a": "1.0.0"}}"#)]);
    let front = forge.with_tls();
    let home = TempDir::new().unwrap();
    let authority = home.path().join("ca.pem");
    files::write(&authority, front.authority());
    let settings = format!(
        "[[forges]]\nkind = \"git\"\nurl = \"{}\"\nca_file = \"{}\"\n",
        front.base(),
        authority.display()
    );
    files::write(&home.path().join("forge.toml"), settings);
    (forge, front, home)
}

fn scan(home: &TempDir, url: &str) -> Command {
    let mut scan = program(env!("CARGO_BIN_EXE_scanwatch"));
    scan.args(["scan", url, "--config", "forge.toml"]).env("TMPDIR", home.path());
    scan.current_dir(home.path());
    scan
}

/// Breaks if `scan` ignores the proxy of the environment, or the exceptions from it.
#[test]
fn scan_uses_the_proxy_of_the_environment() {
    let (forge, front, home) = secure();
    let proxy = Tinyproxy::start();
    let (user, password) = LOGIN;
    let with_login = proxy.url().replace("://", &format!("://{user}:{password}@"));
    let url = format!("{}/acme/api.git", front.base());
    for (direct, connects) in [("other.example", true), ("127.0.0.1,other.example", false)] {
        let before = proxy.requests().len();
        let ran = scan(&home, &url)
            .env("HTTPS_PROXY", &with_login)
            .env("NO_PROXY", direct)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success() && !said.contains(password), "{said}");
        let requests = proxy.requests()[before..].to_vec();
        let tunnel = format!("CONNECT {}", front.base().trim_start_matches("https://"));
        assert_eq!(!requests.is_empty(), connects, "{requests:?}");
        assert!(requests.iter().all(|request| *request == tunnel), "{requests:?}");
    }
    // Nothing goes around a proxy that is not there.
    let seen = forge.seen().len();
    let ran = scan(&home, &url).env("HTTPS_PROXY", "http://127.0.0.1:1").output().unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.code() == Some(1) && said.contains("the proxy 127.0.0.1"), "{said}");
    assert_eq!(forge.seen().len(), seen);
    // It is for https alone.
    let ran = scan(&home, &forge.url("acme/api")).env("HTTPS_PROXY", "http://127.0.0.1:1").output();
    assert!(ran.unwrap().status.success());
}

/// Breaks if a password is accepted where others can read it, or if nobody says what a proxy changes.
#[test]
fn the_settings_of_a_proxy_are_checked_and_explained() {
    let home = TempDir::new().unwrap();
    files::write(&home.path().join("password"), "canary");
    let check = |settings: &[&str]| {
        let mut check = program(env!("CARGO_BIN_EXE_scanwatch"));
        check.args(["config", "check"]).current_dir(home.path());
        for setting in settings {
            check.args(["--set", setting]);
        }
        let ran = check.output().unwrap();
        (ran.status.code(), String::from_utf8_lossy(&ran.stderr).into_owned())
    };
    let (code, said) = check(&["network.proxy=http://proxy.example:3128"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("through the proxy http://proxy.example:3128/"), "{said}");
    assert!(said.contains("has to block private addresses"), "{said}");
    let (code, said) =
        check(&["network.proxy=http://me@proxy:3128", "network.proxy_password_file=password"]);
    assert_eq!(code, Some(0), "{said}");
    for (settings, reason) in [
        (&["network.proxy=http://me:canary@proxy:3128"][..], "without a password"),
        (&["network.proxy=socks5://proxy:1080"], "expected http://"),
        (&["network.proxy=http://me@proxy:3128"], "names a user"),
        (
            &["network.proxy=http://me@proxy:3128", "network.proxy_password_file=none"],
            "cannot read",
        ),
        (
            &["network.proxy=http://proxy:3128", "network.proxy_password_file=password"],
            "names no user",
        ),
    ] {
        let (code, said) = check(settings);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(reason) && !said.contains("canary"), "{said}");
    }
    let (code, said) = check(&[]);
    assert!(code == Some(0) && !said.contains("proxy"), "{said}");
}

/// Breaks if a repository is fetched through a tunnel without the forge's own authority.
#[test]
fn tls_is_verified_through_the_tunnel() {
    let (forge, front, home) = secure();
    let proxy = Tinyproxy::start();
    for (is_known, kind) in [(false, "clone"), (true, "")] {
        let place = Place::new();
        let mut task = task(&place, &proxy, &format!("{}/acme/api.git", front.base()), &[]);
        let origin = Origin::of(&url::Url::parse(&front.base()).unwrap()).unwrap();
        if is_known {
            let ca_file = home.path().join("ca.pem");
            task.network.authorities.push(Authority { origin: origin.clone(), ca_file });
        }
        task.network.trusted.push(origin);
        let failure = failure(&place, &task);
        assert_eq!(failure["kind"].as_str().unwrap_or_default(), kind, "{failure:#}");
    }
    assert!(!forge.seen().is_empty());
}
