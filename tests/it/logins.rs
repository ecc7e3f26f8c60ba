//! Users and their passwords: who is let in, how a file of users changes under a running server,
//! and how guessing is throttled.

use crate::support::{
    files,
    processes::cpu_time,
    raw::KeptConnection,
    server::{Answer, Setup, TestServer},
    sse::EventStream,
    wait::{PATIENCE, eventually},
    ws::{Frame, WebSocket},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::future::join_all;
use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

/// A scanner that works until it is released.
const WAITING: &str = r#"
say scanning
while [ ! -e "$dir/go" ]; do sleep 0.05; done
say completed
"#;

/// A line of a file of users, at the lowest cost.
fn line(name: &str, password: &str) -> String {
    line_of_cost(4, name, password)
}

/// The prefix is that of `htpasswd -B`.
fn line_of_cost(cost: u32, name: &str, password: &str) -> String {
    let parts = bcrypt::hash_with_result(password, cost).unwrap();
    format!("{name}:{}\n", parts.format_for_version(bcrypt::Version::TwoY))
}

fn file_of(setup: &Setup) -> PathBuf {
    setup.folder().join("users")
}

/// A server that knows these users, and checks their file every second.
fn with_users(users: &str) -> Setup {
    let setup = Setup::new();
    let path = file_of(&setup);
    files::write(&path, users);
    setup.set("auth.htpasswd_file", json!(path)).set("auth.reload_interval_secs", 1)
}

async fn ask(server: &TestServer, name: &str, password: &str) -> Answer {
    server
        .send(server.without_credentials(Method::GET, "/health").basic_auth(name, Some(password)))
        .await
}

async fn status(server: &TestServer, name: &str, password: &str) -> u16 {
    ask(server, name, password).await.status
}

/// Waits until the server has read a changed file so many times. Trying logins instead would count
/// as guessing.
async fn read_again(server: &TestServer, times: usize) {
    eventually("the file is read again", async || {
        server.setup().log().matches("users or tokens re-read").count() >= times
    })
    .await;
}

fn detail(answer: &Answer) -> Value {
    answer.json()["detail"].clone()
}

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

/// Breaks if a user of the file, or the one of the environment besides them, is kept out, or if
/// anyone else is let in.
#[tokio::test]
async fn users_of_the_file_and_the_one_of_the_environment_are_let_in() {
    let setup =
        with_users(&format!("# the team\n{}{}", line("anna", "s3cret:x"), line("bérnd", "")));
    let server = setup.user("operator", "right").start().await;
    for (name, password) in [("anna", "s3cret:x"), ("bérnd", ""), ("operator", "right")] {
        let health = ask(&server, name, password).await.expect(200).json();
        assert_eq!(health["user"], name);
    }
    for (name, password) in
        [("anna", "right"), ("anna", ""), ("operator", "s3cret:x"), ("stranger", "s3cret:x")]
    {
        let answer = ask(&server, name, password).await.expect(401);
        assert_eq!(detail(&answer), "Invalid credentials", "{name}");
        assert!(answer.header("www-authenticate").unwrap().starts_with("Basic"));
    }
    let nobody = server.send(server.without_credentials(Method::GET, "/health")).await.expect(401);
    assert_eq!(detail(&nobody), "Not authenticated");
    // They are one team: each sees the others' jobs.
    let job = server.submit("widget").await;
    let request = server.without_credentials(Method::DELETE, &format!("/scan/{job}"));
    server.send(request.basic_auth("anna", Some("s3cret:x"))).await.expect(204);
}

/// Breaks if a weak or damaged file is accepted, in part or as a whole: the operator believes that
/// it protects.
#[tokio::test]
async fn a_file_that_is_weak_or_damaged_is_refused_at_the_start() {
    let good = line("anna", "x");
    let hash = good.trim_end().split_once(':').unwrap().1.to_owned();
    for (text, number, reason) in [
        (format!("{good}b:{{SHA}}W6ph5Mm5Pz8GgiULbPgzG37mj9g="), 2, "SHA-1"),
        ("b:$apr1$lZL6V/ci$eIMz/iKDkbtys/uU7LEK00".to_owned(), 1, "MD5"),
        ("b:rqXexS6ZhobKA".to_owned(), 1, "crypt or plain text"),
        (format!("{good}{good}"), 2, "`anna` is listed twice"),
        (format!(":{hash}"), 1, "name is empty"),
        (format!("b:$2y$15${}", &hash[7..]), 1, "cost is 15"),
        (format!("\n\nb:{}", &hash[..50]), 3, "damaged"),
        ("words".to_owned(), 1, "NAME:HASH"),
    ] {
        let setup = with_users(&text);
        let ended = setup.run_to_end().await;
        assert_eq!(ended.code, Some(2), "{text}: {}", ended.output);
        for word in ["auth.htpasswd_file", "/users", &format!("line {number}"), reason] {
            assert!(ended.output.contains(word), "{word:?} is not in: {}", ended.output);
        }
        let secret = text.lines().last().unwrap().rsplit(':').next().unwrap();
        assert!(!ended.output.contains(secret) || secret == "words", "{}", ended.output);
    }
    let ended = with_users(&good).user("anna", "y").run_to_end().await;
    assert!(ended.output.contains("already the user of API_USERNAME"), "{}", ended.output);
    let ended = Setup::new().set("auth.htpasswd_file", json!("nowhere")).run_to_end().await;
    assert!(ended.output.contains("nowhere, the file cannot be read"), "{}", ended.output);
    let latin = with_users("");
    files::write(&file_of(&latin), b"anna:x\nb\xe9rnd:x\n");
    let ended = latin.run_to_end().await;
    assert!(ended.output.contains("line 2: the text is not valid UTF-8"), "{}", ended.output);
}

/// Breaks if an empty file opens the server, or if a file does not count as credentials on an
/// address that others reach.
#[tokio::test]
async fn even_an_empty_user_file_closes_the_server() {
    // An unassigned address (RFC 5737): it gets as far as trying to listen there, and no further.
    let elsewhere = |setup: Setup| setup.variable("SCANWATCH_SERVER__LISTEN", "192.0.2.1:0");
    let ended = elsewhere(with_users("")).run_to_end().await;
    assert!(ended.output.contains("cannot listen on 192.0.2.1"), "{}", ended.output);
    let ended = elsewhere(Setup::new()).run_to_end().await;
    assert!(ended.output.contains("without credentials"), "{}", ended.output);
    let server = with_users("# nobody yet\n").start().await;
    let answer = server.send(server.without_credentials(Method::GET, "/health")).await;
    assert_eq!(detail(&answer.expect(401)), "Not authenticated");
    assert_eq!(status(&server, "anna", "x").await, 401);
}

/// Breaks if a user who was removed stays connected, on a connection or in a stream that was open
/// before, or if the remaining users notice.
#[tokio::test]
async fn a_changed_file_admits_new_users_and_disconnects_removed_ones() {
    let (anna, bernd) = (line("anna", "a"), line("bernd", "b"));
    let setup = with_users(&format!("{anna}{bernd}")).shell(WAITING).with_credentials("anna", "a");
    let server = setup.set("server.header_timeout_secs", 120).start().await;
    let job = server.submit("widget").await;
    server.working(&job).await;
    let (of_anna, of_bernd) = (basic("anna", "a"), basic("bernd", "b"));
    let mut annas = KeptConnection::open(server.address()).await;
    let mut bernds = KeptConnection::open(server.address()).await;
    assert_eq!(annas.get("/jobs", &of_anna).await.status, 200);
    assert_eq!(bernds.get("/jobs", &of_bernd).await.status, 200);
    let path = format!("/scan/{job}/events");
    let endless = [&path, "/events", &format!("/scan/{job}/repositories/0/log?follow=true")];
    let mut bernds_streams = Vec::new();
    for path in endless {
        let request = server.without_credentials(Method::GET, path).basic_auth("bernd", Some("b"));
        let stream = request.send().await.unwrap();
        assert_eq!(stream.status(), 200, "{path}");
        bernds_streams.push((path, stream));
    }
    let login = format!("Authorization: {of_bernd}\r\n");
    let path_of_socket = format!("/scan/{job}/ws");
    let socket = WebSocket::with_headers(server.address(), &path_of_socket, &login).await;
    let mut bernds_socket = socket.unwrap();
    let mut annas_stream = EventStream::open(&server, &path).await;

    files::replace(&file_of(server.setup()), format!("{anna}{}", line("clara", "c")));
    read_again(&server, 1).await;
    assert_eq!(status(&server, "clara", "c").await, 200);
    assert_eq!(bernds.get("/jobs", &of_bernd).await.status, 401);
    assert_eq!(annas.get("/jobs", &of_anna).await.status, 200);
    for (path, stream) in bernds_streams {
        let reported = tokio::time::timeout(PATIENCE, stream.text()).await;
        reported.unwrap_or_else(|_| panic!("{path} ends")).expect("in order");
    }
    assert_eq!(bernds_socket.rest().await.1, Frame::Close(Some(1008)));

    files::write(&server.file("go"), "");
    let last = annas_stream.rest(PATIENCE).await.pop().unwrap();
    assert_eq!(last.name, "end", "the stream of a user who stays goes on to its end");

    // A changed password is a different user.
    files::replace(&file_of(server.setup()), line("anna", "new"));
    read_again(&server, 2).await;
    assert_eq!(status(&server, "anna", "new").await, 200);
    assert_eq!(annas.get("/jobs", &of_anna).await.status, 401);
}

/// Breaks if an operator's mistake locks everyone out, or goes unnoticed.
#[tokio::test]
async fn a_bad_file_changes_nothing_and_is_reported_until_fixed() {
    let setup = with_users(&line("anna", "a"));
    let setup = setup.variable("SCANWATCH_AUTH__RELOAD_INTERVAL_SECS", 3600);
    let server = setup.start().await;
    let reload = || server.signal(server.pid(), Signal::HUP);
    let health = async || ask(&server, "anna", "a").await.expect(200).json();
    let path = file_of(server.setup());

    for (bad, reason) in
        [("anna:hunter2\n", "line 1: the password is crypt or plain"), ("\na:\n", "line 2")]
    {
        files::replace(&path, bad);
        reload();
        eventually("the file is reported", async || {
            health().await["problems"].to_string().contains(reason)
        })
        .await;
        let seen = health().await;
        assert_eq!(seen["status"], "degraded");
        let problem = seen["problems"].to_string();
        assert!(problem.contains("auth.htpasswd_file"), "{problem}");
        assert!(!problem.contains("hunter2") && !problem.contains("/users"), "{problem}");
    }
    std::fs::remove_file(&path).unwrap();
    reload();
    eventually("its absence is reported", async || {
        health().await["problems"].to_string().contains("cannot be read")
    })
    .await;
    files::write(&path, format!("{}{}", line("anna", "a"), line("bernd", "b")));
    reload();
    eventually("all is well", async || health().await["status"] == "healthy").await;
    assert_eq!(status(&server, "bernd", "b").await, 200);
    let log = server.setup().log();
    assert!(log.contains("line 1: the password is crypt") && !log.contains("hunter2"), "{log}");
}

/// Breaks if passwords can be guessed quickly, or if guessing slows the server for its users.
#[tokio::test]
async fn five_hundred_guesses_are_answered_and_few_are_checked() {
    let setup = with_users(&line("anna", "right")).with_credentials("anna", "right");
    let server = setup.start().await;
    server.get("/jobs").await.expect(200);
    let guess = async |number: u32| ask(&server, "anna", &format!("guess {number}")).await;
    let mut refused = 0;
    for round in 0..10 {
        let guesses = (0..50).map(|number| guess(round * 50 + number));
        for answer in join_all(guesses).await {
            if answer.status == 429 {
                refused += 1;
                assert_eq!(detail(&answer), "Too many failed logins");
                let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
                assert!((1..=60).contains(&wait), "{wait}");
            } else {
                assert!(matches!(answer.status, 401 | 503), "{}", answer.text);
            }
        }
        // On a new connection each time, from the same address, with the same name.
        server.get("/jobs").await.expect(200);
    }
    assert!(refused >= 480, "{refused}");
    // From another address nothing was guessed.
    let elsewhere = reqwest_from([127, 0, 0, 2]);
    let request = elsewhere.get(server.url("/health")).basic_auth("anna", Some("wrong"));
    assert_eq!(server.send(request).await.status, 401);
}

fn reqwest_from(address: [u8; 4]) -> reqwest::Client {
    let client = scanwatch::http::client();
    client.local_address(std::net::IpAddr::from(address)).build().unwrap()
}

/// Breaks if a program that starts with many connections is taken for a guesser.
#[tokio::test]
async fn many_connections_may_begin_with_the_same_password_at_once() {
    // So expensive that all are there before the first is checked.
    let server = with_users(&line_of_cost(8, "anna", "right")).start().await;
    let all = join_all((0..60).map(|_| ask(&server, "anna", "right"))).await;
    for answer in all {
        answer.expect(200);
    }
}

/// How long it takes to answer a wrong password, on this machine and at this moment; and in
/// processor time.
async fn of_one(server: &TestServer) -> (Duration, Duration) {
    let (began, used) = (Instant::now(), cpu_time(server.pid()));
    ask(server, "nobody", "x").await.expect(401);
    (began.elapsed(), cpu_time(server.pid()).saturating_sub(used))
}

/// Breaks if a program that keeps using an old password delays everyone, itself included.
#[tokio::test]
async fn one_wrong_password_in_parallel_costs_few_hashes() {
    let users = format!("{}{}", line_of_cost(10, "anna", "right"), line("bernd", "b"));
    let server = with_users(&users).start().await;
    let (_, of_one) = of_one(&server).await;
    let before = cpu_time(server.pid());
    let all = join_all((0..200).map(|_| ask(&server, "anna", "old"))).await;
    let used = cpu_time(server.pid()).saturating_sub(before);
    let count = |status: u16| all.iter().filter(|answer| answer.status == status).count();
    let (wrong, throttled, busy) = (count(401), count(429), count(503));
    assert_eq!(wrong + throttled + busy, 200);
    assert!(wrong <= 10, "{wrong} attempts of one name from one address were let through");
    // One hash for the first request, and one for those that came while it was computed. Without
    // that ten, the limit on failures.
    assert!(used < 6 * of_one, "{used:?} of a processor, one takes {of_one:?}");
}

/// Breaks if a guesser at one address delays users at another with a right password.
#[tokio::test]
async fn guesses_delay_no_other_users_password() {
    let users = format!("{}{}", line_of_cost(8, "anna", "right"), line("bernd", "b"));
    let server = with_users(&users).start().await;
    let (single, of_processor) = of_one(&server).await;
    // As many as one address may have checked, all different.
    let guess = async |number: usize| {
        ask(&server, ["anna", "bernd"][number % 2], &format!("guess {number}")).await
    };
    let used = cpu_time(server.pid());
    let owner = async {
        eventually("guesses are being judged", async || {
            cpu_time(server.pid()) > used + of_processor / 2
        })
        .await;
        let began = Instant::now();
        let elsewhere = reqwest_from([127, 0, 0, 2]);
        let request = elsewhere.get(server.url("/health")).basic_auth("anna", Some("right"));
        let answer = server.send(request).await;
        (answer.status, began.elapsed())
    };
    let (all, (status, took)) = tokio::join!(join_all((0..18).map(guess)), owner);
    for answer in all {
        assert!(matches!(answer.status, 401 | 429 | 503), "{}", answer.text);
    }
    assert_eq!(status, 200);
    // Behind one of each name, and the one in progress. Behind nine of them without that.
    assert!(took < 5 * single + Duration::from_secs(1), "{took:?}, one takes {single:?}");
}
