//! Tokens: how they are created, what each scope may do, and how they end.

use crate::support::{
    files,
    server::{Answer, Setup, TestServer},
    wait::{PATIENCE, eventually},
};
use chrono::{TimeDelta, Utc};
use reqwest::Method;
use serde_json::{Value, json};
use std::{
    path::PathBuf,
    process::{Command, Output},
};

/// A scanner that works until it is released.
const WAITING: &str = r#"
say scanning
while [ ! -e "$dir/go" ]; do sleep 0.05; done
say completed
"#;

/// A token, and its line.
struct Token {
    secret: String,
    line: String,
}

#[expect(clippy::disallowed_methods, reason = "the tests stand outside of the service")]
fn scanwatch(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_scanwatch")).args(arguments).output().unwrap()
}

/// Creates a token with the command.
fn token(name: &str, scope: &str, more: &[&str]) -> Token {
    let made = scanwatch(&[&["token", "new", name, "--scope", scope], more].concat());
    assert!(made.status.success(), "{made:?}");
    let (line, said) = (text(made.stdout), text(made.stderr));
    let secret = said.split_whitespace().find(|word| word.starts_with("scanwatch_")).unwrap();
    Token { secret: secret.to_owned(), line }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

fn file_of(setup: &Setup) -> PathBuf {
    setup.folder().join("tokens")
}

/// A server that knows these tokens, and checks their file every second.
fn with_tokens(lines: &str) -> Setup {
    let setup = Setup::new();
    let path = file_of(&setup);
    files::write(&path, lines);
    setup.set("auth.tokens_file", json!(path)).set("auth.reload_interval_secs", 1)
}

async fn ask(server: &TestServer, method: Method, path: &str, token: &str) -> Answer {
    server.send(server.without_credentials(method, path).bearer_auth(token)).await
}

async fn health(server: &TestServer, token: &str) -> Answer {
    ask(server, Method::GET, "/health", token).await
}

async fn submit(server: &TestServer, token: &str) -> Answer {
    let body = json!({ "git_url": "https://github.com/acme/widget.git" });
    server
        .send(server.without_credentials(Method::POST, "/scan").bearer_auth(token).json(&body))
        .await
}

#[track_caller]
fn lacks(answer: &Answer, scope: &str) {
    assert_eq!(answer.status, 403, "{}", answer.text);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let problem: Value = answer.json();
    assert_eq!(problem["detail"], format!("This request needs a token with the scope {scope}"));
    assert_eq!((&problem["status"], &problem["title"]), (&json!(403), &json!("Forbidden")));
}

/// Breaks if a scope lets a program do more than it says, or less.
#[tokio::test]
async fn each_scope_may_do_what_it_says_and_no_more() {
    let [read, write, admin] = ["read", "write", "admin"].map(|scope| token(scope, scope, &[]));
    let lines = format!("# programs\n{}\n{}{}", read.line, write.line, admin.line);
    let setup = with_tokens(&lines).shell(WAITING).with_credentials("token", &read.secret);
    let server = setup.start().await;

    lacks(&submit(&server, &read.secret).await, "write");
    let job = submit(&server, &write.secret).await.expect(200).json();
    let job = job["job_id"].as_str().unwrap();
    let master = files::json(&server.job_folder(job).join("master.json")).unwrap();
    assert_eq!(master["submitted_by"], "write");

    let cancel = format!("/scan/{job}/cancel");
    lacks(&ask(&server, Method::POST, &cancel, &read.secret).await, "write");
    ask(&server, Method::POST, &cancel, &write.secret).await.expect(200);
    server.finished(job).await;
    for path in [
        format!("/scan/{job}"),
        format!("/scan/{job}/repositories/0"),
        format!("/jobs/{job}"),
        "/jobs".to_owned(),
        "/health".to_owned(),
    ] {
        for token in [&read, &write, &admin] {
            ask(&server, Method::GET, &path, &token.secret).await.expect(200);
        }
    }
    let scan = format!("/scan/{job}");
    for token in [&read, &write] {
        lacks(&ask(&server, Method::DELETE, &scan, &token.secret).await, "admin");
    }
    ask(&server, Method::DELETE, &scan, &admin.secret).await.expect(204);
    submit(&server, &admin.secret).await.expect(200);
}

/// Breaks if a tool that only supports Basic cannot use a token, or if a wrong one is let in.
#[tokio::test]
async fn a_token_is_sent_as_bearer_or_as_the_password_of_the_user_token() {
    let ci = token("ci", "read", &[]);
    let server = with_tokens(&ci.line).user("operator", "right").start().await;
    let as_basic = async |name: &str, password: &str| {
        let request =
            server.without_credentials(Method::GET, "/health").basic_auth(name, Some(password));
        server.send(request).await
    };
    assert_eq!(health(&server, &ci.secret).await.expect(200).json()["user"], "ci");
    assert_eq!(as_basic("token", &ci.secret).await.expect(200).json()["user"], "ci");
    as_basic("operator", "right").await.expect(200);
    for wrong in [health(&server, "scanwatch_x").await, as_basic("ci", &ci.secret).await] {
        assert_eq!(wrong.expect(401).json()["detail"], "Invalid credentials");
    }
    // A program that keeps using a revoked token is throttled, and keeps no one else out.
    let mut answers = Vec::new();
    for _ in 0..12 {
        answers.push(health(&server, "scanwatch_x").await.status);
    }
    assert_eq!(answers.last(), Some(&429), "{answers:?}");
    health(&server, &ci.secret).await.expect(200);
    as_basic("operator", "right").await.expect(200);
}

/// Breaks if a token outlives its expiry, or a stream its token.
#[tokio::test]
async fn a_token_ends_when_it_expires() {
    let over = token("over", "admin", &["--expires", "2020-12-31"]);
    let today = token("today", "admin", &["--expires", &Utc::now().date_naive().to_string()]);
    let end = (Utc::now() + TimeDelta::seconds(8)).to_rfc3339();
    let soon = token("soon", "admin", &["--expires", &end]);
    let lines = format!("{}{}{}", over.line, today.line, soon.line);
    let server = with_tokens(&lines).shell(WAITING).start().await;
    let refused = health(&server, &over.secret).await.expect(401).json();
    assert_eq!(refused["detail"], "Invalid credentials");
    health(&server, &today.secret).await.expect(200);

    let job = submit(&server, &soon.secret).await.expect(200).json();
    let path = format!("/scan/{}/events", job["job_id"].as_str().unwrap());
    let request = server.without_credentials(Method::GET, &path).bearer_auth(&soon.secret);
    let stream = request.send().await.unwrap();
    assert_eq!(stream.status(), 200);
    let reported = tokio::time::timeout(PATIENCE, stream.text()).await;
    let reported = reported.expect("the stream ends with its token").unwrap();
    assert!(reported.contains("event: snapshot") && !reported.contains("event: end"), "{reported}");
    health(&server, &soon.secret).await.expect(401);
}

/// Breaks if a token that is removed from the file, or given another scope, stays what it was.
#[tokio::test]
async fn a_token_removed_from_the_file_is_revoked() {
    let (ci, cd) = (token("ci", "read", &[]), token("cd", "admin", &[]));
    let server = with_tokens(&format!("{}{}", ci.line, cd.line)).start().await;
    submit(&server, &cd.secret).await.expect(200);
    files::replace(&file_of(server.setup()), cd.line.replace(" admin ", " read "));
    eventually("it is gone", async || health(&server, &ci.secret).await.status != 200).await;
    lacks(&submit(&server, &cd.secret).await, "write");
    health(&server, &cd.secret).await.expect(200);
}

/// Breaks if a mistake in the file goes unnoticed, or if its refusal shows a token.
#[tokio::test]
async fn a_damaged_file_is_refused_at_the_start() {
    let ci = token("ci", "read", &[]);
    let bad = |text: String| async move {
        let ended = with_tokens(&text).run_to_end().await;
        assert_eq!(ended.code, Some(2), "{}", ended.output);
        assert!(ended.output.contains("auth.tokens_file"), "{}", ended.output);
        ended.output
    };
    let reported = bad(format!("{}cd read {}\n", ci.line, ci.secret)).await;
    assert!(reported.contains("line 2: the hash must be the token's SHA-256"), "{reported}");
    assert!(!reported.contains(&ci.secret), "{reported}");
    let reported = bad(format!("{}{}", ci.line, ci.line)).await;
    assert!(reported.contains("line 2: `ci` is listed twice"), "{reported}");
    let reported = bad(ci.line.replace(" read ", " all ")).await;
    assert!(reported.contains("line 1: the scope must be"), "{reported}");
}

/// Breaks if the check of the settings accepts what `serve` then refuses.
#[test]
fn the_check_of_the_settings_reads_the_files() {
    let setup = with_tokens("ci read none\n");
    let setting = format!("auth.tokens_file={}", file_of(&setup).display());
    let check = || scanwatch(&["config", "check", "--set", &setting]);
    let ended = check();
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
    assert!(text(ended.stderr).contains("line 1: the hash must be the token's SHA-256"));
    files::write(&file_of(&setup), token("ci", "read", &[]).line);
    assert!(check().status.success());
}

/// Breaks if the command shows a secret where it would be stored, or creates what is not usable.
#[test]
fn a_new_token_is_shown_once_beside_a_line_without_secrets() {
    let ci = token("ci", "write", &["--expires", "2030-12-31"]);
    assert!(ci.secret.len() > 50, "{}", ci.secret);
    let words: Vec<_> = ci.line.split_whitespace().collect();
    assert_eq!((words[0], words[1], words[3]), ("ci", "write", "2030-12-31"));
    assert!(words[2].len() == 64 && !ci.line.contains(&ci.secret) && ci.line.ends_with('\n'));
    assert_ne!(token("ci", "write", &[]).secret, ci.secret);
    for wrong in [
        &["token", "new", "ci", "--scope", "all"][..],
        &["token", "new", "ci"],
        &["token", "new", "c i", "--scope", "read"],
        &["token", "new", "ci", "--scope", "read", "--expires", "soon"],
    ] {
        let ended = scanwatch(wrong);
        assert_eq!(ended.status.code(), Some(2), "{wrong:?}");
        assert_eq!(text(ended.stdout), "");
    }
}
