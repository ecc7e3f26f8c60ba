//! Errors, and their exit codes.

use super::{Ran, fake::Fake, run, scanwatch, setup, url};
use crate::support::forge::program;
use std::process::Command;

fn command(arguments: &[&str]) -> Command {
    let mut command = program(env!("CARGO_BIN_EXE_scanwatch"));
    command.args(arguments);
    command
}

/// Breaks if a script cannot distinguish an unreachable or foreign server from its own mistakes.
#[test]
fn an_unreachable_or_foreign_server_is_exit_code_4() {
    let web = Fake::answering("200 OK", "<html>");
    let other = Fake::answering("200 OK", r#"{"hello": "world"}"#);
    let elsewhere = Fake::saying(
        "HTTP/1.1 301 Moved\r\nlocation: https://x.example/\r\ncontent-length: 0\r\n\r\n",
    );
    let mail = Fake::saying("220 mail.example ESMTP\r\n");
    let busy = Fake::answering("503 Service Unavailable", r#"{"detail": "disk full"}"#);
    for (server, expected) in [
        ("http://127.0.0.1:1".to_owned(), "cannot reach the server at http://127.0.0.1:"),
        (web.url(), "not JSON"),
        (other.url(), "unknown document"),
        (elsewhere.url(), "a redirect to https://x.example/"),
        (mail.url(), "not HTTP"),
        (busy.url(), "the server is unavailable (503): disk full"),
    ] {
        for arguments in [&["jobs"] as &[&str], &["submit", "https://h/x.git", "--wait"]] {
            let mut command = command(arguments);
            let ran = Ran::from(command.args(["--server", &server]).output().unwrap()).expect(4);
            assert!(ran.err.contains(expected), "{arguments:?}: {ran:?}");
            assert_eq!(ran.out, "");
        }
        let mut command = command(&["watch", "a", "--server", &server]);
        Ran::from(command.output().unwrap()).expect(4);
    }
}

/// Breaks if a mistake of the user is not reported with the server's own message and code 2.
#[tokio::test]
async fn an_error_of_the_server_is_printed_unchanged() {
    let server = setup().user("me", "s3cret").start().await;
    let own = |arguments: &[&str]| {
        let mut command = scanwatch(&server, arguments);
        command.env("API_USERNAME", "me").env("API_PASSWORD", "s3cret");
        Ran::from(command.output().unwrap())
    };
    let ran = run(&server, &["jobs"]).expect(2);
    assert!(ran.err.contains("Not authenticated") && ran.err.contains("API_USERNAME"), "{ran:?}");
    let mut wrong = scanwatch(&server, &["watch", "a"]);
    wrong.env("API_USERNAME", "me").env("API_PASSWORD", "wrong");
    let ran = Ran::from(wrong.output().unwrap()).expect(2);
    assert!(ran.err.contains("Invalid credentials"), "{ran:?}");

    for command in ["watch", "status", "results", "cancel"] {
        let ran = own(&[command, "unknown"]).expect(2);
        assert!(ran.err.contains("Job not found"), "{command}: {ran:?}");
    }
    own(&["status", "../etc"]).expect(2);
    // A refused URL does not affect the other one.
    let ran = own(&["submit", "https://evil.example/x.git", &url("one")]).expect(2);
    assert!(ran.err.contains("Domain not allowed: evil.example"), "{ran:?}");
    assert_eq!(ran.out.lines().count(), 1, "{ran:?}");
    let ran = own(&["submit", "https://me:t0ken@github.com/x.git"]).expect(2);
    assert!(!ran.err.contains("t0ken"), "{ran:?}");
    assert!(ran.out.is_empty() && !ran.err.contains("s3cret"), "{ran:?}");
}

/// Breaks if a request is sent with invalid settings, or a secret is printed.
#[test]
fn invalid_settings_are_refused_before_any_request() {
    let fake = Fake::answering("200 OK", "{}");
    let server = fake.url();
    for (arguments, variables, expected) in [
        (
            &["jobs", "--server", "http://me:s3cret@h"] as &[&str],
            &[] as &[(&str, &str)],
            "credentials",
        ),
        (&["jobs", "--server", "localhost:8000"], &[], "http(s)://"),
        (&["jobs"], &[("SCANNER_SERVER_URL", "ftp://h")], "http(s)://"),
        (&["jobs", "--server", &server], &[("API_USERNAME", "me")], "API_PASSWORD is not"),
        (&["jobs", "--server", &server], &[("API_PASSWORD", "s3cret")], "API_USERNAME is not"),
        (&["jobs", "--server", &server], &[("SCANWATCH_TOKEN", "s3cret\n")], "SCANWATCH_TOKEN"),
        (&["watch", "a", "--reconnect-timeout", "soon"], &[], "10m"),
        (&["results", "a", "--json", "--format", "csv"], &[], "--format"),
        (&["submit"], &[], "URL"),
    ] {
        let mut command = command(arguments);
        let ran = Ran::from(command.envs(variables.iter().copied()).output().unwrap()).expect(2);
        assert!(ran.err.contains(expected), "{arguments:?}: {ran:?}");
        assert!(!ran.err.contains("s3cret"), "{ran:?}");
    }
    assert!(fake.heads().is_empty());
}

/// Breaks if credentials do not come from the environment, or are sent with the wrong scheme.
#[test]
fn a_token_takes_precedence_over_name_and_password() {
    for (variables, expected) in [
        (&[("API_USERNAME", "u"), ("API_PASSWORD", "p")] as &[(&str, &str)], Some("Basic dTpw")),
        (
            &[("API_USERNAME", "u"), ("API_PASSWORD", "p"), ("SCANWATCH_TOKEN", "t0ken")],
            Some("Bearer t0ken"),
        ),
        (&[("SCANWATCH_TOKEN", ""), ("API_USERNAME", ""), ("API_PASSWORD", "")], None),
    ] {
        let fake = Fake::answering("200 OK", r#"{"jobs": [], "total": 0, "total_pages": 0}"#);
        let mut command = command(&["jobs"]);
        command.env("SCANNER_SERVER_URL", fake.url()).envs(variables.iter().copied());
        Ran::from(command.output().unwrap()).expect(0);
        let heads = fake.heads();
        let sent = heads[0].lines().find_map(|line| line.strip_prefix("authorization: "));
        assert_eq!(sent, expected, "{heads:?}");
    }
}
