//! Failures at the forge, on the way there, or caused by the request.

use super::{CANARY, Place, canary, fails};
use crate::support::{
    files,
    forge::{Behaviour, Entry, Flaw, Forge},
};
use scanwatch::model::{
    address::{Authority, Origin},
    task::Credentials,
};
use serde_json::Value;
use std::fs;

/// A forge with one repository.
fn forge() -> Forge {
    let forge = Forge::start();
    forge.add_repository("project", &[("requirements.txt", b"a==1\n")]);
    forge
}

/// Whether the scanner reports that another attempt would end the same way.
fn is_permanent(place: &Place) -> bool {
    match &place.status()["failure"]["permanent"] {
        Value::Null => false,
        flag => flag.as_bool().unwrap(),
    }
}

#[test]
fn error_answers_become_causes() {
    let forge = forge();
    for (code, permanent, detail) in [
        (401, true, "requires credentials"),
        (403, true, "denied access"),
        (404, true, "repository not found"),
        (410, true, "repository not found"),
        (429, false, "refuses requests because of its rate limit; fewer"),
        (500, false, "returned a server error"),
        (503, false, "The requested URL returned error: 503"),
        (200, true, "does not speak git's smart HTTP protocol"),
    ] {
        forge.behave(Behaviour::Status(code));
        let place = Place::new();
        fails(&place, &place.task_at(&forge, "project"), "clone", detail);
        assert_eq!(is_permanent(&place), permanent, "{code}");
    }
}

#[test]
fn a_missing_repository_is_reported() {
    let forge = forge();
    let place = Place::new();
    fails(&place, &place.task_at(&forge, "other"), "clone", "repository not found");
}

#[test]
fn a_missing_or_wrong_login_gives_a_hint() {
    let forge = forge();
    forge.require_login("oauth2", "another");
    let place = Place::new();
    fails(
        &place,
        &place.task_at(&forge, "project"),
        "clone",
        "[[forges]] (token_file or token_env)",
    );

    let place = Place::new();
    let mut task = place.task_at(&forge, "project");
    task.credentials = Some(canary());
    fails(&place, &task, "clone", "rejected the credentials");
    assert!(is_permanent(&place));
    let status = fs::read_to_string(&task.status_file).unwrap();
    assert!(!status.contains(CANARY) && !status.contains("b2F1dGgyOm"), "{status}");
}

#[test]
fn a_redirect_is_not_followed() {
    let (forge, trap) = (forge(), forge());
    forge.behave(Behaviour::Redirect(format!("http://127.0.0.1:{}", trap.port())));
    let place = Place::new();
    let mut task = place.task_at(&forge, "project");
    task.network.trusted.push(trap.origin());
    task.credentials = Some(canary());
    fails(&place, &task, "clone", "redirects to another URL");
    assert!(is_permanent(&place));
    assert_eq!(trap.contacts(), 0);
}

/// Breaks if a bad certificate is accepted, on the first attempt or a later one.
#[test]
fn a_bad_certificate_is_never_accepted() {
    let forge = forge();
    for flaw in [Flaw::Expired, Flaw::OfTheFuture, Flaw::OfAnother, Flaw::SelfSigned] {
        let front = forge.with_flawed_tls(flaw);
        let place = Place::new();
        let mut task = place.task(&format!("{}/project.git", front.base()));
        let origin = Origin::of(&url::Url::parse(&front.base()).unwrap()).unwrap();
        let ca_file = place.file("ca.pem");
        files::write(&ca_file, front.authority());
        task.network.authorities.push(Authority { origin: origin.clone(), ca_file });
        task.network.trusted.push(origin);
        fails(&place, &task, "clone", "cannot establish a trusted TLS connection to 127.0.0.1");
        assert!(forge.seen().is_empty(), "{flaw:?}: it was asked all the same");
    }
}

#[test]
fn a_silent_server_hits_our_own_timeout() {
    let forge = forge();
    forge.behave(Behaviour::Silent);
    let place = Place::new();
    let mut task = place.task_at(&forge, "project");
    task.limits.connect_timeout_secs = 1;
    fails(&place, &task, "clone", "no answer from 127.0.0.1 within 1 seconds");
    assert!(!is_permanent(&place));
}

#[test]
fn a_transfer_that_stalls_is_ended() {
    let forge = Forge::start();
    let noise: Vec<u8> = (0..100_000_u32)
        .flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    forge.add_repository("project", &[("noise", &noise)]);
    forge.behave(Behaviour::StallAfter(50_000));
    let place = Place::new();
    let mut task = place.task_at(&forge, "project");
    task.limits.fetch_stall_timeout_secs = 2;
    fails(&place, &task, "clone", "stalled");
    assert!(!is_permanent(&place));
}

#[test]
fn a_closed_port_is_reported() {
    let place = Place::new();
    // Below the ephemeral port range.
    let mut task = place.task("http://127.0.0.1:1/a.git");
    task.network.trusted.push(Origin {
        scheme: "http".to_owned(),
        host: "127.0.0.1".to_owned(),
        port: 1,
    });
    fails(&place, &task, "clone", "127.0.0.1 cannot be reached");
    assert!(!is_permanent(&place));
}

