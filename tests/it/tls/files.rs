//! The files of the certificate and its key: refused at the start, replaced while the server runs.

use crate::support::{
    certificates::{Authority, Pair},
    files,
    forge::program,
    server::{Setup, TestServer},
    sse::EventStream,
    tls::TlsConnection,
    wait::{PATIENCE, eventually},
};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt};

const ENCRYPTED: &str =
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";

/// The output of `config check` for the settings of a test.
fn checked(setup: &Setup, settings: &str) -> (bool, String) {
    let path = setup.folder().join("checked.toml");
    files::write(&path, settings);
    let mut command = program(env!("CARGO_BIN_EXE_scanwatch"));
    let output = command.args(["config", "check", "--config"]).arg(&path).output().unwrap();
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

/// Breaks if the server starts with a certificate that it cannot serve, or does not say which file
/// is wrong, or if the check of the settings finds less.
#[tokio::test]
async fn unusable_files_are_refused_at_the_start() {
    let authority = Authority::new();
    let (good, other) = (authority.issue(), authority.issue());
    let torn = good.certificate.replacen("-----END", "-----", 1);
    let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let reversed = format!("{}{}", authority.pem(), good.certificate);
    let second = format!("{}{junk}", good.certificate);
    let (certificate, key) = ("tls_certificate_file", "tls_key_file");
    for (certificates, keys, wrong, reason) in [
        ("", good.key.as_str(), certificate, "the file contains no certificate"),
        (&good.key, &good.key, certificate, "the file contains no certificate"),
        (&torn, &good.key, certificate, "the file is not valid PEM"),
        (junk, &good.key, certificate, "its first certificate cannot be used"),
        (&second, &good.key, certificate, "its certificate 2 cannot be used"),
        (&good.certificate, "", key, "the file contains no private key"),
        (&good.certificate, &good.certificate, key, "the file contains no private key"),
        (&good.certificate, ENCRYPTED, key, "its key is encrypted"),
        (&good.certificate, &other.key, key, "its key does not fit the first certificate"),
        (&reversed, &good.key, key, "its key does not fit the first certificate"),
    ] {
        let setup = Setup::new().with_certificate(&authority, &good);
        let (certificate_file, key_file) = setup.tls_files();
        Pair { certificate: certificates.to_owned(), key: keys.to_owned() }
            .put(&certificate_file, &key_file);
        let settings = format!(
            "[server]\ntls_certificate_file = {certificate_file:?}\ntls_key_file = {key_file:?}\n"
        );
        let place = if wrong == key { &key_file } else { &certificate_file };
        let ended = setup.run_to_end().await;
        assert_eq!(ended.code, Some(2), "{}", ended.output);
        let (fine, said) = checked(&setup, &settings);
        assert!(!fine, "{said}");
        let expected = format!("`server.{wrong}`: {}, {reason}", place.display());
        for said in [&ended.output, &said] {
            assert!(said.contains(&expected), "{expected:?} is not in: {said}");
            let secret = keys.lines().nth(1).unwrap_or("no secret");
            assert!(!said.contains(secret), "{said}");
        }
    }
}

/// Breaks if one file without the other counts as no TLS at all, or a path that does not exist
/// does.
#[tokio::test]
async fn one_file_without_the_other_and_missing_files_are_refused() {
    let authority = Authority::new();
    for (missing, other) in
        [("tls_certificate_file", "tls_key_file"), ("tls_key_file", "tls_certificate_file")]
    {
        let name = format!("SCANWATCH_SERVER__{}", missing.to_uppercase());
        let setup = Setup::new().with_tls(&authority).variable(&name, "");
        let ended = setup.run_to_end().await;
        assert_eq!(ended.code, Some(2), "{}", ended.output);
        for word in [
            "settings.toml",
            &format!("`server.{other}`"),
            &format!("`server.{missing}` is not set"),
        ] {
            assert!(ended.output.contains(word), "{word:?} is not in: {}", ended.output);
        }
        let setup = Setup::new().with_tls(&authority).variable(&name, "/nonexistent/file.pem");
        let ended = setup.run_to_end().await;
        let expected =
            format!("`server.{missing}`: /nonexistent/file.pem, the file cannot be read: No such");
        assert!(ended.output.contains(&expected), "{}", ended.output);
        let setup = Setup::new().with_tls(&authority).variable(&name, "/dev/null");
        assert!(setup.run_to_end().await.output.contains("not a regular file"));
    }
    // Without permissions for other users, from which root must be excluded.
    let setup = Setup::new().with_tls(&authority);
    let (certificate, key) = setup.tls_files();
    let settings =
        format!("[server]\ntls_certificate_file = {certificate:?}\ntls_key_file = {key:?}\n");
    let (fine, said) = checked(&setup, &settings);
    assert!(fine && said.ends_with("the settings are valid\n"), "{said}");
    assert!(!said.contains("tls_key_file"), "{said}");
    fs::set_permissions(&key, PermissionsExt::from_mode(0o644)).unwrap();
    let (fine, said) = checked(&setup, &settings);
    assert!(
        fine && said.contains("warning: `server.tls_key_file`") && said.contains("chmod o="),
        "{said}"
    );
    let server = setup.start().await;
    let log = server.setup().log();
    assert!(log.contains("every user of this machine can read the key"), "{log}");
}

fn replace(server: &TestServer, pair: &Pair) {
    let (certificate, key) = server.setup().tls_files();
    pair.put(&certificate, &key);
}

async fn shows(server: &TestServer, authority: &Authority, pair: &Pair) -> bool {
    let line = TlsConnection::open(server.address(), &authority.pem(), &[]).await;
    line.expect("a handshake").was_shown(pair)
}

fn reload(server: &TestServer) {
    server.signal(server.pid(), Signal::HUP);
}

async fn health(server: &TestServer) -> Value {
    server.get("/health").await.expect(200).json()
}

/// Breaks if a new certificate needs a restart, or costs existing connections.
#[tokio::test]
async fn a_new_pair_is_used_for_new_connections_and_old_ones_continue() {
    let authority = Authority::new();
    let (first, second, third) = (authority.issue(), authority.issue(), authority.issue());
    let server = Setup::new()
        .with_certificate(&authority, &first)
        .set("auth.reload_interval_secs", 1)
        .set("server.header_timeout_secs", 120)
        .shell("say scanning\nwhile [ ! -e \"$dir/go\" ]; do sleep 0.05; done\nsay completed\n")
        .start()
        .await;
    let job = server.submit("widget").await;
    server.working(&job).await;
    let mut stream = EventStream::open(&server, &format!("/scan/{job}/events")).await;
    let mut line = TlsConnection::open(server.address(), &authority.pem(), &[]).await.unwrap();
    assert!(line.was_shown(&first));
    line.ask("/livez", "\"ok\"").await;

    replace(&server, &second);
    eventually("the files are looked at", async || shows(&server, &authority, &second).await).await;
    // As certbot and Kubernetes do: a link whose target changes.
    let folder = server.file("next");
    fs::create_dir(&folder).unwrap();
    third.put(&folder.join("certificate.pem"), &folder.join("key.pem"));
    for name in ["certificate.pem", "key.pem"] {
        let next = server.file(&format!("{name}.next"));
        std::os::unix::fs::symlink(folder.join(name), &next).unwrap();
        fs::rename(next, server.file(name)).unwrap();
    }
    eventually("links are followed", async || shows(&server, &authority, &third).await).await;
    line.ask("/livez", "\"ok\"").await;
    files::write(&server.file("go"), "");
    assert_eq!(stream.rest(PATIENCE).await.pop().unwrap().name, "end");
    assert_eq!(health(&server).await["problems"], json!([]));
}

/// Breaks if the moment between the two files of a pair counts as a bad pair, or if SIGHUP must
/// wait for the next check.
#[tokio::test]
async fn a_temporarily_mismatched_pair_is_retried() {
    let authority = Authority::new();
    let (first, second) = (authority.issue(), authority.issue());
    let server = Setup::new()
        .with_certificate(&authority, &first)
        .set("auth.reload_interval_secs", 3600)
        .set("log.level", "\"debug\"")
        .start()
        .await;
    let (certificate, key) = server.setup().tls_files();
    files::replace(&certificate, &second.certificate);
    reload(&server);
    eventually("the pair is seen as it does not fit", async || {
        server.setup().log().contains("maybe in the middle of a change")
    })
    .await;
    assert!(shows(&server, &authority, &first).await, "the pair from before");
    assert_eq!(health(&server).await["problems"], json!([]));
    files::replace(&key, &second.key);
    eventually("the pair fits", async || shows(&server, &authority, &second).await).await;
    assert_eq!(health(&server).await["problems"], json!([]));
    assert!(!server.setup().log().contains("ERROR"), "{}", server.setup().log());
}

/// Breaks if an operator's mistake takes the service from its users, or goes unnoticed.
#[tokio::test]
async fn a_bad_pair_changes_nothing_and_is_reported_until_fixed() {
    let authority = Authority::new();
    let (first, second) = (authority.issue(), authority.issue());
    let server = Setup::new()
        .with_certificate(&authority, &first)
        .set("auth.reload_interval_secs", 1)
        .start()
        .await;
    let (certificate, key) = server.setup().tls_files();
    files::replace(&key, &second.key);
    eventually("the pair is reported", async || {
        health(&server).await["problems"].to_string().contains("does not fit")
    })
    .await;
    let seen = health(&server).await;
    assert_eq!(seen["status"], "degraded");
    let problem = seen["problems"].to_string();
    assert!(problem.contains("server.tls_key_file"), "{problem}");
    assert!(!problem.contains(&server.folder().display().to_string()), "{problem}");
    assert!(shows(&server, &authority, &first).await);
    fs::remove_file(&certificate).unwrap();
    reload(&server);
    eventually("its absence is reported", async || {
        health(&server).await["problems"].to_string().contains("cannot be read")
    })
    .await;
    assert!(shows(&server, &authority, &first).await);
    replace(&server, &second);
    eventually("all is well", async || health(&server).await["status"] == "healthy").await;
    assert!(shows(&server, &authority, &second).await);
    let log = server.setup().log();
    let reported = log.matches("the previous certificate stays in use").count();
    assert_eq!(reported, 2, "once for each: {log}");
}

/// Breaks if a certificate expires without a warning.
#[tokio::test]
async fn a_certificate_that_expires_soon_or_has_expired_degrades_health() {
    let authority = Authority::new();
    let ending = |day: chrono::NaiveDate| {
        use chrono::Datelike;
        let part = |number: u32| u8::try_from(number).unwrap();
        authority.issue_with(|params| {
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(day.year(), part(day.month()), part(day.day()));
        })
    };
    let today = chrono::Utc::now().date_naive();
    let soon = ending(today + chrono::TimeDelta::days(10));
    let server = Setup::new().with_certificate(&authority, &soon).start().await;
    let seen = health(&server).await;
    assert_eq!(seen["status"], "degraded");
    assert!(
        seen["problems"][0].as_str().unwrap().contains("the certificate expires on"),
        "{seen:#}"
    );
    assert!(server.setup().log().contains("warning: the certificate expires on"));

    // The certificate stays in use; others are for their clients to refuse.
    let mut line = TlsConnection::open(server.address(), &authority.pem(), &[]).await.unwrap();
    replace(&server, &ending(today - chrono::TimeDelta::days(1)));
    reload(&server);
    eventually("the new one is read", async || {
        server.setup().log().contains("certificate re-read")
    })
    .await;
    let heard = line.ask("/health", "\r\n\r\n{").await;
    assert!(heard.contains("the certificate expired on"), "{heard}");
    assert!(TlsConnection::open(server.address(), &authority.pem(), &[]).await.is_err());

    replace(&server, &authority.issue());
    reload(&server);
    eventually("all is well", async || {
        line.ask("/health", "\"not_after\"").await.contains("\"healthy\"")
    })
    .await;
}
