//! Hostile URLs on every path into the service: submitted, listed by a forge, given as the next
//! page, and passed to a scanner. Each is refused by the rule it breaks, and nothing is contacted.

use crate::{
    discovery::Settings,
    support::{
        files,
        forge::{Fault, Forge, program},
        private_network::{self, Contacts},
        rounds::rounds,
        server::Setup,
        trap::Trap,
        urls::{hostile, rule_of, said},
    },
    worker::{Place, scan},
};
use scanwatch::{
    config::{Config, Sources},
    model::git_url::GitUrl,
    worker::ScanEnd,
};
use serde_json::json;
use std::{io::Write, process::Stdio, thread};

/// In its own network, with the trap listening on loopback, on a private address and on that of the
/// metadata service.
fn trap(test: &str) -> Option<Trap> {
    if !private_network::in_private_network(&format!("security::hostile::{test}")) {
        return None;
    }
    for address in ["10.0.0.1", "192.168.0.1", "169.254.169.254"] {
        private_network::ip(&format!("addr add {address}/32 dev lo"));
    }
    let trap = Trap::everywhere();
    trap.is_tried_at(&["127.0.0.1:443", "127.66.6.6:80", "[::1]:22", "169.254.169.254:80"]);
    Some(trap)
}

#[track_caller]
fn nothing_wrong(wrong: &[String], of: usize) {
    assert!(of >= 300, "only {of} URLs");
    assert!(wrong.is_empty(), "{} of {of} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Breaks if a trick gets around a rule, or a URL is refused for a reason that does not help.
#[test]
fn each_url_is_refused_by_the_rule_it_breaks() {
    let policy = Config::load(&Sources::default()).unwrap().network;
    let hostile = hostile();
    let mut wrong = Vec::new();
    for (rule, url) in &hostile {
        let reported = match GitUrl::parse(url, &policy) {
            Ok(url) => format!("let in as {url}"),
            Err(refusal) => rule_of(&refusal),
        };
        if reported != *rule {
            wrong.push(format!("{url:?}: want {rule}, got {reported}"));
        }
    }
    nothing_wrong(&wrong, hostile.len());
}

/// Breaks if a submitted hostile URL becomes a job, or makes the server contact anything.
#[tokio::test]
async fn no_hostile_url_is_accepted_and_nothing_is_contacted() {
    let Some(trap) = trap("no_hostile_url_is_accepted_and_nothing_is_contacted") else { return };
    let server = Setup::new().start().await;
    let before = Contacts::so_far();
    let hostile = hostile();
    let mut wrong = Vec::new();
    for (rule, url) in &hostile {
        let answer = server.post("/scan", &json!({ "git_url": url })).await;
        let code = if rule == "shape" { 422 } else { 400 };
        let body = answer.json();
        let detail = &body["detail"];
        let reported = detail.as_str().or(detail[0]["msg"].as_str()).unwrap_or_default();
        if answer.status != code || !reported.contains(&said(rule)) {
            wrong.push(format!("{url:?}: want {rule}, got {} {}", answer.status, answer.text));
        }
    }
    nothing_wrong(&wrong, hostile.len());
    assert_eq!(server.get("/jobs").await.json()["total"], 0);
    let contacts = Contacts::so_far();
    // Each of our own requests is a connection, and there is no other.
    let own = hostile.len() as u64 + 1;
    assert_eq!(contacts.connections - before.connections, own);
    assert_eq!(contacts.datagrams, before.datagrams, "a name was asked for");
    assert_eq!(trap.contacts(), 0);
}

/// Breaks if a scanner relies on the checks of its sender.
#[test]
fn no_scanner_contacts_a_hostile_url() {
    let Some(trap) = trap("no_scanner_contacts_a_hostile_url") else { return };
    let policy = Config::load(&Sources::default()).unwrap().network;
    let before = Contacts::so_far();
    let hostile = hostile();
    let wrong = |(rule, url): &(String, String)| {
        let place = Place::new();
        let mut task = place.task(url);
        task.network = policy.clone();
        let ending = scan(&task);
        let failure = &place.status()["failure"];
        let reported = failure["detail"].as_str().unwrap_or_default();
        let right = matches!(ending, ScanEnd::Failed)
            && failure["kind"] == "refused"
            && reported.starts_with(&said(rule));
        (!right).then(|| format!("{url:?}: want {rule}, got {ending:?} {failure}"))
    };
    // Most of a scan's time is disk time.
    let wrong: Vec<_> = thread::scope(|scope| {
        let parts = hostile.chunks(hostile.len().div_ceil(8));
        let scans = parts.map(|part| scope.spawn(move || part.iter().filter_map(wrong).collect()));
        let scans: Vec<thread::ScopedJoinHandle<'_, Vec<String>>> = scans.collect();
        scans.into_iter().flat_map(|scan| scan.join().unwrap()).collect()
    });
    nothing_wrong(&wrong, hostile.len());
    assert_eq!(Contacts::so_far(), before);
    assert_eq!(trap.contacts(), 0);
}

/// Breaks if the started program differs from what the test above ran.
#[test]
fn the_scanner_process_refuses_hostile_urls_too() {
    let Some(trap) = trap("the_scanner_process_refuses_hostile_urls_too") else { return };
    let policy = Config::load(&Sources::default()).unwrap().network;
    let before = Contacts::so_far();
    let mut hostile = hostile();
    // One for each rule.
    hostile.dedup_by_key(|(rule, _)| rule.split(':').next().unwrap_or_default().to_owned());
    assert!(hostile.len() >= 8, "{hostile:?}");
    for (rule, url) in &hostile {
        let place = Place::new();
        let mut task = place.task(url);
        task.network = policy.clone();
        let mut worker = program(env!("CARGO_BIN_EXE_scanwatch"));
        let mut worker = worker
            .arg("worker")
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the scanner starts");
        let line = serde_json::to_string(&task).unwrap() + "\n";
        worker.stdin.take().unwrap().write_all(line.as_bytes()).unwrap();
        assert_eq!(worker.wait().unwrap().code(), Some(1), "{url:?}");
        let failure = &place.status()["failure"];
        assert_eq!(failure["kind"], "refused", "{url:?}: {failure}");
        let reported = failure["detail"].as_str().unwrap_or_default();
        assert!(reported.starts_with(&said(rule)), "{url:?}: {failure}");
    }
    assert_eq!(Contacts::so_far(), before);
    assert_eq!(trap.contacts(), 0);
}

/// Breaks if a forge can send its group's scans where no submitter can, or one refused URL affects
/// more than its own repository.
#[tokio::test]
async fn hostile_urls_in_a_list_are_refused_in_their_rows() {
    let Some(trap) = trap("hostile_urls_in_a_list_are_refused_in_their_rows") else { return };
    let forge = Forge::start();
    let hostile: Vec<_> = hostile().into_iter().filter(|(_, url)| !url.is_empty()).collect();
    for (number, (_, url)) in hostile.iter().enumerate() {
        let listed = json!({ "http_url_to_repo": url });
        forge.listing().describe(&format!("acme/r{number:03}"), listed);
    }
    forge.group(&["acme/zz-good"]);
    let forges = format!("[{{ kind = \"gitlab\", url = \"{}\" }}]", forge.base());
    let server = Setup::new().set("forges", forges).start().await;
    let job = server.submit_with(&json!({ "git_url": format!("{}/acme", forge.base()) })).await;
    let document = server.finished(&job).await;
    assert_eq!(document["summary"]["completed"], 1, "{}", document["summary"]);
    let plan = files::json(&server.job_folder(&job).join("repositories.json")).unwrap();
    let lines = plan["repositories"].as_array().unwrap();
    let mut wrong = Vec::new();
    for ((rule, url), line) in hostile.iter().zip(lines) {
        let reported = line["refused"].as_str().unwrap_or_default();
        let number = u32::try_from(line["repo_index"].as_u64().unwrap()).unwrap();
        let failure = server.status_file(&job, number)["failure"].clone();
        if !reported.contains(&said(rule)) || failure["kind"] != "refused" {
            wrong.push(format!("{url:?}: want {rule}, got {line} and {failure}"));
        }
    }
    nothing_wrong(&wrong, hostile.len());
    assert_eq!(trap.contacts(), 0);
    assert_eq!(Contacts::so_far().datagrams, 0, "a name was asked for");
}

/// Breaks if a forge can redirect the reader of its list, with its token, to another host.
#[tokio::test]
async fn a_hostile_next_page_is_not_requested() {
    let Some(trap) = trap("a_hostile_next_page_is_not_requested") else { return };
    let forge = Forge::start();
    forge.group(&["acme/a"]);
    let settings = Settings::of(&forge, "gitlab").with_token();
    // A forge cannot send what a header cannot contain.
    let sendable = |text: &String| !text.contains(|c: char| !(' '..='~').contains(&c) || c == '>');
    let hostile: Vec<_> = hostile().into_iter().map(|case| case.1).filter(sendable).collect();
    assert!(hostile.len() >= 300, "only {} URLs", hostile.len());
    let step = hostile.len().div_ceil(rounds(40));
    for url in hostile.into_iter().step_by(step) {
        forge.listing().faults = vec![Fault::Next(url)].into();
        // A path points to the forge itself, and to nothing it has.
        settings.error(&format!("{}/acme", forge.base())).await;
    }
    assert_eq!(trap.contacts(), 0);
    let contacts = Contacts::so_far();
    // Besides those the trap was tested with.
    assert_eq!(contacts.connections - 4, forge.contacts());
    assert_eq!(contacts.datagrams, 0, "a name was asked for");
}