#[test]
fn an_endless_pack_is_cut_off() {
    let forge = forge();
    forge.behave(Behaviour::EndlessPack);
    let place = Place::new();
    let mut task = place.task_at(&forge, "project");
    task.limits.max_fetch_bytes = 10 << 20;
    fails(&place, &task, "limit", "too large");
    let left: u64 = walkdir::WalkDir::new(&task.work_dir)
        .into_iter()
        .flatten()
        .map(|entry| entry.metadata().unwrap().len())
        .sum();
    // What came between two checks of the folder.
    assert!(left < 300 << 20, "{left}");
}

#[test]
fn branches_that_do_not_exist_are_reported() {
    let forge = forge();
    for reference in ["nope", "0123456789012345678901234567890123456789"] {
        let place = Place::new();
        let mut task = place.task_at(&forge, "project");
        task.reference = Some(reference.to_owned());
        fails(&place, &task, "clone", &format!("`{reference}` not found"));
        assert!(is_permanent(&place));
    }
    let lost = forge.add_empty_repository("lost");
    lost.commit("elsewhere", &[Entry::File(b"a", b"")]);
    let place = Place::new();
    fails(&place, &place.task_at(&forge, "lost"), "clone", "default branch does not exist");
    assert!(is_permanent(&place));
}

#[test]
fn names_that_are_options_do_nothing() {
    let forge = forge();
    let place = Place::new();
    let canary = place.file("canary");
    for reference in [
        format!("--upload-pack=touch {}", canary.display()),
        format!("--upload-pack=touch${{IFS}}{}", canary.display()),
        "-c".to_owned(),
        "--output=x".to_owned(),
        "main:refs/heads/x".to_owned(),
        "a\n--upload-pack=x".to_owned(),
    ] {
        let mut task = place.task_at(&forge, "project");
        task.reference = Some(reference);
        fails(&place, &task, "refused", "is not a valid branch");
    }
    assert!(!canary.exists());
    assert_eq!(forge.contacts(), 0);
}

#[test]
fn a_url_is_checked_again_by_the_scanner() {
    let forge = forge();
    let port = forge.port();
    let place = Place::new();
    for (url, detail) in [
        (forge.url("project"), "Invalid Git URL scheme: http"),
        (format!("https://127.0.0.1:{port}/project.git"), "Private network access not allowed"),
        ("https://169.254.169.254/a.git".to_owned(), "Metadata endpoint access not allowed"),
        ("https://evil.example/a.git".to_owned(), "Domain not allowed: evil.example"),
        (format!("https://u:{CANARY}@h.example/a.git"), "credentials in a URL"),
        ("ext::sh -c touch% /tmp/x".to_owned(), "Invalid Git URL scheme: ext"),
        ("file:///etc".to_owned(), "Invalid Git URL scheme: file"),
        ("--upload-pack=x".to_owned(), "Invalid Git URL"),
        (place.path().display().to_string(), "Invalid Git URL"),
    ] {
        fails(&place, &place.task(&url), "refused", detail);
    }
    assert_eq!(forge.contacts(), 0);
}

#[test]
fn an_allowed_name_with_a_private_address_is_not_contacted() {
    let forge = forge();
    let place = Place::new();
    let mut task = place.task(&format!("https://localhost:{}/project.git", forge.port()));
    task.network.allow_hosts.push("localhost".to_owned());
    task.network.allow_ports.push(forge.port());
    fails(&place, &task, "refused", "localhost has the address");
    assert_eq!(forge.contacts(), 0);

    // Allowed by the settings it is contacted, at its resolved address; there is no TLS there.
    let place = Place::new();
    let mut task = place.task(&task.git_url);
    task.network.allow_hosts.push("localhost".to_owned());
    task.network.allow_ports.push(forge.port());
    task.network.allow_nets = ["127.0.0.0/8", "::1/128"].map(|net| net.parse().unwrap()).to_vec();
    fails(&place, &task, "clone", "cannot establish a trusted TLS connection to localhost");
    assert!(!is_permanent(&place));
    assert!(forge.contacts() > 0);
}

/// Breaks if an unknown name counts as refused by the policy, so that nobody retries it, or has another
/// cause in `scan`, where its host is trusted as typed, than in `serve`.
#[test]
fn a_name_that_is_unknown_is_a_failure_of_the_network() {
    for trusted in [false, true] {
        let place = Place::new();
        let mut task = place.task("https://no-such-name.invalid/a.git");
        if trusted {
            let url = url::Url::parse(&task.git_url).unwrap();
            task.network.trusted.extend(Origin::of(&url));
        } else {
            task.network.allow_hosts.push("no-such-name.invalid".to_owned());
        }
        task.credentials = Some(Credentials {
            username: String::new(),
            password: "no-such-name".to_owned(),
            on_request: false,
        });
        let detail = "***.invalid cannot be reached: the name could not be resolved";
        fails(&place, &task, "clone", detail);
        assert!(!is_permanent(&place), "trusted: {trusted}");
        let status = place.status().to_string();
        assert!(!status.contains("allow_hosts"), "{status}");
    }
}
